"""Recycle-GAN's terms written out triple by triple, and what the method promises."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods.tiny_recurrent import Image, Judge, draw_batch, draw_like
from training.test_step import prepared

from v2v_jax.methods.recyclegan import VARIANTS, RecycleGan, Weights
from v2v_jax.methods.window import decode
from v2v_jax.nets.blocks import Conv
from v2v_jax.training.step import player_gradients

OTHER = {"to_target": "to_source", "to_source": "to_target"}
OBJECTIVE = {"generator": "generator", "discriminator": "discriminator", "predictor": "generator"}
ALL = Weights(
    adversarial=0.7, adversarial_prediction=0.4, recycle=3.0, prediction=2.0, cycle=5.0,
    identity=0.3,
)  # fmt: skip


class Foresee(nn.Module):
    """P."""

    @nn.compact
    def __call__(self, before, last):
        both = jnp.concatenate([before, last], axis=-1)
        return jnp.tanh(Conv(3, 3, reflect=True, use_bias=True, name="conv")(both))


def tiny(**options):
    return RecycleGan(image=Image(), discriminator=Judge(), predictor=Foresee(), **options)


def draw_params(method, batch):
    return draw_like(jax.eval_shape(method.init, jax.random.key(0), batch))


def written_out(method, params, batch):
    """Upstream's objective for every triple, averaged; shares no code with the package but nets."""
    frames = {
        "to_target": batch["source"]["frames"] / 127.5 - 1.0,
        "to_source": batch["target"]["frames"] / 127.5 - 1.0,
    }
    count = frames["to_target"].shape[1]
    terms, total = {}, {"generator": 0.0, "discriminator": 0.0}
    for name, other in OTHER.items():
        x, y = ([clips[:, t] for t in range(count)] for clips in (frames[name], frames[other]))

        def translate(frame, name=name):
            return method.image.apply({"params": params["generator"][name]}, frame)

        def back(frame, other=other):
            return method.image.apply({"params": params["generator"][other]}, frame)

        def predict(*frames, name=name):
            return method.predictor.apply({"params": params["predictor"][name]}, *frames)

        def judge(frame, name=name):
            return method.discriminator.apply({"params": params["discriminator"][name]}, frame)

        def adversarial(frame, real):
            logits = judge(frame)
            if method.adversarial == "lsgan":
                return ((logits - real) ** 2).mean()
            return jax.nn.softplus(-logits if real else logits).mean()

        def mean(values):
            values = list(values)
            return sum(values) / len(values)

        early = range(count - 1)
        made = [translate(x[t]) for t in early]
        foreseen = {t: predict(made[t - 2], made[t - 1]) for t in range(2, count)}
        predicted = {t: predict(y[t - 2], y[t - 1]) for t in range(2, count)}
        half = 0.5
        mine = {
            "adversarial": 2 * mean(adversarial(frame, 1) for frame in made)
            + mean(adversarial(frame, 1) for frame in foreseen.values()),
            "adversarial_prediction": mean(adversarial(f, 1) for f in predicted.values()),
            "recycle": mean(abs(back(f) - x[t]).mean() for t, f in foreseen.items()),
            "prediction": mean(abs(f - y[t]).mean() for t, f in predicted.items()),
            "cycle": 2 * mean(abs(back(f) - x[t]).mean() for t, f in enumerate(made)),
            "identity": 2 * mean(abs(translate(y[t]) - y[t]).mean() for t in early),
        }
        judging = (
            2 * half * mean(adversarial(made[t], 0) + adversarial(y[t], 1) for t in early)
            + half * mean(adversarial(f, 0) + adversarial(y[t], 1) for t, f in foreseen.items())
            + half * mean(adversarial(f, 0) + adversarial(y[t], 1) for t, f in predicted.items())
        )
        scale = {"adversarial": 0.7, "adversarial_prediction": 0.4, "recycle": 3, "prediction": 2}
        scale |= {"cycle": 5, "identity": 0.3 * 5}
        total["generator"] += sum(scale[term] * value for term, value in mine.items())
        total["discriminator"] += judging
        terms |= {f"{name}/{term}": value for term, value in mine.items()}
        terms[f"{name}/discriminator"] = judging
    return total, terms


