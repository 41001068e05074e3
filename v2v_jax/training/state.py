"""The complete state of a training run."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from v2v_jax.methods.base import Method
from v2v_jax.training import integrity
from v2v_jax.types import Array, Batch, Params


class TrainState(struct.PyTreeNode):
    """Everything that a resumed run needs; the batches follow from ``step`` alone."""

    step: Array
    """int32 []: steps taken, skipped ones included."""
    params: dict[str, Params]
    """player -> parameters."""
    opt_state: dict[str, Any]
    """player -> optimiser state."""
    ema: Params
    """Exponential moving average of the translating player's parameters."""
    memory: Any
    """The method's memory (image pool, gates); {} if it keeps none."""
    rng: Array
    """Typed PRNG key; step n uses ``fold_in(rng, n)``."""
    skipped: Array
    """int32 []: consecutive steps that were not finite and left the rest as it was."""


def init_state(
    rng: Array,
    batch: Batch,
    *,
    method: Method,
    optimizers: dict[str, optax.GradientTransformation],
) -> TrainState:
    """A fresh state.  Jit it (with ``out_shardings`` on a mesh): eager initialisation is slow."""
    init_rng, rng = jax.random.split(rng)
    params = method.init(init_rng, batch)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state={player: optimizers[player].init(params[player]) for player in method.players},
        # A copy: an EMA that aliases the parameters breaks donation.
        ema=jax.tree.map(jnp.copy, params[method.players[0]]),
        memory=method.init_memory(batch),
        rng=rng,
        skipped=jnp.zeros((), jnp.int32),
    )


def started_from(state: TrainState, player: str, given: Params) -> TrainState:
    """A fresh state with other parameters of its first player, and their average.

    Raises:
        ValueError: they are of another network.
    """
    integrity.check_fit(integrity.describe(given), state.ema, "what the run shall start from")
    # Copies: the state is donated, and neither its two halves nor the caller may share buffers.
    params, ema = (jax.tree.map(jnp.copy, given) for _ in range(2))
    return state.replace(params=state.params | {player: params}, ema=ema)
