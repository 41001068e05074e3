"""What a run costs, told before it runs."""

from __future__ import annotations

import functools
import re
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import pytest
from methods.tiny_recurrent import draw_batch, draw_params, tiny
from training.toy_method import ToyMethod

from v2v_jax.training.describe import count, describe
from v2v_jax.training.optimizers import make_optimizers
from v2v_jax.training.state import init_state
from v2v_jax.training.step import train_step


def abstract(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def number(text, name):
    found = re.search(rf"^ *{re.escape(name)} +([\d,.]+)$", text, re.M)
    assert found, f"no line {name!r} in\n{text}"
    return float(found[1].replace(",", ""))


@pytest.fixture(scope="module")
def told():
    """The text, from shapes alone, and the program that it is about."""
    method, batch = tiny(), draw_batch(clips=1, size=(64, 128))
    optimizers = make_optimizers(method.players)
    _, frozen = draw_params(method, batch)
    batch, frozen = abstract(batch), abstract(frozen)
    text = describe(method=method, optimizers=optimizers, frozen=frozen, batch=batch)
    make = functools.partial(init_state, method=method, optimizers=optimizers)
    state = jax.eval_shape(make, jax.random.key(0), batch)
    step = functools.partial(train_step, method=method, optimizers=optimizers)
    program = jax.jit(step, donate_argnums=0).lower(state, frozen, batch).compile()
    return text, program


def test_parameters_by_player_and_network(told):
    text, _ = told
    image, fusion, judge, content = 3 * 3 * 3 * 3 + 3, 3 * 3 * 3 + 1, 4 * 4 * 3 + 1, 9 * 3 * 4 + 4
    assert number(text, "generator") == 2 * (image + fusion)
    assert number(text, "discriminator") == 2 * judge
    for direction in ("to_target", "to_source"):
        assert number(text, f"{direction}/image") == image
        assert number(text, f"{direction}/fusion") == fusion
        assert number(text, direction) == judge
    assert number(text, "frozen content") == content
    assert "frozen flow" not in text


def test_shapes_of_the_batch(told):
    text, _ = told
    for domain in ("source", "target"):
        assert re.search(rf"^ *{domain}\.frames +uint8 \[1, 3, 64, 128, 3\]$", text, re.M)
        assert re.search(rf"^ *{domain}\.flow +float32 \[1, 2, 64, 128, 2\]$", text, re.M)


def test_cost_of_the_step(told):
    text, program = told
    flops, memory = program.cost_analysis()["flops"], program.memory_analysis()
    assert flops > 5e7
    assert number(text, "GFLOP") == pytest.approx(flops / 1e9, abs=0.051)
    held = (memory.argument_size_in_bytes / 2**20, memory.temp_size_in_bytes / 2**20)
    assert number(text, "state and batch, MiB") == pytest.approx(held[0], abs=0.051)
    assert number(text, "temporary, MiB") == pytest.approx(held[1], abs=0.051)
    assert held[1] > 1
    assert f"compiled for {jax.devices()[0].device_kind}" in text


class Watched(ToyMethod):
    """Tells what of it is not only traced but run."""

    ran: ClassVar[list[str]] = []

    def init(self, rng, batch):
        jax.debug.callback(lambda: self.ran.append("init"))
        return super().init(rng, batch)

    def losses(self, params, frozen, memory, batch, rng):
        jax.debug.callback(lambda: self.ran.append("losses"))
        return super().losses(params, frozen, memory, batch, rng)


def test_any_method_without_running_it():
    clip: Any = {"frames": jax.ShapeDtypeStruct((1, 3, 8, 16, 3), jnp.uint8)}
    method = Watched()
    text = describe(
        method=method,
        optimizers=make_optimizers(method.players),
        frozen={"gain": jax.ShapeDtypeStruct((), jnp.float32)},
        batch={"source": clip, "target": clip},
    )
    assert number(text, "painter") == number(text, "critic") == 84
    assert "flow" not in text
    jax.effects_barrier()
    assert not Watched.ran


def test_count():
    assert count({"a": jnp.zeros((3, 4)), "b": [jnp.zeros(()), jnp.zeros((0, 9))]}) == 13
