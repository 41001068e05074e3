"""One evaluation of a trained run: figures to the terminal, JSON, and the HTML report."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from PIL import Image

from v2v_jax.evaluation.protocol import DISTANCES, EvaluationClip, HostFlow
from v2v_jax.evaluation.reporting.beside import Run, beside_rows, videos
from v2v_jax.evaluation.reporting.flips import flip_rows
from v2v_jax.evaluation.reporting.report import Section, write_report
from v2v_jax.evaluation.reporting.rows import (
    as_text,
    distance_rows,
    reading_rows,
    truth_parts,
    truth_rows,
    video_rows,
)
from v2v_jax.evaluation.reporting.verdicts import format_figures, verdicts
from v2v_jax.evaluation.reporting.whole_files import write_whole
from v2v_jax.evaluation.scoring import ClipScores, Judges, evaluate_clip, pooled_counts, summarise
from v2v_jax.methods.base import Method
from v2v_jax.types import Params

SHOWN = (1, 10, 30, 60)
"""Frames of the film strips in the report."""
FLIPS = "What each class of the source is read as in the output, per cent of its pixels"
READ = "How well a segmenter of the target reads each class of the source"
BESIDE = "The same clips and judges; spectrum: energy over the truth's, by cycles per pixel"


class Translating(NamedTuple):
    """A trained method, as ``evaluate_run`` takes another one to show beside its own."""

    title: str
    method: Method
    generator: Params
    frozen: Params
    flow: HostFlow | None


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
    title: str = "this run",
    beside: Sequence[Translating] = (),
) -> dict[str, float]:
    """Translates and scores every clip; writes ``evaluation.json`` and ``report.html``.

    And ``beside.json``, the figures of what stands beside it by title, if anything does.

    Args:
        method, generator, frozen: as ``Method.rollout`` takes them.
        clips: held-out videos; under 60 frames they show less, which is said aloud.
        flow: the host's estimator the method warps by; None for the one inside the method.
        scoring_flow: estimates the flow to score by where a clip has no exact one.
        judges: see ``scoring.Judges``.
        workdir: gets the two files; its ``metrics.jsonl``, if any, becomes the report's curves.
        config: the run's, shown in the report.
        notes: what a reader must not miss.
        title: what this run is called beside others.
        beside: other runs, scored on the same clips by the same judges.

    Returns:
        All figures by name.
    """
    mine = Translating(title, method, generator, frozen, flow)
    scores = _scored(mine, clips, scoring_flow, judges)
    figures = dict(summarise(scores))
    runs = [Run(title, figures, scores[0].rollout.output)]
    for other in beside:
        theirs = _scored(other, clips, scoring_flow, judges)
        runs.append(Run(other.title, dict(summarise(theirs)), theirs[0].rollout.output))
    print(format_figures(figures))
    if beside:
        print(f"\n{as_text(beside_rows(runs))}")
    for note in notes:
        logging.warning("%s", note)
    workdir.mkdir(parents=True, exist_ok=True)
    write_whole(workdir / "evaluation.json", _as_json(_finite(figures)))
    if beside:
        others = {run.title: _finite(run.figures) for run in runs[1:]}
        write_whole(workdir / "beside.json", _as_json(others))
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
            READ: reading_rows(figures),
        }
        | ({} if counts is None else {FLIPS: flip_rows(counts)}),
        pictures=film_strips(clips[0], scores[0]),
        clips={"source | raw | output": animation(clips[0], scores[0])},
        truth=truth_section(figures, clips[0], scores[0]),
        beside=beside_section(clips[0], runs) if beside else None,
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


def _scored(
    run: Translating,
    clips: Sequence[EvaluationClip],
    scoring_flow: HostFlow | None,
    judges: Judges,
) -> list[ClipScores]:
    scores, looked_at = [], reachable_distances(clips)
    for clip in clips:
        scores.append(
            evaluate_clip(
                run.method,
                run.generator,
                run.frozen,
                clip,
                flow_for_method=run.flow,
                scoring_flow=scoring_flow,
                judges=judges,
                distances=looked_at,
            )
        )
        progress = f"{clip['name']} ({len(scores)} of {len(clips)})"
        logging.info("%s: evaluated %s", run.title, progress)
    return scores


def _finite(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


def _as_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1) + "\n"


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


def beside_section(clip: EvaluationClip, runs: Sequence[Run]) -> Section:
    """A film strip of source, runs and truth each, all of them moving, and a small table.

    Args:
        clip: the one that is shown.
        runs: this run first.
    """
    shown, found = _shown(clip), videos(clip["frames"], runs, clip.get("truth"))
    at = ", ".join(str(frame) for frame in shown)
    return Section(
        {f"{title}; frames {at}": video[shown] for title, video in found.items()},
        {BESIDE: beside_rows(runs)},
        {" | ".join(found): moving(list(found.values()))},
    )


def _shown(clip: EvaluationClip) -> list[int]:
    last = len(clip["frames"]) - 1
    return sorted({min(frame, last) for frame in SHOWN})


def animation(clip: EvaluationClip, score: ClipScores, *, fps: int = 12) -> bytes:
    """A GIF of source | raw | output, all frames of the clip."""
    return moving([clip["frames"], score.rollout.raw, score.rollout.output], fps=fps)


def moving(side_by_side: Sequence[np.ndarray], *, fps: int = 12) -> bytes:
    """A GIF of videos side by side, uint8 [T, H, W, 3] each."""
    pictures = [Image.fromarray(sheet) for sheet in np.concatenate(side_by_side, axis=2)]
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
