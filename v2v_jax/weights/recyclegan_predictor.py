"""Recycle-GAN's predictor, pix2pix's U-Net: nested `model.model...` to down_<level>, up_<level>."""

from __future__ import annotations

import re

from v2v_jax.weights.name_map import Slots, StateDict, conv, norm_buffers, size

_UNET_256 = 8


def slots(state: StateDict) -> Slots:
    """The keys of `Predictor`; width and depth are read from ``state``.

    Published files are ``unet_256`` (8 levels) and ``unet_128`` (7) of 64 features; the biases of
    the outermost level and of the innermost convolution down are alive, the others dead.
    """
    width = size(state, "model.model.0.weight", 0, 64)
    depth = _count_levels(state)
    features = [width * min(2**level, 8) for level in range(depth)]
    table = conv("model.model.0", (width, 6, 4, 4), ("down_0",), bias=True)
    for level in range(1, depth):
        parent = "model.model.1" + ".model.3" * (level - 1)
        inner = level == depth - 1
        outputs, inputs = features[level], features[level - 1]
        down = f"{parent}.model.1"
        table |= conv(down, (outputs, inputs, 4, 4), (f"down_{level}",), bias=inner)
        # The innermost level has no level inside it, and nothing to skip it by.
        up, joined = (3, outputs) if inner else (5, 2 * outputs)
        table |= conv(
            f"{parent}.model.{up}", (joined, inputs, 4, 4), (f"up_{level}",),
            bias=False, layout="transposed",
        )  # fmt: skip
        table |= norm_buffers(f"{parent}.model.{up + 1}", inputs)
        table |= {} if inner else norm_buffers(f"{parent}.model.2", outputs)
    return table | conv(
        "model.model.3", (2 * width, 3, 4, 4), ("up_0",), bias=True, layout="transposed"
    )


def _count_levels(state: StateDict) -> int:
    layer = re.compile(r"model\.model\.1((?:\.model\.3)*)\.model\.1\.\w+")
    found = [m[1].count(".model.3") for key in state if (m := layer.fullmatch(key))]
    return max(found, default=_UNET_256 - 2) + 2
