"""The trained translator that a stabiliser is trained over."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp

from v2v_jax.assembly import pretrained
from v2v_jax.assembly.choice import Config
from v2v_jax.assembly.players import image_generator
from v2v_jax.assembly.saved import completed
from v2v_jax.training.checkpoints import load_player
from v2v_jax.types import Params

DIRECTION = "to_target"
"""What a stabiliser is trained over: translations of the source domain."""
CODER = {"stem", "down_0", "down_1"}
"""What every image generator begins with."""


def params(config: Config) -> Params:
    """The image generator of the run ``stabiliser.run``; {} where no warp error is trained on.

    Of a run of the paper's method, only the image generator counts: its frames are those that
    flicker.

    Raises:
        ValueError: no run is named, or one of another image generator.
        FileNotFoundError: the run has no checkpoint.
    """
    if not _needed(config):
        return {}
    run = config.stabiliser.run
    if not run:
        raise ValueError(
            "config.stabiliser.run is empty: train a per-frame translator "
            "(--config=configs/demo.py:cyclegan --workdir=runs/cyclegan) and give its folder, "
            "--config.stabiliser.run=runs/cyclegan"
        )
    try:
        found, meta = load_player(Path(run) / "checkpoints")
    except FileNotFoundError as missing:
        raise FileNotFoundError(
            f"config.stabiliser.run: the translator's run {run} holds no checkpoint (moved?): "
            "bring it back, or steady the videos of another one with "
            "--mode=translate --workdir=ITS_RUN --stabilise=THIS_RUN"
        ) from missing
    network = found.get(DIRECTION, {})
    network = network.get("image", network)
    if pretrained.shapes(network) != pretrained.shapes(abstract_params(config)):
        has = _described(network, completed(meta["config"]))
        raise ValueError(
            f"config.stabiliser.run: {run} has {has}, but config.image is "
            f"{config.image.features} features and {config.image.blocks} blocks, "
            f"{config.image.upsample}: set --config.image.features, --config.image.blocks and "
            "--config.image.upsample to the run's, or give another run"
        )
    return jax.device_get(network)


def abstract_params(config: Config) -> Params:
    """Shapes and dtypes of ``params``; needs no run."""
    if not _needed(config):
        return {}
    frame = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    return pretrained.abstract(image_generator(config), frame)


def _needed(config: Config) -> bool:
    return bool(config.weights.short_term or config.weights.long_term)


def _described(network: Params, saved: Config) -> str:
    """What a run translates with, by its parameters and its saved config."""
    image = saved.image
    if not network.keys() >= CODER:
        return f"no image generator of its own (its method is {saved.method!r})"
    last = image.upsample if image.kind == "resnet" else image.kind
    return f"an image generator of {image.features} features and {image.blocks} blocks, {last}"
