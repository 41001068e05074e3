"""Structure features see layout only: not colour, not resolution."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation.judges.painted import COLD, WARM, layout, painted

from v2v_jax.evaluation.judges import features
from v2v_jax.evaluation.metrics import structure_agreement


def _agreement(first: np.ndarray, second: np.ndarray) -> float:
    look = features.structure_features
    return float(structure_agreement(look(first), look(second)).mean())


def test_structure_survives_a_change_of_colour_and_not_of_layout():
    first = layout(0, 4)
    warm, cold = painted(first, WARM, 1), painted(first, COLD, 2)
    other = painted(layout(1, 4), WARM, 3)
    assert _agreement(warm, warm) == pytest.approx(1.0)
    assert _agreement(warm, cold) > 0.85
    assert _agreement(warm, other) < 0.5
    shifted = np.roll(cold, 4, axis=2)
    assert _agreement(warm, shifted) < 0.5


def test_structure_is_compared_at_one_height():
    tall = painted(layout(0), WARM).repeat(8, 1).repeat(8, 2)
    assert features.structure_features(tall).shape == (1, 64, 128, 1)
    assert features.structure_features(tall[:, ::8, ::8]).shape == (1, 32, 64, 1)
