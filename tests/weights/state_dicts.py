"""State dicts of every kind, small where the kind has a size."""

from __future__ import annotations

from typing import Any

import numpy as np

from v2v_jax.weights import KINDS


def state_of(kind: str, **sizes: int) -> dict[str, Any]:
    """A complete state dict of arange-like values, as the name map itself describes it."""
    hint = {
        "cyclegan_generator": {
            "model.1.weight": (sizes.get("features", 2), 3, 7, 7),
            f"model.{9 + sizes.get('blocks', 6)}.conv_block.1.weight": (),
        },
        "patchgan": {
            "model.0.weight": (sizes.get("features", 2), 3, 4, 4),
            f"model.{3 * sizes.get('layers', 3) + 2}.weight": (),
        },
        "fusion": {"fusion.0.weight": (4, 3, sizes.get("kernel", 3), sizes.get("kernel", 3))},
        "vgg16": {"features.0.weight": (2, 3, 3, 3)},
        "vgg19": {"features.0.weight": (2, 3, 3, 3)},
        "recyclegan_predictor": {
            "model.model.0.weight": (sizes.get("features", 2), 6, 4, 4),
            "model.model.1" + ".model.3" * (sizes.get("depth", 8) - 2) + ".model.1.weight": (),
        },
        "transformnet": {
            "conv1a.conv2d.weight": (sizes.get("features", 2), 6, 7, 7),
            "conv1a.conv2d.bias" if sizes.get("biased", 1) else "": (),
            f"ResBlocks.{sizes.get('blocks', 5) - 1}.conv1.conv2d.weight": (),
        },
    }.get(kind, {})
    slots = KINDS[kind]({key: np.zeros(shape) for key, shape in hint.items()})
    draw = np.random.default_rng(0)
    return {
        key: draw.standard_normal(slot.shape, dtype=np.float32)
        for key, slot in slots.items()
        if slot.required
    }
