"""What the image generator could do: trained on pairs with the truth, which no method here sees.

It answers whether a row's distance to the truth is the network's fault or the training's.  It is
no method, cannot be had by ``config.method``, and nothing that trains imports it.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from v2v_jax.assembly.choice import Config
from v2v_jax.assembly.data import world
from v2v_jax.assembly.players import image_generator
from v2v_jax.evaluation.judges.fitting import apply, fit, signed
from v2v_jax.types import Array

PAIRS = 480
"""Training frames that are drawn with their truth."""


def trained_on_pairs(
    run: Config, *, steps: int, batch: int, learning_rate: float
) -> Callable[[np.ndarray], np.ndarray]:
    """Trains a run's image generator to draw the perfect translation, by L1.

    Args:
        run: the row's configuration, of the built-in world; its image generator, data and seed.
        steps, batch, learning_rate: of Adam, whose rate falls to 0 along a cosine.

    Returns:
        uint8 [N, H, W, 3] -> its translation, uint8.
    """
    frames, truth = _pairs(run)
    rng = np.random.default_rng(run.seed)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        chosen = rng.integers(len(frames), size=batch)
        side = -1 if rng.random() < 0.5 else 1
        return frames[chosen][:, :, ::side], truth[chosen][:, :, ::side]

    net = image_generator(run)
    params = fit(net, _distance, draw, steps, run.seed, learning_rate)
    return lambda video: apply(net, params, video, _eight_bit)


def _pairs(run: Config) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spread training frames of the source, and their truth."""
    source = world(run, run.data.source, "train")
    total = len(source) * source.length
    places = np.unique(np.linspace(0, total - 1, min(PAIRS, total)).astype(int))
    found = [
        np.concatenate(
            [of.frames(place // of.length, place % of.length, 1).frames for place in places]
        )
        for of in (source, source.perfect(run.data.target))
    ]
    return found[0], found[1]


def _distance(output: Array, truth: Array) -> Array:
    return jnp.abs(output - signed(truth)).mean()


def _eight_bit(image: Array) -> Array:
    return jnp.round(jnp.clip((image + 1.0) * 127.5, 0.0, 255.0)).astype(jnp.uint8)
