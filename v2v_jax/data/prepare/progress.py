"""How far a preparation is."""

from __future__ import annotations

import sys
import time

from v2v_jax.data.prepare.work import Outcome

_SECONDS = 5.0


class Progress:
    """Prints a line to standard error now and then.

    Args:
        total: frames of the data set.
        todo: those an earlier run has not done.
    """

    def __init__(self, total: int, todo: int) -> None:
        self._total, self._before, self._todo = total, total - todo, todo
        self._done = self._skipped = 0
        self._start = self._said = time.monotonic()
        if self._before:
            say(f"{self._before} of {total} frames are there from an earlier run")

    def add(self, outcomes: list[Outcome]) -> None:
        """Counts outcomes."""
        self._done += len(outcomes)
        self._skipped += sum(len(outcome.skipped) for outcome in outcomes)
        now = time.monotonic()
        if now - self._said >= _SECONDS:
            self._said = now
            say(self._line(now - self._start))

    def _line(self, seconds: float) -> str:
        rate = self._done / seconds
        left = max(0, self._todo - self._done) / rate if rate else 0.0
        there = self._before + self._done
        return (
            f"{there} of {self._total} frames ({100 * there / max(1, self._total):.1f} %), "
            f"{rate:.1f} frames/s, {_span(left)} left, {self._skipped} skipped"
        )


def say(line: str) -> None:
    """A line with the time in front."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
