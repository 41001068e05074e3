"""Labels as a picture: what a discriminator may know of a frame's content where labels exist."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from v2v_jax.types import Array

CLASSES = 19
"""Cityscapes' train ids; whatever else stands in a label map is no class."""


def class_map(labels: Array) -> Array:
    """One picture per class: float32 [N, H, W, 19] of 0 and 1, all 0 where unlabelled.

    Args:
        labels: int [N, H, W], train ids.
    """
    return jax.nn.one_hot(labels, CLASSES, dtype=jnp.float32)


def class_kind(labels: Array) -> Array:
    """The class, or ``CLASSES`` where unlabelled: int32 [N, H, W]."""
    known = (labels >= 0) & (labels < CLASSES)
    return jnp.where(known, labels, CLASSES).astype(jnp.int32)
