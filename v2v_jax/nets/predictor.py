"""The temporal predictor P of Recycle-GAN: a U-Net that foresees the next frame from two."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from v2v_jax.nets.blocks import Conv, instance_norm, normal_init
from v2v_jax.nets.convolution import convolve
from v2v_jax.types import Array

DEEPEST = 8
"""Halvings of the largest published network, ``unet_256``; ``unet_128`` has 7."""


class Predictor(nn.Module):
    """pix2pix's U-Net on two consecutive frames, P(x_{t-2}, x_{t-1}) ~ x_t.

    At 64 features ``unet_256`` has 54,407,747 parameters (published: 54,412,675, with 4,928 dead
    biases in front of an instance norm) and ``unet_128`` 41,824,835 (41,828,739 with 3,904).  No
    dropout, as in Recycle-GAN's own scripts.

    Call with float [N, H, W, 3] in [-1, 1] twice; returns the same shape in [-1, 1], float32 or
    wider.

    Attributes:
        features: channels of the first level.
        depth: halvings of the frame; 8 is ``unet_256``, 7 ``unet_128``.  None: as many as leave
            something of the shorter side, at most 8.  Sides they do not divide are then padded
            with their border inside.

    Raises:
        ValueError: on sizes that the given depth does not divide.
    """

    features: int = 64
    depth: int | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, before: Array, last: Array) -> Array:
        height, width = last.shape[1:3]
        depth = self._depth(height, width)
        y = _pad(jnp.concatenate([before, last], axis=-1), 2**depth)
        features = [self.features * min(2**level, 8) for level in range(depth)]
        kept = []
        for level, size in enumerate(features):
            outer, inner = level == 0, level == depth - 1
            y = y if outer else nn.leaky_relu(y, 0.2)
            bias = outer or inner
            y = Conv(
                size, 4, stride=2, padding=1, use_bias=bias, dtype=self.dtype, name=f"down_{level}"
            )(y)
            y = y if bias else instance_norm(y)
            kept.append(y)
        y = kept.pop()
        for level in reversed(range(1, depth)):
            y = _UpConv(features[level - 1], dtype=self.dtype, name=f"up_{level}")(nn.relu(y))
            y = jnp.concatenate([kept.pop(), instance_norm(y)], axis=-1)
        y = _UpConv(3, use_bias=True, dtype=self.dtype, name="up_0")(nn.relu(y))
        return jnp.tanh(y.astype(jnp.promote_types(y.dtype, jnp.float32)))[:, :height, :width]

    def _depth(self, height: int, width: int) -> int:
        if self.depth is None:
            return max(1, min(DEEPEST, min(height, width).bit_length() - 1))
        if height % 2**self.depth or width % 2**self.depth:
            raise ValueError(
                f"Predictor: height and width must be divisible by 2^depth = {2**self.depth}, got "
                f"{(height, width)}; choose depth None, which fits every size"
            )
        return self.depth


class _UpConv(nn.Module):
    """torch's ConvTranspose2d(kernel 4, stride 2, padding 1).

    The kernel is stored as that of the equivalent correlation over the zero-interleaved input, and
    computed as one 2x2 convolution with four phases per output channel, as ``blocks.UpConv`` is.

    Input [N, H, W, C]; output [N, 2H, 2W, features].
    """

    features: int
    use_bias: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        weights = self.param("kernel", normal_init, (4, 4, x.shape[-1], self.features))
        zeros = nn.initializers.zeros
        bias = self.param("bias", zeros, (self.features,)) if self.use_bias else None
        x, weights, bias = promote_dtype(x, weights, bias, dtype=self.dtype)
        n, height, width, channels = x.shape
        # Along one axis, output 2i sees taps 0 and 2 on x[i-1] and x[i], output 2i+1 taps 1 and 3
        # on x[i] and x[i+1]: windows i and i+1 of the H+1 windows of the padded input.
        weights = weights.reshape(2, 2, 2, 2, channels, self.features)  # [tap, phase] of y, of x
        phases = weights.transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, channels, 4 * self.features)
        y = convolve(x, phases, 1, ((1, 1), (1, 1)))
        y = y.reshape(n, height + 1, width + 1, 2, 2, self.features)
        rows = jnp.stack([y[:, :-1, :, 0], y[:, 1:, :, 1]], axis=2)
        both = jnp.stack([rows[:, :, :, :-1, 0], rows[:, :, :, 1:, 1]], axis=4)
        y = both.reshape(n, 2 * height, 2 * width, self.features)
        return y if bias is None else y + bias[None, None, None]


def _pad(x: Array, unit: int) -> Array:
    """[N, H, W, C] with H and W enlarged to multiples of ``unit`` by repeating the border."""
    down, right = (-side % unit for side in x.shape[1:3])
    return jnp.pad(x, ((0, 0), (0, down), (0, right), (0, 0)), mode="edge")
