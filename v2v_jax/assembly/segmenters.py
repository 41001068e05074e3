"""Segmenters: the one a run trains, and the one a run is judged by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from v2v_jax.assembly import pretrained
from v2v_jax.assembly.choice import Config, choice
from v2v_jax.nets.segmenter import SmallSegmenter
from v2v_jax.training.checkpoints import load_player
from v2v_jax.types import Params

NETS = {"small": SmallSegmenter}
"""``segmenter.net`` -> the network."""


def net(config: Config) -> Any:
    """The network that ``segmenter.net`` names."""
    return choice(config.segmenter, "net", NETS)(features=config.segmenter.features)


def params(config: Config) -> Params:
    """What the run ``segmenter.run`` has learnt; {} where nothing is judged by it.

    Raises:
        ValueError: no run is named, or one of another network.
        FileNotFoundError: the run has no checkpoint.
    """
    if not config.weights.semantic:
        return {}
    run = config.segmenter.run
    if not run:
        raise ValueError(
            "config.segmenter.run is empty: train a segmenter of the source domain "
            "(--config=configs/demo.py:segmenter --workdir=runs/segmenter) and give its folder, "
            "--config.segmenter.run=runs/segmenter"
        )
    found = load_player(Path(run) / "checkpoints")[0]
    needed = abstract_params(config)
    if "labels" not in found or pretrained.shapes(found["labels"]) != pretrained.shapes(needed):
        raise ValueError(
            f"config.segmenter.run: {run} is not a run of the segmenter {config.segmenter.net!r} "
            f"with {config.segmenter.features} features: give that run's, or train one"
        )
    return jax.device_get(found["labels"])


def abstract_params(config: Config) -> Params:
    """Shapes and dtypes of ``params``; needs no run."""
    if not config.weights.semantic:
        return {}
    return pretrained.abstract(net(config), jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32))
