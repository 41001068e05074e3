"""What the names of a folder's pictures say: order, doubles, and where frames are missing.

Names are text and numbers in turn.  A number may have a sign and, where the whole folder is named
by time stamps, a fraction.
"""

from __future__ import annotations

import collections
import functools
import itertools
import pathlib
import re
import statistics
from collections.abc import Iterable, Sequence
from fractions import Fraction

from absl import logging

LOST = Fraction(3, 2)
"""Numbers that count frames: from so many steps on, a frame is missing between two others."""
PAUSE = Fraction(5, 2)
"""Numbers that are times, unevenly spaced: from so many median distances on, it is a pause."""
_BEST = (".png", ".jpg", ".jpeg")
# A hyphen behind a letter or digit joins words: frame-5, 2019-05-01.
_NUMBER = r"(?<![^\W_])-[0-9]+{0}|[0-9]+{0}"
_COUNTED = re.compile(f"({_NUMBER.format('')})")
_TIMED = re.compile(f"({_NUMBER.format(r'(?:[.][0-9]+)?')})")
_FRACTION = re.compile(r"(?<![0-9.])[0-9]+\.([0-9]+)(?![0-9]|\.[0-9])")
_WRAPS = 60  # Seconds and minutes begin anew there, other numbers at a power of ten.
_FARTHEST = 10**9


def in_order(paths: Iterable[pathlib.Path]) -> list[pathlib.Path]:
    """Pictures of one folder by the numbers in their names: -3, -2, 0.25, 2, 10."""
    paths = list(paths)
    numbers = _TIMED if _has_fractions([path.stem for path in paths]) else _COUNTED
    return sorted(paths, key=lambda path: (_pieces(path.name, numbers), path.name))


def without_doubles(
    paths: Iterable[pathlib.Path],
) -> tuple[list[pathlib.Path], list[tuple[pathlib.Path, pathlib.Path]]]:
    """One picture per name; of ``7.png`` and ``7.jpg`` the png.

    Returns:
        The pictures that count, and (left out, taken instead).
    """
    named: dict[str, list[pathlib.Path]] = collections.defaultdict(list)
    for path in paths:
        named[path.stem].append(path)
    kept, doubles = [], []
    for same in named.values():
        first, *others = sorted(same, key=lambda p: (_BEST.index(p.suffix.lower()), p.name))
        kept.append(first)
        doubles += [(other, first) for other in others]
    return kept, doubles


def clip_numbers(frames: Sequence[pathlib.Path]) -> list[int]:
    """A number for each frame, from 0; neighbours differ by 1 unless frames are missing between.

    Where most names have no number, or fewer than three frames are there, nothing can be missing.

    Args:
        frames: of one folder, from ``in_order``.
    """
    distances = _distances(frames)
    steps = [distance for distance in distances if distance]
    if not steps or 2 * sum(d is None for d in distances) > len(distances):
        return list(range(len(frames)))
    step = statistics.median_low(steps)
    counts = 2 * sum(distance == step for distance in steps) >= len(steps)
    most = step * (LOST if counts else PAUSE)
    jumps = [_jump(distance, step, most) for distance in distances]
    return list(itertools.accumulate(jumps, initial=0))


def _jump(distance: int | Fraction | None, step: int | Fraction, most: int | Fraction) -> int:
    if distance is None:
        return 2
    return 1 if distance < most else max(2, min(round(distance / step), _FARTHEST))


def starts(frames: Sequence[pathlib.Path]) -> list[int]:
    """Where clips begin: 0, and every frame before which others are missing; [] of no frames."""
    numbers = clip_numbers(frames)
    return [at for at in range(len(frames)) if not at or numbers[at] != numbers[at - 1] + 1]


@functools.lru_cache(maxsize=1000)
def say(message: str) -> None:
    """Warns of something about an input, once however often it is opened."""
    logging.warning("%s", message)


def _distances(frames: Sequence[pathlib.Path]) -> list[int | Fraction | None]:
    """From each frame's number to the next one's; None where they cannot be compared."""
    numbers = _TIMED if _has_fractions([path.stem for path in frames]) else _COUNTED
    names = [_pieces(path.stem, numbers) for path in frames]
    at = _counting(names)
    widths = [
        len(found[at // 2]) if 2 * len(found := numbers.findall(path.stem)) >= -at else 0
        for path in frames
    ]
    return [
        _distance(one, other, at, width)
        for (one, other), width in zip(itertools.pairwise(names), widths, strict=False)
    ]


def _counting(names: list[list]) -> int:
    """Which piece of the names counts the frames, from their end: the last number that changes.

    ``aachen_000000_000019_leftImg8bit`` ends with a number that does not.
    """
    if len({len(name) for name in names}) != 1:
        return -2
    places = range(-2, -len(names[0]), -2)
    return next((at for at in places if len({name[at] for name in names}) > 1), -2)


def _distance(one: list, other: list, at: int, width: int) -> int | Fraction | None:
    """Between numbers of two names; one that begins anew is followed over its end."""
    if min(len(one), len(other)) <= -at:
        return None
    distance = other[at] - one[at]
    if distance > 0 or (one[:at], one[at + 1 :]) == (other[:at], other[at + 1 :]):
        return distance
    return min(d for wrap in (_WRAPS, 10**width) if (d := distance + wrap) > 0 or wrap != _WRAPS)


def _has_fractions(stems: list[str]) -> bool:
    """Whether ``12.5`` is twelve and a half here, and not picture 5 of 12.

    Counted up, unpadded numbers pass a 10 sooner or later; no fraction that is written without
    padding ends with 0.  Padded ones sort alike as both.
    """
    found = [match for stem in stems for match in _FRACTION.findall(stem)]
    if len({len(fraction) for fraction in found}) < 2:
        return bool(found)
    return not any(len(fraction) > 1 and fraction.endswith("0") for fraction in found)


def _pieces(name: str, numbers: re.Pattern[str]) -> list:
    """Text, number, text, …, text."""
    pieces = numbers.split(name)
    return [_number(piece) if at % 2 else piece.lower() for at, piece in enumerate(pieces)]


def _number(text: str) -> int | Fraction:
    return Fraction(text) if "." in text else int(text)
