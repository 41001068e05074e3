"""Lai et al.'s TransformNet: `conv1a.conv2d` ... to named layers."""

from __future__ import annotations

import re

from v2v_jax.weights.name_map import Slots, StateDict, conv, norm_buffers, size


def slots(state: StateDict) -> Slots:
    """The keys of `TransformNet`; width, number of blocks and biases are read from ``state``.

    Files of upstream's default ``-norm IN`` hold biases, and running statistics of norms that its
    code never applies, dropped here; files of ``-norm none`` hold neither.  Files of ``-norm BN``
    hold parameters that are applied, and are refused.
    """
    width = size(state, "conv1a.conv2d.weight", 0, 32)
    deep = 4 * width
    layers = {
        "conv1a": ("stem_processed", (width, 6, 7, 7)),
        "conv1b": ("stem_original", (width, 6, 7, 7)),
        "conv2a": ("down_processed", (2 * width, width, 3, 3)),
        "conv2b": ("down_original", (2 * width, width, 3, 3)),
        "conv3": ("down", (deep, deep, 3, 3)),
        "deconv1": ("up_0", (2 * width, deep, 3, 3)),
        "deconv2": ("up_1", (width, deep, 3, 3)),
    }
    for block in range(_count_blocks(state)):
        for i in range(2):
            path = f"block_{block}_conv_{i}"
            layers[f"ResBlocks.{block}.conv{i + 1}"] = path, (deep, deep, 3, 3)
    biased = any(f"{key}.conv2d.bias" in state for key in layers)
    table: Slots = {}
    for key, (path, shape) in layers.items():
        both = conv(f"{key}.conv2d", shape, (path,), bias=True)
        table |= both if biased else _without_bias(both)
        table |= norm_buffers(f"{key}.norm_layer", shape[0])
    table |= conv("convlstm.Gates", (4 * deep, 2 * deep, 3, 3), ("lstm", "gates"), bias=True)
    return table | conv("deconv3.conv2d", (3, 2 * width, 7, 7), ("head",), bias=True)


def _without_bias(both: Slots) -> Slots:
    return {key: slot for key, slot in both.items() if key.endswith(".weight")}


def _count_blocks(state: StateDict) -> int:
    found = [int(m[1]) for key in state if (m := re.match(r"ResBlocks\.(\d+)\.", key))]
    return max(found, default=4) + 1
