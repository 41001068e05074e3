"""How places of one kind look: colours and fine detail, as means and spreads.

The style loss of neural style transfer in its form with moments (Li et al. 2017, "Demystifying
neural style transfer"), matched class by class (Luan et al. 2017, "Deep photo style transfer"), on
features that need no network: colours in nine directions and two bands of detail.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from v2v_jax.types import Array

_DIRECTIONS = np.array(
    [
        *((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        *((1, 1, 0), (0, 1, 1), (1, 0, 1)),
        *((1, -1, 0), (0, 1, -1), (1, 0, -1)),
    ],
    np.float32,
)
# Their spreads together say how three colours vary and vary with each other.
DIRECTIONS = _DIRECTIONS / np.linalg.norm(_DIRECTIONS, axis=1, keepdims=True)
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
DETAIL = (3.0, 2.0)
"""How much the finest band and the next count, which vary less than colours do."""
FLOOR = 0.1
"""Of the unit, 13 grey levels: nothing has to be met more closely than that makes it."""
LOOKS = len(DIRECTIONS) + len(DETAIL)
_RARE = 1e-4
"""A share of the places: kinds rarer than this say nothing."""


class Moments(NamedTuple):
    """Of K kinds of place; sums, so that moments of two sets of frames can be added."""

    weight: Array
    """float [K]."""
    first: Array
    """float [K, 11]: of ``look``."""
    second: Array
    """float [K, 11]: of its square."""


def look(frames: Array) -> Array:
    """Colours in nine directions and two bands of the luma's detail, of every pixel.

    Args:
        frames: float [N, H, W, 3] in [-1, 1].

    Returns:
        float [N, H, W, 11].
    """
    luma = jnp.sum(frames * LUMA[None, None, None], axis=-1, keepdims=True)
    fine = _blurred(luma, 3)
    bands = [DETAIL[0] * (luma - fine), DETAIL[1] * (fine - _blurred(fine, 7))]
    return jnp.concatenate([frames @ DIRECTIONS.T, *bands], axis=-1)


def moments(frames: Array, kinds: Array, count: int) -> Moments:
    """Of every kind of place; weights sum to 1.

    Args:
        frames: float [N, H, W, 3] in [-1, 1].
        kinds: int [N, h, w] below ``count``, enlarged to the frames' size by repetition.
        count: how many kinds there are.
    """
    kinds = jax.image.resize(kinds, frames.shape[:3], "nearest").reshape(-1)
    looks = look(frames).reshape(-1, LOOKS)
    of = jax.nn.one_hot(kinds, count, dtype=looks.dtype) / len(kinds)
    return Moments(jnp.sum(of, axis=0), of.T @ looks, of.T @ jnp.square(looks))


def nothing(count: int) -> Moments:
    """Moments before the first frame."""
    none = jnp.zeros((count, LOOKS), jnp.float32)
    return Moments(jnp.zeros(count, jnp.float32), none, none)


def distance(mine: Moments, goal: Moments) -> Array:
    """Squared distance of means and of standard deviations, in units of the goal's own spread.

    So that a place which hardly varies, as an overcast sky, has to be met more closely than one
    of many colours.  A kind counts with the square root of its share of ``mine``, so that small
    things count; kinds that either side has (nearly) never seen do not count.  A scalar, at
    least 0.
    """
    (mean, spread), (mean_goal, spread_goal) = _statistics(mine), _statistics(goal)
    seen = (mine.weight > _RARE) & (goal.weight > _RARE)
    share = jax.lax.stop_gradient(jnp.where(seen, jnp.sqrt(jnp.maximum(mine.weight, 0.0)), 0.0))
    apart = jnp.square(mean - mean_goal) + jnp.square(spread - spread_goal)
    apart = jnp.mean(apart / (jnp.square(spread_goal) + FLOOR**2), axis=-1)
    return jnp.sum(share * apart) / jnp.maximum(jnp.sum(share), _RARE)


def _statistics(of: Moments) -> tuple[Array, Array]:
    weight = jnp.maximum(of.weight, _RARE)[:, None]
    mean = of.first / weight
    # The floor keeps the root's slope finite where a kind is one flat colour.
    return mean, jnp.sqrt(jnp.maximum(of.second / weight - jnp.square(mean), 1e-6))


def _blurred(x: Array, size: int) -> Array:
    """The mean of size x size pixels, the border repeated."""
    side = (size // 2, size // 2)
    padded = jnp.pad(x, ((0, 0), side, side, (0, 0)), mode="edge")
    return nn.avg_pool(padded, (size, size), (1, 1))
