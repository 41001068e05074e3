"""The paper's tables out of scored runs: Markdown, CSV and a plot.

A result is one row of a table for one seed.  Figures are means over seeds, with the standard
deviation behind ± where there are at least two.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from v2v_jax.evaluation.reporting.flips import flip_rows, flipped
from v2v_jax.evaluation.reporting.rows import format_cell
from v2v_jax.evaluation.reporting.verdicts import STEADIER


class Result(NamedTuple):
    """What one run of one row scored."""

    row: str
    """Its name in the configuration."""
    seed: int
    figures: dict[str, float]
    """Of ``scoring.summarise``; "…/output" are the ones tables show."""
    counts: np.ndarray | None
    """int64 [classes, classes + 1], labels of the source against what is read in the output."""


class Column(NamedTuple):
    """A figure as a table shows it."""

    title: str
    figure: str
    scale: float
    digits: int


MIOU = Column("mIoU", "miou/output", 100, 2)
FWIOU = Column("fwIoU", "fwiou/output", 100, 2)
ACCURACY = Column("pixel acc.", "pixel_accuracy/output", 100, 2)
ERROR = Column("warping error", "warping_error/output", 1, 6)
RATIO = Column("of source's", "output_over_source", 1, 2)
GAIN = Column("truth/gain", "truth/gain", 1, 3)
TABLES = {
    1: ("Table 1: semantic scores", (MIOU, FWIOU, ACCURACY)),
    2: ("Table 2: flow warping errors", (ERROR, RATIO)),
    3: ("Table 3: ablation of the losses", (MIOU, ACCURACY, ERROR, RATIO)),
    6: ("Table 6: ablation of the fusion", (MIOU, ACCURACY, ERROR, RATIO)),
}
"""Number in the paper -> caption and columns; behind them ``GAIN``, where there is a truth."""
SMEARS = "†"
FLIPS = {
    "sky → building": ("sky", ("building",)),
    "sky → vegetation": ("sky", ("vegetation",)),
    "building, read right": ("building", ("building",)),
    "sky, read right": ("sky", ("sky",)),
}


def markdown(
    results: Sequence[Result],
    titles: Mapping[str, str],
    tables: Mapping[str, Sequence[int]],
    claims: Sequence[tuple[str, str, str, float, str]] = (),
    matrices: Sequence[str] = (),
) -> str:
    """All tables as Markdown.

    Args:
        results: of all rows and seeds.
        titles: row -> how it is called, in the order of the tables.
        tables: row -> numbers of the paper's tables it stands in.
        claims: see ``judged``.
        matrices: rows whose whole flip matrix is shown.
    """
    gained = any(GAIN.figure in result.figures for result in results)
    last = (GAIN,) if gained else ()
    parts = [
        _table(
            caption,
            (*columns, *last),
            results,
            {r: t for r, t in titles.items() if number in tables[r]},
        )
        for number, (caption, columns) in TABLES.items()
    ]
    if any(smears(results, row) for row in titles):
        parts.append(
            f"{SMEARS} steadier than the source itself (than the truth, where there is one):"
            " smearing (the past carried along), which counts as a failure and not as a low"
            " warping error."
        )
    parts.append(_flips(results, titles))
    for row in matrices:
        if (counts := _pooled(results, row)) is not None:
            parts.append(_matrix(titles[row], counts))
    if claims:
        parts.append("### The paper's orderings\n\n" + "\n".join(judged(results, titles, claims)))
    return "\n\n".join(part for part in parts if part) + "\n"


def mean_and_deviation(results: Sequence[Result], row: str, figure: str) -> tuple[float, float]:
    """Over a row's seeds; the deviation of a single one is NaN, and so is what is not there."""
    values = [r.figures[figure] for r in results if r.row == row and figure in r.figures]
    known = np.array([value for value in values if value is not None], np.float64)
    if not known.size:
        return math.nan, math.nan
    return float(known.mean()), float(known.std(ddof=1)) if known.size > 1 else math.nan


def smears(results: Sequence[Result], row: str) -> bool:
    """Whether a row's output is steadier than it should be, on average over its seeds.

    Than the truth where there is one, which may be steadier than the source (it shows less
    contrast); else than the source itself.
    """
    of_truth = mean_and_deviation(results, row, "output_over_truth")[0]
    of_source = mean_and_deviation(results, row, RATIO.figure)[0]
    return of_source < 1 if math.isnan(of_truth) else of_truth < STEADIER


