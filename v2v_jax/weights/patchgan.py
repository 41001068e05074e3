"""CycleGAN's PatchGAN discriminator: `model.{0,2,5,8,11}` to named layers."""

from __future__ import annotations

import re

from v2v_jax.weights.name_map import Slots, StateDict, conv, norm_buffers, size


def slots(state: StateDict) -> Slots:
    """The keys of `PatchDiscriminator`; width and number of layers are read from ``state``.

    The published 70x70 networks have 64 features and 3 stride-2 layers; the biases of all layers
    but the first and the last are dead.
    """
    width = size(state, "model.0.weight", 0, 64)
    layers = _count_layers(state)
    table = conv("model.0", (width, 3, 4, 4), ("conv_0",), bias=True)
    inputs = width
    for i in range(1, layers + 1):
        outputs = width * min(2**i, 8)
        index = 3 * i - 1
        table |= conv(f"model.{index}", (outputs, inputs, 4, 4), (f"conv_{i}",), bias=False)
        table |= norm_buffers(f"model.{index + 1}", outputs)
        inputs = outputs
    return table | conv(f"model.{3 * layers + 2}", (1, inputs, 4, 4), ("head",), bias=True)


def _count_layers(state: StateDict) -> int:
    found = [int(m[1]) for key in state if (m := re.fullmatch(r"model\.(\d+)\.\w+", key))]
    last = max(found, default=11)
    return max(1, (last - 2) // 3) if last % 3 == 2 else 3
