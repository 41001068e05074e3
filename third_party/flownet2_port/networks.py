"""The four networks of FlowNet2: C (correlation), S (simple), SD (small displacements), Fusion.

Each takes upstream's concatenated, normalised input and returns the flow of its finest scale, as
upstream's evaluation mode does; ``every_scale=True`` returns all, finest first, as its training
mode does.  ``dtype`` is that of the convolutions; correlation sums and flows are at least float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flownet2_port.correlation import correlate
from flownet2_port.layers import Deconv, active_conv, conv, leaky

Array = jax.Array
Flows = Any
"""An array, or with ``every_scale`` a tuple of them."""


class FlowNetC(nn.Module):
    """FlowNetC: x [N, H, W, 6], sides multiples of 64 -> flow / 20 [N, H/4, W/4, 2]."""

    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, every_scale: bool = False) -> Flows:
        check_input("FlowNetC", x, (6,), 64)
        # Both frames go through the same layers: one batch of twice the size.
        y = jnp.concatenate([x[..., :3], x[..., 3:]])
        y = active_conv(y, "conv1", 64, 7, 2, dtype=self.dtype)
        y = active_conv(y, "conv2", 128, 5, 2, dtype=self.dtype)
        c2 = y[: x.shape[0]]
        first, second = jnp.split(active_conv(y, "conv3", 256, 5, 2, dtype=self.dtype), 2)
        redirected = active_conv(first, "conv_redir", 32, 1, dtype=self.dtype)
        related = leaky(correlate(first, second)).astype(redirected.dtype)
        y = jnp.concatenate([redirected, related], axis=-1)
        c3 = active_conv(y, "conv3_1", 256, dtype=self.dtype)
        return _decode([c2, c3, *_contract(c3, self.dtype)], every_scale, self.dtype)


class FlowNetS(nn.Module):
    """FlowNetS: x [N, H, W, 12] in the stack, [N, H, W, 6] alone -> flow / 20 [N, H/4, W/4, 2]."""

    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, every_scale: bool = False) -> Flows:
        check_input("FlowNetS", x, (6, 12), 64)
        y = active_conv(x, "conv1", 64, 7, 2, dtype=self.dtype)
        c2 = active_conv(y, "conv2", 128, 5, 2, dtype=self.dtype)
        y = active_conv(c2, "conv3", 256, 5, 2, dtype=self.dtype)
        c3 = active_conv(y, "conv3_1", 256, dtype=self.dtype)
        levels = [c2, c3, *_contract(c3, self.dtype)]
        return _decode(levels, every_scale, self.dtype, up_bias=False)


class FlowNetSD(nn.Module):
    """FlowNetSD: x [N, H, W, 6] -> [N, H/4, W/4, 2]; 20 flows in the stack, flow / 20 alone."""

    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, every_scale: bool = False) -> Flows:
        check_input("FlowNetSD", x, (6,), 64)
        *_, c2 = _contract_finely(x, self.dtype)
        y = active_conv(c2, "conv3", 256, stride=2, dtype=self.dtype)
        c3 = active_conv(y, "conv3_1", 256, dtype=self.dtype)
        levels = [c2, c3, *_contract(c3, self.dtype)]
        return _decode(levels, every_scale, self.dtype, inter=(64, 128, 256, 512))


class FlowNetFusion(nn.Module):
    """FlowNetFusion: x [N, H, W, 11] (sides multiples of 4) -> flow [N, H, W, 2] in pixels."""

    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, every_scale: bool = False) -> Flows:
        check_input("FlowNetFusion", x, (11,), 4)
        c0, c1, c2 = _contract_finely(x, self.dtype)
        flow2 = _predict(c2, "predict_flow2")
        k1 = _join(c1, c2, flow2, "deconv1", 32, "upsampled_flow2_to_1", self.dtype)
        flow1 = _predict(conv(k1, "inter_conv1", 32, dtype=self.dtype), "predict_flow1")
        k0 = _join(c0, k1, flow1, "deconv0", 16, "upsampled_flow1_to_0", self.dtype)
        flow0 = _predict(conv(k0, "inter_conv0", 16, dtype=self.dtype), "predict_flow0")
        return (flow0, flow1, flow2) if every_scale else flow0


def check_input(name: str, x: Array, channels: tuple[int, ...], multiple: int) -> None:
    """Raises ValueError unless x is [N, H, W, one of channels] with sides that can be halved."""
    if x.ndim != 4 or x.shape[-1] not in channels:
        wanted = " or ".join(str(count) for count in channels)
        raise ValueError(f"{name}: needs [N, H, W, {wanted}], got {x.shape}")
    if not x.size or x.shape[1] % multiple or x.shape[2] % multiple:
        raise ValueError(
            f"{name}: height and width must be multiples of {multiple}, got "
            f"{x.shape[1]}x{x.shape[2]}; resize the frames and scale the flow back"
        )


def _contract(c3: Array, dtype: Any) -> list[Array]:
    """The levels 4, 5 and 6 of C, S and SD."""
    levels, y = [], c3
    for level, features in ((4, 512), (5, 512), (6, 1024)):
        y = active_conv(y, f"conv{level}", features, stride=2, dtype=dtype)
        y = active_conv(y, f"conv{level}_1", features, dtype=dtype)
        levels.append(y)
    return levels


def _contract_finely(x: Array, dtype: Any) -> list[Array]:
    """The levels 0, 1 and 2 of SD and Fusion."""
    c0 = active_conv(x, "conv0", 64, dtype=dtype)
    y = active_conv(c0, "conv1", 64, stride=2, dtype=dtype)
    c1 = active_conv(y, "conv1_1", 128, dtype=dtype)
    y = active_conv(c1, "conv2", 128, stride=2, dtype=dtype)
    return [c0, c1, active_conv(y, "conv2_1", 128, dtype=dtype)]


def _decode(
    levels: Sequence[Array],
    every_scale: bool,
    dtype: Any,
    *,
    up_bias: bool = True,
    inter: Sequence[int] | None = None,
) -> Flows:
    """Coarse to fine from level 6 to level 2: (flow2, ..., flow6), or flow2 alone.

    Args:
        levels: features c2 ... c6.
        every_scale: return all flows.
        dtype: of the convolutions.
        up_bias: whether the flow's own transposed convolutions have a bias (all but S).
        inter: features of SD's inter_conv2 ... inter_conv5, between k and its flow.
    """
    k = levels[-1]
    flows = [_predict(k, "predict_flow6")]
    for level, features in ((5, 512), (4, 256), (3, 128), (2, 64)):
        up = f"upsampled_flow{level + 1}_to_{level}"
        skip = levels[level - 2]
        k = _join(skip, k, flows[0], f"deconv{level}", features, up, dtype, up_bias)
        seen = conv(k, f"inter_conv{level}", inter[level - 2], dtype=dtype) if inter else k
        flows.insert(0, _predict(seen, f"predict_flow{level}"))
    return tuple(flows) if every_scale else flows[0]


def _join(
    skip: Array,
    k: Array,
    flow: Array,
    deconv: str,
    features: int,
    up: str,
    dtype: Any,
    up_bias: bool = True,
) -> Array:
    """The next finer k: encoder features, k and the flow brought to their size, concatenated."""
    finer = leaky(Deconv(features, dtype=dtype, name=deconv)(k))
    larger = Deconv(2, use_bias=up_bias, name=up)(flow)
    return jnp.concatenate([skip, finer, larger.astype(skip.dtype)], axis=-1)


def _predict(x: Array, name: str) -> Array:
    """A flow, in at least float32 whatever the other convolutions run in."""
    return conv(x.astype(jnp.promote_types(x.dtype, jnp.float32)), name, 2)
