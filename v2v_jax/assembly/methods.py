"""The methods: which networks, estimators and weights each gets."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from absl import logging

from v2v_jax.assembly import flows, segmenters
from v2v_jax.assembly.choice import Config, choice
from v2v_jax.assembly.networks import FROZEN, extractor
from v2v_jax.assembly.players import discriminator, image_generator
from v2v_jax.assembly.saved import completed
from v2v_jax.flow.dis import Dis
from v2v_jax.methods import blind_temporal, cyclegan, recurrent, recyclegan
from v2v_jax.methods.base import Method, translates_with
from v2v_jax.methods.blind_temporal import BlindTemporal
from v2v_jax.methods.cycada import CyCada
from v2v_jax.methods.cyclegan import CycleGan
from v2v_jax.methods.recurrent import Recurrent
from v2v_jax.methods.recyclegan import RecycleGan
from v2v_jax.methods.segmentation import Segmentation
from v2v_jax.nets.fusion import Constant, Fusion
from v2v_jax.nets.predictor import DEEPEST, Predictor
from v2v_jax.nets.stabiliser import NORMS, TransformNet
from v2v_jax.translator import Restored

DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}
"""``precision`` -> dtype of the networks' convolutions."""

FUSIONS = {"learned": None, "average": 0.5, "rule": 1.0}
"""``fusion.kind`` -> the mask, where it is the same everywhere."""

TERMS = {"semantic"} | {
    field.name
    for kind in (
        recurrent.Weights,
        cyclegan.Weights,
        recyclegan.Weights,
        blind_temporal.Weights,
    )
    for field in dataclasses.fields(kind)
}
"""Every method's loss terms; a method takes its own."""


def _weights(config: Config, kind: type[Any]) -> Any:
    if unknown := set(config.weights) - TERMS:
        raise TypeError(f"no method has the loss term {min(unknown)!r}")
    return kind(**{field.name: config.weights[field.name] for field in dataclasses.fields(kind)})


def _at_least(config: Config, frames: int, why: str) -> None:
    if config.data.frames < frames:
        raise ValueError(
            f"config.data.frames: K = {config.data.frames}, but {why}: at least {frames}"
        )


def _fusion(config: Config, dtype: Any) -> nn.Module:
    mask = choice(config.fusion, "kind", FUSIONS)
    if config.fusion.kind == "rule" and not config.gate:
        raise ValueError(
            "config.fusion.kind: 'rule' keeps whatever the gate lets pass, and there is none: set "
            "--config.gate=true"
        )
    if mask is not None:
        return Constant(mask)
    options = {name: value for name, value in config.fusion.items() if name != "kind"}
    return Fusion(**options, dtype=dtype)


def _recurrent(config: Config) -> Recurrent:
    _at_least(config, 2, "the losses compare consecutive frames")
    precision = choice(config, "precision", DTYPES)
    return Recurrent(
        image=image_generator(config, precision),
        fusion=_fusion(config, precision),
        discriminator=discriminator(config, precision),
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
        gate_squared=config.gate_squared,
        balance=config.balance,
        evenness=config.evenness,
    )


def _cyclegan(config: Config) -> CycleGan:
    precision = choice(config, "precision", DTYPES)
    return CycleGan(
        image=image_generator(config, precision),
        discriminator=discriminator(config, precision, per_frame=True),
        weights=_weights(config, cyclegan.Weights),
        adversarial=config.adversarial,
        pool=config.pool,
    )


def _recyclegan(config: Config) -> RecycleGan:
    _at_least(config, 3, "a third frame is predicted from two")
    precision = choice(config, "precision", DTYPES)
    depth, (height, width) = config.predictor.depth, config.data.size
    if not 0 <= depth <= DEEPEST or height % 2**depth or width % 2**depth:
        raise ValueError(
            f"config.predictor.depth: {depth} must be at most {DEEPEST}, and 2^depth a divisor of "
            f"data.size {height}x{width}; --config.predictor.depth=0 fits every size"
        )
    return RecycleGan(
        image=image_generator(config, precision),
        discriminator=discriminator(config, precision, per_frame=True),
        predictor=Predictor(config.predictor.features, depth or None, dtype=precision),
        weights=_weights(config, recyclegan.Weights),
        adversarial=config.adversarial,
    )


def _blind_temporal(config: Config) -> BlindTemporal:
    _at_least(config, 2, "the losses compare consecutive frames")
    if not (config.weights.short_term or config.weights.long_term):
        raise ValueError(
            "config.weights.short_term and long_term: both 0, so that nothing is steadied; "
            "configs/demo.py:bt has upstream's"
        )
    precision = choice(config, "precision", DTYPES)
    choice(config.stabiliser, "norm", NORMS)
    options = {name: value for name, value in config.stabiliser.items() if name != "run"}
    return BlindTemporal(
        image=image_generator(config, precision),
        stabiliser=TransformNet(**options, dtype=precision),
        content=extractor(config, precision),
        flow=flows.estimator(config, precision),
        weights=_weights(config, blind_temporal.Weights),
        occlusion_alpha=config.occlusion_alpha,
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
    "recyclegan": _recyclegan,
    "cycada": _cycada,
    "blind_temporal": _blind_temporal,
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


def saved_method(config: dict[str, Any]) -> Method:
    """The method of a run's saved config.

    Raises:
        ValueError: the config is of another version.
    """
    with _of_this_version():
        return method(completed(config))


def restore_method(config: dict[str, Any]) -> Restored:
    """What a run's saved config stands for, for ``Translator``.

    A run trained on given flow translates with DIS: an arbitrary video brings no flow.
    """
    made: Method = saved_method(config)
    saved = completed(config)
    # Nothing else is asked for: the content network's weights may be long gone.
    needed = translates_with(made)
    flow = _saved_flow(saved) if "flow" in needed else None
    return Restored(made, {name: FROZEN[name](saved) for name in needed}, flow)


def _saved_flow(saved: Config) -> Dis | None:
    """What estimates flow on the host while translating; None where the graph does."""
    with _of_this_version():
        flow = Dis(scale=saved.flow.scale, preset=saved.flow.preset)
    if note := flows.random_note(saved):
        logging.warning("%s", note)
    return flow if saved.flow.kind in ("dis", "given") else None


@contextlib.contextmanager
def _of_this_version() -> Iterator[None]:
    try:
        yield
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"the run was trained by another version of v2v_jax, whose configuration differs "
            f"({str(error).splitlines()[0]}): use that version, or train again"
        ) from error
