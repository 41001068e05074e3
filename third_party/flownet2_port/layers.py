"""The three layers FlowNet2 is made of, each with upstream's padding and slope."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

Array = jax.Array

_conv_init = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
# Each output of the transposed convolution sees two by two of the four by four taps.
_deconv_init = nn.initializers.variance_scaling(
    2.0, "fan_in", "normal", in_axis=2, out_axis=-1, batch_axis=(3, 4)
)


def conv(
    x: Array, name: str, features: int, kernel: int = 3, stride: int = 1, *, dtype: Any = None
) -> Array:
    """Convolution of the calling module, padded by kernel // 2 on all sides, without activation.

    Args:
        x: [N, H, W, C].
        name: of its parameters in the calling module.
        features, kernel, stride: of the convolution; XLA's SAME would pad stride 2 differently.
        dtype: to compute in; None: that of x and the parameters.

    Returns:
        [N, H / stride, W / stride, features], rounded up.
    """
    sides = (kernel // 2, kernel // 2)
    layer = nn.Conv(
        features,
        (kernel, kernel),
        (stride, stride),
        padding=(sides, sides),
        dtype=dtype,
        kernel_init=_conv_init,
        name=name,
    )
    return layer(x)


def active_conv(
    x: Array, name: str, features: int, kernel: int = 3, stride: int = 1, *, dtype: Any = None
) -> Array:
    """`conv`, then LeakyReLU."""
    return leaky(conv(x, name, features, kernel, stride, dtype=dtype))


def leaky(x: Array) -> Array:
    """LeakyReLU with slope 0.1."""
    return nn.leaky_relu(x, 0.1)


class Deconv(nn.Module):
    """torch's ConvTranspose2d(kernel 4, stride 2, padding 1).

    It is computed as one 2x2 convolution with four phases per output channel, since the form over
    the zero-interleaved input is up to four times slower on XLA:CPU.  The kernel is stored that
    way: [tap y, tap x, C, phase y, phase x, features].

    Input [N, H, W, C]; output [N, 2H, 2W, features].
    """

    features: int
    use_bias: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        n, height, width, channels = x.shape
        shape = (2, 2, channels, 2, 2, self.features)
        weights = self.param("kernel", _deconv_init, shape)
        zeros = nn.initializers.zeros
        bias = self.param("bias", zeros, (self.features,)) if self.use_bias else None
        x, weights, bias = promote_dtype(x, weights, bias, dtype=self.dtype)
        z = jax.lax.conv_general_dilated(
            x,
            weights.reshape(2, 2, channels, 4 * self.features),
            (1, 1),
            ((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        ).reshape(n, height + 1, width + 1, 2, 2, self.features)
        # Output 2i sees x[i-1] and x[i], output 2i+1 sees x[i] and x[i+1]: z is one row and one
        # column longer, and the odd phases are read one further on.
        rows = [
            jnp.stack([z[:, a : a + height, b : b + width, a, b] for b in (0, 1)], axis=3)
            for a in (0, 1)
        ]
        y = jnp.stack(rows, axis=2).reshape(n, 2 * height, 2 * width, self.features)
        return y if bias is None else y + bias[None, None, None]
