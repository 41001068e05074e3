"""CycleGAN's ResNet generator: `model.N` of a Sequential to named layers."""

from __future__ import annotations

import re

from v2v_jax.weights.name_map import Slots, StateDict, conv, norm_buffers, size

_FIRST_BLOCK = 10


def slots(state: StateDict) -> Slots:
    """The keys of `ResnetGenerator`; width and number of residual blocks are read from ``state``.

    Published files hold 6 or 9 blocks of 64 features; all but the last bias are dead.
    """
    width = size(state, "model.1.weight", 0, 64)
    blocks = _count_blocks(state)
    up = _FIRST_BLOCK + blocks
    deep = 4 * width
    table = _normed("model.1", (width, 3, 7, 7), ("stem",))
    table |= _normed("model.4", (2 * width, width, 3, 3), ("down_0",))
    table |= _normed("model.7", (deep, 2 * width, 3, 3), ("down_1",))
    for block in range(blocks):
        for i, layer in enumerate((1, 5)):
            key = f"model.{_FIRST_BLOCK + block}.conv_block.{layer}"
            table |= _normed(key, (deep, deep, 3, 3), (f"block_{block}", f"conv_{i}"))
    table |= _normed(f"model.{up}", (deep, 2 * width, 3, 3), ("up_0",), transposed=True)
    table |= _normed(f"model.{up + 3}", (2 * width, width, 3, 3), ("up_1",), transposed=True)
    return table | conv(f"model.{up + 7}", (3, width, 7, 7), ("head",), bias=True)


def _normed(
    key: str, shape: tuple[int, ...], path: tuple[str, ...], *, transposed: bool = False
) -> Slots:
    """A convolution and the instance norm behind it, which has the next number."""
    parent, index = key.rsplit(".", 1)
    features = shape[1] if transposed else shape[0]
    layout = "transposed" if transposed else "conv"
    return conv(key, shape, path, bias=False, layout=layout) | norm_buffers(
        f"{parent}.{int(index) + 1}", features
    )


def _count_blocks(state: StateDict) -> int:
    found = [int(m[1]) for key in state if (m := re.match(r"model\.(\d+)\.conv_block\.", key))]
    return max(found, default=_FIRST_BLOCK + 5) - _FIRST_BLOCK + 1
