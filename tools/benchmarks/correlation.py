"""Ways to write FlowNetC's correlation that lost; `flow.py` measures them."""

from __future__ import annotations

import jax
import jax.numpy as jnp

_MARGIN, _STRIDE, _SIDE = 20, 2, 21

Array = jax.Array


def shifts_under_scan(a: Array, b: Array) -> Array:
    """One product of pictures per displacement; a scan over rows, 21 products in its body."""
    height, width = a.shape[1:3]
    b = _padded(b)

    def one_row(_: None, dy: Array) -> tuple[None, Array]:
        rows = jax.lax.dynamic_slice_in_dim(b, dy * _STRIDE, height, axis=1)
        starts = range(0, _SIDE * _STRIDE, _STRIDE)
        return None, jnp.stack([(a * rows[:, :, x : x + width]).mean(-1) for x in starts], -1)

    products = jax.lax.scan(one_row, None, jnp.arange(_SIDE))[1]
    return jnp.moveaxis(products, 0, 3).reshape(*a.shape[:3], -1)


def row_products(a: Array, b: Array) -> Array:
    """Per vertical displacement, every row times its row; the diagonals come by a gather."""
    height, width, channels = a.shape[1:]
    b = _padded(b)
    wanted = jnp.arange(width)[:, None] + jnp.arange(_SIDE)[None] * _STRIDE
    bands = []
    for dy in range(_SIDE):
        rows = b[:, dy * _STRIDE : dy * _STRIDE + height]
        products = jnp.einsum("nyxc,nyuc->nyxu", a, rows)
        bands.append(jnp.take_along_axis(products, wanted[None, None], axis=3))
    return jnp.stack(bands, axis=3).reshape(*a.shape[:3], -1) / channels


def all_pairs(a: Array, b: Array) -> Array:
    """Every pixel times every pixel, then two gathers; memory is quadratic in the picture."""
    _, height, width, channels = a.shape
    products = jnp.einsum("nyxc,nvuc->nyxvu", a, b)
    around = (_MARGIN, _MARGIN)
    products = jnp.pad(products, ((0, 0), (0, 0), (0, 0), around, around))
    steps = jnp.arange(_SIDE)[None] * _STRIDE
    rows, columns = (jnp.arange(size)[:, None] + steps for size in (height, width))
    products = jnp.take_along_axis(products, rows[None, :, None, :, None], axis=3)
    products = jnp.take_along_axis(products, columns[None, None, :, None, :], axis=4)
    return products.reshape(*a.shape[:3], -1) / channels


def _padded(b: Array) -> Array:
    around = (_MARGIN, _MARGIN)
    return jnp.pad(b, ((0, 0), around, around, (0, 0)))
