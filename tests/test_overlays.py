"""What each of ``configs/methods`` sets, whatever the world under it: published settings."""

from __future__ import annotations

from typing import Any

import pytest
from ml_collections import ConfigDict

from configs import default, methods

CYCLEGAN = {
    "method": "cyclegan", "data.frames": 1, "flow.kind": "zero", "history": 0, "pool": 50,
    "weights.content": 0.0, "weights.temporal": 0.0, "adversarial": "lsgan",
    "optimizer.constant": 0.5,
}  # fmt: skip
MOTION = {
    "image.kind": "local_affine", "discriminator.motion": True, "discriminator.norm": "none",
    "adversarial": "lsgan", "balance": True, "weights.gradient_penalty": 7.0,
    "weights.cycle": 1.0, "weights.temporal": 1.0, "history": 1,
    "optimizer.learning_rate": 3e-4, "optimizer.discriminator_rate": 5e-4,
}  # fmt: skip
SET = {
    "cyclegan": CYCLEGAN,
    "recyclegan": CYCLEGAN | {
        "method": "recyclegan", "data.frames": 3, "pool": 0, "weights.recycle": 10.0,
        "weights.prediction": 10.0,
    },
    "cycada": CYCLEGAN | {"method": "cycada", "weights.semantic": 1.0, "data.labels": True},
    "segmenter": {
        "method": "segmentation", "data.labels": True, "data.frames": 1, "data.batch_size": 4,
        "data.temporal_flip": 0.0, "flow.kind": "zero", "history": 0, "weights.content": 0.0,
        "optimizer.learning_rate": 3e-3, "optimizer.b1": 0.9, "optimizer.constant": 0.5,
        "evaluate_every": 0,
    },
    "bt": {
        "method": "blind_temporal", "data.batch_size": 4, "data.frames": 11, "history": 0,
        "content.tap": "relu4_3", "content.normalise": False, "weights.short_term": 100.0,
        "weights.long_term": 100.0, "weights.content": 10.0, "optimizer.learning_rate": 1e-4,
        "optimizer.b1": 0.9,
    },
    "motion": MOTION,
    "labels": MOTION | {
        "data.labels": True, "discriminator.labels": True, "discriminator.motion": False,
        "image.kind": "local_matrix", "weights.style": 4.0, "weights.adversarial": 0.3,
        "weights.gradient_penalty": 5.0, "weights.cycle": 0.0,
        "optimizer.learning_rate": 8e-4, "optimizer.discriminator_rate": 8e-4,
    },
}  # fmt: skip


def blank() -> Any:
    """The default config's fields without a value, so that setting the default's shows too."""
    fields = default.get_config().to_dict()
    empty = {
        name: dict.fromkeys(value) if isinstance(value, dict) else None
        for name, value in fields.items()
    }
    # An overlay may ask for at least so much of it.
    return ConfigDict(empty | {"history": 0}, type_safe=False)


def leaves(config: Any) -> dict[str, Any]:
    return {
        f"{group}.{field}" if field else group: value
        for group, fields in config.to_dict().items()
        for field, value in (fields.items() if isinstance(fields, dict) else [("", fields)])
    }


@pytest.mark.parametrize("name", methods.OVERLAYS)
def test_an_overlay_sets_these_fields_and_no_other(name):
    config = blank()
    for overlay in methods.OVERLAYS[name]:
        overlay(config)
    found = {field: value for field, value in leaves(config).items() if value is not None}
    assert found == {"history": 0} | SET[name]


def test_a_longer_history_than_motion_needs_is_the_worlds():
    config = default.get_config()
    config.history = 6
    methods.motion.overlay(config)
    assert config.history == 6
