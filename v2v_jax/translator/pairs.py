"""A video and what somebody made of it, read as one video of six channels."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from v2v_jax.translator.files import Reader


class PairReader:
    """The frames of both, uint8 [H, W, 6]: RGB of the original, RGB of the processed.

    Raises:
        ValueError: of different sizes; while it is read: of different numbers of frames.
    """

    def __init__(self, original: Reader, processed: Reader, paths: tuple[Path, Path]) -> None:
        self._videos, self._paths = (original, processed), paths
        sizes = [f"{video.height}x{video.width}" for video in self._videos]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"{paths[1]} has frames of {sizes[1]} (HxW), {paths[0]} of {sizes[0]}: bring both "
                "videos of a pair to one size first"
            )
        self.height, self.width = original.height, original.width
        # A folder of frames does not know its rate.
        self._like: Any = processed if paths[0].is_dir() else original
        self.fps: Any = self._like.fps
        self.frames_estimate = original.frames_estimate

    def __getattr__(self, name: str) -> Any:
        """Times and whatever else a writer keeps are those of the video that knows them."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._like, name)

    def __iter__(self) -> Iterator[np.ndarray]:
        originals, processed = map(iter, self._videos)
        count = 0
        for frame in originals:
            other = next(processed, None)
            if other is None:
                raise self._uneven(short=1, count=count)
            yield np.concatenate([frame, other], axis=-1)
            count += 1
        if next(processed, None) is not None:
            raise self._uneven(short=0, count=count)

    def _uneven(self, short: int, count: int) -> ValueError:
        return ValueError(
            f"{self._paths[short]} ends after {count} frames, {self._paths[1 - short]} goes on: "
            "the videos of a pair must have the same frames"
        )


@contextlib.contextmanager
def open_pair(
    open_reader: Callable[[Path], AbstractContextManager[Reader]], original: Path, processed: Path
) -> Iterator[PairReader]:
    """Opens both videos of a pair; see ``PairReader``."""
    with open_reader(original) as first, open_reader(processed) as second:
        yield PairReader(first, second, (original, processed))


def pair_up(originals: Sequence[Path], processed: Sequence[Path]) -> dict[Path, Path]:
    """Which processed video belongs to each original: they are paired in order.

    Raises:
        ValueError: more of one kind than of the other.
    """
    if len(originals) != len(processed):
        raise ValueError(
            f"--input has {len(originals)} videos and --processed {len(processed)}: they are "
            "paired in order, so give as many of each"
        )
    return dict(zip(originals, processed, strict=True))
