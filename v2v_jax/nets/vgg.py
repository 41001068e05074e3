"""VGG features for the content loss (eq. 6)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from v2v_jax.nets.blocks import Conv, instance_norm
from v2v_jax.types import Array

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
VGG16 = (2, 2, 3, 3, 3)
"""Convolutions per stage."""


class Vgg(nn.Module):
    """A VGG up to one tap; nothing beyond it is computed.

    Call with float [N, H, W, 3] in [-1, 1]; the ImageNet normalisation is inside.  Returns the
    tap's map, [N, H / 16, W / 16, 512] for stage 5 of VGG-16.

    Attributes:
        tap: ``conv<stage>_<i>`` before or ``relu<stage>_<i>`` after the ReLU.
        stages: convolutions per stage; VGG-16's by default.
        features: channels of the first stage, 64 in the published networks; narrower ones exist
            only with random weights.
        normalise: instance-normalise the map, which washes the style out of it (section 3.4).

    Raises:
        ValueError: if the network has no such tap.
    """

    tap: str = "relu5_3"
    stages: tuple[int, ...] = VGG16
    features: int = 64
    normalise: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        mean, std = (
            jnp.asarray(v, x.dtype)[None, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD)
        )
        y = ((x + 1) / 2 - mean) / std
        for stage, convolutions in enumerate(self.stages, start=1):
            if stage > 1:
                y = nn.max_pool(y, (2, 2), (2, 2))
            for i in range(1, convolutions + 1):
                width = self.features * min(2 ** (stage - 1), 8)
                name = f"conv{stage}_{i}"
                # He's initialisation: used only when random weights are asked for by name.
                init = nn.initializers.he_normal()
                conv = Conv(width, 3, use_bias=True, kernel_init=init, dtype=self.dtype, name=name)
                y = conv(y)
                if self.tap == name:
                    return self._finish(y)
                y = nn.relu(y)
                if self.tap == f"relu{stage}_{i}":
                    return self._finish(y)
        raise ValueError(f"Vgg: no tap {self.tap!r}; conv/relu1_1 .. {stage}_{convolutions} exist")

    def _finish(self, y: Array) -> Array:
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        return instance_norm(y) if self.normalise else y
