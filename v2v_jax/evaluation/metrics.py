"""Arrays -> figures: warping error, colour distance, structure agreement, segmentation scores.

Every figure says its protocol: colour range, reduction, which pixels count.  Flow is backward
flow in pixels (``v2v_jax.types``); flow t-1 of a clip lives on frame t and points to frame t-1.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from v2v_jax.ops.warp import backward_warp
from v2v_jax.types import Array

IGNORE = 255
"""The label of pixels that no segmentation score counts."""


class WarpingError(NamedTuple):
    """A clip's warping error and where in time it comes from."""

    mean: float
    """Mean over the pairs that have valid pixels; NaN if none has."""
    pairs: np.ndarray
    """float64 [T-1]: mean squared difference per channel over a pair's valid pixels; NaN if a
    pair has none."""


def warping_error(frames: np.ndarray, flow: np.ndarray, valid: np.ndarray) -> WarpingError:
    """How much a video changes along its motion (Lai et al. 2018; the paper's Table 2).

    Frame t-1 is carried to frame t by the backward flow.  Squared colour difference in [0, 1],
    mean per channel over valid pixels, then over pairs; average the clips yourself.  The error
    alone rewards copying: a value *under the source's own* means smearing, not quality.

    Args:
        frames: uint8 in 0..255 or float in [0, 1], [T, H, W, 3].
        flow: float [T-1, H, W, 2], pixels.
        valid: bool [T-1, H, W], on frame t: neither occluded nor from outside the frame.

    Raises:
        ValueError: shapes that do not belong together.
    """
    _check(frames, flow, valid)
    pairs = _pair_errors(unit_range(frames[1:]), unit_range(frames[:-1]), flow, valid)
    return WarpingError(_mean(pairs), pairs)


def lai2018_warping_error(
    frames: np.ndarray, forward: np.ndarray, backward: np.ndarray
) -> WarpingError:
    """The warping error as the published script of Lai et al. (2018) computes it.

    It differs from ``warping_error`` in direction and mask: frame t is carried back to frame t-1
    by the *forward* flow; pixels that leave the frame count (border colours); pixels at motion
    boundaries do not; a pair without valid pixels counts as 0.

    Args:
        frames: as in ``warping_error``.
        forward: float [T-1, H, W, 2], on frame t-1, pointing to frame t.
        backward: float [T-1, H, W, 2], on frame t, pointing to frame t-1.
    """
    valid = ~lai2018_occlusion(forward, backward)
    _check(frames, forward, valid)
    pairs = _pair_errors(unit_range(frames[:-1]), unit_range(frames[1:]), forward, valid)
    pairs = np.nan_to_num(pairs, nan=0.0)
    return WarpingError(_mean(pairs), pairs)


