"""How judges are trained and asked: crops, Adam, batches."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from v2v_jax.types import Array, Params

BATCH = 64
"""Frames per call when a probe looks at a video."""


def split(array: np.ndarray, held_out: float) -> tuple[np.ndarray, np.ndarray]:
    """[N, ...] -> its first part, to train on, and its last ``held_out`` part, to test on.

    Raises:
        ValueError: too few frames for two parts.
    """
    # The last part in time: a random split would put neighbouring frames on both sides.
    kept = round(len(array) * (1 - held_out))
    if kept < 1 or kept >= len(array):
        raise ValueError(f"probes: {len(array)} frames are too few to train and to test on")
    return array[:kept], array[kept:]


def augment(
    rng: np.random.Generator, frames: np.ndarray, labels: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """One random crop of 3/4 of the size and flip for the batch; labels go along."""
    height, width = frames.shape[1:3]
    rows, columns = (height * 3 // 4) // 4 * 4, (width * 3 // 4) // 4 * 4
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    step = -1 if rng.random() < 0.5 else 1
    labels = frames[..., 0] if labels is None else labels
    cut = (slice(None), slice(top, top + rows), slice(left, left + columns))
    return frames[cut][:, :, ::step], labels[cut][:, :, ::step]


def signed(frames: Array) -> Array:
    """uint8 -> float32 in [-1, 1]."""
    return frames.astype(jnp.float32) / 127.5 - 1.0


def fit(
    net: nn.Module,
    loss: Callable[[Array, Array], Array],
    draw: Callable[[], tuple[np.ndarray, np.ndarray]],
    steps: int,
    seed: int,
    rate: float,
) -> Params:
    """Adam with a cosine schedule on the batches that ``draw`` returns."""
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))
    frames, labels = draw()
    params = jax.jit(net.init)(jax.random.key(seed), signed(jnp.asarray(frames)))

    @jax.jit
    def step(params: Params, state: Any, frames: Array, labels: Array) -> tuple[Params, Any]:
        def objective(params: Params) -> Array:
            return loss(jnp.asarray(net.apply(params, signed(frames))), labels)

        updates, state = optimizer.update(jax.grad(objective)(params), state, params)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for _ in range(steps):
        params, state = step(params, state, frames, labels)
        frames, labels = draw()
    return params


def _identity(values: Array) -> Array:
    return values


@functools.partial(jax.jit, static_argnames=("net", "finish"))
def _forward(
    net: nn.Module, params: Params, frames: Array, finish: Callable[[Array], Array]
) -> Array:
    return finish(jnp.asarray(net.apply(params, signed(frames))))


def apply(
    net: nn.Module,
    params: Params,
    frames: np.ndarray,
    finish: Callable[[Array], Array] = _identity,
) -> np.ndarray:
    """Runs a network over any number of frames, ``BATCH`` at a time."""
    parts = [
        np.asarray(_forward(net, params, frames[start : start + BATCH], finish))
        for start in range(0, len(frames), BATCH)
    ]
    return np.concatenate(parts)
