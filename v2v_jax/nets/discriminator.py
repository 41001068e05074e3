"""The discriminator D: a PatchGAN on single frames (section 3.7)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from v2v_jax.nets.blocks import Conv, instance_norm
from v2v_jax.types import Array


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches: 70x70 pixels, 2,763,841 parameters at 64 features, 3 layers.

    Call with float [N, H, W, 3] in [-1, 1]; returns logits, float32 or wider, one per patch:
    [N, h, w, 1], [N, 30, 62, 1] for 256x512.

    Attributes:
        features: channels of the first layer.
        layers: stride-2 layers; 3 sees 70x70 pixels, 2 sees 34x34, 1 sees 16x16.
    """

    features: int = 64
    layers: int = 3
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        conv = {"kernel": 4, "padding": 1, "dtype": self.dtype}
        y = Conv(self.features, stride=2, use_bias=True, name="conv_0", **conv)(x)
        y = nn.leaky_relu(y, 0.2)
        for i in range(1, self.layers + 1):
            stride = 2 if i < self.layers else 1
            y = Conv(self.features * min(2**i, 8), stride=stride, name=f"conv_{i}", **conv)(y)
            y = nn.leaky_relu(instance_norm(y), 0.2)
        y = Conv(1, use_bias=True, name="head", **conv)(y)
        return y.astype(jnp.promote_types(y.dtype, jnp.float32))
