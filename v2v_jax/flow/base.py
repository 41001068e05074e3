"""What a flow estimator is, in the graph and on the host."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from v2v_jax.types import Array, Params


class FlowEstimator(Protocol):
    """Estimates backward flow inside the jitted step (zero, FlowNet2, RAFT)."""

    def __call__(self, frozen: Params, current: Array, previous: Array) -> Array:
        """Flow from ``current`` to ``previous``.

        Args:
            frozen: the estimator's own parameters (an argument, never a captured constant).
            current, previous: float32 [N, H, W, 3] in [-1, 1].

        Returns:
            float32 [N, H, W, 2], pixels (dx, dy): current(p) ~ previous(p + flow(p)).
        """
        ...


class HostFlow(Protocol):
    """Estimates backward flow on the host, inside the data pipeline (OpenCV's DIS)."""

    def __call__(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] twice -> float32 [H, W, 2], pixels (dx, dy)."""
        ...
