"""A method of somebody else: one file and one config, and everything works with it.

This file is both: the method stands first, its config next, then what a user does with them.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from assembly.test_assembly import tiny

from v2v_jax import Translator, assembly
from v2v_jax.training import loop, step
from v2v_jax.types import Aux, Translation

# --- The method -----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Tint:
    """One colour shift for all frames, so that both domains have the same mean colour."""

    weight: float = 1.0

    players = ("shift",)
    directions = ("to_target",)

    def init(self, rng, batch):
        return {"shift": {"to_target": {"colour": jnp.zeros(3)}}}

    def init_memory(self, batch):
        return {}

    def losses(self, params, frozen, memory, batch, rng):
        means = [batch[n]["frames"].mean((0, 1, 2, 3)) / 127.5 - 1 for n in ("source", "target")]
        error = means[0] + params["shift"]["to_target"]["colour"] - means[1]
        distance = jnp.square(error).sum()
        shown = batch["source"]["frames"][0].astype(float) / 127.5 - 1
        aux = Aux(terms={"colour": distance}, memory=memory, pictures={"source": shown})
        return {"shift": self.weight * distance}, aux

    def initial_carry(self, frames):
        return ()

    def rollout(self, generator, frozen, carry, frames, flow=None):
        output = frames + generator["colour"].reshape(1, 1, 1, 1, 3)
        one = jnp.zeros_like(output[..., :1])
        still = jnp.zeros_like(output[..., :2])
        return carry, Translation(output, output, output, one, still, one)

    def translate(self, generator, frozen, carry, frames, flow=None):
        carry, made = self.rollout(generator, frozen, carry, frames, flow)
        return carry, made.output


# --- Its config -----------------------------------------------------------------------------


def get_config():
    """On the built-in world; a weight of its own."""
    config = tiny()
    config.method = "tint"
    config.flow.kind = "zero"
    config.weights.content = 0.0
    config.weights.colour = 0.5
    config.data.batch_size = 8
    config.data.frames = 1
    config.optimizer.learning_rate = 0.02
    config.steps, config.log_every, config.checkpoint_every = 30, 10, 15
    config.evaluate_every = 15
    return config


# --- What a user does -----------------------------------------------------------------------


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(assembly.METHODS, "tint", lambda config: Tint(config.weights.colour))


def test_it_trains_resumes_translates_and_is_evaluated(registered, tmp_path):
    config = get_config()
    arguments = assembly.training(config, tmp_path)
    loop.train(**arguments | {"steps": 20})
    state = loop.train(**assembly.training(config, tmp_path))
    assert int(state.step) == 30
    colour = np.asarray(state.params["shift"]["to_target"]["colour"])
    assert np.abs(colour).max() > 0.1, "it has learnt something"
    assert "eval/warping_error/output" in (tmp_path / "metrics.jsonl").read_text()
    translator = Translator.load(tmp_path)
    assert translator.method == Tint(0.5)
    grey = np.full((3, 16, 32, 3), 128, np.uint8)
    shift = translator(grey).astype(float) - 128
    ema = np.asarray(state.ema["to_target"]["colour"])
    assert np.abs(shift - 127.5 * ema[None, None, None]).max() <= 1
    with pytest.raises(ValueError, match="'to_source'"):
        Translator.load(tmp_path, "to_source")
    described = assembly.description(config)
    assert described["method"] == Tint(0.5) and set(described["optimizers"]) == {"shift"}


def test_without_its_registration_the_name_is_unknown():
    with pytest.raises(ValueError, match="'tint' is none of recurrent"):
        assembly.method(get_config())


@pytest.mark.parametrize("module", [step, loop], ids=["step", "loop"])
def test_the_step_and_the_loop_name_no_method(module):
    text = pathlib.Path(module.__file__).read_text().lower()
    classes = {type(made).__name__.lower() for made in every_method()}
    names = {
        name for word in (*assembly.METHODS, *classes) for name in (word, word.replace("_", ""))
    }
    assert len(names) >= len(assembly.METHODS)
    assert not [name for name in names if name in text]
    # Nor anything that only some of them have.
    for player in ("generator", "discriminator", "predictor", "stabiliser", "segmenter"):
        assert f'"{player}"' not in text


def every_method() -> list[Any]:
    special = {
        "cycada": {"weights.semantic": 1.0},
        "blind_temporal": {"weights.short_term": 1.0},
    }
    return [
        assembly.method(tiny(method=name, **special.get(name, {}))) for name in assembly.METHODS
    ]
