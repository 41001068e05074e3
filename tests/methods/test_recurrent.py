"""The method against eq. 1 to 8 written out frame by frame, and what its options promise."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.ndimage import map_coordinates
from methods.tiny_recurrent import SIZE, draw_batch, draw_params, tiny

from v2v_jax.flow.zero import zero_flow
from v2v_jax.methods.recurrent import Weights
from v2v_jax.methods.window import decode
from v2v_jax.recurrence import fresh_carry
from v2v_jax.training.step import player_gradients

WEIGHTS = Weights(adversarial=0.7, cycle=3.0, content=2.0, temporal=5.0)
# At 50, frames of noise would leave nothing of the temporal term.
ALPHA = 2.0
DIRECTIONS = (("to_target", "source", "target"), ("to_source", "target", "source"))
OTHER = {"to_target": "to_source", "to_source": "to_target"}


def sample(image, flow):
    """W: [B, H, W, 3] at p + flow(p), and where that is inside."""
    height, width = image.shape[1:3]
    rows, columns = jnp.mgrid[:height, :width]
    y, x = rows[None] + flow[..., 1], columns[None] + flow[..., 0]

    def plane(image, y, x):
        return map_coordinates(image, [y, x], 1, mode="nearest")

    inside = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
    planes = jax.vmap(jax.vmap(plane, (-1, None, None), -1))(image, y, x)
    return planes, inside[..., None].astype(image.dtype)


def closeness(method, x, flow, t, squared):
    """Eq. 7's O on frame t."""
    carried, inside = sample(x[t - 1], flow[t])
    distance = (((x[t] - carried) / 2) ** 2).sum(-1, keepdims=True)
    distance = distance if squared else jnp.sqrt(distance)
    return jnp.exp(-method.occlusion_alpha * distance) * inside


def blend(method, networks, images, previous, x, flow, t):
    """Eq. 1 and 2 for one frame: the output and the warped previous one."""
    raw = method.image.apply({"params": networks["image"]}, images)
    mask = method.fusion.apply({"params": networks["fusion"]}, raw, previous)
    if method.gate:
        mask = mask * closeness(method, x, flow, t, squared=method.gate_squared)
    return mask * previous + (1 - mask) * raw


def written_out(method, params, frozen, batch):
    """Eq. 3 to 8 with loops over clips' frames; shares no code with the package but networks."""
    stop = jax.lax.stop_gradient
    first = method.history
    generator_loss, discriminator_loss, terms = 0.0, 0.0, {}
    for name, here, there in DIRECTIONS:
        count = batch[here]["frames"].shape[1]
        x, real = (
            [batch[d]["frames"][:, t] / 127.5 - 1.0 for t in range(count)] for d in (here, there)
        )
        flow = [None, *(batch[here]["flow"][:, t] for t in range(count - 1))]
        forth, back = params["generator"][name], params["generator"][OTHER[name]]

        def image(networks, frame):
            return method.image.apply({"params": networks["image"]}, frame)

        def judge(images, name=name):
            network = {"params": params["discriminator"][name]}
            return jnp.stack([method.discriminator.apply(network, i) for i in images])

        def features(images):
            network = {"params": frozen["content"]}
            return jnp.stack([method.content.apply(network, i) for i in images])

        y, warped, rebuilt = [], [None], []
        for t in range(count):
            mine, other = stop((forth, back)) if t < first else (forth, back)
            kept = stop if method.truncate or t <= first else (lambda value: value)
            if t == 0:
                y.append(image(mine, x[t]))
            else:
                warped.append(sample(kept(y[t - 1]), flow[t])[0])
                y.append(blend(method, mine, x[t], warped[t], x, flow, t))
            # What is mapped back: I's own frame where training begins, G's output elsewhere.
            forward = image(mine, x[t]) if t == first else y[t]
            if t == 0:
                rebuilt.append(image(other, forward))
            elif method.cycle_memory == "source":
                carried = sample(x[t - 1], flow[t])[0]
                rebuilt.append(blend(method, other, forward, carried, x, flow, t))
            else:
                carried = sample(kept(rebuilt[t - 1]), flow[t])[0]
                rebuilt.append(blend(method, other, forward, carried, x, flow, t))

        later = range(first + 1, count)
        alone = [first, *(later if method.losses_on_raw else [])]
        alone_images = [image(forth, x[t]) for t in alone]
        judged = [*alone_images, *(y[t] for t in later)]
        belongs = [*(x[t] for t in alone), *(x[t] for t in later)]
        fake, truth = judge(judged), judge(real[first:])
        softplus = jax.nn.softplus
        fool, right = {
            "vanilla": (softplus(-fake).mean(), (softplus(-truth).mean(), softplus(fake).mean())),
            "lsgan": (((fake - 1) ** 2).mean(), (((truth - 1) ** 2).mean(), (fake**2).mean())),
            "hinge": (-fake.mean(), (jnp.maximum(0, 1 - truth).mean(),
                                     jnp.maximum(0, 1 + fake).mean())),
        }[method.adversarial]  # fmt: skip
        mine = {
            "adversarial": fool,
            "cycle_2d": jnp.stack(
                [abs(image(back, i) - x[t]) for i, t in zip(alone_images, alone, strict=True)]
            ).mean(),
            "cycle_3d": jnp.stack([abs(rebuilt[t] - x[t]) for t in later]).mean(),
            "content": ((features(judged) - features(belongs)) ** 2).mean(),
            "temporal": sum(
                (
                    closeness(method, x, flow, t, method.occlusion_squared) * abs(y[t] - warped[t])
                ).mean()
                for t in later
            ),
        }
        scale = {"adversarial": 0.7, "cycle_2d": 3, "cycle_3d": 3, "content": 2, "temporal": 5}
        generator_loss += sum(scale[term] * value for term, value in mine.items())
        discriminator_loss += sum(right) / 2
        terms |= {f"{name}/{term}": value for term, value in mine.items()}
        terms[f"{name}/discriminator"] = sum(right) / 2
    return {"generator": generator_loss, "discriminator": discriminator_loss}, terms


