"""How far a translation is from the truth, where the truth can be drawn (``World.perfect``).

Distances are of uint8 videos [T, H, W, 3], RGB, pixel by pixel: the truth has the source's
geometry, so nothing needs aligning.  All are summed per frame and class first (``compare``), so
that any class, any stretch of frames and any number of clips can be read from one pass.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

UNLABELLED = 255
"""The label of pixels that count in the whole and in no class."""
WINDOW, SIGMA = 11, 1.5
"""Side in pixels and deviation of SSIM's Gaussian window (Wang et al. 2004)."""
BANDS = (0.05, 0.15, 0.25, 0.35, 0.45, 0.5)
"""Edges of the spectral bands, cycles per pixel; 0.5 is a dither of single pixels."""

_PEAK = 255.0
_LUMA = np.array([0.299, 0.587, 0.114])
_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
"""Linear sRGB to XYZ.  Its rows' sums are the white D65, so that greys have no colour."""


class Distance(NamedTuple):
    """From a video to the truth; NaN where no pixel counts."""

    psnr: float
    """Decibels, of the mean squared error over all frames, pixels and channels together: not a
    mean of frames' PSNR.  Infinite for equal videos."""
    ssim: float
    """Structural similarity of the luma, mean over pixels whose whole window lies in the frame."""
    l1: float
    """Mean absolute difference per channel, grey levels 0..255."""
    delta_e: float
    """Mean CIE76 colour difference; about 2.3 is just noticeable."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Sums over pixels per frame and label, [T, 256] each; ``clips`` go behind each other."""

    pixels: np.ndarray
    """int64: how many."""
    squared: np.ndarray
    """float64: squared differences, mean over channels."""
    absolute: np.ndarray
    """float64: absolute differences, mean over channels."""
    colour: np.ndarray
    """float64: CIE76."""
    windows: np.ndarray
    """int64: pixels with a whole SSIM window."""
    similarity: np.ndarray
    """float64: SSIM."""

    def part(self, frames: slice) -> Comparison:
        """Some of the frames."""
        names = [field.name for field in dataclasses.fields(self)]
        return Comparison(*(getattr(self, name)[frames] for name in names))

    def distance(self, frames: slice = slice(None), label: int | None = None) -> Distance:
        """The distance over some frames and one class.

        Args:
          frames: which; all by default.
          label: a train id 0..254; None for all pixels, unlabelled ones too.
        """
        part = slice(None) if label is None else slice(label, label + 1)
        pixels, squared, absolute, colour, windows, similarity = (
            float(getattr(self, field.name)[frames, part].sum())
            for field in dataclasses.fields(self)
        )
        error = _ratio(squared, pixels)
        # log10(0) warns, and equal videos are no mistake.
        psnr = math.inf if error == 0 else 10 * math.log10(_PEAK**2 / error)
        return Distance(
            psnr, _ratio(similarity, windows), _ratio(absolute, pixels), _ratio(colour, pixels)
        )

    def by_class(self, frames: slice = slice(None)) -> dict[int, Distance]:
        """``distance`` of every class these frames show, by train id."""
        shown = np.flatnonzero(self.pixels[frames].sum(0)).tolist()
        return {label: self.distance(frames, label) for label in shown if label != UNLABELLED}

    @classmethod
    def clips(cls, parts: list[Comparison]) -> Comparison:
        """Several clips as one, frames behind frames: distances then pool over their pixels."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def compare(video: np.ndarray, truth: np.ndarray, labels: np.ndarray | None = None) -> Comparison:
    """Compares a video with the truth.

    Args:
      video: uint8 [T, H, W, 3], RGB; H and W at least ``WINDOW``.
      truth: the same shape.
      labels: uint8 [T, H, W], train ids, 255 for none; None: nothing is labelled.

    Raises:
      ValueError: not uint8, shapes that differ, or frames smaller than SSIM's window.
    """
    _check(video, truth)
    if min(video.shape[1:3]) < WINDOW:
        raise ValueError(
            f"truth: frames are {video.shape[1]}x{video.shape[2]}, SSIM needs {WINDOW}x{WINDOW}"
        )
    labels = np.full(video.shape[:3], UNLABELLED, np.uint8) if labels is None else labels
    if labels.shape != video.shape[:3] or labels.dtype != np.uint8:
        raise ValueError(
            f"truth: labels of {video.shape} must be uint8 {video.shape[:3]}, "
            f"got {labels.dtype} {labels.shape}"
        )
    rows = [_compare_frame(*triple) for triple in zip(video, truth, labels, strict=True)]
    return Comparison(*(np.stack(column) for column in zip(*rows, strict=True)))


def gain(
    output: np.ndarray, truth: np.ndarray, source: np.ndarray, where: np.ndarray | None = None
) -> float:
    """1 - L1(output, truth) / L1(source, truth): 0 is doing nothing, 1 is perfect.

    Under 0 the translation is farther from the truth than the source was.

    Args:
      output, truth, source: uint8 [T, H, W, 3].
      where: bool [T, H, W], the pixels that count, e.g. of one class; None for all.

    Returns:
      At most 1; NaN where the source is the truth already or no pixel counts.

    Raises:
      ValueError: not uint8, or shapes that do not belong together.
    """
    _check(output, truth)
    _check(source, truth)
    if where is not None and (where.shape != truth.shape[:3] or where.dtype != bool):
        raise ValueError(
            f"truth: 'where' must be bool {truth.shape[:3]}, got {where.dtype} {where.shape}"
        )
    chosen = slice(None) if where is None else where
    done, undone = (float(_absolute(video, truth)[chosen].sum()) for video in (output, source))
    return 1 - done / undone if undone else math.nan


def spectral_ratio(video: np.ndarray, truth: np.ndarray, *, tapered: bool = False) -> np.ndarray:
    """Spectral energy of a video over the truth's, by band: under 1 is blur, over 1 noise or grid.

    Of the luma without each frame's mean, radially by frequency, summed over frames before
    dividing.

    Args:
      video, truth: uint8 [T, H, W, 3].
      tapered: under a Hann window.  Without one a frame's left and right border meet in an edge
        that no picture has, and blur never reads below 0.2 to 0.35 in the upper bands (measured
        on the built-in world, 64x128; with it 0.04 and less).

    Returns:
      float64 [5], for the bands between ``BANDS``; the upper edge belongs to the last band alone.
      NaN where the truth has no energy.

    Raises:
      ValueError: not uint8, or shapes that differ.
    """
    _check(video, truth)
    energy, wanted = (spectral_energy(frames, tapered=tapered) for frames in (video, truth))
    return np.divide(energy, wanted, out=np.full(len(wanted), np.nan), where=wanted > 0)


def spectral_energy(video: np.ndarray, *, tapered: bool = False) -> np.ndarray:
    """What ``spectral_ratio`` divides, summed over frames; add up those of several clips.

    Args:
      video: uint8 [T, H, W, 3].
      tapered: see ``spectral_ratio``.

    Returns:
      float64 [5], for the bands between ``BANDS``.
    """
    height, width = video.shape[1:3]
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    band = np.searchsorted(BANDS, radius, side="right") - 1
    band[radius == BANDS[-1]] = len(BANDS) - 2
    inside = (band >= 0) & (band < len(BANDS) - 1)
    return np.bincount(band[inside], _energy(video, tapered)[inside], len(BANDS) - 1)


def structural_similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """SSIM per pixel of two grey pictures (Wang et al. 2004, K1 = 0.01, K2 = 0.03).

    Args:
      first, second: float [H, W], 0..255.

    Returns:
      float64 [H - 10, W - 10]: pixels whose whole window lies in the picture.
    """
    c1, c2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
    a, b = _blur(first), _blur(second)
    spread = _blur(first * first) + _blur(second * second) - a * a - b * b
    shared = _blur(first * second) - a * b
    return (2 * a * b + c1) * (2 * shared + c2) / ((a * a + b * b + c1) * (spread + c2))


def cielab(frames: np.ndarray) -> np.ndarray:
    """uint8 sRGB [..., 3] to CIELAB under D65, float64 [..., 3]: L 0..100, a and b signed."""
    coded = np.arange(256) / _PEAK
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    xyz = linear[frames] @ (_XYZ / _XYZ.sum(1, keepdims=True)).T
    edge = 6 / 29
    f = np.where(xyz > edge**3, np.cbrt(xyz), xyz / (3 * edge**2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def _compare_frame(
    frame: np.ndarray, truth: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, ...]:
    """A row of every field of ``Comparison``, in its order."""
    gap = frame.astype(np.float64) - truth
    rim = WINDOW // 2
    whole = labels[rim:-rim, rim:-rim].ravel()
    similarity = structural_similarity(frame @ _LUMA, truth @ _LUMA)
    colour = np.linalg.norm(cielab(frame) - cielab(truth), axis=-1)
    every = labels.ravel()
    return (
        np.bincount(every, minlength=256),
        np.bincount(every, (gap * gap).mean(-1).ravel(), 256),
        np.bincount(every, np.abs(gap).mean(-1).ravel(), 256),
        np.bincount(every, colour.ravel(), 256),
        np.bincount(whole, minlength=256),
        np.bincount(whole, similarity.ravel(), 256),
    )


def _absolute(video: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Sum of absolute differences over channels, int16 [T, H, W]."""
    return np.abs(video.astype(np.int16) - truth).sum(-1, dtype=np.int16)


