"""Lai et al.'s warp errors: how far a video is from its own past, carried along the flow."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from v2v_jax import losses
from v2v_jax.ops.warp import backward_warp
from v2v_jax.recurrence import fold, scan_clip, unfold
from v2v_jax.types import Array


def short_term(
    frames: Array, outputs: Array, flow: Array, alpha: float = 50.0
) -> tuple[Array, Array]:
    """The error towards the previous output, which gets no gradient.

    Args:
        frames: float [B, T, H, W, 3] in [-1, 1], the originals.
        outputs: the same shape.
        flow: float [B, T - 1, H, W, 2], backward flow in pixels.
        alpha: see ``visibility``.

    Returns:
        The mean absolute difference of images in [0, 1], weighted by the mask, summed over time;
        and the previous outputs along the flow, [B, T - 1, H, W, 3].
    """
    warped, _ = warp(jax.lax.stop_gradient(outputs[:, :-1]), flow)
    carried, visible = warp(frames[:, :-1], flow)
    mask = visibility(frames[:, 1:], carried, visible, alpha)
    return losses.temporal(outputs[:, 1:], warped, mask) / 2, warped


def long_term(
    frames: Array, outputs: Array, far: Array, reached: Array, alpha: float = 50.0
) -> Array:
    """The error of frames t >= 2 towards the first output, as ``short_term`` counts it.

    Args:
        frames, outputs, alpha: see ``short_term``.
        far: float [B, T - 2, H, W, 2], the flow to the first frame, in pixels.
        reached: float [B, T - 2, H, W, 1], where it can be followed.
    """
    current = frames[:, 2:]
    first, source = (jnp.broadcast_to(x[:, :1], current.shape) for x in (outputs, frames))
    carried, visible = warp(source, far)
    mask = visibility(current, carried, visible * reached, alpha)
    return losses.temporal(outputs[:, 2:], warp(first, far)[0], mask) / 2


def visibility(current: Array, carried: Array, visible: Array, alpha: float = 50.0) -> Array:
    """Upstream's mask as coded, exp(-alpha * (sum over RGB of the difference)^2).

    Its comment means the sum of the squares.  Here the channels' differences may cancel.

    Args:
        current: float [..., 3] in [-1, 1], the original frame.
        carried: the same shape, an earlier one along the flow.
        visible: float [..., 1], 1 where the flow stays inside the frame.
        alpha: for differences of images in [0, 1].

    Returns:
        float [..., 1] in [0, 1], without gradient.
    """
    difference = jnp.sum((current - carried) / 2, axis=-1, keepdims=True)
    return jax.lax.stop_gradient(jnp.exp(-alpha * jnp.square(difference)) * visible)


def compose(flow: Array) -> tuple[Array, Array]:
    """The flow from every frame to the first, out of the flows between consecutive ones.

    Args:
        flow: float [B, T - 1, H, W, 2], backward flow in pixels of all frames but the first.

    Returns:
        far: the same shape, far_t(p) = flow_t(p) + far_{t-1}(p + flow_t(p)).
        reached: float [B, T - 1, H, W, 1], 1 where no step on the way leaves the frame.
    """

    def step(carry: Array, flow: Array) -> tuple[Array, Array]:
        onward, inside = backward_warp(carry, flow)
        # Of the four pixels between which a step ends, none may have left; sums of weights round.
        reached = inside * (onward[..., 2:] > 0.999)
        carry = jnp.concatenate([flow + onward[..., :2], reached], axis=-1)
        return carry, carry

    start = jnp.concatenate([jnp.zeros_like(flow[:, 0]), jnp.ones_like(flow[:, 0, ..., :1])], -1)
    _, made = scan_clip(step, start, flow)
    return made[..., :2], made[..., 2:]


def warp(images: Array, flow: Array) -> tuple[Array, Array]:
    """``backward_warp`` of clips: [B, T, H, W, C] along [B, T, H, W, 2]."""
    warped, visible = backward_warp(fold(images), fold(flow))
    return unfold(warped, images.shape[0]), unfold(visible, images.shape[0])
