"""The long-clip protocol: what happens to a video over 60 frames, not over the 3 of training.

The warping error alone rewards the method's trivial solution, the first frame carried along by
the flow ("smearing").  So every clip is also looked at by frame distance from its start: the
fusion mask where the past can be seen and where it cannot, agreement with the source's layout,
and the warping error there.  ``verdicts`` holds the figures against named thresholds.

Scores are of the 8-bit frames that a user would get.  Functions are pure over arrays, so the
training loop calls them as they are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, NotRequired, TypedDict

import jax
import jax.numpy as jnp
import numpy as np

from v2v_jax.evaluation import metrics
from v2v_jax.methods.base import Method
from v2v_jax.ops.warp import backward_warp, forward_backward_occlusion
from v2v_jax.types import Array, Params

DISTANCES = (1, 10, 30, 60)
"""Frame distances from the clip's start at which the protocol looks."""

WINDOW = 2
"""Frames on either side of a distance that are averaged."""

PHOTOMETRIC_TOLERANCE = 0.1
"""Real video: above this difference (RMS over channels, [0, 1]) source and flow disagree."""

HostFlow = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(current, previous), uint8 [H, W, 3] -> backward flow float32 [H, W, 2]."""


class EvaluationClip(TypedDict):
    """One held-out video with whatever is known about it, NumPy arrays."""

    name: str
    frames: np.ndarray
    """uint8 [T, H, W, 3]."""
    flow: NotRequired[np.ndarray]
    """float32 [T-1, H, W, 2], exact backward flow."""
    forward: NotRequired[np.ndarray]
    """float32 [T-1, H, W, 2], exact forward flow, on the earlier frame."""
    occluded: NotRequired[np.ndarray]
    """bool [T-1, H, W], on frame t: not visible in frame t-1."""
    shaded: NotRequired[np.ndarray]
    """bool [T-1, H, W], on frame t: visible, but light or mixed pixels change its colour; the
    warping error leaves these out, the mask's figures do not."""
    labels: NotRequired[np.ndarray]
    """integer [T, H, W], Cityscapes train ids."""
    truth: NotRequired[np.ndarray]
    """uint8 [T, H, W, 3], the perfect translation, where it can be drawn.  For scores alone: no
    training may see it."""


class Regions(NamedTuple):
    """Scoring flow and the pixels it splits a clip into, each on frames 1 .. T-1."""

    flow: np.ndarray
    """float32 [T-1, H, W, 2], backward."""
    valid: np.ndarray
    """bool [T-1, H, W]: shown by the previous frame; the warping error counts these."""
    new: np.ndarray
    """bool [T-1, H, W]: newly visible; the fusion mask should be low here."""


class Rollout(NamedTuple):
    """A translated clip, as 8-bit frames."""

    output: np.ndarray
    """uint8 [T, H, W, 3]."""
    raw: np.ndarray
    """uint8 [T, H, W, 3]: the image generator's own frames."""
    mask: np.ndarray
    """float32 [T, H, W]: fusion mask; 0 on frame 0."""


def rollout(
    method: Method,
    generator: Params,
    frozen: Params,
    frames: np.ndarray,
    flow: np.ndarray | None,
    *,
    chunk: int = 8,
) -> Rollout:
    """Runs a clip through the method in chunks of one compiled shape.

    Args:
        frames: uint8 [T, H, W, 3].
        flow: float32 [T-1, H, W, 2] or None.
        method, generator, frozen, chunk: as in ``evaluate_clip``.
    """
    length = len(frames)
    chunk = min(chunk, length)
    # The flow of the very first frame is ignored; padding after the last one is cut again.
    flow = None if flow is None else np.concatenate([np.zeros_like(flow[:1]), flow])
    carry = method.initial_carry(_signed(frames[None, :1]))
    pieces = []
    for start in range(0, length, chunk):
        part = _padded(frames[start : start + chunk], chunk)
        steps = None if flow is None else jnp.asarray(_padded(flow[start : start + chunk], chunk))
        steps = None if steps is None else steps[None]
        carry, piece = _rollout(method, generator, frozen, carry, _signed(part[None]), steps)
        pieces.append(jax.device_get(piece))
    output, raw, mask = (np.concatenate([p[i][0] for p in pieces])[:length] for i in range(3))
    return Rollout(output, raw, mask[..., 0])


