"""FlowNetC's correlation as one batch of matrix products.

A displacement is a multiple of ``stride``, so pixels of different remainders modulo it never meet.
Among those of equal remainders, a tile of ``a`` meets its window of ``b`` in one matrix product,
of which only a diagonal band is wanted.  Tiles of 8 by 8 keep the work below twice the true one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array

_TILE = 8
"""Side of a tile: with FlowNetC's 21 x 21 displacements ((8 + 20) / 21)^2 = 1.8 times the work."""


def correlate(a: Array, b: Array, max_displacement: int = 20, stride: int = 2) -> Array:
    """Mean over channels of a(p) b(p + d) for every displacement d on a grid.

    Upstream's correlation with kernel 1, stride1 1 and pad = max_displacement; b is 0 outside.

    Args:
        a, b: [N, H, W, C].
        max_displacement: largest |dx| and |dy|, pixels.
        stride: of the grid of displacements.

    Returns:
        [N, H, W, D * D] with D = 2 (max_displacement // stride) + 1, at least float32; dy is the
        slow index, both ascending.

    Raises:
        ValueError: shapes that differ, or a displacement or stride out of range.
    """
    if a.ndim != 4 or a.shape != b.shape or not a.size:
        raise ValueError(
            f"correlate: needs two [N, H, W, C] of one shape, got {a.shape}, {b.shape}"
        )
    if max_displacement < 0 or stride < 1:
        raise ValueError(
            f"correlate: max_displacement={max_displacement} must be at least 0 "
            f"and stride={stride} at least 1"
        )
    n, height, width, channels = a.shape
    radius = max_displacement // stride
    tall, wide = _cut(height, stride), _cut(width, stride)
    products = jnp.einsum(
        "tpc,tqc->tpq",
        _windows(a, tall, wide, 0, stride),
        _windows(b, tall, wide, radius, stride),
        preferred_element_type=jnp.promote_types(a.dtype, jnp.float32),
    )
    products = _band(products, tall.size, wide.size, 2 * radius + 1)
    products = products.reshape(n, tall.count, wide.count, stride, stride, tall.size, wide.size, -1)
    products = products.transpose(0, 1, 5, 3, 2, 6, 4, 7)
    products = products.reshape(n, tall.covered * stride, wide.covered * stride, -1)
    return products[:, :height, :width] / channels


class _Cut(NamedTuple):
    """An axis of one remainder in tiles."""

    count: int
    size: int

    @property
    def covered(self) -> int:
        return self.count * self.size


def _cut(length: int, stride: int) -> _Cut:
    pixels = math.ceil(length / stride)
    count = math.ceil(pixels / _TILE)
    return _Cut(count, math.ceil(pixels / count))


def _windows(x: Array, tall: _Cut, wide: _Cut, radius: int, stride: int) -> Array:
    """Tiles with a margin of ``radius`` pixels of their remainder on every side.

    [N, H, W, C] -> [N * tiles * remainders, pixels, C], zeros outside.
    """
    n, height, width, channels = x.shape
    rows, columns = tall.covered + 2 * radius, wide.covered + 2 * radius
    before = radius * stride
    after = (rows * stride - before - height, columns * stride - before - width)
    x = jnp.pad(x, ((0, 0), (before, after[0]), (before, after[1]), (0, 0)))
    x = x.reshape(n, rows, stride, columns, stride, channels)
    starts = range(0, tall.covered, tall.size)
    x = jnp.stack([x[:, i : i + tall.size + 2 * radius] for i in starts], axis=1)
    starts = range(0, wide.covered, wide.size)
    x = jnp.stack([x[:, :, :, :, i : i + wide.size + 2 * radius] for i in starts], axis=2)
    # [N, tile y, tile x, y, remainder y, x, remainder x, C]
    x = x.transpose(0, 1, 2, 4, 6, 3, 5, 7)
    return x.reshape(-1, x.shape[5] * x.shape[6], channels)


def _band(products: Array, height: int, width: int, displacements: int) -> Array:
    """Keeps the pairs of pixels that are a wanted displacement apart.

    [T, (i, j), (u, v)] -> [T, (i, j), (u - i, v - j)], where u - i and v - j run from 0 to
    displacements - 1, for tiles of height x width.
    """
    d = displacements
    u, v = height + d - 1, width + d - 1
    products = _skew(products.reshape(-1, height, width, u * v), 1)
    products = products.reshape(-1, height, width, u, v)[..., :d]
    products = _skew(products.reshape(-1, height, width * u * d), d)
    return products.reshape(-1, height, width, u, d)[..., :d, :]


def _skew(x: Array, step: int) -> Array:
    """y[..., i, j] = x[..., i, j + i * step] without a gather; the ends of rows are not meant.

    Rows of the same memory that are ``step`` longer start ``step`` further on each.
    """
    *batch, rows, columns = x.shape
    flat = x.reshape(*batch, rows * columns)
    flat = jnp.pad(flat, [(0, 0)] * len(batch) + [(0, rows * step)])
    return flat.reshape(*batch, rows, columns + step)[..., :columns]
