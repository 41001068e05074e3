"""Lai et al.'s objective written out frame by frame, and what the method promises."""

from __future__ import annotations

import functools

import flax.linen as nn
import golden_recipe as golden
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods.test_recurrent import sample
from methods.tiny_recurrent import SIZE, Content, Image, draw_batch, draw_like
from training.test_step import prepared

from v2v_jax.methods import flicker
from v2v_jax.methods.blind_temporal import BlindTemporal, Weights
from v2v_jax.methods.window import decode
from v2v_jax.nets.blocks import Conv
from v2v_jax.training.step import player_gradients

# At 50, frames of noise would leave nothing of the warp errors.
ALPHA = 2.0
WEIGHTS = Weights(short_term=3.0, long_term=5.0, content=2.0)


class Steady(nn.Module):
    """A stabiliser with a memory of its own; its outputs leave [-1, 1]."""

    @nn.compact
    def __call__(self, processed, output, current, previous, state):
        x = jnp.concatenate([processed, output, current, previous, state[0]], axis=-1)
        both = Conv(5, 3, reflect=True, use_bias=True, name="conv")(x)
        return processed + both[..., :3], (jnp.tanh(both[..., 3:]), state[1] + 1)

    def initial_state(self, frame):
        return jnp.zeros_like(frame[..., :2]), jnp.zeros_like(frame[:, :1, :1, :1])


def tiny(**options):
    nets = {"image": Image(), "stabiliser": Steady(), "content": Content()}
    return BlindTemporal(**nets, occlusion_alpha=ALPHA, **options)


def draw_params(method, batch):
    frame = jnp.zeros((1, *SIZE, 3))
    params = draw_like(jax.eval_shape(method.init, jax.random.key(0), batch), gain=0.8)
    translator, content = (
        draw_like(jax.eval_shape(net.init, jax.random.key(0), frame)["params"], seed=seed)
        for seed, net in enumerate((method.image, method.content), start=1)
    )
    return params, {"translator": translator, "content": content, "flow": {}}


def written_out(method, params, frozen, batch):
    """Upstream's loop; shares no code with the package but the networks."""
    stop = jax.lax.stop_gradient
    frames = batch["source"]["frames"] / 127.5 - 1.0
    count = frames.shape[1]
    x = [frames[:, t] for t in range(count)]
    flow = [None, *(batch["source"]["flow"][:, t] for t in range(count - 1))]
    processed = [method.image.apply({"params": frozen["translator"]}, image) for image in x]
    features = functools.partial(method.content.apply, {"params": frozen["content"]})
    network = {"params": params["stabiliser"]["to_target"]}

    def error(t, s, away, reached):
        """Of output t against output s, in [0, 1]."""
        carried, inside = sample(x[s], away)
        difference = ((x[t] - carried) / 2).sum(-1, keepdims=True)
        mask = jnp.exp(-method.occlusion_alpha * difference**2) * inside * reached
        warped = sample(stop(outputs[s]), away)[0]
        return abs(mask * outputs[t] / 2 - mask * warped / 2).mean()

    outputs, state = [processed[0]], method.stabiliser.initial_state(x[0])
    far, reached = jnp.zeros_like(flow[1]), jnp.ones_like(x[0][..., :1])
    terms = {"short_term": 0.0, "long_term": 0.0, "content": 0.0}
    for t in range(1, count):
        output, state = method.stabiliser.apply(
            network, processed[t], stop(outputs[-1]), x[t], x[t - 1], stop(state)
        )
        outputs.append(output)
        terms["short_term"] += error(t, t - 1, flow[t], 1.0)
        onward, inside = sample(far, flow[t])
        reached = inside * (sample(reached, flow[t])[0] > 0.999)
        far = flow[t] + onward
        if t >= 2:
            terms["long_term"] += error(t, 0, far, reached)
        terms["content"] += abs(features(output) - features(processed[t])).mean()
    loss = 3 * terms["short_term"] + 5 * terms["long_term"] + 2 * terms["content"]
    return loss, {f"to_target/{term}": value for term, value in terms.items()}


def test_losses_and_gradients_are_those_of_the_loop():
    """In float64, where nothing but the mathematics can differ."""
    with jax.enable_x64(True):
        method, batch = tiny(weights=WEIGHTS), draw_batch(frames=5)
        params, frozen = draw_params(method, batch)

        @jax.jit
        def ours(params):
            return player_gradients(
                lambda params: method.losses(params, frozen, {}, batch, jax.random.key(0)), params
            )

        @jax.jit
        def theirs(params):
            return jax.value_and_grad(
                lambda params: written_out(method, params, frozen, batch), has_aux=True
            )(params)

        losses, grads, aux = ours(params)
        (expected, terms), slope = theirs(params)
    assert losses["stabiliser"].dtype == jnp.float64
    assert float(losses["stabiliser"]) == pytest.approx(float(expected), rel=1e-10)
    for (path, leaf), mine in zip(
        jax.tree.leaves_with_path(slope), jax.tree.leaves(grads), strict=True
    ):
        where = jax.tree_util.keystr(path)
        np.testing.assert_allclose(mine, leaf, rtol=1e-8, atol=1e-11, err_msg=where)
        assert np.abs(leaf).max() > 1e-6, where
    assert aux.terms.keys() == terms.keys()
    for term, value in terms.items():
        assert float(aux.terms[term]) == pytest.approx(float(value), rel=1e-10), term
        assert float(value) > 1e-3, term


