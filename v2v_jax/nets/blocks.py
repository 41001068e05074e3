"""Convolutions and norms with torch's semantics, written once."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.dtypes import promote_dtype

from v2v_jax.nets.convolution import convolve
from v2v_jax.types import Array

normal_init = nn.initializers.normal(0.02)
"""CycleGAN's initialisation of convolution kernels, N(0, 0.02)."""


def reflect_pad(x: Array, size: int) -> Array:
    """Pads [N, H, W, C] by ``size`` on all four sides, mirrored without repeating the border."""
    return jnp.pad(x, ((0, 0), (size, size), (size, size), (0, 0)), mode="reflect")


class Conv(nn.Module):
    """Convolution with torch's symmetric padding; ``reflect`` pads by mirroring.

    Input [N, H, W, C]; output [N, H / stride, W / stride, features] for odd kernels and
    padding = kernel // 2.
    """

    features: int
    kernel: int
    stride: int = 1
    padding: int | None = None
    reflect: bool = False
    use_bias: bool = False
    kernel_init: nn.initializers.Initializer = normal_init
    bias_init: nn.initializers.Initializer = nn.initializers.zeros
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        weights = self.param("kernel", self.kernel_init, shape)
        bias = self.param("bias", self.bias_init, (self.features,)) if self.use_bias else None
        x, weights, bias = promote_dtype(x, weights, bias, dtype=self.dtype)
        size = self.kernel // 2 if self.padding is None else self.padding
        if self.reflect:
            x, size = reflect_pad(x, size), 0
        y = convolve(x, weights, self.stride, ((size, size), (size, size)))
        return y if bias is None else y + bias[None, None, None]


def even_init(rng: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Kernels of ``UpConv`` whose four phases are equal: a flat input gives a flat output.

    Bilinear interpolation of one weight per pair of channels, so that ramps get no grid either.
    The taps' root mean square is that of ``normal_init``.
    """
    taps = np.outer([0.5, 1.0, 0.5], [0.5, 1.0, 0.5])
    weights = normal_init(rng, (1, 1, *shape[2:]), dtype)
    return weights * jnp.asarray(taps / np.sqrt(np.mean(taps**2)), dtype).reshape(3, 3, 1, 1)


class UpConv(nn.Module):
    """torch's ConvTranspose2d(kernel 3, stride 2, padding 1, output_padding 1), without bias.

    The kernel is stored as that of the equivalent correlation over the zero-interleaved input.
    It is computed as one 2x2 convolution with four phases per output channel: the interleaved
    form does 2.25 times the work, and its kernel gradient is 30 times slower on XLA:CPU.

    Input [N, H, W, C]; output [N, 2H, 2W, features].

    Attributes:
        features: channels made.
        smooth: filter by [1 2 1] / 2 afterwards.  As filters commute, this is bilinear enlargement
            and then a 3x3 convolution, at less than half its work: a flat input comes out flat
            and a ramp a ramp, whatever the kernel.
        kernel_init: of the 3x3 kernel; ``even_init`` starts without a grid.
    """

    features: int
    smooth: bool = False
    kernel_init: nn.initializers.Initializer = normal_init
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        weights = self.param("kernel", self.kernel_init, (3, 3, x.shape[-1], self.features))
        x, weights = promote_dtype(x, weights, dtype=self.dtype)
        n, height, width, channels = x.shape
        # Along one axis, output 2i sees tap 1 on x[i]; output 2i+1 sees tap 0 on x[i] and tap 2
        # on x[i+1].  Index 3 is the zero appended below.
        taps = np.array([[1, 3], [0, 2]])
        weights = jnp.pad(weights, ((0, 1), (0, 1), (0, 0), (0, 0)))
        weights = weights[taps][:, :, taps]  # [phase y, tap y, phase x, tap x, C, features]
        phases = weights.transpose(1, 3, 4, 0, 2, 5).reshape(2, 2, channels, 4 * self.features)
        y = convolve(x, phases, 1, ((0, 1), (0, 1)))
        y = y.reshape(n, height, width, 2, 2, self.features).transpose(0, 1, 3, 2, 4, 5)
        y = y.reshape(n, 2 * height, 2 * width, self.features)
        return _without_grid(y) if self.smooth else y


def _without_grid(x: Array) -> Array:
    """[N, H, W, C] filtered by [1 2 1] / 2 along H and W."""
    # Mirroring keeps even pixels next to odd ones, so that a grid vanishes at the border too.
    x = reflect_pad(x, 1)
    x = x[:, 1:-1] + (x[:, :-2] + x[:, 2:]) / 2
    return x[:, :, 1:-1] + (x[:, :, :-2] + x[:, :, 2:]) / 2


def instance_norm(x: Array, epsilon: float = 1e-5) -> Array:
    """Instance norm without parameters: per sample and channel over H and W.

    Statistics are computed in at least float32 and by two passes: the one-pass variance loses
    everything when the mean is large.

    Args:
        x: [N, H, W, C].
        epsilon: torch's 1e-5.

    Returns:
        [N, H, W, C] of x's dtype.
    """
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    centred = wide - wide.mean((1, 2), keepdims=True)
    variance = jnp.square(centred).mean((1, 2), keepdims=True)
    return (centred * jax.lax.rsqrt(variance + epsilon)).astype(x.dtype)
