"""RAFT's update operator: one refinement of the flow (section 3.3)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from v2v_jax.types import Array


class Update(nn.Module):
    """Motion encoder, convolutional GRU and flow head.

    Call with hidden [N, h, w, hidden], context [N, h, w, C], correlations [N, h, w, K] and flow
    [N, h, w, 2]; returns the next hidden state and the change of flow.

    Attributes:
        small: RAFT-small's widths and its one 3x3 GRU; else a 1x5 and a 5x1 GRU.
        dtype: of the convolutions; None: that of the input.
    """

    small: bool
    dtype: Any = None

    @nn.compact
    def __call__(
        self, hidden: Array, context: Array, correlations: Array, flow: Array
    ) -> tuple[Array, Array]:
        motion = _Motion(self.small, self.dtype, name="motion")(correlations, flow)
        x = jnp.concatenate([context, motion], axis=-1)
        for i, kernel in enumerate(((3, 3),) if self.small else ((1, 5), (5, 1))):
            hidden = _Gru(kernel, self.dtype, name=f"gru_{i}")(hidden, x)
        width = 128 if self.small else 256
        y = nn.relu(nn.Conv(width, (3, 3), padding=1, dtype=self.dtype, name="flow_0")(hidden))
        change = nn.Conv(2, (3, 3), padding=1, dtype=self.dtype, name="flow_1")(y)
        return hidden, change.astype(flow.dtype)


class _Motion(nn.Module):
    """Features of the looked-up correlations and of the flow; the flow itself comes last."""

    small: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, correlations: Array, flow: Array) -> Array:
        def layer(name: str, x: Array, features: int, kernel: int) -> Array:
            size = (kernel, kernel)
            convolution = nn.Conv(features, size, padding=kernel // 2, dtype=self.dtype, name=name)
            return nn.relu(convolution(x))

        c = layer("correlation_0", correlations, 96 if self.small else 256, 1)
        if not self.small:
            c = layer("correlation_1", c, 192, 3)
        f = layer("flow_0", flow, 64 if self.small else 128, 7)
        f = layer("flow_1", f, 32 if self.small else 64, 3)
        y = layer("joint", jnp.concatenate([c, f], axis=-1), 80 if self.small else 126, 3)
        return jnp.concatenate([y.astype(flow.dtype), flow], axis=-1)


class _Gru(nn.Module):
    """Gated recurrent unit whose three maps are convolutions."""

    kernel: tuple[int, int]
    dtype: Any = None

    @nn.compact
    def __call__(self, hidden: Array, x: Array) -> Array:
        def gate(name: str, h: Array) -> Array:
            padding = [(size // 2, size // 2) for size in self.kernel]
            convolution = nn.Conv(
                hidden.shape[-1], self.kernel, padding=padding, dtype=self.dtype, name=name
            )
            return convolution(jnp.concatenate([h, x], axis=-1)).astype(hidden.dtype)

        update, reset = nn.sigmoid(gate("update", hidden)), nn.sigmoid(gate("reset", hidden))
        candidate = nn.tanh(gate("candidate", reset * hidden))
        return (1 - update) * hidden + update * candidate
