"""No motion at all: the ablation's flow, and the cheapest in-graph estimator."""

from __future__ import annotations

import jax.numpy as jnp

from v2v_jax.types import Array, Params


def zero_flow(frozen: Params, current: Array, previous: Array) -> Array:
    """[N, H, W, 3] twice -> [N, H, W, 2] of zeros, see ``flow.base.FlowEstimator``."""
    return jnp.zeros((*current.shape[:3], 2), current.dtype)
