"""One clock for a file whose own starts anew: recordings joined end to end, broken broadcasts."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

_BACK = Fraction(1, 10)
"""Seconds: decoders give pictures in the order of their times, and small steps back are noise."""
_FAR = Fraction(10)
"""Seconds, as in FFmpeg: a broadcast's clock that jumps so far ahead is another one."""


@dataclasses.dataclass(frozen=True)
class Clock:
    """What makes one clock of several that follow each other in a file.

    Attributes:
        shifts: of each part in the order of the file, in seconds, added to its times.
        jumps: whether a leap ahead begins a new part, too; a step back always does.
    """

    shifts: tuple[Fraction, ...] = (Fraction(0),)
    jumps: bool = False

    @property
    def joints(self) -> int:
        """How often it starts anew."""
        return len(self.shifts) - 1

    def breaks(self, before: Fraction, after: Fraction) -> bool:
        """Whether a part ends between two times of one stream, in seconds."""
        return after < before - _BACK or (self.jumps and after > before + _FAR)


class Hand:
    """Follows a clock along one stream of a file, picture or sound."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._part = clock, 0
        self._before: Fraction | None = None

    def shift(self, time: Fraction) -> Fraction:
        """What to add to the stream's next time, in seconds."""
        if self._before is not None and self._clock.breaks(self._before, time):
            self._part = min(self._part + 1, self._clock.joints)
        self._before = time
        return self._clock.shifts[self._part]


def straightened(
    decoded: np.ndarray, shown: np.ndarray, base: Fraction, *, jumps: bool
) -> tuple[np.ndarray, Clock]:
    """Sets the parts of a video one behind the other.

    Args:
        decoded: when its packets are decoded, int64 [N], ticks, in the order of the file.
        shown: when their pictures are shown, likewise.
        base: seconds per tick.
        jumps: see `Clock`.

    Returns:
        ``shown`` by one clock, and that clock.
    """
    steps = np.diff(decoded)
    broken = steps < -float(_BACK / base)
    if jumps:
        broken |= steps > float(_FAR / base)
    starts = (np.flatnonzero(broken) + 1).tolist()
    if not starts:
        return shown, Clock(jumps=jumps)
    parts = np.split(shown, starts)
    distances = np.concatenate([np.diff(np.sort(part)) for part in parts])
    usual = max(1, int(np.median(distances))) if len(distances) else 1
    shifts = _behind_each_other(parts, usual)
    moved = np.concatenate([part + by for part, by in zip(parts, shifts, strict=True)])
    return moved, Clock(tuple(by * base for by in shifts), jumps)


def _behind_each_other(parts: Sequence[np.ndarray], usual: int) -> list[int]:
    """Ticks to move each part by, so that it begins a ``usual`` distance after the one before."""
    shifts = [0]
    for before, part in itertools.pairwise(parts):
        shifts.append(int(before.max()) + shifts[-1] + usual - int(part.min()))
    return shifts