def losses_of(method, batch, frozen, params):
    return method.losses(params, frozen, {}, batch, jax.random.key(0))


@pytest.mark.parametrize("term", ["short_term", "long_term", "content"])
def test_a_weight_of_0_removes_the_term(term):
    batch = draw_batch()
    params, frozen = draw_params(tiny(), batch)
    (losses, aux), (without, remaining) = (
        jax.jit(functools.partial(losses_of, tiny(**options)))(batch, frozen, params)
        for options in ({}, {"weights": Weights(**{term: 0.0})})
    )
    name = f"to_target/{term}"
    assert set(aux.terms) - set(remaining.terms) == {name}
    lost = vars(Weights())[term] * float(aux.terms[name])
    assert float(losses["stabiliser"] - without["stabiliser"]) == pytest.approx(lost, rel=1e-3)


def test_pairs_have_no_long_term():
    method, batch = tiny(), draw_batch(frames=2)
    params, frozen = draw_params(method, batch)
    losses, aux = jax.jit(functools.partial(losses_of, method))(batch, frozen, params)
    assert set(aux.terms) == {"to_target/short_term", "to_target/content"}
    assert jnp.isfinite(losses["stabiliser"])


def test_an_estimator_is_asked_for_the_long_way_too():
    calls = []

    def estimate(frozen, current, previous):
        calls.append(current.shape[0])
        return frozen["gain"] * (current - 0.5 * previous)[..., :2]

    method, batch = tiny(flow=estimate), draw_batch(frames=4, flow=False)
    params, frozen = draw_params(method, batch)
    frozen["flow"] = {"gain": jnp.float32(1.5)}
    _, aux = jax.jit(functools.partial(losses_of, method))(batch, frozen, params)
    assert calls == [2 * 3, 2 * 2]
    frames = decode(batch["source"]["frames"])
    outputs = method._trained(
        params["stabiliser"]["to_target"], frames, method._process(frozen, frames)
    )
    expected = 0.0
    for t in (2, 3):
        away = estimate(frozen["flow"], frames[:, t], frames[:, 0])
        carried, inside = sample(frames[:, 0], away)
        mask = flicker.visibility(frames[:, t], carried, inside, ALPHA)
        difference = outputs[:, t] - sample(outputs[:, 0], away)[0]
        expected += float(jnp.abs(mask * difference).mean()) / 2
    assert float(aux.terms["to_target/long_term"]) == pytest.approx(expected, rel=1e-4)


def test_composed_flow_follows_a_rigid_motion():
    """A camera that zooms in by a tenth per frame: the long way is the power of the short one."""
    height, width = 24, 32
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    places = np.stack([columns - width / 2, rows - height / 2], axis=-1)
    flow = jnp.asarray(np.stack([places * (0.9 - 1)] * 3)[None])
    far, reached = jax.jit(flicker.compose)(flow)
    for t in range(3):
        np.testing.assert_allclose(far[0, t], places * (0.9 ** (t + 1) - 1), atol=1e-4)
    assert (reached == 1).all()


def test_what_left_the_frame_stays_lost():
    """Six pixels out and six back in: the sum is no motion, but what is there is another thing."""
    flow = jnp.stack([jnp.full((1, 8, 16, 2), 6.0), jnp.full((1, 8, 16, 2), -6.0)], axis=1)
    far, reached = jax.jit(flicker.compose)(flow.at[..., 1].set(0))
    assert not reached[0, 0, :, 10:].any() and reached[0, 0, :, :10].all()
    np.testing.assert_array_equal(far[0, 1, :, 6:], 0)
    # Frame 2 at x lies at x - 6 in frame 1, which lies at x in frame 0.
    assert reached[0, 1, :, 6:].all()
    assert not reached[0, 1, :, :6].any()


def test_mask_is_upstreams_as_coded():
    arrays, _ = golden.load("paper_terms")
    frames = jnp.asarray(arrays["in|source_u8"], jnp.float32) / 127.5 - 1
    carried, _ = jax.jit(flicker.warp)(frames[None, :-1], jnp.asarray(arrays["in|bw_flow"])[None])
    seen = jnp.ones_like(carried[..., :1])
    mask = jax.jit(flicker.visibility)(frames[None, 1:], carried, seen)
    truth = arrays["out|occ_unit_laicode"].reshape(mask.shape)
    assert golden.distance(mask, truth) <= 1e-5


@pytest.fixture(scope="module")
def clip():
    """A method, its parameters, and a clip of 7 frames with the flow of each."""
    method, batch = tiny(), draw_batch(frames=7)
    params, frozen = draw_params(method, batch)
    frames = decode(batch["source"]["frames"])
    flow = jnp.pad(batch["source"]["flow"], ((0, 0), (1, 0), (0, 0), (0, 0), (0, 0)))
    return method, params["stabiliser"]["to_target"], frozen, frames, flow


