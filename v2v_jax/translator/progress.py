"""How far a long translation has come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PROGRESS_SECONDS = 10.0
"""Time between two progress lines."""


class Progress:
    """Counts frames and says now and then how many, how fast and how long still."""

    def __init__(self, total: int | None, log: Callable[[str], Any]):
        self.done = 0
        self._total = total
        self._log = log
        self._begin = self._reported = time.monotonic()

    def advance(self) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self._reported >= PROGRESS_SECONDS:
            self._reported = now
            self.report()

    def report(self) -> None:
        rate = self.done / max(time.monotonic() - self._begin, 1e-9)
        line = f"translated {self.done}"
        # Containers only estimate their length: past the estimate there is nothing to foretell.
        if self._total and self.done < self._total:
            left = round((self._total - self.done) / rate)
            line += f" of {self._total} frames, {rate:.1f} frames/s"
            line += f", ETA {left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}"
        else:
            line += f" frames, {rate:.1f} frames/s"
        self._log(line)
