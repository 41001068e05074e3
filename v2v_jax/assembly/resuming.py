"""A resumed run whose configuration is no longer the one it was started with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import logging

from v2v_jax.assembly.networks import RANDOM
from v2v_jax.assembly.saved import completed, defaults, flat
from v2v_jax.training.checkpoints import load_player, saved_steps
from v2v_jax.training.optimizers import falling

MAY_DIFFER = frozenset({
    "steps", "log_every", "picture_every", "checkpoint_every", "evaluate_every", "evaluate", "keep",
    "nonfinite_limit", "data.source", "data.target", "data.cache", "data.threads", "data.workers",
    "content.weights", "flow.weights",
})  # fmt: skip
"""Fields, or whole groups, that change neither the networks nor what a step computes: how long,
how often, and where things lie."""


def warn_of_changes(config: Mapping[str, Any], workdir: Path) -> None:
    """One warning that names the fields in which ``config`` is not the newest checkpoint's.

    Networks of other sizes are an error of their own, which the training loop raises; and so is a
    checkpoint that cannot be read.
    """
    if saved := _saved(workdir):
        _warn_of_fields(saved, config)


def warn_of_resuming(config: Mapping[str, Any], workdir: Path) -> None:
    """As ``warn_of_changes``; and one where a falling rate is not what it would have been next."""
    if saved := _saved(workdir):
        _warn_of_fields(saved, config)
        _warn_of_rates(saved, config, saved_steps(workdir.absolute() / "checkpoints")[-1])


def _warn_of_fields(saved: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    if changes := changed_fields(saved, config):
        logging.warning("the checkpoint was trained with another config: %s", "; ".join(changes))


def _warn_of_rates(saved: Mapping[str, Any], config: Mapping[str, Any], step: int) -> None:
    before, after = (_rate(run, step) for run in (saved, config))
    if step >= config["steps"] or before == after or _falls(saved) != _falls(config):
        return
    old, new = (_end(run) for run in (saved, config))
    logging.warning(
        "the learning rate falls to 0 at step %d now, formerly at step %d: step %d is trained with "
        "%.3g, by the old schedule it would be %.3g; --config.optimizer.decay_steps=%d keeps that",
        new, old, step + 1, after, before, old,
    )  # fmt: skip


def _saved(workdir: Path) -> Mapping[str, Any] | None:
    """The newest checkpoint's config, completed; None where it cannot be read."""
    try:
        return completed(load_player(workdir.absolute() / "checkpoints")[1]["config"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _end(config: Mapping[str, Any]) -> int:
    return config["optimizer"]["decay_steps"] or config["steps"]


def _falls(config: Mapping[str, Any]) -> tuple[float, float]:
    """How the rate falls, but for when: other changes of it are told as such."""
    return config["optimizer"]["learning_rate"], config["optimizer"]["constant"]


def _rate(config: Mapping[str, Any], step: int) -> float:
    """The rate after ``step`` steps."""
    rate, constant = _falls(config)
    schedule: Any = falling(rate, constant, _end(config))
    return rate if constant == 1 else float(schedule(step))


def changed_fields(
    old: Mapping[str, Any], new: Mapping[str, Any], may_differ: frozenset[str] = MAY_DIFFER
) -> list[str]:
    """``["optimizer.learning_rate 0.0002 -> 0.0001"]``, without the fields that may differ."""
    before, after = flat(old), flat(new)
    for name in defaults().keys() & (before.keys() ^ after.keys()):
        before.setdefault(name, defaults()[name])
        after.setdefault(name, defaults()[name])
    return [
        f"{name} {before.get(name, 'unset')} -> {after.get(name, 'unset')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
        # From a file to random weights is more than a move.
        and (
            not {name, name.partition(".")[0]} & may_differ
            or RANDOM in (before.get(name), after.get(name))
        )
    ]
