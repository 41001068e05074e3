"""One step for every method: whose gradient, what may enter the state, what is told."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods.tiny_recurrent import draw_batch, draw_params, tiny
from training.toy_method import FROZEN, ToyMethod, batches

from v2v_jax.losses import discriminator_loss
from v2v_jax.methods.window import decode
from v2v_jax.training.optimizers import make_optimizers
from v2v_jax.training.state import init_state
from v2v_jax.training.step import player_gradients, player_pictures, train_step
from v2v_jax.types import Aux


@dataclasses.dataclass(frozen=True)
class Cliff:
    """``left`` falls off: sqrt of its weight has value 0 and no slope there.  ``right`` is fine."""

    players: tuple[str, ...] = ("left", "right")

    def init(self, rng, batch):
        return {"left": {"w": jnp.ones(3)}, "right": {"w": jnp.full(2, 2.0)}}

    def init_memory(self, batch):
        return {"steps": jnp.zeros((), jnp.int32), "noise": jnp.zeros(())}

    def losses(self, params, frozen, memory, batch, rng):
        left = jnp.sqrt(params["left"]["w"] * batch["height"]).sum() + batch["added"]
        right = (params["right"]["w"] ** 2).sum()
        memory = {"steps": memory["steps"] + 1, "noise": jax.random.normal(rng)}
        terms = {"height": batch["height"], "noise": memory["noise"]}
        return {"left": left, "right": right}, Aux(terms=terms, memory=memory, pictures={})


def prepared(method: Any, batch, frozen, **options):
    """A fresh state and the jitted step, whose state is not donated: tests look back."""
    optimizers = make_optimizers(method.players, learning_rate=0.01)
    make = functools.partial(init_state, method=method, optimizers=optimizers)
    state = jax.jit(make)(jax.random.key(0), batch)
    step = jax.jit(functools.partial(train_step, method=method, optimizers=optimizers, **options))
    return state, lambda state, batch: step(state, frozen, batch)


def cliff(**options):
    good = {"height": jnp.float32(1.0), "added": jnp.float32(0.0)}
    return good, *prepared(Cliff(), good, {}, **options)


def same_bits(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def differs(a, b):
    return [bool((x != y).any()) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True)]


def kept(state):
    return state.params, state.opt_state, state.ema, state.memory


def test_each_player_gets_its_own_gradient_of_its_own_loss():
    """As with detached fakes and one backward pass per player; float64."""
    with jax.enable_x64(True):
        method = tiny(occlusion_alpha=2.0)
        batch = draw_batch()
        params, frozen = draw_params(method, batch)

        def losses_fn(params):
            return method.losses(params, frozen, {}, batch, jax.random.key(0))

        def judging(judges):
            """With fakes from outside the graph; without a past, they are what G translates."""
            total = 0.0
            for name, here, there in (
                ("to_target", "source", "target"),
                ("to_source", "target", "source"),
            ):
                frames = decode(batch[here]["frames"])
                _, made = method.rollout(
                    params["generator"][name], frozen, method.initial_carry(frames), frames,
                    batch[here]["flow"],
                )  # fmt: skip
                fake, real = jax.lax.stop_gradient(made.output), decode(batch[there]["frames"])
                verdicts: Any = [
                    method.discriminator.apply(
                        {"params": judges[name]}, x.reshape(-1, *x.shape[2:])
                    )
                    for x in (real, fake)
                ]
                total += discriminator_loss(*verdicts)
            return total

        def making(generator):
            return losses_fn(params | {"generator": generator})[0]["generator"]

        @jax.jit
        def everything(params):
            together = jax.grad(lambda p: sum(losses_fn(p)[0].values()))(params)
            separate = {
                "generator": jax.value_and_grad(making)(params["generator"]),
                "discriminator": jax.value_and_grad(judging)(params["discriminator"]),
            }
            return player_gradients(losses_fn, params), separate, together

        (losses, grads, aux), separate, together = everything(params)
    assert set(grads) == set(losses) == set(method.players)
    for player, (value, grad) in separate.items():
        assert float(losses[player]) == pytest.approx(float(value), rel=1e-12)
        assert jax.tree.structure(grads[player]) == jax.tree.structure(params[player])
        for a, b in zip(jax.tree.leaves(grads[player]), jax.tree.leaves(grad), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-13)
        # The players oppose each other: the sum of losses has other gradients.
        assert all(differs(together[player], grad))
    assert "to_target/adversarial" in aux.terms


@pytest.fixture(scope="module")
def recurrent():
    method, batch = tiny(), draw_batch(clips=1)
    _, frozen = draw_params(method, batch)
    state, step = prepared(method, batch, frozen)
    state, metrics = step(state, batch)
    return batch, state, metrics, step


def test_a_good_step_moves_everything(recurrent):
    batch, state, _, step = recurrent
    new, metrics = step(state, batch)
    assert all(differs(new.params, state.params))
    assert all(differs(new.opt_state, state.opt_state))
    assert all(differs(new.ema, state.ema))
    assert (int(new.step), int(new.skipped), float(metrics["finite"])) == (2, 0, 1.0)
    np.testing.assert_array_equal(jax.random.key_data(new.rng), jax.random.key_data(state.rng))


def test_metrics_have_names_and_are_scalars(recurrent):
    _, _, metrics, _ = recurrent
    terms = {"adversarial", "cycle_2d", "cycle_3d", "content", "temporal", "discriminator", "mask"}
    expected = {f"term/{d}/{term}" for d in ("to_target", "to_source") for term in terms}
    expected |= {f"{k}/{p}" for k in ("loss", "grad_norm") for p in ("generator", "discriminator")}
    assert set(metrics) == expected | {"finite"}
    for value in metrics.values():
        assert value.shape == () and jnp.isfinite(value)
    assert float(metrics["grad_norm/generator"]) > 0


def test_not_a_number_in_the_flow_changes_nothing(recurrent):
    batch, state, _, step = recurrent
    flow = batch["source"]["flow"].at[0, 1, 2, 3, 0].set(jnp.nan)
    poisoned = batch | {"source": batch["source"] | {"flow": flow}}
    once, metrics = step(state, poisoned)
    twice, _ = step(once, poisoned)
    for new, skipped in ((once, 1), (twice, 2)):
        same_bits(kept(new), kept(state))
        assert (int(new.step), int(new.skipped)) == (1 + skipped, skipped)
    assert float(metrics["finite"]) == 0.0
    assert not jnp.isfinite(metrics["loss/generator"])
    recovered, metrics = step(twice, batch)
    assert (int(recovered.step), int(recovered.skipped)) == (4, 0)
    assert float(metrics["finite"]) == 1.0
    assert all(differs(recovered.params, state.params))


@pytest.mark.parametrize(
    "bad",
    [{"height": 0.0}, {"height": -1.0}, {"added": np.inf}, {"added": np.nan}],
    ids=["gradient", "both", "infinite", "nan"],
)
def test_no_loss_and_no_gradient_that_is_not_finite_enters_the_state(bad):
    """``gradient``: at the cliff's edge the loss is 0 and only its slope is infinite."""
    good, state, step = cliff()
    state, _ = step(state, good)
    new, metrics = step(state, good | {k: jnp.float32(v) for k, v in bad.items()})
    same_bits(kept(new), kept(state))
    assert (int(new.step), int(new.skipped), float(metrics["finite"])) == (2, 1, 0.0)
    if bad == {"height": 0.0}:
        assert float(metrics["loss/left"]) == 0.0
        assert not jnp.isfinite(metrics["grad_norm/left"])
    # The player that did nothing wrong waits too: players stay in step.
    assert jnp.isfinite(metrics["grad_norm/right"])
    again, _ = step(new, good)
    assert (int(again.step), int(again.skipped), int(again.memory["steps"])) == (3, 0, 2)


