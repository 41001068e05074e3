"""The flip matrix: which class of the source is read as which after translation.

A translation that turns sky into buildings looks real frame by frame; only the source's labels
tell.  A segmenter of the target domain reads the output, and every row says what became of one
class.  Its own errors are in there too: compare with its reading of real target frames.
"""

from __future__ import annotations

import numpy as np

from v2v_jax.evaluation.classes import CLASSES
from v2v_jax.evaluation.reporting.rows import Row


def flip_shares(counts: np.ndarray) -> np.ndarray:
    """How often each class is read as each: float64 [classes, classes], rows add up to at most 1.

    Args:
        counts: of ``metrics.confusion``, [classes, classes + 1]; a class without pixels is NaN.
    """
    total = counts.sum(axis=1, keepdims=True).astype(np.float64)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)[:, :-1]


def flipped(counts: np.ndarray, label: str, read_as: tuple[str, ...]) -> float:
    """The share of a class's pixels that are read as one of others, in 0..1; NaN if it has none."""
    row = flip_shares(counts)[CLASSES.index(label)]
    return float(sum(row[CLASSES.index(name)] for name in read_as))


def flip_rows(counts: np.ndarray) -> list[Row]:
    """The matrix in per cent as table rows: labelled classes down, classes read across.

    Classes that are neither labelled nor read are left out.
    """
    shares = 100 * flip_shares(counts)
    labelled = [i for i in range(len(counts)) if counts[i].sum() > 0]
    across = [i for i in range(len(counts)) if i in labelled or counts[:, i].sum() > 0]
    return [
        {"class": CLASSES[i]} | {CLASSES[j]: round(float(shares[i, j]), 1) for j in across}
        for i in labelled
    ]
