"""All-pairs correlation and its lookup (RAFT, section 3.2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from v2v_jax.types import Array

LEVELS = 4


def correlation_pyramid(first: Array, second: Array, radius: int) -> list[Array]:
    """Correlates every feature of ``first`` with all of ``second`` at four resolutions.

    Upstream pools the correlations; here the features of ``second`` are pooled, which is the same
    sum in another order.  They are also padded with zeros before the product, so that a window
    is one contiguous slice wherever it lies.  A level that has shrunk to nothing (frames with a
    side under 64 pixels) is all padding.

    Args:
        first, second: float [N, h, w, C].
        radius: of the windows that will be looked up.

    Returns:
        Per level l, [N, h * w, h / 2**l + 2p, w / 2**l + 2p] with p = 2 * radius + 2: 54 MB of
        float32 for a 256x512 pair and radius 3; it grows with the square of the pixels.
    """
    n, height, width, channels = first.shape
    queries = first.reshape(n, height * width, channels) / channels**0.5
    margin = 2 * radius + 2
    pyramid = []
    for level in range(LEVELS):
        second = _halve(second) if level else second
        padded = jnp.pad(second, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
        pyramid.append(jnp.einsum("npc,nyxc->npyx", queries, padded, precision="highest"))
    return pyramid


def look_up(pyramid: list[Array], centres: Array, radius: int) -> Array:
    """Correlations in a window around each pixel's current match, bilinear, zero outside.

    Args:
        pyramid: see `correlation_pyramid`.
        centres: [N, h, w, 2], (x, y) of the match in pixels of the finest level.
        radius: the window spans 2 * radius + 1 pixels of every level.

    Returns:
        [N, h, w, 4 * (2 * radius + 1)**2]: levels outermost, then x, then y, as upstream.
    """
    n, height, width, _ = centres.shape
    centres = centres.reshape(n, height * width, 2)
    windows = [_window(m, centres / 2**level, radius) for level, m in enumerate(pyramid)]
    return jnp.concatenate(windows, axis=-1).reshape(n, height, width, -1)


def _window(correlations: Array, centres: Array, radius: int) -> Array:
    """One level: [N, P, Y, X] around [N, P, 2] -> [N, P, (2 * radius + 1)**2]."""
    side = 2 * radius + 2  # also the margin
    corner = jnp.floor(centres)
    limit = jnp.asarray(correlations.shape[:1:-1], centres.dtype)[None, None] - side
    # Beyond the limits a window sees only the margin's zeros, as it does at them.
    start = jnp.clip(corner - radius + side, 0, limit).astype(jnp.int32)

    def cut(image: Array, x_y: Array) -> Array:
        return jax.lax.dynamic_slice(image, (x_y[1], x_y[0]), (side, side))

    window = jax.vmap(jax.vmap(cut))(correlations, start)
    # All samples of a window share their position within a pixel.
    x, y = jnp.moveaxis(centres - corner, -1, 0)[..., None, None]
    window = window[..., :-1] * (1 - x) + window[..., 1:] * x
    window = window[..., :-1, :] * (1 - y) + window[..., 1:, :] * y
    return jnp.swapaxes(window, -1, -2).reshape(*window.shape[:2], -1)


def _halve(x: Array) -> Array:
    """2x2 means of [N, H, W, C]; an odd last row or column is dropped."""
    n, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4))
