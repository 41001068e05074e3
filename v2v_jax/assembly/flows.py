"""Flow estimators that run in the graph, with their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax.assembly import pretrained
from v2v_jax.assembly.choice import Config, choice
from v2v_jax.flow.base import FlowEstimator
from v2v_jax.flow.flownet2 import FlowNet2, FlowNet2Flow, params_from_torch
from v2v_jax.flow.raft import Raft, RaftFlow
from v2v_jax.flow.zero import zero_flow
from v2v_jax.types import Params
from v2v_jax.weights import StateDict, from_torch


class Neural(NamedTuple):
    """An estimator with weights of its own."""

    estimator: Callable[..., FlowEstimator]
    """(scale, dtype) -> estimator."""
    net: nn.Module
    convert: Callable[[str, StateDict], Params]
    """(kind, torch's state dict) -> the net's parameters."""


NEURAL = {
    "flownet2": Neural(
        lambda scale, dtype: FlowNet2Flow(dtype=dtype),
        FlowNet2(),
        lambda kind, state: params_from_torch(state, kind),
    ),
    "raft_small": Neural(
        lambda scale, dtype: RaftFlow(small=True, scale=scale, dtype=dtype),
        Raft(small=True),
        from_torch,
    ),
    "raft_large": Neural(
        lambda scale, dtype: RaftFlow(small=False, scale=scale, dtype=dtype),
        Raft(small=False),
        from_torch,
    ),
}
"""``flow.kind`` -> the network behind it."""
# Both frames; 128 is a size that every network takes, whatever it is padded to.
_PAIR = (jax.ShapeDtypeStruct((1, 128, 128, 3), jnp.float32),) * 2


def estimator(config: Config, dtype: Any) -> FlowEstimator | None:
    """What ``flow.kind`` names; None where the host or the data bring the flow."""
    kinds = {"zero": lambda *_: zero_flow, "dis": lambda *_: None, "given": lambda *_: None}
    kinds |= {kind: neural.estimator for kind, neural in NEURAL.items()}
    return choice(config.flow, "kind", kinds)(config.flow.scale, dtype)


def random_note(config: Config) -> str | None:
    """What must be said aloud of the flow; None if its weights are real or it has none."""
    if config.flow.kind not in NEURAL or config.flow.weights != pretrained.RANDOM:
        return None
    about = pretrained.PUBLISHED[config.flow.kind]
    return (
        "the flow comes from a network with RANDOM weights (flow.weights='random'): it follows no "
        f"motion, and is there to try the program, no substitute for {about.network}'s published "
        "weights"
    )


def params(config: Config) -> Params:
    """The estimator's parameters; {} if it has none.

    Raises:
        ValueError, FileNotFoundError: see ``pretrained.load``.
    """
    kind = config.flow.kind
    if kind not in NEURAL:
        return {}
    if config.flow.weights == pretrained.RANDOM:
        return pretrained.drawn(NEURAL[kind].net, *_PAIR)
    return pretrained.load("flow", kind, config.flow.weights, NEURAL[kind].convert)


def abstract_params(config: Config) -> Params:
    """Shapes and dtypes of ``params``; needs no file."""
    if config.flow.kind not in NEURAL:
        return {}
    return pretrained.abstract(NEURAL[config.flow.kind].net, *_PAIR)
