"""Moving pixels about: normalisation of a pair, warping, x4 enlargement, the norm over channels."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp

Array = jax.Array


def at_least_float32(x: Any) -> Array:
    """Coordinates, sums and flows are never narrower than this; integers become float32."""
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return x.astype(jnp.float32)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def normalise_pair(first: Array, second: Array) -> Array:
    """Both frames minus their common mean, over 255, side by side.

    The mean is per sample and channel, over both frames and all their pixels.

    Args:
        first, second: [N, H, W, 3], RGB in 0-255.

    Returns:
        [N, H, W, 6], at least float32.
    """
    pair = at_least_float32(jnp.stack([first, second], axis=3))
    mean = pair.mean((1, 2, 3), keepdims=True)
    pair = (pair - mean) / 255
    return pair.reshape(*pair.shape[:3], 6)


def resample(image: Array, flow: Array) -> Array:
    """Upstream's Resample2d: out(p) = image(p + flow(p)), bilinear, the border repeated for ever.

    Args:
        image: [N, H, W, C].
        flow: [N, H, W, 2], pixels (dx, dy).

    Returns:
        [N, H, W, C], at least float32.

    Raises:
        ValueError: shapes that do not belong together.
    """
    if image.ndim != 4 or flow.shape != (*image.shape[:3], 2):
        raise ValueError(f"resample: image {image.shape} and flow {flow.shape} do not fit")
    image, flow = at_least_float32(image), at_least_float32(flow)
    n, height, width, channels = image.shape
    x = flow[..., 0] + jnp.arange(width, dtype=flow.dtype)[None, None, :]
    y = flow[..., 1] + jnp.arange(height, dtype=flow.dtype)[None, :, None]
    left, top = jnp.floor(x), jnp.floor(y)
    # Fractions of the unclamped coordinate: outside, both neighbours are the same border pixel.
    wx, wy = (x - left)[..., None], (y - top)[..., None]
    columns = [_index(left + i, width) for i in (0, 1)]
    rows = [_index(top + i, height) for i in (0, 1)]
    flat = image.reshape(n, height * width, channels)

    def pick(row: Array, column: Array) -> Array:
        index = (row * width + column).reshape(n, -1, 1)
        return jnp.take_along_axis(flat, index, axis=1, mode="clip").reshape(image.shape)

    upper, lower = (pick(r, columns[0]) * (1 - wx) + pick(r, columns[1]) * wx for r in rows)
    return upper * (1 - wy) + lower * wy


def _index(position: Array, size: int) -> Array:
    return jnp.clip(position, 0, size - 1).astype(jnp.int32)


def channel_norm(x: Array) -> Array:
    """Euclidean norm over channels, [N, H, W, C] -> [N, H, W, 1], at least float32.

    Its gradient at zero is zero, where that of a bare square root is NaN.
    """
    squared = jnp.square(at_least_float32(x)).sum(-1, keepdims=True)
    positive = squared > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1)), 0)


def enlarge(flow: Array, method: Literal["linear", "nearest"]) -> Array:
    """x4 in both axes, [N, H, W, 2] -> [N, 4H, 4W, 2]; linear has half-pixel centres."""
    n, height, width, channels = flow.shape
    if method == "nearest":
        return jnp.repeat(jnp.repeat(flow, 4, axis=1), 4, axis=2)
    return jax.image.resize(flow, (n, 4 * height, 4 * width, channels), "linear")
