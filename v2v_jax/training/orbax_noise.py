"""What orbax says that a user need not read: it reaches him as one line of ours."""

from __future__ import annotations

import logging as std_logging
import sys
import warnings
from typing import Any


def no_chatter(record: std_logging.LogRecord) -> bool:
    """Orbax logs some 50 lines per save: they would drown the progress line."""
    if "/orbax/" not in record.pathname:
        return True
    # What its threads log with a traceback, they hand on as an exception too.
    aloud = record.levelno >= std_logging.WARNING and not record.exc_info
    return aloud and "read only" not in str(record.msg)


def hush_abandoned_writes() -> None:
    """After a failed save orbax's event loop dies with writes in it, each of which complains."""
    std_logging.getLogger("asyncio").setLevel(std_logging.CRITICAL)
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
    former = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if "Event loop is closed" not in str(unraisable.exc_value):
            former(unraisable)

    sys.unraisablehook = hook
