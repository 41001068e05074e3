"""The stack of five networks, and the stand-alone use of three of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flownet2_port.networks import FlowNetC, FlowNetFusion, FlowNetS, FlowNetSD, check_input
from flownet2_port.resampling import channel_norm, enlarge, normalise_pair, resample

Array = jax.Array

_SCALE = 20
"""C and S predict flow / 20 (div_flow)."""


class FlowNet2(nn.Module):
    """FlowNet2, with upstream's names of the five networks and 162,518,834 parameters.

    Attributes:
        dtype: of the convolutions, None or jnp.bfloat16.  Coordinates, warps, correlation sums and
            flows are float32 in any case.
    """

    dtype: Any = None

    @nn.compact
    def __call__(self, first: Array, second: Array) -> Array:
        """The flow from the first frame to the second.

        Args:
            first, second: RGB in 0-255, [N, H, W, 3], sides multiples of 64.

        Returns:
            Pixels (dx, dy), [N, H, W, 2], at least float32: second(p + flow(p)) ~ first(p).

        Raises:
            ValueError: other shapes.
        """
        _check_pair("FlowNet2", first, second)
        x = normalise_pair(first, second)
        flow_c = enlarge(_SCALE * FlowNetC(self.dtype, name="flownetc")(x), "linear")
        flow_1 = FlowNetS(self.dtype, name="flownets_1")(_refinement_input(x, flow_c))
        flow_1 = enlarge(_SCALE * flow_1, "linear")
        flow_2 = FlowNetS(self.dtype, name="flownets_2")(_refinement_input(x, flow_1))
        flow_2 = enlarge(_SCALE * flow_2, "nearest")
        # Divided, not multiplied: upstream follows the Caffe model (its issue 37).
        flow_sd = enlarge(FlowNetSD(self.dtype, name="flownets_d")(x) / _SCALE, "nearest")
        return FlowNetFusion(self.dtype, name="flownetfusion")(_fusion_input(x, flow_sd, flow_2))


def stand_alone_flow(
    net: FlowNetC | FlowNetS | FlowNetSD, params: Mapping[str, Any], first: Array, second: Array
) -> Array:
    """The flow of a network with the weights of FlowNet2-C, -S or -SD, without the stack.

    Args:
        net: the network.
        params: of its own checkpoint, from `params_from_torch`.
        first, second: as for `FlowNet2`.

    Returns:
        Pixels (dx, dy), [N, H, W, 2]; alone, SD is multiplied by 20 like the others.

    Raises:
        ValueError: other shapes.
    """
    _check_pair(type(net).__name__, first, second)
    flow = net.apply({"params": params}, normalise_pair(first, second))
    return enlarge(_SCALE * jnp.asarray(flow), "linear")


def _refinement_input(x: Array, flow: Array) -> Array:
    """What S sees: both frames, the second warped back, its flow and the error it leaves."""
    warped = resample(x[..., 3:], flow)
    error = channel_norm(x[..., :3] - warped)
    return jnp.concatenate([x, warped, flow / _SCALE, error], axis=-1)


def _fusion_input(x: Array, flow_sd: Array, flow_2: Array) -> Array:
    """What Fusion sees: the first frame, both flows in pixels, their norms and their errors."""
    first, second = x[..., :3], x[..., 3:]
    errors = [channel_norm(first - resample(second, flow)) for flow in (flow_sd, flow_2)]
    norms = [channel_norm(flow) for flow in (flow_sd, flow_2)]
    return jnp.concatenate([first, flow_sd, flow_2, *norms, *errors], axis=-1)


def _check_pair(name: str, first: Array, second: Array) -> None:
    if first.shape != second.shape:
        raise ValueError(f"{name}: frames of one shape are needed: {first.shape}, {second.shape}")
    check_input(name, first, (3,), 64)
