"""Motion as a picture: what a discriminator may know of a frame's content without labels.

How a thing moves under a driving camera tells much of what it is: sky stands still, roads and
facades stream outward, traffic goes its own way.  Looks change from domain to domain, motion does
not, so that frames can be compared at places that move alike (docs/meaning.md).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from v2v_jax.types import Array

ROWS = 16
"""Rows of the map: coarse enough to average noise, and to show no outline."""

SPEEDS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Where one kind of motion ends and the next begins, in ``motion_map``'s logarithmic speed."""

KINDS = (len(SPEEDS) + 1) * (ROWS // 2)


def motion_map(flow: Array) -> Array:
    """Logarithmic flow, speed and height of every place, averaged over blocks.

    Args:
        flow: [N, H, W, 2] in pixels (dx, dy).

    Returns:
        float [N, 16, w, 4] with w in proportion: sign(d) log(1 + 256 |d| / W) of dx and dy, the
        same of the speed, and the height from -1.7 (top) to 1.7, whose variance is about 1.
        Frames of one scene give the same at any size.
    """
    n, height, width, _ = flow.shape
    moved = flow * (256 / width)
    speed = jnp.linalg.norm(moved, axis=-1, keepdims=True)
    both = jnp.concatenate([jnp.sign(moved) * jnp.log1p(jnp.abs(moved)), jnp.log1p(speed)], axis=-1)
    size = (n, ROWS, max(round(ROWS * width / height), 1))
    both = jax.image.resize(both, (*size, 3), "linear")
    rows = jnp.linspace(-1.7, 1.7, ROWS, dtype=both.dtype)[None, :, None, None]
    return jnp.concatenate([both, jnp.broadcast_to(rows, (*size, 1))], axis=-1)


def motion_kind(motion: Array) -> Array:
    """Sorts places by speed and height.

    Args:
        motion: ``motion_map``'s, [N, 16, w, 4].

    Returns:
        int32 [N, 16, w] below ``KINDS``.
    """
    speed = jnp.searchsorted(jnp.asarray(SPEEDS, motion.dtype), motion[..., 2])
    height = jnp.asarray(np.arange(ROWS) // 2, jnp.int32)[None, :, None]
    return speed.astype(jnp.int32) * (ROWS // 2) + height


def frequencies(kinds: Array, count: int = KINDS) -> Array:
    """The share of every kind among places: float32 [count], sums to 1."""
    return jnp.bincount(kinds.reshape(-1), length=count) / kinds.size
