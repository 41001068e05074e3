"""Does one figure order runs as another does?  Spearman's rank correlation and its interval."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np


class Correlation(NamedTuple):
    """Spearman's rank correlation, with a bootstrap interval; NaN where it is undefined."""

    rho: float
    """In -1..1."""
    low: float
    high: float
    count: int
    """Pairs of finite figures."""


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, float64 [N]; equal values share the mean of their ranks.

    Args:
        values: finite, [N].
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[places]


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation of the ranks; NaN for fewer than 3 pairs or where one is constant.

    Args:
        first, second: finite, [N] each.

    Raises:
        ValueError: shapes that differ.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"spearman: needs two [N], got {first.shape} and {second.shape}")
    if len(first) < 3:
        return math.nan
    a, b = (ranks(x) - (len(x) + 1) / 2 for x in (first, second))
    scale = math.sqrt(float((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else math.nan


def correlation(
    first: Sequence[float] | np.ndarray,
    second: Sequence[float] | np.ndarray,
    groups: Sequence[Hashable] | None = None,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Correlation:
    """Spearman's correlation over the pairs that are finite, and its percentile bootstrap.

    Checkpoints of one run are no independent draws: give their run as group, and whole groups
    are drawn with replacement.

    Args:
        first, second: [N] each; pairs with a figure that is not finite are left out.
        groups: [N], what belongs together; None: every pair by itself.
        draws: bootstrap samples; those without a defined correlation are left out.
        level: of the interval, in 0..1.
        seed: of the draws.

    Raises:
        ValueError: lengths that differ.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    names = list(range(len(first))) if groups is None else list(groups)
    if not len(first) == len(second) == len(names):
        raise ValueError(
            f"correlation: {len(first)} and {len(second)} figures and {len(names)} groups; "
            "give one of each per run"
        )
    good = np.isfinite(first) & np.isfinite(second)
    first, second = first[good], second[good]
    members = _members([name for name, kept in zip(names, good, strict=True) if kept])
    rho = spearman(first, second)
    if math.isnan(rho):
        return Correlation(rho, math.nan, math.nan, len(first))
    rng, found = np.random.default_rng(seed), []
    for _ in range(draws):
        drawn = np.concatenate([members[k] for k in rng.integers(len(members), size=len(members))])
        found.append(spearman(first[drawn], second[drawn]))
    defined = np.asarray(found)[np.isfinite(found)]
    if not defined.size:
        return Correlation(rho, math.nan, math.nan, len(first))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Correlation(rho, float(low), float(high), len(first))


def _members(names: Sequence[Hashable]) -> list[np.ndarray]:
    """The places of each group."""
    found: dict[Hashable, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(name, []).append(place)
    return [np.asarray(places) for places in found.values()]
