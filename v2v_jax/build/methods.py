"""The methods: which networks, estimators and weights each gets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from absl import logging
from ml_collections import ConfigDict

from v2v_jax.build import flows, segmenters
from v2v_jax.build.choice import Config, choice
from v2v_jax.build.networks import extractor
from v2v_jax.flow.dis import Dis
from v2v_jax.methods import cyclegan, recurrent
from v2v_jax.methods.base import Method
from v2v_jax.methods.cycada import CyCada
from v2v_jax.methods.cyclegan import CycleGan
from v2v_jax.methods.recurrent import Recurrent
from v2v_jax.methods.segmentation import Segmentation
from v2v_jax.nets.discriminator import PatchDiscriminator
from v2v_jax.nets.fusion import Fusion
from v2v_jax.nets.generator import ResnetGenerator
from v2v_jax.translator import Restored

DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}
"""``precision`` -> dtype of the networks' convolutions."""


TERMS = {"semantic"} | {
    field.name
    for kind in (recurrent.Weights, cyclegan.Weights)
    for field in dataclasses.fields(kind)
}
"""Every method's loss terms; a method takes its own."""


def _weights(config: Config, kind: type[Any]) -> Any:
    if unknown := set(config.weights) - TERMS:
        raise TypeError(f"no method has the loss term {min(unknown)!r}")
    return kind(**{field.name: config.weights[field.name] for field in dataclasses.fields(kind)})


def _recurrent(config: Config) -> Recurrent:
    if config.data.frames < 2:
        raise ValueError(
            f"config.data.frames: K = {config.data.frames}, but the losses compare consecutive "
            "frames: at least 2"
        )
    precision = choice(config, "precision", DTYPES)
    return Recurrent(
        image=ResnetGenerator(**config.image, dtype=precision),
        fusion=Fusion(**config.fusion, dtype=precision),
        discriminator=PatchDiscriminator(**config.discriminator, dtype=precision),
        content=extractor(config, precision),
        flow=flows.estimator(config, precision),
        weights=_weights(config, recurrent.Weights),
        adversarial=config.adversarial,
        occlusion_alpha=config.occlusion_alpha,
        occlusion_squared=config.occlusion_squared,
        losses_on_raw=config.losses_on_raw,
        cycle_memory=config.cycle_memory,
        truncate=config.truncate,
        history=config.history,
        gate=config.gate,
    )


def _cyclegan(config: Config) -> CycleGan:
    precision = choice(config, "precision", DTYPES)
    return CycleGan(
        image=ResnetGenerator(**config.image, dtype=precision),
        discriminator=PatchDiscriminator(**config.discriminator, dtype=precision),
        weights=_weights(config, cyclegan.Weights),
        adversarial=config.adversarial,
        pool=config.pool,
    )


def _cycada(config: Config) -> CyCada:
    if not config.weights.semantic:
        raise ValueError("config.weights.semantic: 0 makes CyCADA a CycleGAN; use that method")
    return CyCada(
        cyclegan=_cyclegan(config),
        segmenter=segmenters.net(config),
        semantic=config.weights.semantic,
        **config.cycada,
    )


def _segmentation(config: Config) -> Segmentation:
    return Segmentation(net=segmenters.net(config), domain=config.segmenter.domain)


METHODS: dict[str, Callable[[Config], Method]] = {
    "recurrent": _recurrent,
    "cyclegan": _cyclegan,
    "cycada": _cycada,
    "segmentation": _segmentation,
}
"""Method name -> constructor; a new method is one file, one line here and one config."""


def method(config: Config) -> Method:
    """The method that ``config.method`` names, with its networks injected."""
    size = tuple(config.data.size)
    if len(size) != 2 or not all(isinstance(side, int) for side in size):
        raise ValueError(f"config.data.size: {size} must be height,width, for example 256,512")
    if any(side % 4 for side in size) or min(size) < 16:
        near = ",".join(str(max(16, round(side / 4) * 4)) for side in size)
        raise ValueError(
            f"config.data.size: {size[0]}x{size[1]} must be multiples of 4 and at least 16, "
            f"for example --config.data.size={near}"
        )
    return choice(config, "method", METHODS)(config)


def restore_method(config: dict[str, Any]) -> Restored:
    """What a run's saved config stands for, for ``Translator``.

    A run trained on given flow translates with DIS: an arbitrary video brings no flow.
    """
    saved: Config = ConfigDict(config)
    try:
        flow = Dis(scale=saved.flow.scale, preset=saved.flow.preset)
        made = method(saved)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"the run was trained by another version of v2v_jax, whose configuration differs "
            f"({str(error).splitlines()[0]}): use that version, or train again"
        ) from error
    # The content network is not part of translating: its weights may be long gone.
    if note := flows.random_note(saved):
        logging.warning("%s", note)
    brought = saved.flow.kind in ("dis", "given")
    return Restored(made, {"flow": flows.params(saved)}, flow if brought else None)
