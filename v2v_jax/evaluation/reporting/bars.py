"""Rows against one figure as a plot: bars of means, dots of single seeds, one SVG file."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

from v2v_jax.evaluation.reporting.tables import (
    ERROR,
    MIOU,
    Column,
    Result,
    mean_and_deviation,
    smears,
)

LINE, LABEL, PANEL, GAP, TOP = 24, 210, 250, 40, 44
"""Pixels: a row's height, the names' width, a panel's width, between panels, above the rows."""
INK, SOFT, BAR, BAD = "#1c2330", "#5d6778", "#7fa7e0", "#e0a07f"


def plot_svg(results: Sequence[Result], titles: Mapping[str, str]) -> str:
    """The mIoU and the warping error of all rows side by side; rows that smear in another colour.

    The vertical line in the warping errors is the source's own.

    Args:
        results: of all rows and seeds.
        titles: row -> how it is called, from top to bottom.
    """
    rows = [row for row in titles if any(result.row == row for result in results)]
    width, height = LABEL + 2 * PANEL + 2 * GAP, TOP + LINE * len(rows) + 10
    names = "".join(
        f'<text x="{LABEL - 10}" y="{_y(index) + 5}" text-anchor="end">'
        f"{html.escape(titles[row])}</text>"
        for index, row in enumerate(rows)
    )
    panels = "".join(
        _panel(results, rows, column, LABEL + n * (PANEL + GAP))
        for n, column in enumerate((MIOU, ERROR))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="13" '
        f'fill="{INK}"><rect width="{width}" height="{height}" fill="#fff"/>{names}{panels}</svg>\n'
    )


def _y(index: int) -> float:
    return TOP + LINE * (index + 0.5)


def _panel(results: Sequence[Result], rows: Sequence[str], column: Column, left: float) -> str:
    values = {r: mean_and_deviation(results, r, column.figure)[0] * column.scale for r in rows}
    singles = [r.figures.get(column.figure, math.nan) * column.scale for r in results]
    most = max((v for v in singles if math.isfinite(v)), default=1.0) or 1.0
    parts = [
        f'<text x="{left}" y="20" font-weight="600">{column.title}</text>',
        f'<text x="{left + PANEL}" y="20" text-anchor="end" fill="{SOFT}">'
        f"0 … {most:.{column.digits}f}</text>",
    ]
    for i, row in enumerate(rows):
        if math.isnan(values[row]):
            continue
        colour = BAD if column is ERROR and smears(results, row) else BAR
        parts.append(
            f'<rect x="{left}" y="{_y(i) - 8}" width="{values[row] / most * PANEL:.1f}" '
            f'height="16" fill="{colour}"><title>{values[row]:.{column.digits}f}</title></rect>'
        )
        parts += [
            f'<circle cx="{left + value / most * PANEL:.1f}" cy="{_y(i)}" r="3" fill="{INK}"/>'
            for r in results
            if r.row == row and math.isfinite(value := r.figures[column.figure] * column.scale)
        ]
    source = [r.figures["warping_error/source"] for r in results if _has_source(r)]
    if column is ERROR and source:
        x = left + sum(source) / len(source) / most * PANEL
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{_y(len(rows) - 1) + 12}" '
            f'stroke="{SOFT}" stroke-dasharray="4 3"/>'
            f'<text x="{x:.1f}" y="{TOP - 12}" fill="{SOFT}" font-size="11">source</text>'
        )
    return "".join(parts)


def _has_source(result: Result) -> bool:
    return math.isfinite(result.figures.get("warping_error/source", math.nan))
