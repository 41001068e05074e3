"""What frames become: a video file or pictures, at the input's times or at a constant rate."""

from __future__ import annotations

import math
import os
import pathlib
import re
from fractions import Fraction
from typing import Any, Protocol, Self

import numpy as np
from absl import logging

from v2v_jax.data.media.frame_folder import IMAGE_SUFFIXES, FolderWriter, check_empty
from v2v_jax.data.media.shape import look_of
from v2v_jax.data.media.timing import Timing
from v2v_jax.data.media.writer import VideoWriter

_NUMBERED = re.compile(r"[^%]*%(0?[0-9]+)?d[^%]*")
_EXAMPLE = "frames/%05d.png"


class Writer(Protocol):
    """What is written appears when it is closed, whole, or never."""

    def write(self, frame: np.ndarray) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: object, *_: object) -> None: ...


def is_pattern(path: pathlib.Path) -> bool:
    """Whether a path stands for numbered pictures: ``frames/%05d.png``."""
    return path.suffix.lower() in IMAGE_SUFFIXES and bool(_NUMBERED.fullmatch(path.name))


def check_output(path: pathlib.Path) -> None:
    """Whether pictures can be put there, for what can be told before they are made.

    Raises:
        ValueError: a pattern without exactly one number.
        FileExistsError: something is there.
    """
    if path.suffix.lower() in IMAGE_SUFFIXES and not is_pattern(path):
        raise ValueError(f"{path}: pictures need one number in their names: {_EXAMPLE}")
    if is_pattern(path):
        check_empty(path.parent)


def open_output(
    path: str | os.PathLike[str],
    fps: Fraction,
    height: int,
    width: int,
    *,
    like: Any = None,
    forced: Fraction | None = None,
    audio: bool = True,
    location: bool = False,
) -> Writer:
    """A writer for a video file, or for pictures where ``path`` is a pattern.

    Args:
        path: see `is_pattern` and `VideoWriter`.
        fps, height, width, like: see `VideoWriter`.
        forced: a constant rate, whatever the input's times; None: the input's times.
        audio, location: see `VideoWriter`; pictures have neither.
    """
    path = pathlib.Path(path)
    timing: Timing | None = getattr(like, "timing", None)
    resamples = (
        forced is not None
        and timing is not None
        and (timing.base is not None or timing.rate != forced)
    )
    kept = {"audio": audio, "location": location}
    if is_pattern(path):
        if look_of(like).pixel_aspect != 1:
            logging.warning(
                "%s: pixels are not square, which pictures cannot say: --size makes them square",
                like.path,
            )
        writer: Any = FolderWriter(path.parent, path.name)
    elif resamples:
        writer = VideoWriter(path, forced or fps, height, width, like=_AtRate(like, forced), **kept)
    else:
        writer = VideoWriter(path, fps, height, width, like=like, **kept)
    return Resampled(writer, timing, forced) if resamples else writer  # type: ignore[arg-type]


class _AtRate:
    """An open video in everything but its times."""

    def __init__(self, like: Any, rate: Fraction | None) -> None:
        self._like = like
        times: Timing = like.timing
        begin = times.foreseen[0] * times.tick if times.foreseen else Fraction(0)
        self.timing = Timing(rate or like.fps, origin=times.origin + begin)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._like, name)


class Resampled:
    """Repeats and leaves out frames, so that a constant rate shows each at its time.

    As FFmpeg does: a frame is shown from the tick that is nearest to its time.
    """

    def __init__(self, writer: Writer, timing: Timing, rate: Fraction) -> None:
        self._writer, self._timing, self._rate = writer, timing, rate
        self._held: np.ndarray | None = None
        self._read = self._written = 0

    def write(self, frame: np.ndarray) -> None:
        """Takes the next frame, uint8 [H, W, 3] RGB."""
        self._put(final=False)
        self._held = frame
        self._read += 1

    def _put(self, *, final: bool) -> None:
        if self._held is None:
            return
        ticks = self._timing.end(self._read - 1, final=final) - self._timing.start(0)
        stop = math.floor(ticks * self._timing.tick * self._rate + Fraction(1, 2))
        while self._written < stop or (final and not self._written):
            self._writer.write(self._held)
            self._written += 1

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        try:
            if kind is None:
                self._put(final=True)
        except BaseException as error:
            self._writer.__exit__(type(error), error, error.__traceback__)
            raise
        self._writer.__exit__(kind, *rest)
