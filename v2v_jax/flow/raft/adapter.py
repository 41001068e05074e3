"""RAFT as a flow estimator inside the jitted step."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from v2v_jax.flow.raft.net import Raft
from v2v_jax.types import Array, Params


@dataclasses.dataclass(frozen=True)
class RaftFlow:
    """A `flow.base.FlowEstimator`; ``frozen`` are the parameters of `Raft`.

    Attributes:
        small: RAFT-small or RAFT.
        iterations: refinements of the flow.
        scale: the flow is estimated on frames enlarged by this factor, at its square of the cost.
            RAFT sees an eighth of the resolution and was trained on frames of 368x496 and more:
            at 64x128 it takes a scale of 3 to beat DIS, 4 is best
            (tools/benchmarks/end_point_error.py).  The flow stays in pixels of the given frames.
        dtype: of the convolutions, None for float32; the rest is float32.

    Raises:
        ValueError: a scale that is not positive, or no iterations.
    """

    small: bool = True
    iterations: int = 12
    scale: float = 1.0
    dtype: Any = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"the scale of RAFT must be positive, not {self.scale}")
        if self.iterations < 1:
            raise ValueError(f"RAFT needs at least 1 iteration, not {self.iterations}")

    def __call__(self, frozen: Params, current: Array, previous: Array) -> Array:
        """[N, H, W, 3] in [-1, 1] twice -> float32 [N, H, W, 2], without gradient."""
        # In front rather than behind, so that nothing of the net is differentiated at all.
        frozen, current, previous = jax.lax.stop_gradient((frozen, current, previous))
        height, width = current.shape[1:3]
        size = (max(1, round(height * self.scale)), max(1, round(width * self.scale)))
        frames = [_resize((x.astype(jnp.float32) + 1) * 127.5, size) for x in (current, previous)]
        net = Raft(self.small, self.iterations, self.dtype)
        flow: Any = net.apply({"params": frozen}, *frames)
        flow = _resize(flow, (height, width))
        ratio = jnp.array([width / size[1], height / size[0]], flow.dtype)
        return flow * ratio[None, None, None]


def _resize(x: Array, size: tuple[int, int]) -> Array:
    """Bilinear; averaging where it shrinks; the same array where it does neither."""
    if x.shape[1:3] == size:
        return x
    return jax.image.resize(
        x, (x.shape[0], *size, x.shape[-1]), "linear", precision=jax.lax.Precision.HIGHEST
    )
