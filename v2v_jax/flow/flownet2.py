"""FlowNet2, the paper's flow estimator, inside the jitted step (section 3.1)."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flownet2_port import FlowNet2, params_from_torch

from v2v_jax.types import Array, Params

# Only this module may import the port.
__all__ = ["FlowNet2", "FlowNet2Flow", "params_from_torch"]

_MULTIPLE = 64


@dataclasses.dataclass(frozen=True)
class FlowNet2Flow:
    """A `flow.base.FlowEstimator`; ``frozen`` are the parameters of `flownet2_port.FlowNet2`.

    FlowNet2 takes sides that are multiples of 64: other frames are enlarged to the next ones, as
    its authors' script does, and the flow is brought back to the frames' own pixels.

    Attributes:
        dtype: of the convolutions, None for float32 or jnp.bfloat16; coordinates, warps,
            correlation sums and flows are float32.
    """

    dtype: Any = None

    def __call__(self, frozen: Params, current: Array, previous: Array) -> Array:
        """[N, H, W, 3] in [-1, 1] twice -> float32 [N, H, W, 2], without gradient."""
        height, width = current.shape[1:3]
        size = (-(-height // _MULTIPLE) * _MULTIPLE, -(-width // _MULTIPLE) * _MULTIPLE)
        frames = [_resize((x.astype(jnp.float32) + 1) * 127.5, size) for x in (current, previous)]
        flow: Any = FlowNet2(self.dtype).apply({"params": frozen}, *frames)
        flow = _resize(flow, (height, width))
        ratio = jnp.array([width / size[1], height / size[0]], flow.dtype)
        return jax.lax.stop_gradient(flow * ratio[None, None, None])


def _resize(x: Array, size: tuple[int, int]) -> Array:
    """Bilinear with half-pixel centres; the same array where nothing changes."""
    if x.shape[1:3] == size:
        return x
    shape = (x.shape[0], *size, x.shape[-1])
    # Without the averaging that a shrinking resize does by default: affine flow stays exact.
    highest = jax.lax.Precision.HIGHEST
    return jax.image.resize(x, shape, "linear", antialias=False, precision=highest)
