"""The models that are shipped: what their cards promise, on clips nobody has trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import v2v_jax
from v2v_jax.data.world.world import World

FOLDER = Path(__file__).parents[1] / "pretrained"
MODELS = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


LEAST = {"game2street": 0.55, "game2street_motion": 0.25}
"""Of ``truth/gain`` on one short clip; the cards' figures are of 64 frames of more clips."""


def test_there_are_models():
    assert sorted(LEAST) == MODELS


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_small_and_has_a_card(name):
    files = [path for path in (FOLDER / name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 6e6
    card = (FOLDER / name / "README.md").read_text()
    for wanted in ("## Data", "## Licence", "## Training", "## Figures", "## What it gets wrong"):
        assert wanted in card
    assert "python -m v2v_jax.main" in card


@pytest.mark.parametrize("name", LEAST)
def test_it_is_nearer_to_the_truth_than_the_game_is(name):
    """A world seed that no run has seen."""
    translator = v2v_jax.Translator.load(FOLDER / name)
    world = World("game", "test", clips=1, length=16, seed=2027)
    game, truth = world.frames(0).frames, world.perfect("street").frames(0).frames
    distance = np.abs(translator(game).astype(float) - truth).mean()
    assert 1 - distance / np.abs(game.astype(float) - truth).mean() > LEAST[name]