def lai2018_occlusion(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Lai et al.'s occlusion rule, bool [N, H, W] on the earlier frame: True is left out.

    |f + W(b)|^2 > 0.01 (|W(b)|^2 + |f|^2) + 0.5, or a motion boundary, |grad f|^2 > 0.01 |f|^2 +
    0.002 (forward differences).  Arguments as in ``lai2018_warping_error``.
    """
    carried = np.asarray(_warp(jnp.asarray(backward), jnp.asarray(forward))[0])
    size = _squared_norm(forward)
    lost = _squared_norm(forward + carried) > 0.01 * (_squared_norm(carried) + size) + 0.5
    gradient = np.zeros_like(size)
    gradient[:, :, :-1] += _squared_norm(np.diff(forward, axis=2))
    gradient[:, :-1] += _squared_norm(np.diff(forward, axis=1))
    return lost | (gradient > 0.01 * size + 0.002)


def photometric_distance(frames: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """|x_t - W(x_{t-1})| per pixel, root mean square over channels in [0, 1]: float32 [T-1, H, W].

    Arguments as in ``warping_error``.
    """
    _check(frames, flow, np.ones(flow.shape[:3], bool))
    carried = np.asarray(_warp(jnp.asarray(unit_range(frames[:-1])), jnp.asarray(flow))[0])
    return np.sqrt(np.mean(np.square(unit_range(frames[1:]) - carried), axis=-1))


def colour_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Mean Euclidean RGB distance in grey levels (0..255) between frames of one shape.

    Args:
        first, second: uint8 in 0..255 or float in [0, 1], [..., 3].
    """
    if first.shape != second.shape:
        raise ValueError(f"colour_distance: shapes differ, {first.shape} and {second.shape}")
    gap = 255.0 * (unit_range(first) - unit_range(second))
    return float(np.mean(np.sqrt(np.sum(np.square(gap, dtype=np.float64), axis=-1))))


def structure_agreement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How alike two frames are in layout: mean correlation of their feature maps.

    Features are instance-normalised (per frame and channel over H and W), so that a change of
    colour or contrast costs nothing; their mean squared distance is 2 * (1 - agreement).  This
    is the paper's content distance (eq. 6) turned round, 1 for the same layout, near 0 for
    unrelated ones.  Channels that are constant in either frame are left out of the mean.

    Args:
        first, second: float [N, h, w, C], features of N frames.

    Returns:
        float64 [N], in -1..1.
    """
    if first.shape != second.shape or first.ndim != 4:
        raise ValueError(
            f"structure_agreement: needs two [N, h, w, C], got {first.shape} and {second.shape}"
        )
    (first, first_scale), (second, second_scale) = _normalised(first), _normalised(second)
    alive = (first_scale > 1e-6) & (second_scale > 1e-6)
    correlation = np.mean(first * second, axis=(1, 2))
    return np.sum(correlation * alive, axis=-1) / np.maximum(np.sum(alive, axis=-1), 1)


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int = 19) -> np.ndarray:
    """Counts of (label, prediction), int64 [classes, classes + 1]; add those of several images.

    The last column counts labelled pixels predicted as none of the classes (e.g. 255): missed
    for their class, held against no other.  Pixels labelled 255 or any other id outside
    ``classes`` are not counted.

    Args:
        labels, predicted: integer arrays of one shape.
        classes: number of classes, ids 0 .. classes - 1.
    """
    if labels.shape != predicted.shape:
        raise ValueError(
            f"confusion: labels {labels.shape} and predictions {predicted.shape} differ in shape"
        )
    labels = labels.astype(np.int64)
    predicted = predicted.astype(np.int64)
    counted = (labels >= 0) & (labels < classes)
    column = np.where((predicted >= 0) & (predicted < classes), predicted, classes)
    index = labels[counted] * (classes + 1) + column[counted]
    counts = np.bincount(index, minlength=classes * (classes + 1))
    return counts.reshape(classes, classes + 1)


class SegmentationScores(NamedTuple):
    """Scores of one pooled confusion matrix, in 0..1; NaN where nothing was labelled."""

    iou: np.ndarray
    """float64 [classes]; NaN for classes neither labelled nor predicted."""
    miou_official: float
    """Cityscapes' convention: mean over the classes that are labelled or predicted."""
    miou_zero_for_absent: float
    """Classes neither labelled nor predicted count as 0 (Table 4 of the paper adds up so)."""
    miou_labelled: float
    """Mean over the classes that are labelled."""
    pixel_accuracy: float
    fwiou: float
    """Frequency-weighted IoU (Table 1): mean weighted by how often each class is labelled."""


def segmentation_scores(counts: np.ndarray) -> SegmentationScores:
    """IoU per class and its means under the named conventions, from ``confusion``'s counts."""
    classes = counts.shape[0]
    if counts.shape != (classes, classes + 1):
        raise ValueError(f"segmentation_scores: needs counts [n, n + 1], got {counts.shape}")
    hit = np.diagonal(counts).astype(np.float64)
    labelled = counts.sum(axis=1)
    union = labelled + counts[:, :classes].sum(axis=0) - hit
    iou = np.divide(hit, union, out=np.full(classes, np.nan), where=union > 0)
    total = labelled.sum()
    if total == 0:
        return SegmentationScores(iou, *[np.nan] * 5)
    return SegmentationScores(
        iou,
        miou_official=float(np.nanmean(iou)),
        miou_zero_for_absent=float(np.nan_to_num(iou).mean()),
        miou_labelled=float(iou[labelled > 0].mean()),
        pixel_accuracy=float(hit.sum() / total),
        fwiou=float(np.sum(np.nan_to_num(iou) * labelled) / total),
    )


def unit_range(frames: np.ndarray) -> np.ndarray:
    """uint8 0..255 or float [0, 1] -> float32 [0, 1]."""
    if frames.dtype == np.uint8:
        return frames.astype(np.float32) / np.float32(255)
    return frames.astype(np.float32)


def _check(frames: np.ndarray, flow: np.ndarray, valid: np.ndarray) -> None:
    length, height, width = frames.shape[:3]
    wanted = (length - 1, height, width)
    if frames.ndim != 4 or flow.shape != (*wanted, 2) or valid.shape != wanted:
        raise ValueError(
            f"warping error: frames {frames.shape} need flow {(*wanted, 2)} and valid {wanted}, "
            f"got {flow.shape} and {valid.shape}"
        )


def _mean(pairs: np.ndarray) -> float:
    return float(np.nanmean(pairs)) if np.isfinite(pairs).any() else float("nan")


def _squared_norm(vectors: np.ndarray) -> np.ndarray:
    return np.sum(np.square(vectors), axis=-1)


def _normalised(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    centred = features - features.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    scale = centred.std(axis=(1, 2))
    return centred / np.maximum(scale, 1e-12)[:, None, None, :], scale


_warp = jax.jit(backward_warp)


def _pair_errors(
    reference: np.ndarray, moved: np.ndarray, flow: np.ndarray, valid: np.ndarray
) -> np.ndarray:
    """Mean squared difference per pair of ``reference`` and ``moved`` carried along ``flow``."""
    squares = np.asarray(_squares_per_pair(reference, moved, flow, valid), np.float64)
    pixels = valid.sum(axis=(1, 2)).astype(np.float64)
    full = np.full(len(squares), np.nan)
    return np.divide(squares, reference.shape[-1] * pixels, out=full, where=pixels > 0)


@jax.jit
def _squares_per_pair(reference: Array, moved: Array, flow: Array, valid: Array) -> Array:
    def one(pair: tuple[Array, Array, Array, Array]) -> Array:
        reference, moved, flow, valid = pair
        # Ground truth marks unknown flow as NaN: such pixels are not valid, but must not index.
        flow = jnp.where(jnp.isfinite(flow), flow, 0.0)
        carried = backward_warp(moved[None], flow[None])[0][0]
        return jnp.sum(jnp.where(valid[..., None], jnp.square(carried - reference), 0.0))

    # One pair at a time: a minute of video at full size must fit beside the networks.
    return jax.lax.map(one, (reference, moved, flow, valid))