@pytest.mark.parametrize(("count", "kind"), [(3, "lsgan"), (4, "vanilla")])
def test_losses_and_gradients_are_those_of_the_triples(count, kind):
    """In float64, where nothing but the mathematics can differ."""
    with jax.enable_x64(True):
        method, batch = tiny(weights=ALL, adversarial=kind), draw_batch(frames=count, flow=False)
        params = draw_params(method, batch)

        @jax.jit
        def ours(params):
            return player_gradients(
                lambda params: method.losses(params, {}, {}, batch, jax.random.key(0)), params
            )

        @jax.jit
        def theirs(params):
            losses, pull_back, terms = jax.vjp(
                lambda params: written_out(method, params, batch), params, has_aux=True
            )
            slopes = {
                name: pull_back({n: jnp.float64(n == name) for n in losses})[0] for name in losses
            }
            # Generators and predictors share an objective, upstream's one optimiser.
            return losses, terms, {p: slopes[OBJECTIVE[p]][p] for p in method.players}

        losses, grads, aux = ours(params)
        expected, terms, slopes = theirs(params)
        assert set(losses) == set(grads) == set(OBJECTIVE) == set(method.players)
        for player, objective in OBJECTIVE.items():
            assert losses[player].dtype == jnp.float64
            assert float(losses[player]) == pytest.approx(float(expected[objective]), rel=1e-10)
        for (path, leaf), mine in zip(
            jax.tree.leaves_with_path(slopes), jax.tree.leaves(grads), strict=True
        ):
            where = jax.tree_util.keystr(path)
            np.testing.assert_allclose(mine, leaf, rtol=1e-8, atol=1e-11, err_msg=where)
            assert float(jnp.abs(leaf).max()) > 1e-6, where
        assert set(aux.terms) == set(terms)
        for term, value in terms.items():
            assert float(aux.terms[term]) == pytest.approx(float(value), rel=1e-10), term
        assert all(float(value) > 1e-3 for value in aux.terms.values())


@pytest.fixture(scope="module")
def trained():
    """The losses of every setting asked for, and the FLOPs of their program."""
    batch = draw_batch(flow=False)
    params = draw_params(tiny(), batch)

    @functools.cache
    def run(weights):
        def losses(params):
            losses, aux = tiny(weights=weights).losses(params, {}, {}, batch, jax.random.key(0))
            return losses, aux.terms

        program = jax.jit(losses).lower(params).compile()
        costs: Any = program.cost_analysis()
        return costs["flops"], *program(params)

    return run


def test_the_variants_are_upstreams():
    assert VARIANTS["recycle"] == Weights()
    worth = {"adversarial": 1, "adversarial_prediction": 0, "recycle": 10, "prediction": 10}
    assert vars(VARIANTS["recycle"]) == worth | {"cycle": 0, "identity": 0.5}
    assert vars(VARIANTS["reCycle"]) == worth | {"cycle": 10, "identity": 0.5}


