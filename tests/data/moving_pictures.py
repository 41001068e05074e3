"""Videos whose every frame is known, for the tests of reading and writing them."""

from __future__ import annotations

import pathlib
from fractions import Fraction
from typing import Any

import av
import numpy as np

from v2v_jax.data.media.writer import VideoWriter


def gradient(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth picture whose colours tell its number and its orientation."""
    rows, columns = np.mgrid[0:height, 0:width]
    red = 255 * rows / height
    blue = 255 * columns / width
    return np.stack([red, np.full_like(red, index * 4 % 256), blue], -1).astype(np.uint8)


def write(path: pathlib.Path, count: int = 10, fps: Fraction | int = 25, **size: int) -> None:
    height, width = size.get("height", 48), size.get("width", 64)
    with VideoWriter(path, fps, height, width) as writer:
        for index in range(count):
            writer.write(gradient(index, height, width))


def encode(
    path: pathlib.Path, codec: str = "libx264", count: int = 10, *, noise=False, rotate=None
) -> None:
    """A video by other hands than `VideoWriter`'s."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.bit_rate = (
            4_000_000  # At its default, MPEG-4 shows more of itself than of the frames.
        )
        if rotate is not None:
            stream.set_display_rotation(*rotate)
        for index in range(count):
            frame = rng.integers(0, 256, (48, 64, 3), np.uint8) if noise else gradient(index)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())


def distance(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b.astype(int)).mean())
