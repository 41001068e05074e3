from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods.tiny_recurrent import SIZE, Image, Judge, draw_batch, draw_like

from v2v_jax.methods.cyclegan import CycleGan, Weights
from v2v_jax.training.optimizers import make_optimizers
from v2v_jax.training.state import init_state
from v2v_jax.training.step import player_gradients, train_step

OTHER = {"to_target": "to_source", "to_source": "to_target"}
DOMAIN = {"to_target": "source", "to_source": "target"}


def tiny(**options):
    options = {"pool": 0, "weights": Weights(1.0, 10.0, 0.5)} | options
    return CycleGan(image=Image(), discriminator=Judge(), **options)


def draw_params(method, batch):
    return draw_like(jax.eval_shape(method.init, jax.random.key(0), batch))


def written_out(method, params, batch, pooled=None):
    """Zhu et al.'s objective with upstream's weights, frame by frame."""
    generator_loss = discriminator_loss = 0.0
    for name, other in OTHER.items():
        here, there = (
            [frame / 127.5 - 1.0 for clip in batch[DOMAIN[n]]["frames"] for frame in clip]
            for n in (name, other)
        )

        def make(direction, frame):
            return method.image.apply({"params": params["generator"][direction]}, frame[None])[0]

        def judged(frame, name=name):
            return method.discriminator.apply(
                {"params": params["discriminator"][name]}, frame[None]
            )

        count = len(here)
        for number, (x, y) in enumerate(zip(here, there, strict=True)):
            fake = make(name, x)
            shown = fake if pooled is None else pooled[name][number]
            generator_loss += jnp.mean((judged(fake) - 1) ** 2) / count
            generator_loss += 10 * jnp.mean(jnp.abs(make(other, fake) - x)) / count
            generator_loss += 5 * jnp.mean(jnp.abs(make(name, y) - y)) / count
            discriminator_loss += 0.5 * jnp.mean((judged(y) - 1) ** 2) / count
            discriminator_loss += 0.5 * jnp.mean(judged(shown) ** 2) / count
    return {"generator": generator_loss, "discriminator": discriminator_loss}


def test_losses_and_gradients_are_those_of_the_paper():
    with jax.enable_x64(True):
        method, batch = tiny(), draw_batch()
        params = draw_params(method, batch)
        ours = player_gradients(
            lambda p: method.losses(p, {}, {}, batch, jax.random.key(1)), params
        )[:2]
        theirs = player_gradients(lambda p: (written_out(method, p, batch), None), params)[:2]
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-9), ours, theirs
        )


def test_a_weight_of_0_is_not_traced():
    batch = draw_batch()

    def flops(**weights):
        method = tiny(weights=Weights(**weights))
        params = jax.eval_shape(method.init, jax.random.key(0), batch)
        run = jax.jit(lambda p: method.losses(p, {}, {}, batch, jax.random.key(0))[0])
        return run.lower(params).compile().cost_analysis()["flops"]

    whole = flops()
    assert flops(identity=0.0) < 0.8 * whole
    assert flops(cycle=0.0) < flops(identity=0.0)
    assert flops(adversarial=0.0) < whole


def test_the_discriminator_is_reminded_of_older_frames():
    """The pool enters the discriminator's loss alone, and carries no gradient."""
    method, batch = tiny(pool=2), draw_batch()
    params = draw_params(method, batch)
    memory = method.init_memory(batch)
    assert memory["to_target"].images.shape == (2, *SIZE, 3)
    run = jax.jit(lambda p, m, r: method.losses(p, {}, m, batch, r))
    fresh, _ = jax.jit(lambda p: tiny().losses(p, {}, {}, batch, jax.random.key(0)))(params)
    first, aux = run(params, memory, jax.random.key(0))
    np.testing.assert_allclose(first["generator"], fresh["generator"], rtol=1e-5)
    assert int(aux.memory["to_source"].count) == 2
    old = jax.tree.map(lambda x: x, aux.memory)
    old["to_target"] = old["to_target"].replace(images=jnp.ones_like(old["to_target"].images))
    seen = {float(run(params, old, jax.random.key(r))[0]["discriminator"]) for r in range(6)}
    assert len(seen) > 1
    gradients = jax.grad(
        lambda m: sum(run(params, m, jax.random.key(1))[0].values()), allow_int=True
    )
    changed = gradients(old)["to_target"].images
    assert jnp.any(changed)  # D's loss depends on what is stored ...
    own = jax.grad(lambda p: run(p, memory, jax.random.key(0))[0]["discriminator"])(params)
    assert not any(jnp.any(leaf) for leaf in jax.tree.leaves(own["generator"]))  # ... not on G.


@pytest.mark.parametrize("pool", [0, 3])
def test_it_goes_through_the_one_train_step(pool):
    method, batch = tiny(pool=pool), draw_batch()
    optimizers = make_optimizers(method.players)
    state = jax.jit(functools.partial(init_state, method=method, optimizers=optimizers))(
        jax.random.key(0), batch
    )
    step = jax.jit(functools.partial(train_step, method=method, optimizers=optimizers))
    for _ in range(3):
        state, metrics = step(state, {}, batch)
    assert metrics["finite"] == 1 and int(state.step) == 3
    if pool:
        assert int(state.memory["to_target"].count) == 3


def test_translating_knows_no_time():
    method, batch = tiny(), draw_batch()
    generator = method.init(jax.random.key(0), batch)["generator"]["to_target"]
    frames = batch["source"]["frames"] / 127.5 - 1.0
    _, whole = method.translate(generator, {}, method.initial_carry(frames), frames)
    for t in range(frames.shape[1]):
        carry, one = method.translate(generator, {}, (), frames[:, t : t + 1])
        assert carry == ()
        np.testing.assert_allclose(one[:, 0], whole[:, t], atol=1e-6)
    _, made = method.rollout(generator, {}, (), frames)
    np.testing.assert_array_equal(made.raw, made.output)
    assert not made.mask.any() and not made.visible.any()
