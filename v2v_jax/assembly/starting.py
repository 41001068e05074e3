"""Where a run starts from: random networks, warmed ones, or another run's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging

from v2v_jax.assembly.choice import Config
from v2v_jax.assembly.data import single_frames
from v2v_jax.assembly.resuming import warn_of_changes
from v2v_jax.methods.base import Method
from v2v_jax.methods.imitation import Imitation
from v2v_jax.training.checkpoints import load_player
from v2v_jax.training.optimizers import make_falling
from v2v_jax.types import Params


def warm_up(config: Config, made: Method, batches: Any, plain: Any, workdir: Path) -> Any:
    """``warm_up`` of ``training.loop.train``; None where the config asks for none.

    Args:
        config: of the run.
        made: its method.
        batches: of the run, see ``assembly.data.batches``.
        plain: the config as JSON.
        workdir: of the run.

    Raises:
        ValueError: a warm-up that cannot be had.
    """
    if not (chosen := _chosen(config, made)):
        return None
    half, devices = config.warm_up.batch // 2, jax.device_count()
    if half % devices:
        raise ValueError(
            f"config.warm_up.batch: {half} of its {2 * half} frames are of each domain, which "
            f"cannot be divided over {devices} devices: make it a multiple of {2 * devices}"
        )
    warn_of_changes(plain, workdir / "warm_up")
    return chosen | {
        "frozen": {},
        "batches": single_frames(config, batches),
        "seed": config.seed,
        # The warmed weights themselves are what the run starts from.
        "ema_decay": 0.0,
        "log_every": config.log_every,
        "picture_every": 0,
        "checkpoint_every": config.checkpoint_every,
        "nonfinite_limit": config.nonfinite_limit,
        "keep": 2,
        "meta": {"config": plain},
        "name": "warm-up",
    }


def described_warm_up(config: Config, made: Method) -> dict[str, Any]:
    """``{"warm_up": ...}`` of ``training.describe.describe``; {} where the config asks for none."""
    if not (chosen := _chosen(config, made)):
        return {}
    shape = (config.warm_up.batch // 2, 1, *config.data.size, 3)
    clip = {"frames": jax.ShapeDtypeStruct(shape, jnp.uint8)}
    return {"warm_up": chosen | {"frozen": {}, "batch": {"source": clip, "target": clip}}}


def _chosen(config: Config, made: Method) -> dict[str, Any]:
    """Method, optimisers and steps; {} for none."""
    steps, batch, rate = (config.warm_up[name] for name in ("steps", "batch", "learning_rate"))
    if not steps:
        return {}
    if steps < 0:
        raise ValueError(f"config.warm_up.steps: {steps} is no number of steps; 0 is none")
    if batch < 2 or batch % 2:
        raise ValueError(
            f"config.warm_up.batch: {batch} frames, half of them of each domain: give an even "
            "number, at least 2"
        )
    if not hasattr(made, "warm_up"):
        raise ValueError(
            f"config.warm_up.steps: {steps}, but method {config.method!r} has no image generators "
            "to warm up: give --config.warm_up.steps=0"
        )
    method = Imitation(made)
    optimizers = make_falling(method.players, learning_rate=rate, steps=steps)
    return {"method": method, "optimizers": optimizers, "steps": steps}


def initial(config: Config, run: str | None) -> Callable[[], Params] | None:
    """``initial`` of ``training.loop.train``: the averaged parameters of another run.

    Args:
        config: of the new run.
        run: the other's folder; None for no other.
    """
    if not run:
        return None

    def load() -> Params:
        skipped = (
            f", without the {steps} steps of warm-up" if (steps := config.warm_up.steps) else ""
        )
        logging.info("starting from what translates in %s%s", run, skipped)
        return jax.device_get(load_player(Path(run) / "checkpoints")[0])

    return load
