"""RAFT's encoders: frames to features or context at an eighth of the resolution."""

from __future__ import annotations

import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax.types import Array

Norm = Literal["instance", "batch", "none"]


class Encoder(nn.Module):
    """7x7 convolution, six residual blocks, 1x1 convolution.

    Call with [N, H, W, 3], sides multiples of 8; returns [N, H / 8, W / 8, features].

    Attributes:
        features: output channels.
        widths: channels of the stem and of the three pairs of blocks.
        bottleneck: blocks of three convolutions (RAFT-small) rather than two.
        norm: "instance" and "none" have no parameters; "batch" applies stored statistics.
        dtype: of the convolutions; None: that of the input.
    """

    features: int
    widths: tuple[int, int, int, int]
    bottleneck: bool
    norm: Norm
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = _ConvNorm(self.widths[0], 7, 2, norm=self.norm, dtype=self.dtype, name="stem")(x)
        x = nn.relu(x)
        for i in range(6):
            stage, second = divmod(i, 2)
            width = self.widths[stage + 1]
            stride = 2 if stage > 0 and not second else 1
            block = functools.partial(_Block, bottleneck=self.bottleneck, norm=self.norm)
            x = block(width, stride=stride, dtype=self.dtype, name=f"block_{i}")(x)
        return nn.Conv(self.features, (1, 1), dtype=self.dtype, name="head")(x)


class _Block(nn.Module):
    """Residual block; every convolution is followed by norm and ReLU, and so is the sum."""

    features: int
    stride: int
    bottleneck: bool
    norm: Norm
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        narrow = self.features // 4
        layers = (
            ((narrow, 1, 1), (narrow, 3, self.stride), (self.features, 1, 1))
            if self.bottleneck
            else ((self.features, 3, self.stride), (self.features, 3, 1))
        )
        convolution = functools.partial(_ConvNorm, norm=self.norm, dtype=self.dtype)
        y = x
        for i, layer in enumerate(layers):
            y = nn.relu(convolution(*layer, name=f"conv_{i}")(y))
        if self.stride > 1:
            x = convolution(self.features, 1, self.stride, name="shortcut")(x)
        return nn.relu(x + y)


class _ConvNorm(nn.Module):
    """Convolution with torch's padding, then the norm; no bias where instance norm cancels it."""

    features: int
    kernel: int
    stride: int
    norm: Norm
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        size = self.kernel // 2
        x = nn.Conv(
            self.features,
            (self.kernel, self.kernel),
            self.stride,
            padding=((size, size), (size, size)),
            use_bias=self.norm != "instance",
            dtype=self.dtype,
            name="conv",
        )(x)
        if self.norm == "batch":
            return _BatchNorm(name="norm")(x)
        if self.norm == "instance":
            return nn.InstanceNorm(
                epsilon=1e-5, use_bias=False, use_scale=False, use_fast_variance=False
            )(x)
        return x


class _BatchNorm(nn.Module):
    """Batch norm in evaluation mode; the running statistics are parameters like the others."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        zeros, ones = nn.initializers.zeros, nn.initializers.ones
        shape = (x.shape[-1],)
        scale, bias = self.param("scale", ones, shape), self.param("bias", zeros, shape)
        mean, variance = self.param("mean", zeros, shape), self.param("variance", ones, shape)
        factor = scale * jax.lax.rsqrt(variance + 1e-5)
        wide = x.astype(jnp.promote_types(x.dtype, factor.dtype))
        y = wide * factor[None, None, None] + (bias - mean * factor)[None, None, None]
        return y.astype(x.dtype)
