"""From flow at an eighth of the resolution to full resolution (RAFT, section 3.3)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from v2v_jax.types import Array

FACTOR = 8


def upsample_bilinear(flow: Array) -> Array:
    """RAFT-small's: bilinear with the corners aligned, vectors times 8.

    Args:
        flow: [N, h, w, 2] in pixels of its own resolution.

    Returns:
        [N, 8h, 8w, 2] in pixels of its own resolution.
    """
    rows, columns = (jnp.asarray(_aligned(size), flow.dtype) for size in flow.shape[1:3])
    return FACTOR * jnp.einsum("yi,nijc,xj->nyxc", rows, flow, columns, precision="highest")


def upsample_convex(flow: Array, logits: Array) -> Array:
    """RAFT-large's: every fine pixel is a convex combination of its 3x3 coarse neighbours.

    Args:
        flow: [N, h, w, 2] in pixels of its own resolution.
        logits: [N, h, w, 9 * 8 * 8], neighbours outermost.

    Returns:
        [N, 8h, 8w, 2] in pixels of its own resolution.
    """
    n, height, width, _ = flow.shape
    weights = jax.nn.softmax(logits.reshape(n, height, width, 9, FACTOR, FACTOR), axis=3)
    padded = jnp.pad(FACTOR * flow, ((0, 0), (1, 1), (1, 1), (0, 0)))
    neighbours = jnp.stack(
        [padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=3
    )
    fine = jnp.einsum("nyxkab,nyxkc->nyaxbc", weights, neighbours, precision="highest")
    return fine.reshape(n, FACTOR * height, FACTOR * width, 2)


def _aligned(size: int) -> np.ndarray:
    """[8 * size, size] weights of linear interpolation from one end to the other."""
    positions = np.linspace(0, size - 1, FACTOR * size)
    return np.maximum(0, 1 - np.abs(positions[:, None] - np.arange(size)))
