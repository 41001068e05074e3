"""The image generator I: CycleGAN's residual network (appendix A.1)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax.nets.blocks import Conv, UpConv, even_init, instance_norm, normal_init
from v2v_jax.types import Array

CHOICES = {
    # What an enlargement's layers are called: parameters of one do not fit the other.
    "upsample": {"transpose": "up", "resize": "resize"},
    "up_init": {"normal": normal_init, "even": even_init},
}
"""Attributes of ``ResnetGenerator`` that name something, and what they name."""


class ResidualBlock(nn.Module):
    """x + IN(conv(ReLU(IN(conv(x))))), reflect-padded; no ReLU after the sum."""

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        y = Conv(self.features, 3, reflect=True, dtype=self.dtype, name="conv_0")(x)
        y = nn.relu(instance_norm(y))
        y = Conv(self.features, 3, reflect=True, dtype=self.dtype, name="conv_1")(y)
        return x + instance_norm(y)


class ResnetGenerator(nn.Module):
    """Image-to-image translation, I(x): 7,833,987 parameters at 64 features and 6 blocks.

    Convolutions in front of an instance norm have no bias: it would cancel.

    Call with float [N, H, W, 3] in [-1, 1], H and W divisible by 4 and at least 16; returns the
    same shape in [-1, 1], float32 or wider.

    Attributes:
        features: channels of the first layer.
        blocks: residual blocks.
        upsample: "transpose", CycleGAN's transposed convolutions, whose four phases may differ and
            then draw a grid; "resize", bilinear enlargement and a convolution, which cannot.
        up_init: of those kernels, "normal" as all others, or "even": no grid before training.

    Raises:
        ValueError: on sizes not divisible by 4.
    """

    features: int = 64
    blocks: int = 6
    upsample: str = "transpose"
    up_init: str = "normal"
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        y = _coded(x, self.features, self.blocks, self.dtype)
        width, dtype = self.features, self.dtype
        name, init = CHOICES["upsample"][self.upsample], CHOICES["up_init"][self.up_init]
        up = {"smooth": self.upsample == "resize", "kernel_init": init, "dtype": dtype}
        for i in range(2):
            y = UpConv(width * 2 // 2**i, name=f"{name}_{i}", **up)(y)
            y = nn.relu(instance_norm(y))
        y = Conv(3, 7, reflect=True, use_bias=True, dtype=dtype, name="head")(y)
        return jnp.tanh(y.astype(jnp.promote_types(y.dtype, jnp.float32)))


class LocalAffine(nn.Module):
    """Translation by a local change of colour: x (1 + s) + b, where s and b are smooth maps.

    The residual network's coder decides at a quarter of the resolution how much to scale and shift
    every colour; bilinear enlargement brings that to the frame's own, as in bilateral learning.
    Edges, markings and textures are the source's, at its sharpness: what the network cannot draw
    it cannot hallucinate, and no grid either.  The last layer begins at zero, so that training
    starts from the identity.

    Call with float [N, H, W, 3] in [-1, 1], H and W divisible by 4 and at least 16; returns the
    same shape, float32 or wider.  Values may leave [-1, 1], where a frame has no grey level: a
    bound would stop the gradient that brings them back.

    Attributes:
        features: channels of the first layer.
        blocks: residual blocks.

    Raises:
        ValueError: on sizes not divisible by 4.
    """

    features: int = 64
    blocks: int = 6
    dtype: Any = None

    def __call__(self, x: Array) -> Array:
        scale, shift = self.maps(x)
        return x * (1 + scale) + shift

    @nn.compact
    def maps(self, x: Array) -> tuple[Array, Array]:
        """The two maps, s and b: float [N, H, W, 3] each."""
        maps = _smooth_maps(x, 6, self.features, self.blocks, self.dtype)
        scale, shift = jnp.split(maps, 2, axis=-1)
        return scale, shift


class LocalMatrix(nn.Module):
    """Translation by a local change of colour that also mixes colours: x (1 + A) + b.

    ``LocalAffine`` with a 3x3 matrix at every place where that one has three factors, as HDRNet
    (Gharbi et al. 2017) has.  What scaling alone cannot do is take the colour out of things that
    lie near each other: it turns a blue sky grey and its clouds pink with it.

    Call, attributes and errors as ``LocalAffine``'s.
    """

    features: int = 64
    blocks: int = 6
    dtype: Any = None

    def __call__(self, x: Array) -> Array:
        matrix, shift = self.maps(x)
        # Three products and a sum: XLA makes a 3x3 matrix product per pixel of a contraction.
        return x + sum(x[..., i, None] * matrix[..., i, :] for i in range(3)) + shift

    @nn.compact
    def maps(self, x: Array) -> tuple[Array, Array]:
        """A, float [N, H, W, 3 from, 3 to], and b, float [N, H, W, 3]."""
        maps = _smooth_maps(x, 12, self.features, self.blocks, self.dtype)
        return maps[..., :9].reshape(*x.shape[:3], 3, 3), maps[..., 9:]


def _smooth_maps(x: Array, channels: int, width: int, blocks: int, dtype: Any) -> Array:
    """What a frame's coder says at a quarter of its size, enlarged: [N, H, W, channels]."""
    y = _coded(x, width, blocks, dtype)
    init = nn.initializers.zeros
    y = Conv(
        channels, 3, reflect=True, use_bias=True, kernel_init=init, dtype=dtype, name="affine"
    )(y)
    y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
    return jax.image.resize(y, (*x.shape[:3], channels), "linear")


def _coded(x: Array, width: int, blocks: int, dtype: Any) -> Array:
    """Stem, two halvings and the residual blocks: [N, H / 4, W / 4, 4 width]."""
    if x.shape[1] % 4 or x.shape[2] % 4:
        raise ValueError(
            f"image generator: height and width must be divisible by 4, got {x.shape[1:3]}; "
            "pad the frames (Translator does) or choose another data.size"
        )
    y = Conv(width, 7, reflect=True, dtype=dtype, name="stem")(x)
    y = nn.relu(instance_norm(y))
    for i in range(2):
        y = Conv(width * 2 ** (i + 1), 3, stride=2, dtype=dtype, name=f"down_{i}")(y)
        y = nn.relu(instance_norm(y))
    for i in range(blocks):
        y = ResidualBlock(width * 4, dtype=dtype, name=f"block_{i}")(y)
    return y
