"""Runs beside each other, the source and the truth: a small table, and who is who."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from v2v_jax.evaluation.nearness import SPECTRA
from v2v_jax.evaluation.reporting.rows import Row

SOURCE, TRUTH = "the source, untranslated", "the truth: the perfect translation"
OUTPUT = "output"


class Run(NamedTuple):
    """A run as a report shows it."""

    title: str
    """Who it is: "trained here for 360 steps"."""
    figures: Mapping[str, float]
    """Of all clips, by name."""
    video: np.ndarray
    """Its output for the clip that is shown, uint8 [T, H, W, 3]."""


def beside_rows(runs: Sequence[Run]) -> list[Row]:
    """What matters most of every run, between the source and the truth, where there is one.

    Args:
        runs: scored on the same clips by the same judges; the first one's figures also say what
            source and truth score.
    """
    first = runs[0].figures
    measured = "truth/gain" in first
    rows = [_row(SOURCE, first, "source", gain=0.0 if measured else None)]
    rows += [_row(run.title, run.figures, OUTPUT) for run in runs]
    if measured:
        rows.append(_row(TRUTH, first, "truth", gain=1.0))
    return rows


def videos(
    source: np.ndarray, runs: Sequence[Run], truth: np.ndarray | None
) -> dict[str, np.ndarray]:
    """The clip that is shown, by title, in the table's order."""
    found = {SOURCE: source} | {run.title: run.video for run in runs}
    return found if truth is None else found | {TRUTH: truth}


def _row(title: str, figures: Mapping[str, float], video: str, gain: float | None = None) -> Row:
    ideal = video == "truth"
    known = {
        "truth gain": figures.get("truth/gain") if gain is None else gain,
        "sky/L1": 0.0 if ideal else figures.get(f"class_sky/truth/l1/{video}"),
        "sky/read as sky": figures.get(f"class_sky/read_right/{video}"),
        "sky/as building": figures.get(f"class_sky/as_building/{video}"),
        "mIoU/of truth's": _over(figures, "miou", video, "truth"),
        "warping error/of truth's": _over(figures, "warping_error", video, "truth"),
        "warping error/of source's": _over(figures, "warping_error", video, "source"),
    }
    for name in SPECTRA:
        band = name.removeprefix("truth/spectrum_").replace("_", "–")
        known[f"spectrum/{band}"] = 1.0 if ideal else figures.get(f"{name}/{video}")
    shown = {name: round(value, 3) for name, value in known.items() if value is not None}
    return {"video": title, **shown}


def _over(figures: Mapping[str, float], name: str, video: str, other: str) -> float | None:
    above, below = figures.get(f"{name}/{video}"), figures.get(f"{name}/{other}")
    if above is None or not below:
        return None
    return above / below
