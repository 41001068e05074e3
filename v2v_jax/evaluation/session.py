"""One evaluation of a trained run: figures to the terminal, JSON, and the HTML report."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from PIL import Image

from v2v_jax.evaluation.protocol import DISTANCES, EvaluationClip, HostFlow
from v2v_jax.evaluation.reporting.flips import flip_rows
from v2v_jax.evaluation.reporting.report import Section, write_report
from v2v_jax.evaluation.reporting.rows import distance_rows, truth_parts, truth_rows, video_rows
from v2v_jax.evaluation.reporting.verdicts import format_figures, verdicts
from v2v_jax.evaluation.reporting.whole_files import write_whole
from v2v_jax.evaluation.scoring import ClipScores, Judges, evaluate_clip, pooled_counts, summarise
from v2v_jax.methods.base import Method
from v2v_jax.types import Params

SHOWN = (1, 10, 30, 60)
"""Frames of the film strips in the report."""
FLIPS = "What each class of the source is read as in the output, per cent of its pixels"


def evaluate_run(
    *,
    method: Method,
    generator: Params,
    frozen: Params,
    clips: Sequence[EvaluationClip],
    flow: HostFlow | None,
    scoring_flow: HostFlow | None,
    judges: Judges,
    workdir: Path,
    config: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> dict[str, float]:
    """Translates and scores every clip; writes ``evaluation.json`` and ``report.html``.

    Args:
        method, generator, frozen: as ``Method.rollout`` takes them.
        clips: held-out videos; under 60 frames they show less, which is said aloud.
        flow: the host's estimator the method warps by; None for the one inside the method.
        scoring_flow: estimates the flow to score by where a clip has no exact one.
        judges: see ``scoring.Judges``.
        workdir: gets the two files; its ``metrics.jsonl``, if any, becomes the report's curves.
        config: the run's, shown in the report.
        notes: what a reader must not miss.

    Returns:
        All figures by name.
    """
    scores, looked_at = [], reachable_distances(clips)
    for clip in clips:
        scores.append(
            evaluate_clip(
                method,
                generator,
                frozen,
                clip,
                flow_for_method=flow,
                scoring_flow=scoring_flow,
                judges=judges,
                distances=looked_at,
            )
        )
        logging.info("evaluated %s (%d of %d)", clip["name"], len(scores), len(clips))
    figures = dict(summarise(scores))
    print(format_figures(figures))
    for note in notes:
        logging.warning("%s", note)
    workdir.mkdir(parents=True, exist_ok=True)
    _write_json(workdir / "evaluation.json", figures)
    counts = pooled_counts(scores, "output")
    curves = workdir / "metrics.jsonl"
    write_report(
        workdir / "report.html",
        title=f"v2v_jax: {workdir.name}",
        config=config,
        metrics_jsonl=curves if curves.exists() else None,
        scores=verdicts(figures),
        tables={
            "Source, raw frames and output": video_rows(figures),
            "By frame distance from the clip's start": distance_rows(figures),
        }
        | ({} if counts is None else {FLIPS: flip_rows(counts)}),
        pictures=film_strips(clips[0], scores[0]),
        clips={"source | raw | output": animation(clips[0], scores[0])},
        truth=truth_section(figures, clips[0], scores[0]),
        notes=notes,
    )
    logging.info("wrote %s", workdir / "report.html")
    return figures


def reachable_distances(clips: Sequence[EvaluationClip]) -> tuple[int, ...]:
    """Those of ``DISTANCES`` that every clip reaches.

    Raises:
        ValueError: no clips, or one of a single frame.
    """
    if not clips or min(len(clip["frames"]) for clip in clips) < 2:
        raise ValueError("evaluate: needs at least one clip, of at least two frames")
    shortest = min(clips, key=lambda clip: len(clip["frames"]))
    length = len(shortest["frames"])
    if length < max(DISTANCES):
        logging.warning(
            "%s has only %d frames: smearing hides in clips shorter than %d",
            shortest["name"], length, max(DISTANCES),
        )  # fmt: skip
    return tuple(distance for distance in DISTANCES if distance <= length)


def _write_json(path: Path, figures: Mapping[str, float]) -> None:
    clean = {name: value if math.isfinite(value) else None for name, value in figures.items()}
    write_whole(path, json.dumps(clean, indent=1) + "\n")


def film_strips(clip: EvaluationClip, score: ClipScores) -> dict[str, np.ndarray]:
    """The first clip's source, raw, mask and output at ``SHOWN``, uint8 [T, H, W, 3] each.

    And the truth, where the clip has one.
    """
    rollout, shown = score.rollout, _shown(clip)
    mask = np.repeat(np.round(rollout.mask * 255).astype(np.uint8)[..., None], 3, axis=-1)
    at = ", ".join(str(frame) for frame in shown)
    strips = {
        f"source, frames {at}": clip["frames"][shown],
        "raw: the image generator alone": rollout.raw[shown],
        "mask: white keeps the carried pixel": mask[shown],
        "output": rollout.output[shown],
    }
    return strips | (
        {"truth: the perfect translation": clip["truth"][shown]} if "truth" in clip else {}
    )


def truth_section(
    figures: Mapping[str, float], clip: EvaluationClip, score: ClipScores
) -> Section | None:
    """Tables of the distance to the truth, and source, output and truth above each other.

    Args:
        figures: of all clips.
        clip, score: the one that is shown.

    Returns:
        None where the clip has no truth.
    """
    if "truth" not in clip:
        return None
    shown = _shown(clip)
    videos = [clip["frames"][shown], score.rollout.output[shown], clip["truth"][shown]]
    return Section(
        {"source, output, and the perfect translation": np.concatenate(videos, axis=1)},
        {
            "Source, raw frames and output against the truth": truth_rows(figures),
            "By class of the source": truth_parts(figures, "class", "class"),
            "By frame distance": truth_parts(figures, "at", "frame distance"),
        },
    )


def _shown(clip: EvaluationClip) -> list[int]:
    last = len(clip["frames"]) - 1
    return sorted({min(frame, last) for frame in SHOWN})


def animation(clip: EvaluationClip, score: ClipScores, *, fps: int = 12) -> bytes:
    """A GIF of source | raw | output, all frames of the clip."""
    rollout = score.rollout
    sheets = np.concatenate([clip["frames"], rollout.raw, rollout.output], axis=2)
    pictures = [Image.fromarray(sheet) for sheet in sheets]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 / fps),
        loop=0,
    )
    return buffer.getvalue()