@pytest.mark.parametrize(
    ("weights", "names"),
    [
        ({"adversarial": 0.0}, {"adversarial", "discriminator"}),
        ({"recycle": 0.0}, {"recycle"}),
        ({"prediction": 0.0}, {"prediction"}),
        ({"identity": 0.0}, {"identity"}),
        # The identity counts in units of the cycle.
        ({"cycle": 0.0}, {"cycle", "identity"}),
    ],
    ids=["adversarial", "recycle", "prediction", "identity", "cycle"],
)
def test_a_weight_of_0_removes_the_term_from_the_program(trained, weights, names):
    full = VARIANTS["reCycle"]
    flops, losses, terms = trained(full)
    fewer, without, remaining = trained(Weights(**(vars(full) | weights)))
    assert fewer < flops
    gone = {f"{direction}/{name}" for direction in OTHER for name in names}
    assert set(terms) - set(remaining) == gone
    for name, value in remaining.items():
        assert float(value) == pytest.approx(float(terms[name]), rel=1e-5), name
    worth = {"adversarial": 1, "recycle": 10, "prediction": 10, "cycle": 10, "identity": 5}
    lost = sum(worth.get(term.partition("/")[2], 0) * float(terms[term]) for term in gone)
    assert float(losses["generator"] - without["generator"]) == pytest.approx(lost, rel=1e-3)
    assert float(without["predictor"]) == float(without["generator"])
    assert bool(without["discriminator"]) == ("adversarial" not in weights)


def test_the_shared_objective_is_pulled_back_once():
    """Generators and predictors are two players of one scalar: two pull-backs, one computation."""
    method, batch = tiny(), draw_batch(flow=False)
    params = draw_params(method, batch)
    both = ("generator", "predictor")

    def losses(params):
        losses, aux = method.losses(params, {}, {}, batch, jax.random.key(0))
        return {player: losses[player] for player in both}, aux

    def flops(gradients):
        costs: Any = jax.jit(gradients).lower(params).compile().cost_analysis()
        return costs["flops"]

    def together(params):
        slopes = jax.grad(lambda params: losses(params)[0]["generator"])(params)
        return {player: slopes[player] for player in both}

    separate = flops(lambda params: player_gradients(losses, params)[1])
    assert separate < 1.01 * flops(together)


def test_a_step_moves_every_player():
    method, batch = tiny(), draw_batch(flow=False)
    state, step = prepared(method, batch, {})
    new, metrics = step(state, batch)
    for a, b in zip(jax.tree.leaves(new.params), jax.tree.leaves(state.params), strict=True):
        assert jnp.isfinite(a).all() and (a != b).any()
    assert float(metrics["finite"]) == 1.0
    assert set(new.ema) == set(method.directions) == set(OTHER)
    terms = {"adversarial", "recycle", "prediction", "discriminator"}
    expected = {f"term/{d}/{term}" for d in OTHER for term in terms}
    assert expected == {name for name in metrics if name.startswith("term/")}


def test_translating_is_per_frame_and_what_the_pictures_show():
    method, batch = tiny(), draw_batch(flow=False)
    params = draw_params(method, batch)
    generator = params["generator"]["to_source"]
    frames = decode(batch["target"]["frames"])
    assert method.initial_carry(frames) == ()
    _, made = jax.jit(method.rollout)(generator, {}, (), frames)
    np.testing.assert_array_equal(made.raw, made.output)
    assert not made.mask.any() and not made.visible.any()
    for chunk in (1, 2):
        pieces = [method.translate(generator, {}, (), frames[:, t : t + chunk])[1] for t in
                  range(0, 3, chunk)]  # fmt: skip
        np.testing.assert_allclose(jnp.concatenate(pieces, axis=1), made.output, atol=1e-6)
    _, aux = jax.jit(method.losses)(params, {}, {}, batch, jax.random.key(0))
    np.testing.assert_allclose(aux.pictures["to_source/output"], made.output[0], atol=1e-6)
    np.testing.assert_allclose(aux.pictures["to_source/source"], frames[0], atol=1e-6)
    assert aux.pictures["to_target/foreseen"].shape == (1, *frames.shape[2:])


def test_two_frames_are_too_few():
    method, batch = tiny(), draw_batch(frames=2, flow=False)
    params = draw_params(method, batch)
    with pytest.raises(ValueError, match="clips of 2 frames, but P needs 2 to predict a 3rd"):
        method.losses(params, {}, {}, batch, jax.random.key(0))
