"""A trained stabiliser behind a trained translator, or behind videos that somebody else made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import v2v_jax
from v2v_jax.assembly.methods import saved_method
from v2v_jax.methods.stabilised import Pair, Stabilised, Stabiliser
from v2v_jax.training.checkpoints import load_player
from v2v_jax.translator import Restored
from v2v_jax.types import Params


def stabilise(
    restored: Restored, generator: Params, workdir: str | Path
) -> tuple[Restored, Params]:
    """A translator whose videos are steadied.

    Args:
        restored: the translator.
        generator: its parameters of one direction.
        workdir: a run of ``method="blind_temporal"``.

    Returns:
        The method of both, and its generator parameters; for ``Translator`` and evaluation.

    Raises:
        ValueError: a run of another method, or of another version.
        FileNotFoundError: the run has no checkpoint.
    """
    stabiliser, params = _trained(workdir)
    made = Stabilised(restored.method, stabiliser)
    return restored._replace(method=made), {"translator": generator, "stabiliser": params}


def stabilised(
    workdir: str | Path | None,
    stabiliser: str | Path,
    direction: str = "to_target",
    step: int | None = None,
) -> tuple[Restored, Params]:
    """The translator of a run, or none, with the stabiliser of another behind it.

    Args:
        workdir: the translator's run; None: the frames will be pairs of original and processed,
            see ``methods.stabilised.Pair``.
        stabiliser: a run of ``method="blind_temporal"``.
        direction: the translator's.
        step: the translator's checkpoint, without one the stabiliser's; None: the latest.

    Raises:
        ValueError, FileNotFoundError: as ``stabilise`` and ``Translator.load``.
    """
    if workdir is None:
        method, params = _trained(stabiliser, step)
        pair: Any = Pair(method)  # Translates only, so no whole Method.
        return Restored(pair, {}, None), params
    loaded = v2v_jax.Translator.load(workdir, direction, step)
    restored = Restored(loaded.method, loaded.params["frozen"], loaded.host_flow)
    return stabilise(restored, loaded.params["generator"], stabiliser)


def _trained(workdir: str | Path, step: int | None = None) -> tuple[Stabiliser, Params]:
    """The stabiliser of a run; the translator it was trained over may be gone."""
    directory = Path(workdir).resolve() / "checkpoints"
    how = "`python -m v2v_jax.main --config=configs/demo.py:bt --workdir=…` trains a stabiliser"
    try:
        players, meta = load_player(directory, step)
    except FileNotFoundError as missing:
        if any(directory.glob("*")):
            raise
        raise FileNotFoundError(f"--stabilise={workdir} holds no checkpoint: {how}") from missing
    method = saved_method(meta["config"])
    if not isinstance(method, Stabiliser):
        name = meta["config"]["method"]
        raise ValueError(
            f"--stabilise={workdir} is a run of {name!r}, not of 'blind_temporal': {how}"
        )
    return method, players["to_target"]
