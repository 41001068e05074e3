"""When the frames of a video are shown: at a constant rate, or each at its own time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np

USUAL_RATES = tuple(
    rate for whole in (24, 30, 60, 120) for rate in (Fraction(whole), Fraction(whole * 1000, 1001))
) + tuple(Fraction(rate) for rate in (5, 10, 12, 15, 20, 25, 50, 100))
"""Tried where a container names no rate that fits."""
_FASTEST = 100_000
_ROUNDED = Fraction(1, 200)
GAP = 4.0
"""Two frames further apart than so many median distances belong to two clips."""
_COARSE = 4
_ALIKE = Fraction(1, 2500)
_HELD = Fraction(3, 2)
"""A last frame shown for more than so many usual distances is a held one, not one of a rate."""


def exact_rate(value: str | float) -> Fraction:
    """A rate as people write it: 25, "30000/1001", 29.97 (which is 30000/1001, like 23.976).

    Raises:
        ValueError: no rate.
    """
    text = str(value).strip()
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= _FASTEST:
        raise ValueError(
            f"{text!r} is no frame rate: give frames per second, for example 25, 29.97 or "
            "30000/1001"
        )
    broadcast = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    rounded = rate.denominator > 1 and "/" not in text and abs(rate - broadcast) < _ROUNDED
    return broadcast if rounded else rate


@dataclasses.dataclass
class Timing:
    """When frames are shown, in whole ticks.

    Attributes:
        rate: frames per second, exact; the mean of a variable rate.
        base: seconds per tick of ``stamps``; None: a constant rate, whose tick is one frame.
        usual: median distance of two frames, ticks.
        last: how long the last frame is shown, ticks.
        origin: the time of the input's clock, in seconds, that is 0 here.
        stamps: of every frame read so far, ticks; of a variable rate only.
        foreseen: what they should be in the end.
    """

    rate: Fraction
    base: Fraction | None = None
    usual: int = 1
    last: int = 1
    origin: Fraction = Fraction(0)
    stamps: list[int] = dataclasses.field(default_factory=list)
    foreseen: list[int] = dataclasses.field(default_factory=list, repr=False)

    @property
    def tick(self) -> Fraction:
        """Seconds."""
        return 1 / self.rate if self.base is None else self.base

    def note(self, number: int, stamp: int | None) -> None:
        """Keeps the time stamp of frame ``number``, ticks; None where it has none."""
        if self.base is None or number != len(self.stamps):
            return
        first = not self.stamps
        if stamp is None:
            stamp = 0 if first else self.stamps[-1] + self.usual
        # Two frames at one time cannot be written; the later one gets the next tick.
        self.stamps.append(stamp if first else max(stamp, self.stamps[-1] + 1))

    def start(self, number: int) -> int:
        """When frame ``number``, which has been read, begins, ticks."""
        if self.base is None:
            return number
        known = len(self.stamps)
        if number < known:
            return self.stamps[number]
        return (self.stamps[-1] if known else 0) + (number - known + 1) * self.usual

    def end(self, number: int, *, final: bool) -> int:
        """When frame ``number`` ends, ticks; ``final``: it is the last one."""
        return self.start(number) + self.last if final else self.start(number + 1)

    def is_after_gap(self, number: int, factor: float = GAP) -> bool:
        """Whether frame ``number``, which has been read, belongs to another clip than the last."""
        if self.base is None or not number:
            return False
        return self.start(number) - self.start(number - 1) > factor * self.usual


def judge(
    stamps: np.ndarray, base: Fraction, rates: Iterable[Fraction | None], last: int
) -> Timing:
    """The timing of a video, whose ``stamps`` are to be filled in while it is read.

    A constant rate is one whose frames would have exactly these time stamps, rounded to ticks.

    Args:
        stamps: int64 [N], ascending, N >= 1, ticks.
        base: seconds per tick.
        rates: what the container says, best first; tried before the usual ones.
        last: how long the last frame is shown, ticks; 0 where nothing says so.
    """
    distances = np.diff(stamps)
    usual = max(1, int(np.median(distances))) if len(distances) else 0
    begin = int(stamps[0]) * base
    wanted = [Fraction(rate) for rate in rates if rate]
    if usual:
        wanted.append(1 / (usual * base))
    elif not wanted:
        wanted.append(1 / (last * base) if last else Fraction(25))
    # Of coarse ticks, any pattern is some rate's.
    usual_rates = [rate for rate in USUAL_RATES if rate * base * _COARSE <= 1]
    for rate in (*_corrected(wanted, usual_rates, base), *usual_rates):
        if _fits(stamps, base, rate) and last * base <= _HELD / rate:
            return Timing(rate, origin=begin)
    usual = usual or max(1, last)
    last = last or usual
    seconds = (int(stamps[-1]) + last) * base - begin
    return Timing(len(stamps) / seconds, base, usual, last, foreseen=stamps.tolist())


def _corrected(
    rates: list[Fraction], usual_rates: list[Fraction], base: Fraction
) -> Iterator[Fraction]:
    """Rates by the container's words; a mean of rounded times is a usual rate's first."""
    for rate in rates:
        if (1 / (rate * base)).denominator != 1:
            near = min(usual_rates, key=lambda usual: abs(usual - rate), default=rate)
            if abs(near - rate) < _ALIKE * rate:
                yield near
        yield rate


def _fits(stamps: np.ndarray, base: Fraction, rate: Fraction) -> bool:
    """Whether these are the times of a constant rate, whichever way they were rounded."""
    step = 1 / (rate * base)
    apart = stamps - stamps[0] - np.arange(len(stamps)) * float(step)
    return float(np.ptp(apart)) <= (0.5 if step.denominator == 1 else 1 + 1e-6)


def gaps(stamps: list[int], factor: float = GAP) -> list[int]:
    """The numbers of the frames before which there is a gap.

    Args:
        stamps: of a video's frames, ascending, ticks; [] of a constant rate.
        factor: a gap is longer than so many median distances; 0: nothing is.
    """
    distances = np.diff(np.asarray(stamps, np.int64))
    if not factor or not len(distances):
        return []
    return (np.flatnonzero(distances > factor * np.median(distances)) + 1).tolist()
