"""metrics.jsonl -> curves as inline SVG, small multiples of one figure each."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

Curve = tuple[np.ndarray, np.ndarray]
"""Steps and values, both float64 [n], steps ascending."""

WIDTH, HEIGHT = 300, 150
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 8, 22
POINTS = 400
"""A curve is averaged down to this many points: a report must not grow with the run."""


def read_metrics(path: Path) -> dict[str, Curve]:
    """Curves by name from a file of one JSON object per line, {"step": n, name: value, ...}.

    A resumed run repeats steps: the later line wins.  A last line without an end, as a killed
    run leaves it, is passed over.

    Raises:
        FileNotFoundError: no such file.
        ValueError: any other line that is no such object.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no metrics at {path}: train first, or name the right workdir")
    found: dict[str, dict[float, float]] = {}
    lines = path.read_text().split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            step = float(entry.pop("step"))
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            if number == len(lines):
                continue
            raise ValueError(f"{path}, line {number}: not a metrics object: {line[:60]}") from error
        for name, value in entry.items():
            if isinstance(value, int | float):
                found.setdefault(name, {})[step] = float(value)
    return {name: _sorted(points) for name, points in found.items()}


def curve_svg(name: str, curve: Curve) -> str:
    """One figure over the steps: faint values, bold running mean, as an ``<svg>`` element."""
    steps, values = _thinned(*curve)
    finite = values[np.isfinite(values)]
    label = html.escape(name)
    if finite.size == 0:
        return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}"></svg>'
    low, high = _range(finite)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    first, last = float(steps[0]), float(max(steps[-1], steps[0] + 1))

    def x(step: float) -> float:
        return LEFT + (step - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        height = (min(max(value, low), high) - low) / (high - low)
        return HEIGHT - BOTTOM - height * (HEIGHT - TOP - BOTTOM)

    grid = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        f'<text class="tick" x="{LEFT - 5}" y="{y(t) + 3:.1f}" text-anchor="end">{t:.4g}</text>'
        for t in ticks
    )
    ends = "".join(
        f'<text class="tick" x="{x(s):.1f}" y="{HEIGHT - 7}" text-anchor="{anchor}">{s:,.0f}</text>'
        for s, anchor in ((first, "start"), (float(steps[-1]), "end"))
    )
    faint = _path(
        (x(s), y(v)) if math.isfinite(v) else None for s, v in zip(steps, values, strict=True)
    )
    bold = _path((x(s), y(v)) for s, v in _running_mean(steps, values))
    few = "".join(
        f'<circle class="dot" cx="{x(s):.1f}" cy="{y(v):.1f}" r="2.5"/>'
        for s, v in zip(steps, values, strict=True)
        if len(steps) <= 12 and math.isfinite(v)
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"<title>{label}: last {finite[-1]:.5g}, lowest {finite.min():.5g}, "
        f"highest {finite.max():.5g}</title>"
        f'{grid}{ends}<path class="faint" d="{faint}"/><path class="bold" d="{bold}"/>{few}</svg>'
    )


def _sorted(points: dict[float, float]) -> Curve:
    steps = np.array(sorted(points), np.float64)
    return steps, np.array([points[step] for step in steps], np.float64)


def _thinned(steps: np.ndarray, values: np.ndarray) -> Curve:
    if len(steps) <= POINTS:
        return steps, values
    parts = np.array_split(np.arange(len(steps)), POINTS)
    # The end of each part, so that the curve reaches the last step.
    return steps[[part[-1] for part in parts]], np.array([values[part].mean() for part in parts])


def _range(finite: np.ndarray) -> tuple[float, float]:
    # One spike must not flatten the curve: the outermost half per cent is drawn at the edge.
    low, high = np.percentile(finite, [0.5, 99.5]) if finite.size > 50 else _extremes(finite)
    if high - low < 1e-12 + 1e-6 * abs(high):
        return float(low - 0.5 * (abs(low) or 1)), float(high + 0.5 * (abs(high) or 1))
    return float(low), float(high)


def _extremes(finite: np.ndarray) -> tuple[float, float]:
    return float(finite.min()), float(finite.max())


def _ticks(low: float, high: float) -> list[float]:
    """Three to five round values that cover most of low..high."""
    rough = (high - low) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    start, stop = math.floor(low / step), math.ceil(high / step)
    return [index * step for index in range(start, stop + 1)]


def _running_mean(steps: np.ndarray, values: np.ndarray) -> Iterable[tuple[float, float]]:
    decay = 1 - 1 / max(len(values) / 20, 1)
    mean = math.nan
    for step, value in zip(steps, values, strict=True):
        if math.isfinite(value):
            mean = value if math.isnan(mean) else decay * mean + (1 - decay) * value
        if not math.isnan(mean):
            yield float(step), float(mean)


def _path(points: Iterable[tuple[float, float] | None]) -> str:
    """SVG path data; None lifts the pen."""
    parts, command = [], "M"
    for point in points:
        if point is None:
            command = "M"
            continue
        parts.append(f"{command}{point[0]:.1f} {point[1]:.1f}")
        command = "L"
    return "".join(parts)
