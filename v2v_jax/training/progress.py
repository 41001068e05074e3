"""The progress line: how fast, how long still, and what the losses are."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping


class Progress:
    """Counts steps per second of training alone.

    The clock starts after compilation and stands still inside ``paused`` (evaluation, pictures,
    saving), so the rate is the step's own.
    """

    def __init__(
        self, steps: int, step: int, clock: Callable[[], float] = time.monotonic,
        name: str = "step",
    ):  # fmt: skip
        """``steps``: the run's last step; ``step``: the one it starts after; ``name``: of one."""
        self._name = name
        self._steps = steps
        self._clock = clock
        self._mark = (step, clock())
        self._paused = 0.0

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside does not count."""
        start = self._clock()
        try:
            yield
        finally:
            self._paused += self._clock() - start

    def rate(self, step: int) -> float:
        """Steps per second since the last call."""
        now = self._clock()
        last, since = self._mark
        elapsed = now - since - self._paused
        self._mark, self._paused = (step, now), 0.0
        return (step - last) / max(elapsed, 1e-9)

    def line(self, step: int, rate: float, metrics: Mapping[str, float]) -> str:
        """One line for the log."""
        left = (self._steps - step) / rate if rate else math.inf
        values = (f"{k} {v:.4g}" for k, v in metrics.items() if k.startswith(("loss/", "term/")))
        return "  ".join(
            [
                f"{self._name} {step}/{self._steps}",
                f"{rate:.3g} step/s",
                f"ETA {duration(left)}",
                *values,
            ]
        )


def duration(seconds: float) -> str:
    """1 h 02 min, 3 min 07 s, 12 s."""
    if not math.isfinite(seconds):
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
