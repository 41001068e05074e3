"""The reference fusion block: `fusion.{0,1,2}` to named layers."""

from __future__ import annotations

from v2v_jax.weights.name_map import Slots, StateDict, conv, size


def slots(state: StateDict) -> Slots:
    """The keys of `Fusion`; width and kernel are read from ``state``; two biases are dead."""
    width = size(state, "fusion.0.weight", 0, 32)
    kernel = size(state, "fusion.0.weight", 2, 3)
    area = (kernel, kernel)
    return (
        conv("fusion.0", (width, 3, *area), ("conv_0",), bias=False)
        | conv("fusion.1", (width, width, *area), ("conv_1",), bias=False)
        | conv("fusion.2", (1, width, *area), ("head",), bias=True)
    )