def find_regions(clip: EvaluationClip, scoring_flow: HostFlow | None = None) -> Regions:
    """Where a clip's frames show what the previous frame showed.

    Exact flow: ``occluded`` (or a forward-backward check where only ``forward`` is given) and
    the frame's border decide.  Estimated flow: forward-backward check and border decide what is
    valid, and pixels that change colour along the flow count as new besides.
    """
    frames, flow = clip["frames"], clip.get("flow")
    if flow is None:
        if scoring_flow is None:
            raise ValueError(
                f"evaluate: clip '{clip['name']}' has no exact flow; give an estimator to score by"
            )
        flow, forward = _both_directions(frames, scoring_flow)
        valid = _passes(flow, forward)
        changed = metrics.photometric_distance(frames, flow) > PHOTOMETRIC_TOLERANCE
        return Regions(flow, valid, ~valid | changed)
    if "occluded" in clip:
        seen = _inside(flow) & ~clip["occluded"]
    elif "forward" in clip:
        seen = _passes(flow, clip["forward"])
    else:
        raise ValueError(f"evaluate: clip '{clip['name']}' has flow but no 'occluded' or 'forward'")
    return Regions(flow, seen & ~clip["shaded"] if "shaded" in clip else seen, ~seen)


def frames_at(distance: int, length: int) -> slice:
    """The frames of a clip of ``length`` that stand for ``distance`` (frame 0 never does)."""
    centre = min(distance, length - 1)
    return slice(max(centre - WINDOW, 1), min(centre + WINDOW, length - 1) + 1)


def host_flow(frames: np.ndarray, flow: HostFlow | np.ndarray | None) -> np.ndarray | None:
    """The flow array a method is handed: estimated frame by frame, given, or None."""
    if flow is None or isinstance(flow, np.ndarray):
        return flow
    pairs = zip(frames[1:], frames[:-1], strict=True)
    return np.stack([flow(current, previous) for current, previous in pairs])


@functools.partial(jax.jit, static_argnames="method")
def _rollout(
    method: Method, generator: Params, frozen: Params, carry: Any, frames: Array, flow: Array | None
) -> tuple[Any, tuple[Array, Array, Array]]:
    carry, result = method.rollout(generator, frozen, carry, frames, flow)
    return carry, (_eight_bit(result.output), _eight_bit(result.raw), result.mask)


def _eight_bit(image: Array) -> Array:
    return jnp.round(jnp.clip((image + 1.0) * 127.5, 0.0, 255.0)).astype(jnp.uint8)


def _signed(frames: np.ndarray) -> Array:
    return jnp.asarray(frames.astype(np.float32) / np.float32(127.5) - np.float32(1))


def _padded(array: np.ndarray, length: int) -> np.ndarray:
    missing = length - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array


def _both_directions(frames: np.ndarray, estimate: HostFlow) -> tuple[np.ndarray, np.ndarray]:
    pairs = list(zip(frames[1:], frames[:-1], strict=True))
    backward = np.stack([estimate(current, previous) for current, previous in pairs])
    return backward, np.stack([estimate(previous, current) for current, previous in pairs])


@jax.jit
def _fb_visible(backward: Array, forward: Array) -> Array:
    return forward_backward_occlusion(backward, forward)[..., 0]


def _passes(backward: np.ndarray, forward: np.ndarray) -> np.ndarray:
    return np.asarray(_fb_visible(backward, forward)) > 0.5


@jax.jit
def _border_visible(flow: Array) -> Array:
    return backward_warp(jnp.zeros((*flow.shape[:3], 1), flow.dtype), flow)[1][..., 0]


def _inside(flow: np.ndarray) -> np.ndarray:
    return np.asarray(_border_visible(flow)) > 0.5
