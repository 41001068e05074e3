"""Published torch weights as Flax parameters, one name map per network.

    state = read_state_dict("latest_net_G_A.pth")
    params = from_torch("cyclegan_generator", state)
    ResnetGenerator().apply({"params": params}, frames)

Strict: every key of the file must be known and of the right shape.  Biases in front of an instance
norm have no effect; they are checked and dropped, and so are the running statistics that
early CycleGAN versions saved, and the classifier of VGG-16 and VGG-19.
"""

from __future__ import annotations

from typing import Any

from v2v_jax.weights import cyclegan_generator, fusion, patchgan, vgg
from v2v_jax.weights.files import read_state_dict
from v2v_jax.weights.name_map import StateDict, convert

KINDS = {
    "cyclegan_generator": cyclegan_generator.slots,
    "patchgan": patchgan.slots,
    "fusion": fusion.slots,
    "vgg16": vgg.vgg16,
    "vgg19": vgg.vgg19,
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
    if state_dict and all(key.startswith("module.") for key in state_dict):
        state_dict = {key.removeprefix("module."): value for key, value in state_dict.items()}
    return convert(kind, state_dict, KINDS[kind](state_dict))


__all__ = ["KINDS", "StateDict", "from_torch", "read_state_dict"]