@pytest.mark.parametrize("sizes", [(1,) * 7, (3, 4), (1, 5, 1)])
def test_chunks_of_any_size_equal_the_whole(clip, sizes):
    method, params, frozen, frames, flow = clip
    run = jax.jit(method.rollout)
    last, whole = run(params, frozen, method.initial_carry(frames), frames, flow)
    carry, pieces, start = method.initial_carry(frames), [], 0
    for size in sizes:
        part = slice(start, start + size)
        carry, piece = run(params, frozen, carry, frames[:, part], flow[:, part])
        pieces.append(piece)
        start += size
    joined = jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), *pieces)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), joined, whole)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), carry, last)


def test_rollout_tells_what_it_did(clip):
    method, params, frozen, frames, flow = clip
    _, made = jax.jit(method.rollout)(params, frozen, method.initial_carry(frames), frames, flow)
    raw = method.image.apply({"params": frozen["translator"]}, frames.reshape(-1, *SIZE, 3))
    np.testing.assert_allclose(made.raw.reshape(raw.shape), raw, atol=1e-5)
    np.testing.assert_array_equal(made.output[:, 0], made.raw[:, 0])
    # The stabiliser of this test goes beyond the range that a frame has.
    assert float(made.output.max()) == 1 and float(made.output.min()) == -1
    assert not made.mask.any() and made.mask.shape == (2, 7, *SIZE, 1)
    for t in range(1, 7):
        warped, inside = sample(made.output[:, t - 1], flow[:, t])
        np.testing.assert_allclose(made.warped[:, t], warped, atol=1e-5)
        np.testing.assert_array_equal(made.visible[:, t], inside)
    np.testing.assert_array_equal(made.warped[:, 0], made.raw[:, 0])
    assert not made.visible[:, 0].any() and not made.flow[:, 0].any()
    np.testing.assert_array_equal(made.flow[:, 1:], flow[:, 1:])


def test_translating_needs_no_flow(clip):
    method, params, frozen, frames, flow = clip
    frozen = {"translator": frozen["translator"]}
    carry = method.initial_carry(frames)
    _, steered = jax.jit(method.rollout)(params, frozen, carry, frames, flow)
    _, free = jax.jit(method.rollout)(params, frozen, carry, frames)
    np.testing.assert_array_equal(free.warped, free.raw)
    assert not free.flow.any() and not free.visible.any()
    for output in (free.output, jax.jit(method.translate)(params, frozen, carry, frames)[1]):
        np.testing.assert_allclose(output, steered.output, atol=1e-6)


def test_any_pair_of_videos_can_be_steadied(clip):
    """The post-process: the translation is that of the translator's own frames."""
    method, params, frozen, frames, _ = clip
    carry = method.initial_carry(frames)
    last, made = jax.jit(method.rollout)(params, frozen, carry, frames)
    steady = jax.jit(method.stabilise)
    after, output = steady(params, {}, carry, frames, made.raw)
    np.testing.assert_allclose(output, made.output, atol=1e-6)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6), after, last)
    other = steady(params, {}, carry, frames, frames[:, ::-1])[1]
    np.testing.assert_array_equal(other[:, 0], frames[:, -1])
    # The LSTM has seen every frame but the first.
    assert (after.state[1] == 6).all()


def test_a_step_moves_the_stabiliser_alone():
    method, batch = tiny(), draw_batch()
    params, frozen = draw_params(method, batch)
    state, step = prepared(method, batch, frozen)
    new, metrics = step(state.replace(params=params, ema=params["stabiliser"]), batch)
    assert set(new.params) == {"stabiliser"} == set(method.players)
    assert set(new.ema) == set(method.directions) == {"to_target"}
    for a, b in zip(jax.tree.leaves(new.params), jax.tree.leaves(params), strict=True):
        assert jnp.isfinite(a).all() and (a != b).any()
    assert float(metrics["finite"]) == 1.0
    again, after = step(new, batch)
    assert float(after["finite"]) == 1.0 and int(again.skipped) == 0


def test_pictures_are_those_of_the_trained_clip():
    method, batch = tiny(), draw_batch()
    params, frozen = draw_params(method, batch)
    _, aux = jax.jit(functools.partial(losses_of, method))(batch, frozen, params)
    shown = {name.partition("/")[2]: value for name, value in aux.pictures.items()}
    assert set(shown) == {"source", "raw", "warped", "output", "flow"}
    assert {len(value) for value in shown.values()} == {3}
    np.testing.assert_array_equal(shown["output"][0], shown["raw"][0])
    expected = sample(shown["output"][None, 1], batch["source"]["flow"][:1, 1])[0][0]
    np.testing.assert_allclose(shown["warped"][2], expected, atol=1e-5)
    np.testing.assert_array_equal(shown["flow"][1:], batch["source"]["flow"][0])


def test_without_any_flow_it_says_so():
    method, batch = tiny(), draw_batch(flow=False)
    params, frozen = draw_params(method, batch)
    with pytest.raises(ValueError, match="no flow in the clips and no estimator"):
        losses_of(method, batch, frozen, params)
