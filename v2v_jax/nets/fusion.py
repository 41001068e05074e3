"""The fusion block F: where to keep the carried pixel and where to synthesise it (eq. 2)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax.nets.blocks import Conv, instance_norm
from v2v_jax.types import Array


class Fusion(nn.Module):
    """The learned fusion mask m = F(|raw - warped|), 10,369 parameters (appendix A.1).

    Three reflect-padded convolutions, instance norm and ReLU after all but the last, sigmoid.

    Call with raw and warped, float [N, H, W, 3] in [-1, 1]; returns the mask [N, H, W, 1] in
    [0, 1]: 1 keeps the carried pixel, 0 takes the synthesised one.

    Attributes:
        features: channels of the two hidden layers (unstated in the paper).
        kernel: size of all three kernels (unstated).
        signed: feed raw - warped, as eq. 2 prints it, instead of its absolute value.
        bias_init: initial bias of the last layer; the first masks are about sigmoid(bias_init).
    """

    features: int = 32
    kernel: int = 3
    signed: bool = False
    bias_init: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, raw: Array, warped: Array) -> Array:
        y = raw - warped
        y = y if self.signed else jnp.abs(y)
        for i in range(2):
            y = Conv(self.features, self.kernel, reflect=True, dtype=self.dtype, name=f"conv_{i}")(
                y
            )
            y = nn.relu(instance_norm(y))
        y = Conv(
            1,
            self.kernel,
            reflect=True,
            use_bias=True,
            bias_init=nn.initializers.constant(self.bias_init),
            dtype=self.dtype,
            name="head",
        )(y)
        return jax.nn.sigmoid(y.astype(jnp.promote_types(y.dtype, jnp.float32)))


class Constant(nn.Module):
    """A mask that is the same everywhere, for ablations.

    It has no parameters, and what has none has no group in a restored checkpoint either.

    Call with raw and warped, float [N, H, W, 3]; returns [N, H, W, 1].

    Attributes:
        value: in [0, 1]; 0.5 averages, 1 keeps every carried pixel that a gate lets pass.
    """

    value: float

    @nn.compact
    def __call__(self, raw: Array, warped: Array) -> Array:
        return jnp.full_like(raw[..., :1], self.value)
