"""What the warm-up teaches, to whom, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assembly.test_assembly import tiny
from methods.tiny_recurrent import draw_batch
from methods.tiny_recurrent import tiny as tiny_recurrent

from configs import demo
from v2v_jax import assembly
from v2v_jax.methods.imitation import Imitation
from v2v_jax.methods.window import decode
from v2v_jax.training.optimizers import make_falling
from v2v_jax.training.step import player_gradients

WARMED = {"recurrent": "", "cyclegan": "cyclegan", "recyclegan": "recyclegan", "cycada": "cycada"}
SINGLE = draw_batch(clips=2, frames=1, size=(16, 32), flow=False)


def made(name) -> Any:
    return assembly.method(tiny((demo, WARMED[name])))


@pytest.mark.parametrize("name", WARMED)
def test_every_method_with_image_generators_imitates_by_them_alone(name):
    method = made(name)
    imitation: Any = Imitation(method)
    params = jax.jit(imitation.init)(jax.random.key(0), SINGLE)
    assert list(params) == ["generator"]

    def losses_fn(params):
        return imitation.losses(params, {}, {}, SINGLE, jax.random.key(0))

    values, grads, aux = jax.jit(lambda p: player_gradients(losses_fn, p))(params)
    frames = decode(SINGLE["source"]["frames"][:, 0])
    for direction in method.directions:
        image = params["generator"][direction]
        output = method.image if name != "cycada" else method.cyclegan.image
        picture = jax.jit(output.apply)({"params": image.get("image", image)}, frames)
        expected = float(jnp.abs(picture - frames).mean())
        assert float(aux.terms[f"{direction}/source"]) == pytest.approx(expected, rel=1e-4)
        slopes = grads["generator"][direction]
        for leaf in jax.tree.leaves(slopes.get("image", slopes)):
            assert float(jnp.abs(leaf).max()) > 0
        for leaf in jax.tree.leaves(slopes.get("fusion", {})):
            assert not leaf.any()
    assert set(aux.terms) == {f"{d}/{x}" for d in method.directions for x in ("source", "target")}
    total = sum(float(term) for term in aux.terms.values()) / 2
    assert float(values["generator"]) == pytest.approx(total, rel=1e-5)


def test_the_others_say_nothing_of_it():
    declared = {
        name for name, config in (
            *((name, tiny((demo, WARMED[name]))) for name in WARMED),
            ("blind_temporal", tiny((demo, "bt"))), ("segmentation", tiny((demo, "segmenter"))),
        ) if hasattr(assembly.method(config), "warm_up")
    }  # fmt: skip
    assert declared == set(WARMED)


def test_its_player_is_the_one_the_method_draws():
    method, rng = tiny_recurrent(), jax.random.key(3)
    batch = draw_batch(frames=1)
    whole = jax.jit(method.init)(rng, batch)["generator"]
    for a, b in zip(
        *map(jax.tree.leaves, (jax.jit(Imitation(method).init)(rng, batch)["generator"], whole)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_the_rate_falls_along_a_cosine():
    adam = make_falling(["painter"], learning_rate=0.1, steps=4)["painter"]
    state, rates = adam.init({"w": jnp.ones(1)}), []
    for _ in range(5):
        update: Any
        update, state = adam.update({"w": jnp.ones(1)}, state)
        rates.append(-float(update["w"][0]))
    expected = [0.05 * (1 + np.cos(np.pi * n / 4)) for n in range(5)]
    np.testing.assert_allclose(rates, expected, atol=1e-6)
