"""Segmenters: what is where in a frame."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax.types import Array


class SmallSegmenter(nn.Module):
    """A small fully convolutional network: trained in seconds, for small frames.

    Encoder to a quarter of the size, a dilated middle, one skip; [N, H, W, 3] in [-1, 1] -> logits
    [N, H, W, classes].
    """

    classes: int = 19
    features: int = 24

    @nn.compact
    def __call__(self, x: Array) -> Array:
        height, width = x.shape[1:3]
        half = nn.relu(nn.Conv(self.features, (3, 3), strides=(2, 2))(x))
        x = nn.relu(nn.Conv(2 * self.features, (3, 3), strides=(2, 2))(half))
        for dilation in (1, 2, 4):
            y = nn.Conv(2 * self.features, (3, 3), kernel_dilation=dilation)(x)
            # Group norm over everything: single images differ in brightness, batches are small.
            x = x + nn.relu(nn.GroupNorm(num_groups=1)(y))
        x = jax.image.resize(x, (*half.shape[:3], x.shape[-1]), "bilinear")
        x = nn.relu(nn.Conv(self.features, (3, 3))(jnp.concatenate([x, half], axis=-1)))
        logits = nn.Conv(self.classes, (1, 1))(x)
        return jax.image.resize(logits, (x.shape[0], height, width, self.classes), "bilinear")
