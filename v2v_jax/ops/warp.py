"""Backward warping and the masks that say where it can be trusted (section 3.1 and eq. 7)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from v2v_jax.types import Array


def backward_warp(image: Array, flow: Array) -> tuple[Array, Array]:
    """Carries ``image`` along a backward flow: warped(p) = image(p + flow(p)).

    Bilinear, with coordinates clamped to the border as in FlowNet2's Resample2d.  Exact on
    integer flows; gradients are finite for any finite flow.

    Args:
        image: float [N, H, W, C].
        flow: float [N, H, W, 2], pixels (dx, dy).

    Returns:
        The warped image [N, H, W, C] and ``visible`` float [N, H, W, 1]: 1 where p + flow(p) lies
        inside the image, 0 where the border was repeated (no gradient).

    Raises:
        ValueError: shapes that do not belong together.
    """
    if image.ndim != 4 or flow.shape != (*image.shape[:3], 2):
        raise ValueError(
            f"backward_warp: image {image.shape} needs a flow {(*image.shape[:3], 2)}, "
            f"got {flow.shape}"
        )
    _, height, width, channels = image.shape
    x = flow[..., 0] + jnp.arange(width, dtype=flow.dtype)[None, None, :]
    y = flow[..., 1] + jnp.arange(height, dtype=flow.dtype)[None, :, None]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    x = jnp.clip(x, 0, width - 1)
    y = jnp.clip(y, 0, height - 1)
    # The last cell is closed on both sides: the border itself has weight 1 on its right column.
    x0 = jnp.clip(jnp.floor(x), 0, max(width - 2, 0))
    y0 = jnp.clip(jnp.floor(y), 0, max(height - 2, 0))
    wx = (x - x0)[..., None].astype(image.dtype)
    wy = (y - y0)[..., None].astype(image.dtype)
    column = x0.astype(jnp.int32)
    row = y0.astype(jnp.int32)
    right = jnp.minimum(column + 1, width - 1)
    below = jnp.minimum(row + 1, height - 1)
    flat = image.reshape(image.shape[0], height * width, channels)

    def pick(rows: Array, columns: Array) -> Array:
        index = (rows * width + columns).reshape(image.shape[0], -1, 1)
        # Clamped above, so out-of-range handling would only cost time.
        taken = jnp.take_along_axis(flat, index, axis=1, mode="promise_in_bounds")
        return taken.reshape(image.shape)

    top = pick(row, column) * (1 - wx) + pick(row, right) * wx
    bottom = pick(below, column) * (1 - wx) + pick(below, right) * wx
    return top * (1 - wy) + bottom * wy, inside[..., None].astype(image.dtype)


def occlusion_mask(
    current: Array,
    warped_previous: Array,
    visible: Array,
    *,
    alpha: float = 50.0,
    squared: bool = False,
) -> Array:
    """Eq. 7's O: exp(-alpha * ||x_t - W(x_{t-1})||_2), per pixel, without gradient.

    Args:
        current: float [N, H, W, 3] in [-1, 1], the source frame x_t.
        warped_previous: the same shape, W(x_{t-1}).
        visible: float [N, H, W, 1]; pixels whose flow leaves the frame get 0.
        alpha: 50 in the paper; the norm is over RGB in [0, 1].
        squared: use the squared norm, as Lai et al. (whose alpha this is) do.

    Returns:
        float [N, H, W, 1] in [0, 1].
    """
    distance = jnp.sum(jnp.square((current - warped_previous) / 2), axis=-1, keepdims=True)
    if not squared:
        distance = jnp.sqrt(distance)
    # The square root has no gradient at 0: the mask is a constant of the step.
    return jax.lax.stop_gradient(jnp.exp(-alpha * distance) * visible)


def forward_backward_occlusion(
    backward: Array, forward: Array, *, relative: float = 0.01, absolute: float = 0.5
) -> Array:
    """Where following a pixel back and forth returns to it (Sundaram et al., 2010).

    Args:
        backward: float [N, H, W, 2] on frame t, pointing to frame t-1, in pixels.
        forward: float [N, H, W, 2] on frame t-1, pointing to frame t, in pixels.
        relative, absolute: |b + W(f)|^2 <= relative * (|b|^2 + |W(f)|^2) + absolute passes.

    Returns:
        float [N, H, W, 1] on frame t: 1 visible in frame t-1, 0 occluded or out of the frame.
    """
    carried, inside = backward_warp(forward, backward)
    gap = jnp.sum(jnp.square(backward + carried), axis=-1, keepdims=True)
    size = jnp.sum(jnp.square(backward) + jnp.square(carried), axis=-1, keepdims=True)
    return inside * (gap <= relative * size + absolute)