VARIANTS = {
    "paper": {},
    "lsgan, raw": {"adversarial": "lsgan", "losses_on_raw": True, "occlusion_squared": True},
    "hinge, reconstruction": {"adversarial": "hinge", "cycle_memory": "reconstruction"},
    "truncated": {"truncate": True, "cycle_memory": "reconstruction", "losses_on_raw": True},
    "history, gate": {"history": 1, "gate": True, "losses_on_raw": True},
    "literal gate": {"gate": True, "gate_squared": False},
    "all": {"history": 2, "gate": True, "cycle_memory": "reconstruction", "truncate": True},
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_losses_and_gradients_are_those_of_the_equations(options):
    """In float64, where nothing but the mathematics can differ."""
    with jax.enable_x64(True):
        method = tiny(weights=WEIGHTS, occlusion_alpha=ALPHA, **options)
        batch = draw_batch(frames=3 + method.history)
        params, frozen = draw_params(method, batch)

        @jax.jit
        def ours(params):
            return player_gradients(
                lambda params: method.losses(params, frozen, {}, batch, jax.random.key(0)), params
            )

        @jax.jit
        def theirs(params):
            def total(player, mine):
                losses, terms = written_out(method, params | {player: mine}, frozen, batch)
                return losses[player], terms

            return {
                player: jax.value_and_grad(functools.partial(total, player), has_aux=True)(mine)
                for player, mine in params.items()
            }

        losses, grads, aux = ours(params)
        for player, ((expected, terms), slope) in theirs(params).items():
            assert losses[player].dtype == jnp.float64
            assert float(losses[player]) == pytest.approx(float(expected), rel=1e-10), player
            for path, leaf in jax.tree.leaves_with_path(slope):
                where = jax.tree_util.keystr(path)
                mine = functools.reduce(lambda tree, key: tree[key.key], path, grads[player])
                np.testing.assert_allclose(mine, leaf, rtol=1e-8, atol=1e-11, err_msg=where)
                assert float(jnp.abs(leaf).max()) > 1e-6, where
            for term, value in terms.items():
                assert float(aux.terms[term]) == pytest.approx(float(value), rel=1e-10), term
        # Every term is large enough for its errors to show in the sums.
        assert all(float(value) > 1e-3 for value in map(abs, terms.values()))


def losses_of(method, batch, frozen, params):
    return method.losses(params, frozen, {}, batch, jax.random.key(0))


@functools.cache
def compiled(method):
    """FLOPs of the losses, and the terms, of one program."""
    batch = draw_batch()
    params, frozen = draw_params(method, batch)

    def run(params, frozen, batch):
        losses, aux = losses_of(method, batch, frozen, params)
        return losses, aux.terms

    program = jax.jit(run).lower(params, frozen, batch).compile()
    costs: Any = program.cost_analysis()
    return costs["flops"], program(params, frozen, batch)


@pytest.mark.parametrize(
    ("weight", "names"),
    [
        ("adversarial", {"adversarial", "discriminator"}),
        ("cycle", {"cycle_2d", "cycle_3d"}),
        ("content", {"content"}),
        ("temporal", {"temporal"}),
    ],
)
def test_a_weight_of_0_removes_the_term_from_the_program(weight, names):
    flops, (losses, terms) = compiled(tiny(occlusion_alpha=ALPHA))
    fewer, (without, remaining) = compiled(
        tiny(occlusion_alpha=ALPHA, weights=Weights(**{weight: 0.0}))
    )
    assert fewer < flops
    gone = {f"{direction}/{name}" for direction in OTHER for name in names}
    assert set(terms) - set(remaining) == gone
    for name, value in remaining.items():
        assert float(value) == pytest.approx(float(terms[name]), rel=1e-5), name
    worth = {"adversarial": 1, "cycle_2d": 10, "cycle_3d": 10, "content": 1, "temporal": 10}
    lost = sum(worth.get(term.partition("/")[2], 0) * float(terms[term]) for term in gone)
    assert float(losses["generator"] - without["generator"]) == pytest.approx(lost, rel=1e-3)
    if weight == "adversarial":
        assert not without["discriminator"]
    else:
        np.testing.assert_allclose(without["discriminator"], losses["discriminator"], rtol=1e-6)


def fake_estimator(calls):
    def estimate(frozen, current, previous):
        calls.append(current.shape)
        return frozen["gain"] * (current - 0.5 * previous)[..., :2]

    return estimate


@pytest.mark.parametrize("history", [0, 2])
def test_flow_is_estimated_in_one_call_and_as_if_it_were_given(history):
    calls = []
    estimate = fake_estimator(calls)
    method = tiny(flow=estimate, history=history, occlusion_alpha=ALPHA)
    batch = draw_batch(frames=3 + history, flow=False)
    params, frozen = draw_params(method, batch)
    frozen["flow"] = {"gain": jnp.float32(1.5)}
    losses, aux = jax.jit(functools.partial(losses_of, method))(batch, frozen, params)
    assert calls == [((2 + history) * 2 * 2, *SIZE, 3)]

    def with_flow(clip):
        frames = decode(clip["frames"])
        pairs = [
            estimate(frozen["flow"], frames[:, t], frames[:, t - 1])
            for t in range(1, frames.shape[1])
        ]
        return clip | {"flow": jnp.stack(pairs, axis=1)}

    batch = {domain: with_flow(clip) for domain, clip in batch.items()}
    calls.clear()
    given, given_aux = jax.jit(functools.partial(losses_of, method))(batch, frozen, params)
    assert not calls
    for a, b in zip(
        jax.tree.leaves((losses, aux.terms)), jax.tree.leaves((given, given_aux.terms)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_what_the_history_holds_matters_to_the_values_only():
    """Its frames reach the trained ones through the carry, its parameters' use is a constant."""
    method = tiny(history=2, occlusion_alpha=ALPHA, cycle_memory="reconstruction")
    batch = draw_batch(frames=5)
    params, frozen = draw_params(method, batch)
    run = jax.jit(functools.partial(losses_of, method))
    losses, aux = run(batch, frozen, params)
    for domain, name in (("source", "to_target"), ("target", "to_source")):
        frames = batch[domain]["frames"]
        changed = batch | {domain: batch[domain] | {"frames": frames.at[:, 1].set(0)}}
        assert float(jnp.abs(run(changed, frozen, params)[0]["generator"] - losses["generator"]))
        # The pictures are those of the trained frames.
        np.testing.assert_allclose(aux.pictures[f"{name}/source"], decode(frames[0, 2:]), atol=1e-6)
        assert aux.pictures[f"{name}/mask"].shape == (3, *SIZE, 1)
        assert aux.pictures[f"{name}/mask"][0].any(), "the past is carried in"


def test_translating_is_the_trained_recurrence():
    """``rollout`` makes what the losses saw, ``translate`` its output, both in any chunks."""
    for gate in (False, True):
        method = tiny(gate=gate, occlusion_alpha=ALPHA)
        batch = draw_batch()
        params, frozen = draw_params(method, batch)
        generator = params["generator"]["to_source"]
        clip = batch["target"]
        frames = decode(clip["frames"])
        flow = jnp.pad(clip["flow"], ((0, 0), (1, 0), (0, 0), (0, 0), (0, 0)))
        carry = method.initial_carry(frames)
        jax.tree.map(np.testing.assert_array_equal, carry, fresh_carry(frames))
        last, made = jax.jit(method.rollout)(generator, frozen, carry, frames, flow)
        _, aux = jax.jit(functools.partial(losses_of, method))(batch, frozen, params)
        for field in ("raw", "warped", "mask", "output", "flow"):
            trained = aux.pictures[f"to_source/{field}"]
            np.testing.assert_allclose(getattr(made, field)[0], trained, atol=1e-5)
        outputs, translate = [], jax.jit(method.translate)
        for t in range(3):
            carry, output = translate(
                generator, frozen, carry, frames[:, t : t + 1], flow[:, t : t + 1]
            )
            outputs.append(output)
        np.testing.assert_allclose(jnp.concatenate(outputs, axis=1), made.output, atol=1e-5)
        jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), carry, last)


def test_rollout_estimates_the_flow_that_is_not_given():
    calls = []
    method = tiny(flow=fake_estimator(calls))
    batch = draw_batch()
    params, _ = draw_params(method, batch)
    frozen = {"flow": {"gain": jnp.float32(2.0)}}
    frames = decode(batch["source"]["frames"])
    carry = method.initial_carry(frames)
    _, made = method.rollout(params["generator"]["to_target"], frozen, carry, frames)
    assert calls == [(6, *SIZE, 3)]
    expected = 2 * (frames[:, 1:] - 0.5 * frames[:, :-1])[..., :2]
    np.testing.assert_allclose(made.flow[:, 1:], expected, atol=1e-6)


def test_zero_flow_carries_the_previous_output_unmoved():
    method = tiny(flow=zero_flow)
    batch = draw_batch(flow=False)
    params, frozen = draw_params(method, batch)
    frames = decode(batch["source"]["frames"])
    carry = method.initial_carry(frames)
    _, made = method.rollout(params["generator"]["to_target"], frozen, carry, frames)
    np.testing.assert_array_equal(made.warped[:, 1:], made.output[:, :-1])
    assert not made.flow.any() and made.visible[:, 1:].all()


def test_parameters_of_both_players_and_directions():
    method = tiny()
    params = jax.jit(method.init)(jax.random.key(0), draw_batch())
    assert set(params) == set(method.players) == {"generator", "discriminator"}
    for player in params.values():
        assert set(player) == set(method.directions) == set(OTHER)
        there, back = (jax.tree.leaves(player[name]) for name in method.directions)
        assert [x.shape for x in there] == [x.shape for x in back]
        assert all((a != b).any() for a, b in zip(there, back, strict=True) if a.ndim > 1)
    assert set(params["generator"]["to_target"]) == {"image", "fusion"}
    assert method.init_memory(draw_batch()) == {}


def test_a_method_without_flow_says_so():
    method, batch = tiny(), draw_batch(flow=False)
    params, frozen = draw_params(method, batch)
    frames = decode(batch["source"]["frames"])
    with pytest.raises(ValueError, match="flow must be given"):
        method.rollout(
            params["generator"]["to_target"], frozen, method.initial_carry(frames), frames
        )
    with pytest.raises(ValueError, match="no flow in the clips and no estimator"):
        losses_of(method, batch, frozen, params)


def test_unknown_cycle_memory():
    with pytest.raises(ValueError, match="'output' is neither 'source' nor 'reconstruction'"):
        tiny(cycle_memory="output")
