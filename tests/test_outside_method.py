"""A method of somebody else: one file and one config, and everything works with it.

This file is both: the method stands first, its config next, then what a user does with them.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assembly.test_assembly import tiny

from v2v_jax import Translator, assembly
from v2v_jax.methods import base
from v2v_jax.methods.stabilised import Stabilised
from v2v_jax.training import loop, step
from v2v_jax.types import Aux, Translation

ASSEMBLY = sorted(pathlib.Path(assembly.__file__).parent.glob("*.py"))


def of_method(name: str) -> Any:
    special = {
        "cycada": {"weights.semantic": 1.0},
        "blind_temporal": {"weights.short_term": 1.0},
        "segmentation": {"data.labels": True},
    }
    return tiny(method=name, **special.get(name, {}))


def every_method() -> list[Any]:
    return [assembly.method(of_method(name)) for name in assembly.METHODS]


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


@pytest.mark.parametrize("path", ASSEMBLY, ids=lambda path: path.stem)
def test_assembly_asks_for_no_method_by_name(path):
    """What methods differ in they declare; the registry alone knows them."""
    classes = {type(made).__name__ for made in every_method()}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare | ast.Match):
            words = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
            assert not words & assembly.METHODS.keys(), f"line {node.lineno}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            assert not names & classes, f"line {node.lineno}"


@pytest.mark.parametrize("name", assembly.METHODS)
def test_every_method_makes_do_with_what_it_declares(name):
    """Of the clips' flow and of what is not trained; and all of that flow it needs."""
    config = of_method(name)
    described = assembly.description(config)
    method, batch, frozen = described["method"], described["batch"], described["frozen"]
    flow = {domain for domain, clip in batch.items() if "flow" in clip}
    assert flow == set(method.flow_of) == set(base.flow_of(method))
    params = jax.eval_shape(method.init, jax.random.key(0), batch)

    def losses(batch):
        memory = jax.eval_shape(method.init_memory, batch)
        return jax.eval_shape(method.losses, params, frozen, memory, batch, jax.random.key(0))

    losses(batch)
    for domain in flow:
        less = batch | {domain: {"frames": batch[domain]["frames"]}}
        with pytest.raises(ValueError, match="no flow in the clips"):
            losses(less)
    frames = jax.ShapeDtypeStruct((1, 3, 16, 32, 3), np.float32)
    given = None
    if "flow" in method.translates_with:
        given = jax.ShapeDtypeStruct((1, 3, 16, 32, 2), np.float32)
    needed = {name: frozen[name] for name in method.translates_with}
    generator = params[method.players[0]][method.directions[0]]
    carry = jax.eval_shape(method.initial_carry, frames)
    arguments = generator, needed, carry, frames, given
    rolled, made = jax.eval_shape(method.rollout, *arguments)
    assert jax.eval_shape(method.translate, *arguments) == (rolled, made.output)


@pytest.mark.parametrize("name", ["cyclegan", "recyclegan", "segmentation"])
def test_a_per_frame_run_translates_without_an_estimator(name):
    """Even one that was trained with flow nobody used."""
    saved = json.loads(of_method(name).to_json_best_effort())
    assert saved["flow"]["kind"] == "dis"
    restored = assembly.restore_method(saved)
    assert restored.host_flow is None and restored.frozen == {}


def test_what_a_method_does_not_declare_is_handed_on():
    assert base.flow_of(Tint()) == ("source", "target")
    assert base.translates_with(Tint()) == ("flow",)


@pytest.mark.parametrize("kind", [*(type(made) for made in every_method()), Stabilised])
def test_translate_is_derived_from_rollout(kind):
    assert kind.translate is base.translate
