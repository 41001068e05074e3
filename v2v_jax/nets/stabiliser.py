"""Lai et al.'s TransformNet (ECCV 2018): makes any per-frame result steady, blind to its making."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax.nets.blocks import Conv, instance_norm
from v2v_jax.types import Array

State = tuple[Array, Array]
"""Hidden and cell of the ConvLSTM, [N, H / 4, W / 4, 4 * features] each."""

NORMS = {"none": lambda x: x, "instance": instance_norm}

_torch_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
"""torch's own start of convolution kernels, upstream's; our biases start at 0."""


class TransformNet(nn.Module):
    """O_t = P_t + F(P_t, O_{t-1}, I_t, I_{t-1}), a ConvLSTM inside; 2,979,555 parameters.

    Call with float [N, H, W, 3] in [-1, 1] four times, H and W divisible by 4 and at least 16, and
    the state; returns O_t of the same shape, not clamped, and the new state, float32 or wider.

    Attributes:
        features: channels of the first layers.
        blocks: residual blocks.
        norm: behind the convolutions, "none" or "instance".  Upstream's code asks for instance
            norm by default and, by a slip, never applies it: its published network is "none".
            With "instance" the biases in front of it would be dead, and are left out.  Batch norm
            is no option: a frame would depend on the other clips.
        use_bias: of the convolutions without a norm; False (2,977,859 parameters) is what upstream
            makes where it is asked for no norm.

    Raises:
        ValueError: an unknown norm; sizes not divisible by 4.
    """

    features: int = 32
    blocks: int = 5
    norm: str = "none"
    use_bias: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(
        self, processed: Array, output: Array, current: Array, previous: Array, state: State
    ) -> tuple[Array, State]:
        _check(self.norm, processed.shape)
        width = self.features
        images = [(image + 1) / 2 for image in (processed, output, current, previous)]
        first, second = [], []
        for i, name in enumerate(("processed", "original")):
            pair = jnp.concatenate(images[2 * i : 2 * i + 2], axis=-1)
            first.append(self._layer(width, f"stem_{name}", pair, kernel=7))
            second.append(self._layer(2 * width, f"down_{name}", first[-1], stride=2))
        y = self._layer(4 * width, "down", jnp.concatenate(second, axis=-1), stride=2)
        for i in range(self.blocks):
            z = self._layer(4 * width, f"block_{i}_conv_0", y)
            y = y + self._layer(4 * width, f"block_{i}_conv_1", z, activate=False)
        y, cell = ConvLstm(4 * width, dtype=self.dtype, name="lstm")(y, state)
        hidden = y
        # The skips come from the processed frames' branch alone.
        for i, skip in enumerate((second[0], first[0])):
            y = self._layer(2 * width // 2**i, f"up_{i}", _double(y))
            y = jnp.concatenate([y, skip], axis=-1)
        y = Conv(3, 7, reflect=True, use_bias=True, kernel_init=_torch_init, dtype=self.dtype,
                 name="head")(y)  # fmt: skip
        change = jnp.tanh(y.astype(jnp.promote_types(y.dtype, jnp.float32)))
        return processed + 2 * change, (hidden, cell)

    def initial_state(self, frame: Array) -> State:
        """The state before the first frame, [N, H, W, 3]: zeros."""
        n, height, width, _ = frame.shape
        blank = jnp.zeros((n, height // 4, width // 4, 4 * self.features), frame.dtype)
        return blank, blank

    def _layer(
        self,
        features: int,
        name: str,
        x: Array,
        *,
        kernel: int = 3,
        stride: int = 1,
        activate: bool = True,
    ) -> Array:
        bias = self.use_bias and self.norm == "none"
        y = Conv(
            features,
            kernel,
            stride=stride,
            reflect=True,
            use_bias=bias,
            kernel_init=_torch_init,
            dtype=self.dtype,
            name=name,
        )(x)
        y = NORMS[self.norm](y)
        return nn.leaky_relu(y, 0.2) if activate else y


class ConvLstm(nn.Module):
    """An LSTM whose gates are one 3x3 convolution, in the order input, remember, output, cell.

    Call with float [N, H, W, C] and the state, [N, H, W, features] each; returns the new state.
    """

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, state: State) -> State:
        hidden, cell = state
        gates = Conv(
            4 * self.features,
            3,
            use_bias=True,
            kernel_init=_torch_init,
            dtype=self.dtype,
            name="gates",
        )(jnp.concatenate([x, hidden.astype(x.dtype)], axis=-1))
        # What is remembered stays wide: its errors would add up along the video.
        gates = gates.astype(cell.dtype)
        take, remember, show, new = jnp.split(gates, 4, axis=-1)
        cell = jax.nn.sigmoid(remember) * cell + jax.nn.sigmoid(take) * jnp.tanh(new)
        return jax.nn.sigmoid(show) * jnp.tanh(cell), cell


def _double(x: Array) -> Array:
    """Nearest neighbour, [N, H, W, C] -> [N, 2H, 2W, C]."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def _check(norm: str, shape: tuple[int, ...]) -> None:
    if norm not in NORMS:
        raise ValueError(f"TransformNet: norm {norm!r} is none of {', '.join(NORMS)}")
    if shape[1] % 4 or shape[2] % 4:
        raise ValueError(
            f"TransformNet: height and width must be divisible by 4, got {shape[1:3]}; "
            "pad the frames"
        )
