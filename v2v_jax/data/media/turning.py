"""Which way up a frame is shown: the display matrix that phones and cameras write."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def _matrix(frame: Any) -> tuple[int, int, int, int]:
    """a, b, c, d of a frame's display matrix: (x, y) is shown at (a x + c y, b x + d y)."""
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV gives up where any of them is of a kind that it does not know.
        return _turn(math.radians(frame.rotation))
    if data is None:
        return 1, 0, 0, 1
    # Row vectors, 16.16 fixed point, third column unused.
    a, b, _, c, d = np.frombuffer(data, "<i4")[:5].tolist()
    return a, b, c, d


def _turn(angle: float) -> tuple[int, int, int, int]:
    """The matrix that turns by an angle against the clock."""
    across, down = round(math.cos(angle)), round(math.sin(angle))
    return across, -down, down, across


def quarter_turned(frame: Any) -> bool:
    """Whether a frame is shown with its sides exchanged."""
    a, b, _, _ = _matrix(frame)
    return abs(b) > abs(a)


def upright(picture: np.ndarray, frame: Any) -> np.ndarray:
    """A frame's picture, turned and mirrored as its display matrix asks."""
    a, b, c, d = _matrix(frame)
    across, down = a, d
    if quarter_turned(frame):
        picture, across, down = picture.swapaxes(0, 1), c, b
    return np.ascontiguousarray(picture[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])
