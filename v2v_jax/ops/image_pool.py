"""CycleGAN's history of generated images, as a pure function of the pool and the draws."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from v2v_jax.types import Array


class ImagePool(struct.PyTreeNode):
    """Up to ``size`` images that a discriminator has not forgotten."""

    images: Array
    """float [size, H, W, C]."""
    count: Array
    """int32 []: how many of them are filled."""


def empty_pool(size: int, height: int, width: int, channels: int = 3) -> ImagePool:
    """A pool of ``size`` images, none filled; 0 never stores any."""
    return ImagePool(jnp.zeros((size, height, width, channels)), jnp.zeros((), jnp.int32))


def draw(rng: Array, count: int, size: int) -> tuple[Array, Array]:
    """What chance decides about ``count`` images: whether to swap, bool, and with which, int32."""
    chance, place = jax.random.split(rng)
    swap = jax.random.uniform(chance, (count,)) > 0.5
    return swap, jax.random.randint(place, (count,), 0, max(size, 1))


def exchange(pool: ImagePool, images: Array, swap: Array, place: Array) -> tuple[ImagePool, Array]:
    """Shows the pool a batch of images, one after the other.

    While the pool is not full an image is stored and returned.  Afterwards it is either returned
    and not stored, or takes the place of a stored one, which is returned instead.

    Args:
        pool: the history.
        images: float [N, H, W, C] without gradient.
        swap: bool [N], whether to swap once the pool is full.
        place: int32 [N], with which stored image.

    Returns:
        The pool afterwards, and [N, H, W, C] to show the discriminator.
    """
    size = pool.images.shape[0]
    if not size:
        return pool, images

    def show(pool: ImagePool, one: tuple[Array, Array, Array]) -> tuple[ImagePool, Array]:
        image, swap, place = one
        full = pool.count == size
        slot = jnp.where(full, place, pool.count)
        old = pool.images[slot]
        stored = pool.images.at[slot].set(jnp.where(full & ~swap, old, image))
        count = jnp.minimum(pool.count + 1, size)
        return ImagePool(stored, count), jnp.where(full & swap, old, image)

    return jax.lax.scan(show, pool, (images.astype(pool.images.dtype), swap, place))
