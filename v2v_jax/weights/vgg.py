"""torchvision's VGG-16: `features.N` of a Sequential to conv<stage>_<i>."""

from __future__ import annotations

from v2v_jax.weights.name_map import Slot, Slots, StateDict, conv, size

_STAGES = (2, 2, 3, 3, 3)
_CLASSIFIER = (0, 3, 6)


def vgg16(state: StateDict) -> Slots:
    """The keys of `Vgg`; the classifier may be present and is dropped."""
    width = size(state, "features.0.weight", 0, 64)
    table: Slots = {}
    inputs, index = 3, 0
    for stage, convolutions in enumerate(_STAGES, start=1):
        outputs = width * min(2 ** (stage - 1), 8)
        for i in range(1, convolutions + 1):
            path = (f"conv{stage}_{i}",)
            table |= conv(f"features.{index}", (outputs, inputs, 3, 3), path, bias=True)
            inputs = outputs
            index += 2
        index += 1
    for layer in _CLASSIFIER:
        for name in ("weight", "bias"):
            table[f"classifier.{layer}.{name}"] = Slot(None, required=False)
    return table
