"""Figures as table rows, and as text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Row = dict[str, float | str]

VIDEOS = ("source", "raw", "output", "truth")
APART = ("at_", "class_", "truth/")
"""Figures that have tables of their own."""


def distance_rows(values: Mapping[str, float]) -> list[Row]:
    """The per-distance figures as table rows, one per frame distance, in order."""
    rows: dict[int, Row] = {}
    for name, value in values.items():
        if name.startswith("at_") and "/truth/" not in name:
            distance, figure = name[3:].split("/", 1)
            rows.setdefault(int(distance), {"frame distance": float(distance)})[figure] = value
    return [rows[distance] for distance in sorted(rows)]


def video_rows(values: Mapping[str, float]) -> list[Row]:
    """The figures of the source, raw and output videos side by side, one row per video."""
    rows = []
    for video in VIDEOS:
        figures = {
            name.rsplit("/", 1)[0]: value
            for name, value in values.items()
            if name.endswith(f"/{video}") and not name.startswith(APART)
        }
        if figures or video != "truth":
            rows.append({"video": video, **figures})
    return rows


def truth_rows(values: Mapping[str, float]) -> list[Row]:
    """Distances to the truth, one row per video; empty where no clip has a truth."""
    gains = {"source": 0.0, "raw": "truth/gain_raw", "output": "truth/gain"}
    rows = []
    for video, gain in gains.items():
        figures = {
            name.removeprefix("truth/").rsplit("/", 1)[0]: value
            for name, value in values.items()
            if name.startswith("truth/") and name.endswith(f"/{video}")
        }
        if figures:
            gained = gain if isinstance(gain, float) else values.get(gain, math.nan)
            rows.append({"video": video, "gain": gained, **figures})
    return rows


def truth_parts(values: Mapping[str, float], kind: str, column: str) -> list[Row]:
    """The gain and L1 of parts: ``kind`` "at" by frame distance, "class" by class.

    Args:
        values: figures by name.
        kind: what the names of the parts begin with.
        column: how the part is called.
    """
    rows: dict[str, Row] = {}
    for name, value in values.items():
        part, _, figure = name.partition("/truth/")
        shown = figure == "gain" or figure.startswith(("l1/", "psnr/"))
        if part.startswith(f"{kind}_") and shown:
            key = part.removeprefix(f"{kind}_")
            row = rows.setdefault(key, {column: key.replace("_", " ")})
            row[figure] = value
    return list(rows.values())


def reading_rows(values: Mapping[str, float]) -> list[Row]:
    """How well a segmenter reads each class in each video, one row per class."""
    rows: dict[str, Row] = {}
    for name, value in values.items():
        part, _, figure = name.partition("/")
        if part.startswith("class_") and figure.startswith(("iou/", "read_right/")):
            key = part.removeprefix("class_").replace("_", " ")
            rows.setdefault(key, {"class": key})[figure] = value
    columns = dict.fromkeys(name for kind in ("iou", "read_right") for name in _of(kind, rows))
    return [{"class": key} | {c: row[c] for c in columns if c in row} for key, row in rows.items()]


def sky_line(values: Mapping[str, float]) -> str:
    """What the sky is read as in each video, in a line; empty where nothing reads it.

    The truth's is the ceiling.
    """
    right, building = "class_sky/read_right", "class_sky/as_building"
    videos = [video for video in VIDEOS if f"{right}/{video}" in values]
    parts = [
        f"{video} {values[f'{right}/{video}']:.1%} / {values[f'{building}/{video}']:.1%}"
        for video in videos
    ]
    return f"sky read as sky / as building: {', '.join(parts)}" if parts else ""


def text_tables(values: Mapping[str, float]) -> list[str]:
    """The figures as tables for a terminal; none of them empty."""
    others = [
        f"{name} {value:.4g}"
        for name, value in values.items()
        if not name.startswith(APART) and name.rsplit("/", 1)[-1] not in VIDEOS
    ]
    parts = [as_text(video_rows(values)), "  ".join(others), as_text(distance_rows(values))]
    parts += [as_text(truth_rows(values)), as_text(truth_parts(values, "class", "class"))]
    parts += [as_text(reading_rows(values)), sky_line(values)]
    return [part for part in parts if part]


def format_cell(value: float | str) -> str:
    """A table cell: four significant digits, no exponent where it can be avoided."""
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return "-"
    if value and abs(value) < 1e-2:
        return f"{value:.6f}" if abs(value) >= 1e-6 else f"{value:.1e}"
    return f"{value:.4g}"


def _of(kind: str, rows: Mapping[str, Row]) -> list[str]:
    """The columns of one figure, in the order of ``VIDEOS``."""
    found = {name for row in rows.values() for name in row if name.startswith(f"{kind}/")}
    return [f"{kind}/{video}" for video in VIDEOS if f"{kind}/{video}" in found]


def as_text(rows: Sequence[Row]) -> str:
    """A table for a terminal; empty without rows."""
    if not rows:
        return ""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns] + [[format_cell(row.get(name, math.nan)) for name in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in cells
    )
