"""Distances between two sets of feature vectors, FID and KID, and crops matched by content.

Features come from outside (any network's); a figure means nothing without their name and the
number of vectors, on which FID depends most.  NumPy, float64.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

UNLABELLED = 255
ALIKE = 0.5
"""Share of a crop's labelled pixels that must show the same class in both crops of a match."""


class Matches(NamedTuple):
    """Pairs of crops, as places in the two lists of crops; a reference crop may serve often."""

    crops: np.ndarray
    """int64 [M], ascending."""
    references: np.ndarray
    """int64 [M]."""


def fid(first: np.ndarray, second: np.ndarray) -> float:
    """Fréchet distance of two Gaussians fitted to features (Heusel et al. 2017).

    ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))``, covariances over N - 1.  Biased upwards by few
    vectors: compare figures of equal N alone.

    Args:
        first, second: features [N, D] and [M, D], at least two of each.

    Raises:
        ValueError: too few vectors, or dimensions that differ.
    """
    first, second = _checked("fid", first, second)
    gap = first.mean(0) - second.mean(0)
    one, other = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (first, second))
    root = _square_root(one)
    # C1 C2 has the eigenvalues of this, which is symmetric.
    shared = np.linalg.eigvalsh(root @ other @ root)
    mixed = np.sqrt(np.maximum(shared, 0)).sum()
    return float(gap @ gap + np.trace(one) + np.trace(other) - 2 * mixed)


def kid(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased squared MMD under the kernel ``(x.y / D + 1)^3`` (Bińkowski et al. 2018).

    Over all vectors at once, not a mean over subsets; may be a little under 0.  Arguments and
    errors as in ``fid``.
    """
    first, second = _checked("kid", first, second)
    within = [_mean_off_diagonal(_kernel(x, x)) for x in (first, second)]
    return float(sum(within) - 2 * _kernel(first, second).mean())


def crop_features(maps: np.ndarray, side: int) -> np.ndarray:
    """Mean features of the crops that tile feature maps, float64 [N * rows * columns, C].

    Row by row, frame by frame, as ``crop_labels`` orders them.  Cut from whole frames' maps, so a
    network sees a crop's surroundings too.

    Args:
        maps: [N, H, W, C].
        side: of a crop, in cells of the map.

    Raises:
        ValueError: maps smaller than a crop.
    """
    tiles = _tiles(maps, side, "crop_features")
    return tiles.mean((2, 4), dtype=np.float64).reshape(-1, maps.shape[-1])


def crop_labels(labels: np.ndarray, side: int) -> np.ndarray:
    """The labels of the crops that tile frames, [N * (H // side) * (W // side), side^2].

    Args:
        labels: train ids [N, H, W].
        side: of a crop, in pixels.

    Raises:
        ValueError: frames smaller than a crop.
    """
    tiles = _tiles(labels[..., None], side, "crop_labels")[..., 0]
    return tiles.transpose(0, 1, 3, 2, 4).reshape(-1, side * side)


def matched_crops(labels: np.ndarray, references: np.ndarray, least: float = ALIKE) -> Matches:
    """For every crop the reference crop that shows the same classes in the same places.

    As EPE (Richter et al. 2021) and FeaMGAN (Stuhr et al. 2023) match crops by label maps, so that
    a distance does not ask how much sky either domain has.  Crops whose best match agrees in less
    than ``least`` of their pixels are left out; of equally good references the first is taken.

    Args:
        labels: train ids [N, P] of the crops, P pixels each; ids outside 0..254 agree with none.
        references: train ids [M, P].
        least: share of the crop's pixels, unlabelled ones among them, in 0..1.

    Raises:
        ValueError: crops of different size, or none.
    """
    if labels.ndim != 2 or references.ndim != 2 or labels.shape[1:] != references.shape[1:]:
        raise ValueError(
            f"matched_crops: needs [N, P] and [M, P], got {labels.shape} and {references.shape}"
        )
    if not len(labels) or not len(references):
        raise ValueError("matched_crops: no crops; give frames of at least one crop's side")
    agreement = np.zeros((len(labels), len(references)))
    for label in np.unique(labels):
        if 0 <= label < UNLABELLED:
            # A matrix product per class: comparing all pairs of crops at once takes gigabytes.
            one, other = ((x == label).astype(np.float32) for x in (labels, references))
            agreement += one @ other.T
    best = agreement.argmax(1)
    found = np.flatnonzero(agreement.max(1) >= least * labels.shape[1])
    return Matches(found, best[found])


def matched_kid(first: np.ndarray, second: np.ndarray, matches: Matches) -> float:
    """``kid`` over matched crops alone; NaN for fewer than two matches.

    Args:
        first: features [N, D] of the crops.
        second: features [M, D] of the reference crops.
        matches: of ``matched_crops``.
    """
    if len(matches.crops) < 2:
        return math.nan
    return kid(first[matches.crops], second[matches.references])


def _tiles(array: np.ndarray, side: int, who: str) -> np.ndarray:
    """[N, H, W, C] -> [N, rows, side, columns, side, C]; what is left at the borders is cut."""
    count, height, width, channels = array.shape
    rows, columns = height // side, width // side
    if not rows or not columns:
        raise ValueError(f"{who}: {height}x{width} holds no crop of side {side}: take smaller ones")
    cut = array[:, : rows * side, : columns * side]
    return cut.reshape(count, rows, side, columns, side, channels)


def _square_root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first @ second.T / first.shape[1] + 1) ** 3


def _mean_off_diagonal(kernel: np.ndarray) -> float:
    count = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))


def _checked(who: str, first: np.ndarray, second: np.ndarray) -> list[np.ndarray]:
    fits = first.ndim == second.ndim == 2 and first.shape[1] == second.shape[1]
    if not fits or min(len(first), len(second)) < 2:
        raise ValueError(
            f"{who}: needs features [N, D] and [M, D] with N and M at least 2, "
            f"got {first.shape} and {second.shape}"
        )
    return [np.asarray(x, np.float64) for x in (first, second)]
