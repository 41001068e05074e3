"""A resumed run whose configuration is no longer the one it was started with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import logging

from v2v_jax.assembly.networks import RANDOM
from v2v_jax.training.checkpoints import load_player

MAY_DIFFER = frozenset({
    "steps", "log_every", "picture_every", "checkpoint_every", "evaluate_every", "evaluate", "keep",
    "nonfinite_limit", "data.source", "data.target", "data.cache", "data.threads", "data.workers",
    "content.weights", "flow.weights",
})  # fmt: skip
"""Fields, or whole groups, that change neither the networks nor what a step computes: how long,
how often, and where things lie."""

AS_BEFORE = {
    "image.kind": "resnet", "image.upsample": "transpose", "image.up_init": "normal",
    "discriminator.norm": "instance", "discriminator.motion": False,
    "discriminator.labels": False, "balance": False,
    "weights.gradient_penalty": 0.0, "optimizer.discriminator_rate": 0.0,
    "warm_up.steps": 0, "warm_up.batch": 6, "warm_up.learning_rate": 2e-3,
}  # fmt: skip
"""Fields that older configs lack, and the values by which a run is what it was without them."""


def warn_of_changes(config: Mapping[str, Any], workdir: Path) -> None:
    """One warning that names the fields in which ``config`` is not the newest checkpoint's.

    Networks of other sizes are an error of their own, which the training loop raises; and so is a
    checkpoint that cannot be read.
    """
    try:
        saved = load_player(workdir.absolute() / "checkpoints")[1]["config"]
    except (FileNotFoundError, ValueError, KeyError):
        return
    if changes := changed_fields(saved, config):
        logging.warning("the checkpoint was trained with another config: %s", "; ".join(changes))


def changed_fields(
    old: Mapping[str, Any], new: Mapping[str, Any], may_differ: frozenset[str] = MAY_DIFFER
) -> list[str]:
    """``["optimizer.learning_rate 0.0002 -> 0.0001"]``, without the fields that may differ."""
    before, after = _flat(old), _flat(new)
    for name in AS_BEFORE.keys() & (before.keys() | after.keys()):
        before.setdefault(name, AS_BEFORE[name])
        after.setdefault(name, AS_BEFORE[name])
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


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = list(value) if isinstance(value, tuple) else value
    return found
