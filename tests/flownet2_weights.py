"""FlowNet2's weights by the goldens' recipe, all 162,518,834 of them, made once per process."""

from __future__ import annotations

import functools
import hashlib
import json
import pathlib
from typing import Any

import golden_recipe
import jax
import jax.numpy as jnp
import numpy as np
from flownet2_port import params_from_torch


def tensor(key: str, shape: tuple[int, ...], kind: str, gain: float = 1.4) -> np.ndarray:
    """One tensor: a transposed convolution sees a quarter of its taps per output."""
    if kind != "deconv":
        return golden_recipe.tensor(key, shape, gain)
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    draw = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape, dtype=np.float32)
    return draw * np.float32(gain / np.sqrt(4 * shape[0]))


def listed(shared: pathlib.Path) -> list[tuple[str, tuple[int, ...], str]]:
    """(key, shape, kind) of every tensor, in the order of the file."""
    about = json.loads((shared / "goldens" / "flownet2.json").read_text())
    return [(key, tuple(shape), kind) for key, shape, kind in about["keys"]]


@functools.cache
def params(shared: pathlib.Path) -> dict[str, Any]:
    """The parameter tree, on the device."""
    state = {key: tensor(key, shape, kind) for key, shape, kind in listed(shared)}
    return jax.tree.map(jnp.asarray, params_from_torch(state))
