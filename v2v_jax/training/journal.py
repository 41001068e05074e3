"""What a run says about itself: the log, the numbers, the pictures, and when to give up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from absl import logging

from v2v_jax.training.metrics_writer import MetricsWriter
from v2v_jax.training.pictures import contact_sheet, side_by_side
from v2v_jax.training.progress import Progress
from v2v_jax.types import Array


class NonFiniteError(RuntimeError):
    """Too many steps in a row whose loss or gradient was not finite."""


class Journal:
    """Reads a step's metrics, counts the steps that were not finite, writes logs and files."""

    def __init__(
        self, writer: MetricsWriter | None, progress: Progress, *, log_every: int,
        nonfinite_limit: int, skipped: int,
    ):  # fmt: skip
        """``writer``: None in processes that do not write; ``skipped``: of the restored state."""
        self._writer = writer
        self._progress = progress
        self._log_every = log_every
        self._limit = nonfinite_limit
        self.skipped = skipped

    def step(self, step: int, metrics: Mapping[str, Array]) -> None:
        """Waits for the metrics of ``step``; raises NonFiniteError after too many bad ones."""
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        if values["finite"] < 1.0:
            self._not_finite(step, values)
        else:
            self.skipped = 0
        if self._log_every and step % self._log_every == 0:
            rate = self._progress.rate(step)
            logging.info("%s", self._progress.line(step, rate, values))
            self.write(step, {**values, "steps_per_second": rate})

    def _not_finite(self, step: int, values: Mapping[str, float]) -> None:
        self.skipped += 1
        bad = sorted(name for name, value in values.items() if not math.isfinite(value))
        what = f"step {step}: not finite: {', '.join(bad) or 'a gradient'}"
        logging.error("%s; the state stays as it was (%d in a row)", what, self.skipped)
        if self.skipped >= self._limit:
            raise NonFiniteError(
                f"{what}; {self.skipped} steps in a row, so training stops; the last checkpoint is "
                "good: look at the data of these steps, or train with a lower learning rate"
            )

    def write(self, step: int, results: Mapping[str, Any]) -> None:
        """Numbers, uint8 [H, W, 3] pictures and uint8 [T, H, W, 3] clips by name."""
        if self._writer is None:
            return
        arrays = {n: np.asarray(v) for n, v in results.items() if np.ndim(v)}
        self._writer.scalars(step, {n: float(v) for n, v in results.items() if n not in arrays})
        for name, array in arrays.items():
            (self._writer.image if array.ndim == 3 else self._writer.clip)(step, name, array)

    def show(self, step: int, pictures: Mapping[str, Array]) -> None:
        """The contact sheet and the animated clip of ``Aux.pictures``."""
        if self._writer is None or not pictures:
            return
        frames = jax.device_get(dict(pictures))
        self._writer.image(step, "sheet", contact_sheet(frames))
        if (clip := side_by_side(frames)) is not None:
            self._writer.clip(step, "clip", clip)