def test_the_average_follows_the_first_player():
    """decay = min(ema_decay, (1 + n) / (10 + n)) at step n."""
    good, state, step = cliff(ema_decay=0.2)
    same_bits(state.ema, state.params["left"])
    expected = np.asarray(state.ema["w"])
    for n, decay in enumerate([1 / 10, 2 / 11, 0.2, 0.2]):
        assert int(state.step) == n
        state, _ = step(state, good)
        expected = decay * expected + (1 - decay) * np.asarray(state.params["left"]["w"])
        np.testing.assert_allclose(state.ema["w"], expected, rtol=1e-6)
        assert abs(expected - np.asarray(state.params["left"]["w"])).min() > 1e-4


def test_adam_of_the_paper():
    """Betas 0.5 and 0.999, epsilon 1e-8 outside the root, one state per player."""
    good, state, step = cliff()
    w, m, v = np.ones(3), np.zeros(3), np.zeros(3)
    for n in range(1, 4):
        state, metrics = step(state, good)
        slope = 0.5 / np.sqrt(w)
        assert float(metrics["grad_norm/left"]) == pytest.approx(np.linalg.norm(slope), rel=1e-5)
        m, v = 0.5 * m + 0.5 * slope, 0.999 * v + 0.001 * slope**2
        w = w - 0.01 * (m / (1 - 0.5**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)
        np.testing.assert_allclose(state.params["left"]["w"], w, rtol=1e-5)
    (default,) = make_optimizers(["left"]).values()
    update: Any = default.update({"w": jnp.ones(1)}, default.init({"w": jnp.ones(1)}))[0]
    assert float(update["w"][0]) == pytest.approx(-2e-4, rel=1e-5)


def test_the_rate_falls_linearly_after_its_constant_share():
    """CycleGAN's own: half of the steps at the full rate, then down to 0."""
    (adam,) = make_optimizers(["left"], learning_rate=0.1, constant=0.5, steps=8).values()
    state, rates = adam.init({"w": jnp.ones(1)}), []
    for _ in range(9):
        # A constant gradient makes Adam's steps those of the rate.
        update: Any
        update, state = adam.update({"w": jnp.ones(1)}, state)
        rates.append(-float(update["w"][0]))
    expected = [0.1] * 5 + [0.075, 0.05, 0.025, 0.0]
    np.testing.assert_allclose(rates, expected, atol=1e-6)
    for wrong in ({"constant": 1.5, "steps": 8}, {"constant": 0.5}):
        with pytest.raises(ValueError, match=r"optimizer\.constant"):
            make_optimizers(["left"], **wrong)


def test_each_step_draws_anew_and_repeats_exactly():
    good, state, step = cliff()
    first, told = step(state, good)
    second, _ = step(first, good)
    expected = [jax.random.normal(jax.random.fold_in(state.rng, n)) for n in range(2)]
    np.testing.assert_allclose([first.memory["noise"], second.memory["noise"]], expected, rtol=1e-6)
    repeated, told_again = step(state, good)
    same_bits(kept(repeated), kept(first))
    same_bits(told, told_again)


def test_memory_and_frozen_reach_the_method():
    batch = next(batches(0, clips=1))
    state, step = prepared(ToyMethod(), batch, FROZEN)
    new, metrics = step(state, batch)
    assert float(metrics["finite"]) == 1.0
    assert all(differs(new.memory, state.memory))
    poisoned = next(batches(0, clips=1, poisoned=(0,)))
    same_bits(kept(step(new, poisoned)[0]), kept(new))


def test_pictures_are_those_of_the_current_parameters(recurrent):
    batch, state, _, _ = recurrent
    method = tiny()
    _, frozen = draw_params(method, batch)
    show = jax.jit(functools.partial(player_pictures, method=method))
    pictures = show(state, frozen, batch)
    frames = decode(batch["source"]["frames"])
    _, output = jax.jit(method.translate)(
        state.params["generator"]["to_target"],
        frozen,
        method.initial_carry(frames),
        frames,
        batch["source"]["flow"],
    )
    np.testing.assert_allclose(pictures["to_target/output"], output[0], atol=1e-5)
    assert set(pictures) == {
        f"{direction}/{name}"
        for direction in method.directions
        for name in ("source", "raw", "warped", "mask", "output", "flow")
    }
