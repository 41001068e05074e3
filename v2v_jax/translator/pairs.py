"""A video and what somebody made of it, read as one video of six channels."""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

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
    """Which processed video belongs to each original; how they were paired is logged.

    Those of one name belong together, whatever their suffix; what is left is paired in order.

    Raises:
        ValueError: more of one kind than of the other.
    """
    named = _named(originals, processed)
    if len(originals) != len(processed):
        alone = (
            sorted(named[0].keys() ^ named[1].keys()) if named[0].keys() & named[1].keys() else []
        )
        without = f"; nothing is called like {alone[0]} on the other side" if alone else ""
        raise ValueError(
            f"--input has {len(originals)} videos and --processed {len(processed)}: they are "
            f"paired by name, the rest in order, so give as many of each{without}"
        )
    pairs = {named[0][name]: named[1][name] for name in named[0] if name in named[1]}
    by_name = len(pairs)
    rest = (path for path in processed if path not in set(pairs.values()))
    in_order = {path: next(rest) for path in originals if path not in pairs}
    _say_how(by_name, in_order)
    return {path: (pairs | in_order)[path] for path in originals}


def _say_how(by_name: int, in_order: dict[Path, Path]) -> None:
    parts = [f"{by_name} by name"] if by_name else []
    if in_order:
        first, other = next(iter(in_order.items()))
        parts.append(f"{len(in_order)} in order, as their names differ: {first} with {other}")
    logging.info("videos are paired with what was made of them: %s", "; ".join(parts))


def _named(*groups: Sequence[Path]) -> list[dict[str, Path]]:
    """Each group's videos by name, with as many folders in front as tell them apart."""
    deepest = max((len(path.parts) for group in groups for path in group), default=1)
    for depth in range(1, deepest + 1):
        named = [{_name(path, depth): path for path in group} for group in groups]
        if all(len(names) == len(group) for names, group in zip(named, groups, strict=True)):
            return named
    return [{} for _ in groups]


def _name(path: Path, depth: int) -> str:
    name = "/".join([*path.parts[-depth:-1], path.name if path.is_dir() else path.stem])
    return unicodedata.normalize("NFC", name)  # Macs store accents apart from their letters.
