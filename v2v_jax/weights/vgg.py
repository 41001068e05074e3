"""torchvision's VGG-16 and VGG-19: `features.N` of a Sequential to conv<stage>_<i>."""

from __future__ import annotations

from v2v_jax.weights.name_map import Slot, Slots, StateDict, conv, size

_VGG16 = (2, 2, 3, 3, 3)
_VGG19 = (2, 2, 4, 4, 4)
_CLASSIFIER = (0, 3, 6)


def vgg16(state: StateDict) -> Slots:
    """The keys of `Vgg16`; the classifier may be present and is dropped."""
    return _slots(state, _VGG16)


def vgg19(state: StateDict) -> Slots:
    """The keys of `Vgg19`; the classifier may be present and is dropped."""
    return _slots(state, _VGG19)


def _slots(state: StateDict, stages: tuple[int, ...]) -> Slots:
    width = size(state, "features.0.weight", 0, 64)
    table: Slots = {}
    inputs, index = 3, 0
    for stage, convolutions in enumerate(stages, start=1):
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
