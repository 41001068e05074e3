"""Figures of a translated clip, and of many.

Scores are of the 8-bit frames that a user would get.  Functions are pure over arrays, so the
training loop calls them as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from v2v_jax.evaluation import metrics
from v2v_jax.evaluation.content import Alike, Sums, content_figures, content_sums, sharpness
from v2v_jax.evaluation.nearness import Nearness, nearness, nearness_figures
from v2v_jax.evaluation.protocol import (
    DISTANCES,
    EvaluationClip,
    HostFlow,
    Regions,
    Rollout,
    find_regions,
    frames_at,
    host_flow,
    rollout,
)
from v2v_jax.evaluation.reading import reading_figures
from v2v_jax.methods.base import Method
from v2v_jax.types import Params

T = TypeVar("T")


class Judges(NamedTuple):
    """Trained outside (``judges``), asked here; None leaves the figure out."""

    features: Callable[[np.ndarray], np.ndarray] | None = None
    """uint8 [N, H, W, 3] -> float [N, h, w, C], for the structure agreement."""
    segment: Callable[[np.ndarray], np.ndarray] | None = None
    """uint8 [N, H, W, 3] -> train ids [N, H, W]; used where a clip has labels."""
    share_target: Callable[[np.ndarray], float] | None = None
    """uint8 [N, H, W, 3] -> share of the frames that look like the target domain.  No verdict: it
    knows a domain by what stands in it, and takes the perfect translation for the source."""
    alike: Alike | None = None
    """Which patches look like the target's of their class; used where a clip has labels."""
    detail: np.ndarray | None = None
    """``content.detail`` of the target domain."""


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
    nearness: Nearness | None = None
    """Distances to the truth, where the clip has one; pooled over clips."""
    content: Sums | None = None
    """Where the clip has labels."""
    target_detail: np.ndarray | None = None


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
    near = None
    if "truth" in clip:
        at = {f"at_{distance}/": frames_at(distance, len(frames)) for distance in distances}
        near = nearness(videos, clip["truth"], clip.get("labels"), at)
        # Read by the same judges: what it scores is the ceiling.
        videos["truth"] = clip["truth"]
    errors = {
        name: metrics.warping_error(video, regions.flow, regions.valid)
        for name, video in videos.items()
    }
    values = {f"warping_error/{name}": error.mean for name, error in errors.items()}
    values |= _mask_by_region(translated.mask[1:], regions)
    # Grey and hazy videos err less by as much as they show less: the reader needs the scale.
    values |= {f"contrast/{name}": _contrast(video) for name, video in videos.items()}
    values |= {f"sharpness/{name}": sharpness(video) for name, video in videos.items()}
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
    content = content_sums(videos, clip["labels"], judges.alike) if "labels" in clip else None
    return ClipScores(
        clip["name"], values, counts, smeared, translated, regions, near, content, judges.detail
    )


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
    counts = {video: pooled_counts(scores, video) for video in ("source", "raw", "output", "truth")}
    yield from reading_figures({v: found for v, found in counts.items() if found is not None})
    errors = {name: mean[f"warping_error/{name}"] for name in ("source", "raw", "output")}
    yield "raw_over_output", _ratio(errors["raw"], errors["output"])
    yield "output_over_source", _ratio(errors["output"], errors["source"])
    if "warping_error/truth" in mean:
        yield "output_over_truth", _ratio(errors["output"], mean["warping_error/truth"])
    yield from content_figures([c.content for c in scores if c.content], scores[0].target_detail)
    yield from nearness_figures([clip.nearness for clip in scores if clip.nearness])
    yield "smeared_clips", float(sum(clip.smeared for clip in scores))
    yield "clips", float(len(scores))


def pooled_counts(scores: Sequence[ClipScores], video: str) -> np.ndarray | None:
    """Confusion counts of whole clips, int64 [classes, classes + 1], added up; None if unknown.

    Args:
        scores: of the clips.
        video: "source", "raw", "output" or "truth".
    """
    found = [clip.counts[f"miou/{video}"] for clip in scores if f"miou/{video}" in clip.counts]
    return np.sum(found, axis=0) if found else None


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
        for name in videos
        if name != "source"
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
