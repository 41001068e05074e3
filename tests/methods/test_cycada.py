from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods.tiny_recurrent import Image, Judge, draw_batch, draw_like

from v2v_jax import losses
from v2v_jax.methods.cycada import CyCada
from v2v_jax.methods.cyclegan import CycleGan
from v2v_jax.methods.segmentation import COLOURS, Segmentation
from v2v_jax.nets.blocks import Conv
from v2v_jax.training.optimizers import make_optimizers
from v2v_jax.training.state import init_state
from v2v_jax.training.step import player_gradients, train_step

DOMAIN = {"to_target": "source", "to_source": "target"}


class Reader(nn.Module):
    """A segmenter of four classes."""

    @nn.compact
    def __call__(self, x):
        return Conv(4, 3, use_bias=True, name="conv")(x)


def tiny(**options):
    base = CycleGan(image=Image(), discriminator=Judge(), pool=0)
    return CyCada(cyclegan=base, segmenter=Reader(), **options)


def draw_labels(batch, seed=0):
    shape = batch["source"]["frames"].shape[:4]
    labels = np.random.default_rng(seed).integers(0, 4, shape).astype(np.int32)
    labels[:, :, :2] = 255
    return jnp.asarray(labels)


def setting(labels=True):
    method, batch = tiny(), draw_batch()
    if labels:
        batch["source"]["labels"] = draw_labels(batch)
    params = draw_like(jax.eval_shape(method.init, jax.random.key(0), batch))
    frame = jnp.zeros((1, 8, 16, 3))
    frozen = {"segmenter": draw_like(jax.eval_shape(Reader().init, jax.random.key(0), frame))}
    frozen["segmenter"] = frozen["segmenter"]["params"]
    return batch, params, frozen


def run(method, params, frozen, batch):
    return jax.jit(lambda p: method.losses(p, frozen, {}, batch, jax.random.key(0)))(params)


def semantic(params, frozen, batch, name):
    """Pixel by pixel."""
    frames = batch[DOMAIN[name]]["frames"] / 127.5 - 1.0

    @jax.jit
    def read(images):
        return jnp.stack([Reader().apply({"params": frozen["segmenter"]}, x) for x in images])

    @jax.jit
    def translated(clip):
        return Image().apply({"params": params["generator"][name]}, clip)

    fakes = jnp.stack([translated(clip) for clip in frames])
    wanted = batch[DOMAIN[name]].get("labels")
    wanted = np.asarray(read(frames).argmax(-1) if wanted is None else wanted)
    share = np.asarray(nn.softmax(read(fakes)))
    values = [
        -np.log(share[place][wanted[place]])
        for place in np.ndindex(wanted.shape)
        if wanted[place] != 255
    ]
    return np.mean(values)


@pytest.mark.parametrize("labels", [True, False])
def test_what_is_translated_is_read_as_what_it_was(labels):
    batch, params, frozen = setting(labels)
    total, aux = run(tiny(semantic=3.0, to_target=2.0), params, frozen, batch)
    plain, _ = run(tiny(semantic=0.0), params, frozen, batch)
    expected = {name: semantic(params, frozen, batch, name) for name in DOMAIN}
    for name, value in expected.items():
        assert float(aux.terms[f"{name}/semantic"]) == pytest.approx(value, rel=1e-4)
    added = 3 * sum(expected.values()) + float(aux.terms["to_target/adversarial"])
    assert float(total["generator"] - plain["generator"]) == pytest.approx(added, rel=1e-4)
    assert float(total["discriminator"]) == pytest.approx(float(plain["discriminator"]), rel=1e-5)


def test_the_gate_waits_for_a_segmenter_that_can_read():
    batch, params, frozen = setting()
    plain, _ = run(tiny(semantic=0.0), params, frozen, batch)
    shut, _ = run(tiny(gate=1e-3), params, frozen, batch)
    open_, _ = run(tiny(gate=100.0), params, frozen, batch)
    always, _ = run(tiny(), params, frozen, batch)
    assert float(shut["generator"]) == pytest.approx(float(plain["generator"]), rel=1e-5)
    assert float(open_["generator"]) == pytest.approx(float(always["generator"]), rel=1e-5)
    assert float(always["generator"]) > float(plain["generator"]) + 0.1
    del batch["source"]["labels"]
    with pytest.raises(ValueError, match="gate needs labels"):
        run(tiny(gate=1.0), params, frozen, batch)


def test_the_frozen_segmenter_gets_no_update_and_the_step_is_the_common_one():
    batch, _, frozen = setting()
    method = tiny()
    optimizers = make_optimizers(method.players)
    state = init_state(jax.random.key(0), batch, method=method, optimizers=optimizers)
    step = jax.jit(functools.partial(train_step, method=method, optimizers=optimizers))
    for _ in range(2):
        state, metrics = step(state, frozen, batch)
    assert metrics["finite"] == 1 and set(state.params) == {"generator", "discriminator"}


def test_cross_entropy_ignores_what_is_no_class():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4)), jnp.float32)
    labels = jnp.asarray([[0, 255, 3], [1, 7, 2]])
    kept = [(0, 0, 0), (0, 2, 3), (1, 0, 1), (1, 2, 2)]
    expected = np.mean([-np.log(nn.softmax(logits)[i, j, c]) for i, j, c in kept])
    assert float(losses.cross_entropy(logits, labels)) == pytest.approx(expected, rel=1e-5)
    nothing = jnp.full((2, 3), 255)
    gradient = jax.grad(losses.cross_entropy)(logits, nothing)
    assert float(losses.cross_entropy(logits, nothing)) == 0 and not gradient.any()


def test_a_segmenter_learns_the_labels_of_its_domain():
    """Four flat colours, one class each."""
    method = Segmentation(net=Reader(), domain="source")
    batch = draw_batch()
    labels = np.random.default_rng(0).integers(0, 4, batch["source"]["frames"].shape[:4])
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    batch["source"] = {
        "frames": jnp.asarray(colours[labels]), "labels": jnp.asarray(labels, jnp.int32)
    }  # fmt: skip
    optimizers = make_optimizers(method.players, learning_rate=0.05)
    state = init_state(jax.random.key(0), batch, method=method, optimizers=optimizers)
    step = jax.jit(functools.partial(train_step, method=method, optimizers=optimizers))
    for _ in range(60):
        state, metrics = step(state, {}, batch)
    assert metrics["term/source/accuracy"] > 0.95 and metrics["loss/segmenter"] < 0.3
    frames = batch["source"]["frames"] / 127.5 - 1.0
    _, painted = method.translate(state.params["segmenter"]["labels"], {}, (), frames)
    expected = np.array(COLOURS)[labels] / 127.5 - 1.0
    assert np.mean(np.abs(painted - expected) < 0.01) > 0.95
    del batch["source"]["labels"]
    with pytest.raises(ValueError, match="source domain has no labels"):
        step(state, {}, batch)
    with pytest.raises(ValueError, match="neither 'source' nor 'target'"):
        Segmentation(net=Reader(), domain="street")


def test_gradients_reach_the_generator_through_the_segmenter():
    batch, params, frozen = setting()

    def gradients(method):
        def losses(params):
            return method.losses(params, frozen, {}, batch, jax.random.key(0))

        grads = jax.jit(lambda params: player_gradients(losses, params)[1])(params)
        return jax.tree.leaves(grads["generator"])

    pairs = zip(gradients(tiny()), gradients(tiny(semantic=0.0)), strict=True)
    assert all(np.abs(a - b).max() > 1e-4 for a, b in pairs)
