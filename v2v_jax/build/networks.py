"""Methods with their networks, frozen parameters and flow estimators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging
from ml_collections import ConfigDict

from v2v_jax.build import flows, pretrained
from v2v_jax.build.choice import Config, choice
from v2v_jax.flow.base import HostFlow
from v2v_jax.flow.dis import Dis
from v2v_jax.methods.base import Method
from v2v_jax.methods.recurrent import Recurrent, Weights
from v2v_jax.nets.discriminator import PatchDiscriminator
from v2v_jax.nets.fusion import Fusion
from v2v_jax.nets.generator import ResnetGenerator
from v2v_jax.nets.vgg import Vgg, Vgg16, Vgg19
from v2v_jax.translator import Restored
from v2v_jax.types import Params
from v2v_jax.weights import from_torch

RANDOM = pretrained.RANDOM

CONTENT = {"vgg16": Vgg16, "vgg19": Vgg19}
"""``content.net`` -> the extractor of eq. 6."""


def random_weights_note(config: Config) -> str | None:
    """What the log, the README and the report must say aloud; None if weights are real."""
    notes = [note for note in (_content_note(config), flows.random_note(config)) if note]
    return "; ".join(notes) or None


def _content_note(config: Config) -> str | None:
    if not config.weights.content or config.content.weights != RANDOM:
        return None
    about = pretrained.PUBLISHED[config.content.net]
    return (
        "content features come from a network with RANDOM weights (content.weights='random'): "
        f"good enough to try the method, no substitute for {about.network}'s published weights"
    )


def _recurrent(config: Config) -> Recurrent:
    dtype = {"float32": None, "bfloat16": jnp.bfloat16}
    precision = choice(config, "precision", dtype)
    return Recurrent(
        image=ResnetGenerator(**config.image, dtype=precision),
        fusion=Fusion(**config.fusion, dtype=precision),
        discriminator=PatchDiscriminator(**config.discriminator, dtype=precision),
        content=_content(config, precision),
        flow=flows.estimator(config, precision),
        weights=Weights(**config.weights),
        adversarial=config.adversarial,
        occlusion_alpha=config.occlusion_alpha,
        occlusion_squared=config.occlusion_squared,
        losses_on_raw=config.losses_on_raw,
        cycle_memory=config.cycle_memory,
        truncate=config.truncate,
        history=config.history,
        gate=config.gate,
    )


def _content(config: Config, dtype: Any = None) -> Vgg:
    net = choice(config.content, "net", CONTENT)
    return net(config.content.tap, features=config.content.features, normalise=True, dtype=dtype)


METHODS: dict[str, Callable[[Config], Method]] = {"recurrent": _recurrent}
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
    if config.data.frames < 2:
        raise ValueError(
            f"config.data.frames: K = {config.data.frames}, but the losses compare consecutive "
            "frames: at least 2"
        )
    return choice(config, "method", METHODS)(config)


def frozen(config: Config) -> Params:
    """Parameters of the networks that are not trained: {"content": ..., "flow": ...}.

    Raises:
        ValueError: weights that are neither a file of that network nor the literal "random".
        FileNotFoundError: a weight file that does not exist.
    """
    if note := random_weights_note(config):
        logging.warning("%s", note)
    return {"content": _content_params(config), "flow": flows.params(config)}


def abstract_frozen(config: Config) -> Params:
    """Shapes and dtypes of ``frozen``; needs no file."""
    content = {}
    if config.weights.content:
        content = pretrained.abstract(_content(config), _IMAGE)
    return {"content": content, "flow": flows.abstract_params(config)}


_IMAGE = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)


def _content_params(config: Config) -> Params:
    if not config.weights.content:
        return {}
    path, net = config.content.weights, _content(config)
    if path == RANDOM:
        return pretrained.random(net, _IMAGE)
    if path and config.content.features != 64:
        raise ValueError("config.content.features: published VGG weights are 64 wide")
    params = pretrained.load("content", config.content.net, path, from_torch)
    return {name: params[name] for name in pretrained.abstract(net, _IMAGE)}


def host_flow(config: Config) -> HostFlow | None:
    """The estimator that runs on the host, or None where the graph or the data bring the flow."""
    missing = choice(config.flow, "missing", {"": False, "dis": True})
    if config.flow.kind != "dis" and not (config.flow.kind == "given" and missing):
        return None
    return Dis(scale=config.flow.scale, preset=config.flow.preset)


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
