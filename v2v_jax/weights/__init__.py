"""Published torch weights as Flax parameters, one name map per network.

    params = load("latest_net_G_A.pth", "cyclegan_generator")
    ResnetGenerator().apply({"params": params}, frames)

Published files are read as they are; v2v_jax.weights.convert makes files of them that need
no torch and are verified on reading.  Strict: every key must be known and of the right shape.
Biases in front of an instance norm have no effect; they are checked and dropped, and so are the
running statistics that early CycleGAN versions saved, and the classifier of VGG-16 and VGG-19.
"""

from __future__ import annotations

import pathlib
from typing import Any

from v2v_jax.weights import (
    cyclegan_generator,
    fusion,
    patchgan,
    raft,
    recyclegan_predictor,
    transformnet,
    vgg,
)
from v2v_jax.weights.converted import load_state_dict, without_prefix
from v2v_jax.weights.files import read_state_dict
from v2v_jax.weights.name_map import StateDict
from v2v_jax.weights.name_map import convert as convert_names

KINDS = {
    "cyclegan_generator": cyclegan_generator.slots,
    "patchgan": patchgan.slots,
    "fusion": fusion.slots,
    "vgg16": vgg.vgg16,
    "vgg19": vgg.vgg19,
    "raft_small": raft.raft_small,
    "raft_large": raft.raft_large,
    "recyclegan_predictor": recyclegan_predictor.slots,
    "transformnet": transformnet.slots,
}
"""Kind of network -> what its state dict consists of."""


def from_torch(kind: str, state_dict: StateDict) -> dict[str, Any]:
    """Converts a published state dict.

    Args:
        kind: one of `KINDS`.
        state_dict: name -> array, torch's names and layouts, dead biases included; all names may
            carry DataParallel's ``module.`` in front.  Sizes (width, number of blocks or layers,
            kernel) are read from it.

    Returns:
        The network's parameter tree: numpy arrays, float32 (float64 stays), kernels HWIO.

    Raises:
        ValueError: an unknown kind, or a state dict of something else; the message names every
            missing, unexpected and wrongly shaped key.
    """
    if kind not in KINDS:
        raise ValueError(f"from_torch: no kind {kind!r}; there are {', '.join(KINDS)}")
    state_dict = without_prefix(state_dict)
    return convert_names(kind, state_dict, KINDS[kind](state_dict))


def load(path: str | pathlib.Path, kind: str) -> dict[str, Any]:
    """The parameters in a published or converted file.

    Args:
        path: a ``.safetensors``, ``.npz``, ``.pth``, ``.pt`` or ``.pth.tar`` file.
        kind: one of `KINDS`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: see `from_torch`; a damaged file, or a converted one of another kind.
        ImportError: torch is needed and not installed.
    """
    return from_torch(kind, load_state_dict(path, kind))


__all__ = ["KINDS", "StateDict", "from_torch", "load", "load_state_dict", "read_state_dict"]
