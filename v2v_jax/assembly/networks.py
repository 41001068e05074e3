"""Networks that are not trained, and flow estimators of the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging

from v2v_jax.assembly import flows, pretrained, segmenters, translators
from v2v_jax.assembly.choice import Config, choice
from v2v_jax.flow.base import HostFlow
from v2v_jax.flow.dis import Dis
from v2v_jax.nets.vgg import Vgg, Vgg16, Vgg19
from v2v_jax.types import Params
from v2v_jax.weights import from_torch
from v2v_jax.weights.cache import cached
from v2v_jax.weights.converted import source_of

RANDOM = pretrained.RANDOM

CONTENT = {"vgg16": Vgg16, "vgg19": Vgg19}
"""``content.net`` -> the extractor of eq. 6."""


def random_weights_note(config: Config) -> str | None:
    """What log and report must say aloud: random weights, and others than the published ones."""
    notes = [note for note in (_content_note(config), flows.random_note(config)) if note]
    return "; ".join(notes) or None


def _content_note(config: Config) -> str | None:
    path, about = config.content.weights, pretrained.PUBLISHED[config.content.net]
    if not config.weights.content or not path:
        return None
    if path == RANDOM:
        return (
            "content features come from a network with RANDOM weights (content.weights='random'): "
            "good enough to try the method, no substitute for "
            f"{about.network}'s published weights"
        )
    fetched = path == pretrained.FEATURES
    source = source_of(cached(path) if fetched else path)
    if fetched and source is None:
        source = f"the cache of another machine (content.weights={path!r})"
    if source in (None, about.file):
        return None
    return f"content features come from a {about.network} that is not the published one: {source}"


def extractor(config: Config, dtype: Any = None) -> Vgg:
    """The content network of eq. 6."""
    net = choice(config.content, "net", CONTENT)
    return net(
        config.content.tap,
        features=config.content.features,
        normalise=config.content.normalise,
        zero_mean=config.content.zero_mean,
        dtype=dtype,
    )


def frozen(config: Config) -> Params:
    """Parameters of what is not trained: "content", "flow", "segmenter" and "translator".

    Raises:
        ValueError: weights that are neither a file of that network nor the literal "random"; a
            run of another network.
        FileNotFoundError: a weight file, or a run, that does not exist.
    """
    if note := random_weights_note(config):
        logging.warning("%s", note)
    return {name: load(config) for name, load in FROZEN.items()}


def abstract_frozen(config: Config) -> Params:
    """Shapes and dtypes of ``frozen``; needs no file."""
    content = {}
    if config.weights.content:
        content = pretrained.abstract(extractor(config), _IMAGE)
    return {
        "content": content,
        "flow": flows.abstract_params(config),
        "segmenter": segmenters.abstract_params(config),
        "translator": translators.abstract_params(config),
    }


_IMAGE = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)


def _content_params(config: Config) -> Params:
    if not config.weights.content:
        return {}
    path, net = config.content.weights, extractor(config)
    if path == RANDOM:
        return pretrained.random(net, _IMAGE)
    if path and config.content.features != 64:
        raise ValueError(
            "config.content.features: published VGG weights are 64 wide, give "
            "--config.content.features=64"
        )
    if path == pretrained.FEATURES:
        path = pretrained.fetched()
    params = pretrained.load("content", config.content.net, path, from_torch)
    return {name: params[name] for name in pretrained.abstract(net, _IMAGE)}


FROZEN: dict[str, Callable[[Config], Params]] = {
    "content": _content_params,
    "flow": flows.params,
    "segmenter": segmenters.params,
    "translator": translators.params,
}
"""What is not trained -> its parameters, for which see ``frozen``."""


def host_flow(config: Config) -> HostFlow | None:
    """The estimator that runs on the host, or None where the graph or the data bring the flow."""
    missing = choice(config.flow, "missing", {"": False, "dis": True})
    if config.flow.kind != "dis" and not (config.flow.kind == "given" and missing):
        return None
    return Dis(scale=config.flow.scale, preset=config.flow.preset)
