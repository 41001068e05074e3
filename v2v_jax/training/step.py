"""One training step for every method."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from v2v_jax.methods.base import Method
from v2v_jax.training.state import TrainState
from v2v_jax.types import Array, Aux, Batch, Params

Losses = Callable[[dict[str, Params]], tuple[dict[str, Array], Aux]]


def player_gradients(
    losses_fn: Losses, params: dict[str, Params]
) -> tuple[dict[str, Array], dict[str, Params], Aux]:
    """Every player's loss and the gradient of it on that player's own parameters.

    One forward pass; each player pulls back only its own loss onto only its own parameters, so
    generated frames need no detaching.  What the pull-backs share or do not need is left to XLA.

    Args:
        losses_fn: params -> (player -> scalar loss, aux).
        params: player -> parameters.

    Returns:
        Losses and gradients by player, and the aux.
    """
    values, pull_back, aux = jax.vjp(losses_fn, params, has_aux=True)

    def own_gradient(player: str) -> Params:
        chosen = {
            p: jnp.ones_like(v) if p == player else jnp.zeros_like(v) for p, v in values.items()
        }
        return pull_back(chosen)[0][player]

    return values, {player: own_gradient(player) for player in values}, aux


def train_step(
    state: TrainState,
    frozen: Params,
    batch: Batch,
    *,
    method: Method,
    optimizers: dict[str, optax.GradientTransformation],
    ema_decay: float = 0.999,
) -> tuple[TrainState, dict[str, Array]]:
    """Updates every player once; pure.

    A loss or gradient that is not finite never enters the state: players, optimisers, EMA and
    memory stay as they were, only ``step`` and ``skipped`` advance.

    Args:
        state: the complete state.
        frozen: parameters of networks that are not trained; an argument, because captured
            weights would become constants of the program.
        batch: uint8 clips of both domains.
        method: what is trained.
        optimizers: one per player.
        ema_decay: of the translating player's average; at most (1 + n) / (10 + n) at step n, so
            that a short run is not averaged with its random start.

    Returns:
        The new state and scalar metrics: ``loss/<player>``, ``grad_norm/<player>``,
        ``term/<name>`` and ``finite`` (1 or 0).
    """
    rng = jax.random.fold_in(state.rng, state.step)

    def losses_fn(params: dict[str, Params]) -> tuple[dict[str, Array], Aux]:
        return method.losses(params, frozen, state.memory, batch, rng)

    values, grads, aux = player_gradients(losses_fn, state.params)
    norms = {player: optax.tree.norm(grads[player]) for player in method.players}
    params, opt_state = {}, {}
    for player in method.players:
        updates, opt_state[player] = optimizers[player].update(
            grads[player], state.opt_state[player], state.params[player]
        )
        params[player] = optax.apply_updates(state.params[player], updates)
    decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
    ema = optax.incremental_update(params[method.players[0]], state.ema, 1 - decay)
    new = state.replace(params=params, opt_state=opt_state, ema=ema, memory=aux.memory)
    finite = jnp.all(jnp.stack([jnp.isfinite(v) for v in [*values.values(), *norms.values()]]))
    new = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, state)
    new = new.replace(step=state.step + 1, skipped=jnp.where(finite, 0, state.skipped + 1))
    metrics = {f"loss/{player}": value for player, value in values.items()}
    metrics |= {f"grad_norm/{player}": norm for player, norm in norms.items()}
    metrics |= {f"term/{name}": value for name, value in aux.terms.items()}
    return new, metrics | {"finite": finite.astype(float)}


def player_pictures(
    state: TrainState, frozen: Params, batch: Batch, *, method: Method
) -> dict[str, Array]:
    """The pictures of one batch's first clip, with the current parameters; see ``Aux``."""
    rng = jax.random.fold_in(state.rng, state.step)
    return method.losses(state.params, frozen, state.memory, batch, rng)[1].pictures
