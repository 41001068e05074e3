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
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NotRequired, TypedDict, TypeVar

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

T = TypeVar("T")
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


class Judges(NamedTuple):
    """Trained outside (``probes``), asked here; None leaves the figure out."""

    features: Callable[[np.ndarray], np.ndarray] | None = None
    """uint8 [N, H, W, 3] -> float [N, h, w, C], for the structure agreement."""
    segment: Callable[[np.ndarray], np.ndarray] | None = None
    """uint8 [N, H, W, 3] -> train ids [N, H, W]; used where a clip has labels."""
    share_target: Callable[[np.ndarray], float] | None = None
    """uint8 [N, H, W, 3] -> share of the frames that look like the target domain."""


class ClipScores(NamedTuple):
    """One clip's figures; pictures come from ``rollout``."""

    name: str
    values: dict[str, float]
    """Figures by name; per-distance ones are named ``at_<distance>/...``."""
    counts: dict[str, np.ndarray]
    """Confusion counts by the name of the score; they are pooled over clips, not averaged."""
    smeared: bool
    """The output's warping error is under the source's own: a failure, not a success."""
    rollout: Rollout
    regions: Regions


def evaluate_clip(
    method: Method,
    generator: Params,
    frozen: Params,
    clip: EvaluationClip,
    *,
    flow_for_method: HostFlow | np.ndarray | None,
    scoring_flow: HostFlow | None = None,
    judges: Judges | None = None,
    distances: Sequence[int] = DISTANCES,
    chunk: int = 8,
) -> ClipScores:
    """Translates one clip as a stream and scores it.

    Args:
        method, generator, frozen: as ``Method.rollout`` takes them; ``generator`` holds the
            parameters of one direction.
        clip: at least ``max(distances)`` frames, sides as the method needs them.
        flow_for_method: what the method warps by: a host estimator, an array [T-1, H, W, 2], or
            None for the estimator inside the method.
        scoring_flow: estimates the flow to score by (both directions, with forward-backward
            check) where the clip has no exact one.
        judges: see ``Judges``.
        distances: see ``DISTANCES``; distance d is the mean over frames d - 2 .. d + 2, as far
            as they exist after frame 0.
        chunk: frames per call of the jitted rollout; the carry is handed on.

    Raises:
        ValueError: a clip that is too short, or has no flow to score by.
    """
    length = len(clip["frames"])
    if length < max(distances):
        raise ValueError(
            f"evaluate: clip '{clip['name']}' has {length} frames, distance {max(distances)} "
            f"needs as many; use longer clips or smaller distances"
        )
    regions = find_regions(clip, scoring_flow)
    flow = host_flow(clip["frames"], flow_for_method)
    translated = rollout(method, generator, frozen, clip["frames"], flow, chunk=chunk)
    return score_clip(clip, translated, regions, judges or Judges(), distances)


def evaluate(
    method: Method,
    generator: Params,
    frozen: Params,
    clips: Iterable[EvaluationClip],
    **options: Any,
) -> Iterator[tuple[str, float]]:
    """Yields (name, value), means over clips; ``options`` as in ``evaluate_clip``.

    ``distance_rows``, ``verdicts`` and ``format_figures`` read ``dict(evaluate(...))``.
    """
    yield from summarise(
        [evaluate_clip(method, generator, frozen, clip, **options) for clip in clips]
    )


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


def score_clip(
    clip: EvaluationClip,
    translated: Rollout,
    regions: Regions,
    judges: Judges,
    distances: Sequence[int] = DISTANCES,
) -> ClipScores:
    """Scores a translated clip; arguments as in ``evaluate_clip``."""
    frames = clip["frames"]
    videos = {"source": frames, "raw": translated.raw, "output": translated.output}
    errors = {
        name: metrics.warping_error(video, regions.flow, regions.valid)
        for name, video in videos.items()
    }
    values = {f"warping_error/{name}": error.mean for name, error in errors.items()}
    values |= _mask_by_region(translated.mask[1:], regions)
    # Grey and hazy videos err less by as much as they show less: the reader needs the scale.
    values |= {f"contrast/{name}": _contrast(video) for name, video in videos.items()}
    values["colour_distance"] = metrics.colour_distance(translated.output, frames)
    if judges.share_target is not None:
        for name, video in videos.items():
            values[f"share_target/{name}"] = judges.share_target(video)
    counts = _readings(clip, videos, judges)
    for distance in distances:
        at = f"at_{distance}/"
        window = frames_at(distance, len(frames))
        pairs = slice(window.start - 1, window.stop - 1)
        part = Regions(*(array[pairs] for array in regions))
        values |= _prefixed(at, _mask_by_region(translated.mask[window], part))
        for name, error in errors.items():
            values[f"{at}warping_error/{name}"] = _nanmean(error.pairs[pairs])
        if judges.features is not None:
            values |= _prefixed(at, _structure(judges.features, videos, window))
        counts |= _prefixed(at, _readings(clip, videos, judges, window))
    smeared = errors["output"].mean < errors["source"].mean
    return ClipScores(clip["name"], values, counts, smeared, translated, regions)


