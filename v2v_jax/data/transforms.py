"""Pure functions on frames and clips: fitting to a size, choosing a window, reversing time."""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

Arrays = dict[str, np.ndarray]


def crop_to_aspect(
    frame: np.ndarray, height: int, width: int, pixel_aspect: Fraction | int = 1
) -> np.ndarray:
    """The largest centred part of a frame [H, W, …] that shows at the aspect ratio width : height.

    ``pixel_aspect``: width : height of the frame's own pixels.
    """
    rows, columns = frame.shape[:2]
    across = columns * pixel_aspect
    if across * height > rows * width:
        columns = max(1, round(Fraction(rows * width, height) / pixel_aspect))
    else:
        rows = max(1, round(across * height / width))
    top, left = (frame.shape[0] - rows) // 2, (frame.shape[1] - columns) // 2
    return frame[top : top + rows, left : left + columns]


def fit(frame: np.ndarray, height: int, width: int, pixel_aspect: Fraction | int = 1) -> np.ndarray:
    """A frame at the training size: cropped to its aspect ratio, never squeezed, then resampled.

    Args:
        frame: uint8 [H, W, 3].
        height, width: the size wanted.
        pixel_aspect: width : height of the frame's own pixels; those that come out are square.

    Returns:
        uint8 [height, width, 3]; averaged over areas, or bilinear where it has to grow.
    """
    part = crop_to_aspect(frame, height, width, pixel_aspect)
    if part.shape[:2] == (height, width):
        return np.ascontiguousarray(part)
    # Area resampling repeats pixels instead of interpolating when it enlarges.
    shrinks = part.shape[0] >= height and part.shape[1] >= width
    return cv2.resize(
        part, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


@dataclasses.dataclass(frozen=True)
class Window:
    """One entry of an epoch: a video and the range its clips may start in.

    Attributes:
        video: index of the video in its source.
        first, stop: starts first <= start < stop.
    """

    video: int
    first: int
    stop: int


def windows(lengths: list[int], span: int) -> list[Window]:
    """Cuts videos into windows, so that an epoch uses a long video as often as its length earns.

    A video of L frames has L - span + 1 starts; they are divided evenly among floor(L / span)
    windows.  Every start belongs to exactly one window.

    Args:
        lengths: frames of each video; those shorter than ``span`` get no window.
        span: frames a clip reaches over.
    """
    entries = []
    for video, length in enumerate(lengths):
        if length < span:
            continue
        count, starts = length // span, length - span + 1
        edges = [starts * piece // count for piece in range(count + 1)]
        entries += [Window(video, *edge) for edge in itertools.pairwise(edges)]
    return entries


@dataclasses.dataclass(frozen=True)
class Draw:
    """What chance decides about one clip.

    Attributes:
        start: first frame.
        backwards: whether time is reversed (paper, section 3.7).
        down, right: where a smaller crop lies, as shares of the room there is, in [0, 1).
    """

    start: int
    backwards: bool
    down: float
    right: float


def draw(window: Window, temporal_flip: float, rng: np.random.Generator) -> Draw:
    """Draws start, direction and place, always in this order and always all.

    A run with another flip probability or crop therefore sees the same starts.
    """
    start = int(rng.integers(window.first, window.stop))
    return Draw(start, bool(rng.random() < temporal_flip), rng.random(), rng.random())


def crop(clip: Arrays, height: int, width: int, down: float, right: float) -> Arrays:
    """The same part of every frame, label map and flow field of a clip.

    Args:
        clip: arrays [T, H, W, ...], all of one H and W, at least ``height`` and ``width``.
        height, width: of the part.
        down, right: its place as a share of the room there is, in [0, 1).

    Raises:
        ValueError: the part is larger than the frames.
    """
    rows, columns = clip["frames"].shape[1:3]
    if height > rows or width > columns:
        raise ValueError(
            f"a part of {height}x{width} was asked of frames of {rows}x{columns}: prepare larger "
            "frames, or train at a smaller size"
        )
    top, left = int(down * (rows - height + 1)), int(right * (columns - width + 1))
    return {name: array[:, top : top + height, left : left + width] for name, array in clip.items()}


def reverse_time(clip: Arrays) -> Arrays:
    """Plays a clip backwards, exactly.

    The backward flow of the reversed clip is the forward flow of the original in reversed order,
    so a clip with one direction alone comes out with the other.

    Args:
        clip: ``frames`` u8[T, H, W, 3] and, where known, ``labels`` [T, H, W], ``flow`` (backward)
            and ``forward_flow``, both f32[T-1, H, W, 2].
    """
    names: dict[str, Any] = {"flow": "forward_flow", "forward_flow": "flow"}
    return {names.get(name, name): array[::-1] for name, array in clip.items()}