def judged(
    results: Sequence[Result],
    titles: Mapping[str, str],
    claims: Sequence[tuple[str, str, str, float, str]],
) -> list[str]:
    """One line per claim: whether it came out, and the figures.

    Args:
        results: of all rows and seeds.
        titles: row -> how it is called.
        claims: (row, figure, "<" or ">", factor, other row): row's mean figure is below (above)
            factor times the other's.  Claims about rows without results are left out, and so is a
            lower warping error of a row that smears: it is no achievement to be beaten.
    """
    lines = []
    for row, figure, sign, factor, other in claims:
        mine, theirs = (mean_and_deviation(results, r, figure)[0] for r in (row, other))
        if math.isnan(mine) or math.isnan(theirs):
            continue
        what = "" if factor == 1 else f"{factor:g} × "
        name = figure.removesuffix("/output").replace("_", " ")
        text = (
            f"{name}: {titles[row]} {format_cell(mine)} {sign} {what}{titles[other]} "
            f"{format_cell(theirs)}"
        )
        if figure == ERROR.figure and smears(results, other) and mine > factor * theirs:
            lines.append(f"- not counted, {titles[other]} smears: {text}")
            continue
        right = mine < factor * theirs if sign == "<" else mine > factor * theirs
        lines.append(f"- {'yes' if right else '**NO**'}: {text}")
    return lines


def as_csv(results: Sequence[Result], titles: Mapping[str, str]) -> str:
    """Every figure of every run: row, title, seed, then the figures in columns."""
    figures = sorted({name for result in results for name in result.figures})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "title", "seed", *figures])
    for row, title in titles.items():
        for result in sorted((r for r in results if r.row == row), key=lambda r: r.seed):
            values = [result.figures.get(name) for name in figures]
            cells = ["" if v is None or math.isnan(v) else f"{v:.6g}" for v in values]
            writer.writerow([row, title, result.seed, *cells])
    return text.getvalue()


def _cell(results: Sequence[Result], row: str, column: Column) -> str:
    mean, deviation = (column.scale * x for x in mean_and_deviation(results, row, column.figure))
    if math.isnan(mean):
        return "-"
    spread = "" if math.isnan(deviation) else f" ± {deviation:.{column.digits}f}"
    return f"{mean:.{column.digits}f}{spread}"


def _table(
    caption: str, columns: Sequence[Column], results: Sequence[Result], titles: Mapping[str, str]
) -> str:
    head = ["", *(column.title for column in columns), "seeds"]
    lines = [f"| {' | '.join(head)} |", f"|---{'|---:' * (len(head) - 1)}|"]
    for row, title in titles.items():
        count = len({result.seed for result in results if result.row == row})
        if count:
            mark = f" {SMEARS}" if ERROR in columns and smears(results, row) else ""
            cells = [title + mark, *(_cell(results, row, c) for c in columns), str(count)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([f"### {caption}", "", *lines]) if len(lines) > 2 else ""


def _flips(results: Sequence[Result], titles: Mapping[str, str]) -> str:
    lines = [f"| | {' | '.join(FLIPS)} |", f"|---{'|---:' * len(FLIPS)}|"]
    for row, title in titles.items():
        if (counts := _pooled(results, row)) is not None:
            cells = [f"{100 * flipped(counts, *flip):.1f} %" for flip in FLIPS.values()]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    if len(lines) == 2:
        return ""
    caption = "### Flips: what the source's classes are read as after translation"
    return "\n".join([caption, "", *lines])


def _matrix(title: str, counts: np.ndarray) -> str:
    rows = flip_rows(counts)
    names = [name for name in rows[0] if name != "class"]
    lines = [f"| source class \\ read as | {' | '.join(names)} |", f"|---{'|---:' * len(names)}|"]
    for row in rows:
        lines.append(f"| {row['class']} | {' | '.join(f'{row[name]:.1f}' for name in names)} |")
    return "\n".join([f"#### {title}: the whole flip matrix, per cent of each class", "", *lines])


def _pooled(results: Sequence[Result], row: str) -> np.ndarray | None:
    found = [r.counts for r in results if r.row == row and r.counts is not None]
    return np.sum(found, axis=0) if found else None
