"""Figures against named thresholds, and figures as text.

The thresholds are the project's own (issue "the paper's method runs end to end"): together they
tell a steady translation from the first frame carried along, which no single one does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

Row = dict[str, float | str]


class Verdict(NamedTuple):
    """One figure against its threshold."""

    name: str
    value: float
    threshold: float
    at_least: bool
    """True: the value must not be under the threshold; False: not above it."""
    meaning: str
    """One sentence: what the figure shows when it fails."""

    @property
    def passed(self) -> bool:
        """A figure that is not a number has not passed."""
        if math.isnan(self.value):
            return False
        return self.value >= self.threshold if self.at_least else self.value <= self.threshold

    def line(self) -> str:
        """One line for a terminal: ok or FAILURE, figure, threshold, and why it matters."""
        sign = ">=" if self.at_least else "<="
        text = f"{self.name} = {self.value:.3g} ({sign} {self.threshold:g})"
        return f"ok       {text}" if self.passed else f"FAILURE  {text}: {self.meaning}"


CHECKS = (
    (
        "raw_over_output",
        "raw's warping error / output's",
        1.5,
        True,
        "the output is hardly steadier than single frames",
    ),
    (
        "output_over_source",
        "output's warping error / source's",
        1.0,
        True,
        "SMEARING: steadier than the source itself, so the output copies its past",
    ),
    (
        "mask_new",
        "mask in newly visible regions",
        0.5,
        False,
        "the mask copies where there is nothing to copy",
    ),
    (
        "mask_contrast",
        "mask elsewhere - mask in newly visible regions",
        0.25,
        True,
        "the mask does not look at what is new",
    ),
    (
        "structure_kept",
        "structure agreement, frame {last} / frame {first}",
        0.9,
        True,
        "the source's layout is lost on the way",
    ),
    (
        "miou_kept",
        "mIoU of output against raw, frame {last} / frame {first}",
        0.9,
        True,
        "what the image generator shows is lost on the way",
    ),
    (
        "share_target/output",
        "share of outputs that look like the target domain",
        0.8,
        True,
        "the generator is close to the identity",
    ),
)
"""Figure, title, threshold, whether the figure must be at least it, and what failing means."""


def verdicts(values: Mapping[str, float], *, first: int = 1, last: int = 60) -> list[Verdict]:
    """The thresholds that ``values`` (from ``scoring.evaluate``) has figures for.

    The segmenter's mIoU is compared with its mIoU on the raw frames of the same distance, which
    have no memory: which classes are in view changes mIoU by 20 % for a perfect translation.

    Args:
        values: figures by name.
        first, last: the frame distances that "does not decay" compares.
    """
    figures = dict(values)
    figures["mask_contrast"] = values["mask_agree"] - values["mask_new"]
    structure, output, raw = (
        _kept(values, name, first, last) for name in ("structure/output", "miou/output", "miou/raw")
    )
    if structure is not None:
        figures["structure_kept"] = structure
    if output is not None and raw is not None:
        figures["miou_kept"] = output / raw if raw > 0 else math.nan
    return [
        Verdict(title.format(first=first, last=last), figures[key], threshold, at_least, meaning)
        for key, title, threshold, at_least, meaning in CHECKS
        if key in figures
    ]


def _kept(values: Mapping[str, float], name: str, first: int, last: int) -> float | None:
    """What is left of a figure at the last distance, as a share of the first; None if unknown."""
    start, end = values.get(f"at_{first}/{name}"), values.get(f"at_{last}/{name}")
    if start is None or end is None:
        return None
    return end / start if start > 0 else math.nan


def distance_rows(values: Mapping[str, float]) -> list[Row]:
    """The per-distance figures as table rows, one per frame distance, in order."""
    rows: dict[int, Row] = {}
    for name, value in values.items():
        if name.startswith("at_"):
            distance, figure = name[3:].split("/", 1)
            rows.setdefault(int(distance), {"frame distance": float(distance)})[figure] = value
    return [rows[distance] for distance in sorted(rows)]


def video_rows(values: Mapping[str, float]) -> list[Row]:
    """The figures of the source, raw and output videos side by side, one row per video."""
    rows = []
    for video in ("source", "raw", "output"):
        figures = {
            name.rsplit("/", 1)[0]: value
            for name, value in values.items()
            if name.endswith(f"/{video}") and not name.startswith("at_")
        }
        rows.append({"video": video, **figures})
    return rows


def format_figures(values: Mapping[str, float]) -> str:
    """Everything for a terminal: tables, then one line per verdict, failures in capitals."""
    others = [
        f"{name} {value:.4g}"
        for name, value in values.items()
        if not name.startswith("at_") and not name.endswith(("/source", "/raw", "/output"))
    ]
    parts = [_table(video_rows(values)), "  ".join(others), _table(distance_rows(values))]
    return "\n\n".join([*filter(None, parts), "\n".join(v.line() for v in verdicts(values))])


def format_cell(value: float | str) -> str:
    """A table cell: four significant digits, no exponent where it can be avoided."""
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return "-"
    if value and abs(value) < 1e-2:
        return f"{value:.6f}" if abs(value) >= 1e-6 else f"{value:.1e}"
    return f"{value:.4g}"


def _table(rows: list[Row]) -> str:
    if not rows:
        return ""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns] + [[format_cell(row.get(name, math.nan)) for name in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in cells
    )