def _energy(frames: np.ndarray, tapered: bool) -> np.ndarray:
    """Spectral energy summed over frames, float64 [H, W]."""
    height, width = frames.shape[1:3]
    window = np.ones((height, width))
    if tapered:
        # Without the zeros at both ends, so that a frame of one row keeps its row.
        window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    energy = np.zeros((height, width))
    for frame in frames:
        luma = frame @ _LUMA
        energy += np.abs(np.fft.fft2((luma - luma.mean()) * window)) ** 2
    return energy


def _blur(picture: np.ndarray) -> np.ndarray:
    """SSIM's Gaussian window over both axes, only where it fits."""
    weights = np.exp(-((np.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * SIGMA**2))
    weights /= weights.sum()
    for _ in range(2):
        length = len(picture) - WINDOW + 1
        picture = np.sum([w * picture[k : k + length] for k, w in enumerate(weights)], axis=0).T
    return picture


def _ratio(total: float, count: float) -> float:
    return total / count if count else math.nan


def _check(video: np.ndarray, truth: np.ndarray) -> None:
    for name, array in (("video", video), ("truth", truth)):
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3:
            raise ValueError(
                f"truth: the {name} must be uint8 [T, H, W, 3], got {array.dtype} {array.shape}"
            )
    if video.shape != truth.shape:
        raise ValueError(f"truth: video {video.shape} and truth {truth.shape} differ in shape")