def frames_at(distance: int, length: int) -> slice:
    """The frames of a clip of ``length`` that stand for ``distance`` (frame 0 never does)."""
    centre = min(distance, length - 1)
    return slice(max(centre - WINDOW, 1), min(centre + WINDOW, length - 1) + 1)


def summarise(scores: Sequence[ClipScores]) -> Iterator[tuple[str, float]]:
    """Yields (name, value) over clips: means, pooled segmentation, ratios of the means."""
    if not scores:
        raise ValueError("evaluate: no clips")
    names = list(dict.fromkeys(name for clip in scores for name in clip.values))
    mean = {
        name: _nanmean([clip.values[name] for clip in scores if name in clip.values])
        for name in names
    }
    yield from mean.items()
    for name in dict.fromkeys(name for clip in scores for name in clip.counts):
        pooled = np.sum([clip.counts[name] for clip in scores if name in clip.counts], axis=0)
        result = metrics.segmentation_scores(pooled)
        yield name, result.miou_official
        if not name.startswith("at_"):
            yield name.replace("miou/", "fwiou/"), result.fwiou
        yield name.replace("miou/", "pixel_accuracy/"), result.pixel_accuracy
    errors = {name: mean[f"warping_error/{name}"] for name in ("source", "raw", "output")}
    yield "raw_over_output", _ratio(errors["raw"], errors["output"])
    yield "output_over_source", _ratio(errors["output"], errors["source"])
    yield "smeared_clips", float(sum(clip.smeared for clip in scores))
    yield "clips", float(len(scores))


def pooled_counts(scores: Sequence[ClipScores], video: str) -> np.ndarray | None:
    """Confusion counts of whole clips, int64 [classes, classes + 1], added up; None if unknown.

    Args:
        scores: of the clips.
        video: "source", "raw" or "output".
    """
    found = [clip.counts[f"miou/{video}"] for clip in scores if f"miou/{video}" in clip.counts]
    return np.sum(found, axis=0) if found else None


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


def _contrast(video: np.ndarray) -> float:
    """Standard deviation within frames per channel, in grey levels, averaged."""
    return float(video.std(axis=(1, 2), dtype=np.float64).mean())


def _mask_by_region(mask: np.ndarray, regions: Regions) -> dict[str, float]:
    return {
        "mask": float(mask.mean()),
        "mask_agree": _nanmean(mask[~regions.new]),
        "mask_new": _nanmean(mask[regions.new]),
    }


def _structure(
    features: Callable[[np.ndarray], np.ndarray], videos: dict[str, np.ndarray], window: slice
) -> dict[str, float]:
    source = features(videos["source"][window])
    return {
        f"structure/{name}": float(
            metrics.structure_agreement(features(videos[name][window]), source).mean()
        )
        for name in ("raw", "output")
    }


def _readings(
    clip: EvaluationClip, videos: dict[str, np.ndarray], judges: Judges, part: slice = slice(None)
) -> dict[str, np.ndarray]:
    """Confusion counts of the labels against what the segmenter reads in each video."""
    if judges.segment is None or "labels" not in clip:
        return {}
    return {
        f"miou/{name}": metrics.confusion(clip["labels"][part], judges.segment(video[part]))
        for name, video in videos.items()
    }


def _prefixed(prefix: str, values: Mapping[str, T]) -> dict[str, T]:
    return {prefix + name: value for name, value in values.items()}


def _nanmean(values: Sequence[float] | np.ndarray) -> float:
    values = np.asarray(values, np.float64)
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.inf
