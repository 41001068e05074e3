"""Another run to show beside the one that is evaluated."""

from __future__ import annotations

from pathlib import Path

from absl import logging

import v2v_jax
from v2v_jax.evaluation.session import Translating
from v2v_jax.training.checkpoints import saved_steps


def called(workdir: str | Path, step: int | None, *, other: bool = False) -> str:
    """Who a run is, in a report that shows several.

    Args:
        workdir: its folder; one without a log of its training was exported, and came as it is.
        step: the checkpoint; None: the latest.
        other: whether it is beside the one that is evaluated.
    """
    steps = max(saved_steps(Path(workdir) / "checkpoints")) if step is None else step
    logged = (Path(workdir) / "metrics.jsonl").is_file()
    if other:
        return f"{workdir if logged else f'shipped ({workdir})'} after {steps} steps"
    return f"trained here for {steps} steps" if logged else f"{workdir} after {steps} steps"


def standing_beside(run: str | None, direction: str) -> tuple[list[Translating], list[str]]:
    """The run to show beside, if any, and what the report must say instead.

    A folder without a checkpoint is no error: shipped models are in a checkout and not in a
    wheel, and the evaluation is worth having without them.

    Args:
        run: its folder; None: none is wanted.
        direction: as of the evaluated run.

    Raises:
        ValueError: it does not translate that way.
    """
    if not run:
        return [], []
    if not saved_steps(Path(run) / "checkpoints"):
        note = f"nothing stands beside this run: {run} holds no checkpoint (a checkout has some)"
        logging.warning("%s", note)
        return [], [note]
    translator = v2v_jax.Translator.load(run, direction)
    if translator.channels != 3:
        raise ValueError(f"--beside={run} is a stabiliser, which translates nothing by itself")
    params = translator.params
    made = translator.method, params["generator"], params["frozen"], translator.host_flow
    return [Translating(called(run, None, other=True), *made)], []
