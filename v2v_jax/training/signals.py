"""Ctrl-C and SIGTERM ask the loop to save and return, instead of killing it."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType

import jax
from absl import logging
from jax.experimental import multihost_utils


class StopRequest:
    """A context in which SIGINT and SIGTERM only raise a flag.

    The second signal is immediate: the first one puts the former handlers back.  With several
    processes SIGTERM belongs to JAX, whose handler makes all of them stop at the same step; SIGINT
    is passed on as SIGTERM.  Outside the main thread Python allows no handlers: none are set.
    """

    def __init__(self):
        self._asked = False
        self._former: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            alone = jax.process_count() == 1
            for number in (signal.SIGINT, signal.SIGTERM) if alone else (signal.SIGINT,):
                self._former[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._put_back()

    def _put_back(self) -> None:
        while self._former:
            number, handler = self._former.popitem()
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._put_back()
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self._asked = True
        logging.warning(
            "%s: saving after this step; a second signal stops at once", signal.Signals(number).name
        )

    def asked(self, step: int) -> bool:
        """Whether to stop now; every process calls it after every step and gets one answer."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self._asked
