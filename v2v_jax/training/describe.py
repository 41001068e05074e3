"""What a run costs, before it runs: parameters, FLOPs, memory, shapes."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import optax

from v2v_jax.methods.base import Method
from v2v_jax.training.state import TrainState, init_state
from v2v_jax.training.step import train_step
from v2v_jax.types import Batch, Params


def describe(
    *,
    method: Method,
    optimizers: dict[str, optax.GradientTransformation],
    frozen: Params,
    batch: Batch,
    warm_up: Mapping[str, Any] | None = None,
) -> str:
    """Compiles one training step for abstract inputs and tells what the compiler says of it.

    Args:
        method: what would be trained.
        optimizers: one per player.
        frozen, batch: arrays or ``jax.ShapeDtypeStruct``s; nothing is read or computed.
        warm_up: the same four of the run that precedes it, and its "steps"; None for none.

    Returns:
        Several lines: parameters by player and network, shapes of the batch, GFLOP and memory of
        the compiled step on this machine's default device; then those of a step of the warm-up.
    """
    state = _abstract_state(method, optimizers, batch)
    lines = ["parameters"]
    for player in method.players:
        lines.append(f"  {player:<24}{count(state.params[player]):>14,}")
        lines += [f"    {name:<22}{size:>14,}" for name, size in _networks(state.params[player])]
    lines += [
        f"  frozen {name:<17}{count(tree):>14,}" for name, tree in frozen.items() if count(tree)
    ]
    lines += ["batch", *_shapes(batch)]
    lines.append(f"one training step, compiled for {jax.devices()[0].device_kind}")
    lines += _costs(method, optimizers, frozen, batch)
    if warm_up is not None:
        options = {name: value for name, value in warm_up.items() if name != "steps"}
        lines += [f"batch of the {warm_up['steps']} steps of warm-up", *_shapes(warm_up["batch"])]
        lines += ["one step of warm-up", *_costs(**options)]
    return "\n".join(lines)


def _abstract_state(
    method: Method, optimizers: dict[str, optax.GradientTransformation], batch: Batch
) -> TrainState:
    make = functools.partial(init_state, method=method, optimizers=optimizers)
    return jax.eval_shape(make, jax.random.key(0), batch)


def _shapes(batch: Batch) -> list[str]:
    return [
        f"  {'.'.join(str(key.key) for key in path):<24}{leaf.dtype} {list(leaf.shape)}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(batch)
    ]


def _costs(
    method: Method, optimizers: dict[str, optax.GradientTransformation], frozen: Params,
    batch: Batch,
) -> list[str]:  # fmt: skip
    """What the compiler says of one step."""
    step = functools.partial(train_step, method=method, optimizers=optimizers)
    state = _abstract_state(method, optimizers, batch)
    compiled = jax.jit(step, donate_argnums=0).lower(state, frozen, batch).compile()
    costs: Any = compiled.cost_analysis()
    memory: Any = compiled.memory_analysis()
    sizes = {
        "state and batch, MiB": memory.argument_size_in_bytes,
        "temporary, MiB": memory.temp_size_in_bytes,
    }
    lines = [f"  {'GFLOP':<24}{costs['flops'] / 1e9:>14,.1f}"]
    return lines + [f"  {name:<24}{size / 2**20:>14,.1f}" for name, size in sizes.items()]


def count(tree: Any) -> int:
    """Numbers in a tree of arrays."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _networks(player: Params) -> list[tuple[str, int]]:
    """Sizes two levels down where a level has several networks, else one level down."""
    found = []
    for name, tree in player.items():
        several = isinstance(tree, dict) and "image" in tree
        inner = {key: count(value) for key, value in tree.items()} if several else {}
        found += [(f"{name}/{key}", size) for key, size in inner.items()] or [(name, count(tree))]
    return found
