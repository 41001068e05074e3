"""The streaming invariant, and what else the recurrence promises."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods.tiny_recurrent import draw_like

from v2v_jax.nets.fusion import Fusion
from v2v_jax.nets.generator import ResnetGenerator
from v2v_jax.ops.warp import backward_warp
from v2v_jax.recurrence import clip_flow, fresh_carry, fuse_clip, scan_clip, translate_clip
from v2v_jax.types import Carry, Translation

CLIPS, FRAMES, HEIGHT, WIDTH = 2, 12, 16, 32
IMAGE, FUSION = ResnetGenerator(features=4, blocks=1), Fusion(features=4)
SAME = functools.partial(np.testing.assert_allclose, atol=1e-5, rtol=0)


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


@functools.cache
def parameters():
    frame = jnp.zeros((1, HEIGHT, WIDTH, 3))
    image = jax.eval_shape(IMAGE.init, jax.random.key(0), frame)["params"]
    fusion = jax.eval_shape(FUSION.init, jax.random.key(0), frame, frame)["params"]
    return draw_like(image), draw_like(fusion)


def estimate(current, previous):
    """Pixels of motion that depend on both frames, at every pixel otherwise."""
    return 3 * (current - 0.5 * previous)[..., :2]


def generate(frames):
    """A generator of one line, nowhere zero and nowhere linear."""
    return jnp.tanh(1.3 * frames[..., ::-1] + 0.4 * jnp.roll(frames, 1, 2) - 0.1)


def fuse(raw, warped):
    return jax.nn.sigmoid(2 * jnp.abs(raw - warped).sum(-1, keepdims=True) - 1)


def gate(frames, carried, visible):
    return jnp.exp(-jnp.square(frames - carried).sum(-1, keepdims=True)) * visible


def apply(network: Any, params, *images) -> Any:
    return network.apply({"params": params}, *images)


@functools.partial(jax.jit, static_argnames="trust")
def run(parameters, carry, frames, flow, trust):
    image, fusion = parameters
    return translate_clip(
        lambda x: apply(IMAGE, image, x),
        lambda raw, warped: apply(FUSION, fusion, raw, warped),
        estimate if flow is None else flow,
        carry,
        frames,
        trust,
    )


def translate(carry, frames, flow=None, trust=None):
    """With real, small networks."""
    return run(parameters(), carry, frames, flow, trust)


@jax.jit
def sketch(carry, frames, flow=None, trusted=None):
    """With networks of one line; ``trusted`` [B, T, H, W, 1] as a function would give it."""
    trust = None if trusted is None else lambda *_: trusted.reshape(-1, *trusted.shape[2:])
    return translate_clip(generate, fuse, estimate if flow is None else flow, carry, frames, trust)


def in_chunks(size, frames, flow, trust):
    carry, made = fresh_carry(frames), []
    for start in range(0, frames.shape[1], size):
        span = slice(start, start + size)
        given = None if flow is None else flow[:, span]
        carry, chunk = translate(carry, frames[:, span], given, trust)
        made.append(chunk)
    return carry, jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), *made)


@pytest.mark.parametrize(
    ("given", "trust"),
    [(False, None), (True, None), (False, gate)],
    ids=["estimated", "given", "gated"],
)
def test_a_clip_in_chunks_is_the_clip_at_once(given, trust):
    """The flagship: streaming, training and offline translation are one function."""
    frames = draw(CLIPS, FRAMES, HEIGHT, WIDTH, 3)
    flow = 3 * draw(CLIPS, FRAMES, HEIGHT, WIDTH, 2, seed=1) if given else None
    carry, whole = translate(fresh_carry(frames), frames, flow, trust)
    assert 0.05 < float(whole.mask[:, 1:].mean()) < 0.9
    assert 0.1 < float(whole.visible[:, 1:].mean()) < 1
    for size in (1, 2, 5, 12):
        last, chunked = in_chunks(size, frames, flow, trust)
        jax.tree.map(SAME, chunked, whole)
        jax.tree.map(SAME, last, carry)
    assert carry.started.all()
    np.testing.assert_array_equal(carry.source, frames[:, -1])
    np.testing.assert_array_equal(carry.output, whole.output[:, -1])
    # The carry matters: without it every chunk would begin anew.
    rest = frames[:, 7:], None if flow is None else flow[:, 7:], trust
    _, restarted = translate(fresh_carry(frames), *rest)
    assert float(jnp.abs(restarted.output - whole.output[:, 7:]).max()) > 0.1


def test_clips_of_a_batch_know_nothing_of_each_other():
    """One has begun, one has not, one goes on: as if each were alone."""
    frames = draw(3, 4, HEIGHT, WIDTH, 3)
    carry = Carry(
        source=draw(3, HEIGHT, WIDTH, 3, seed=1),
        output=draw(3, HEIGHT, WIDTH, 3, seed=2),
        started=jnp.array([True, False, True]),
    )
    last, together = translate(carry, frames)
    for i in range(3):
        mine = jax.tree.map(lambda x, i=i: x[i : i + 1], carry)
        alone = translate(mine, frames[i : i + 1])
        jax.tree.map(lambda a, b, i=i: SAME(a[0], b[i]), alone, (last, together))
    assert last.started.all()
    fresh = translate(fresh_carry(frames), frames)[1]
    SAME(together.output[1], fresh.output[1])
    assert float(jnp.abs(together.output[0] - fresh.output[0]).max()) > 0.1


def test_the_first_frame_is_the_image_generators():
    frames = draw(CLIPS, 3, HEIGHT, WIDTH, 3)
    flow = draw(CLIPS, 3, HEIGHT, WIDTH, 2).at[:, 0].set(jnp.nan)
    for given in (None, flow):
        _, made = sketch(fresh_carry(frames), frames, given)
        SAME(made.raw[:, 0], generate(frames[:, 0]))
        np.testing.assert_array_equal(made.output[:, 0], made.raw[:, 0])
        np.testing.assert_array_equal(made.warped[:, 0], made.raw[:, 0])
        for zero in (made.mask, made.flow, made.visible):
            assert not zero[:, 0].any() and zero[:, 1:].any()
        assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(made))


@pytest.mark.parametrize("gated", [False, True])
def test_every_frame_is_equation_2(gated):
    frames, flow = draw(1, 4, HEIGHT, WIDTH, 3), 2 * draw(1, 4, HEIGHT, WIDTH, 2, seed=1)
    trusted = jnp.abs(draw(1, 4, HEIGHT, WIDTH, 1, seed=2)) if gated else None
    _, made = sketch(fresh_carry(frames), frames, flow, trusted)

    @jax.jit
    def expected(previous, frame, flow, trusted):
        raw = generate(frame)
        warped, visible = backward_warp(previous, flow)
        mask = fuse(raw, warped) if trusted is None else fuse(raw, warped) * trusted
        output = mask * warped + (1 - mask) * raw
        return Translation(output, raw, warped, mask, flow, visible)

    previous = generate(frames[:, 0])
    for t in range(1, 4):
        trust = None if trusted is None else trusted[:, t]
        frame = expected(previous, frames[:, t], flow[:, t], trust)
        jax.tree.map(lambda a, b, t=t: SAME(a[:, t], b), made, frame)
        previous = frame.output


def test_trust_judges_each_frame_against_the_carried_one_before_it():
    frames, flow = draw(2, 3, 8, 16, 3), 2 * draw(2, 3, 8, 16, 2, seed=1)
    carry = Carry(draw(2, 8, 16, 3, seed=2), frames[:, 0], jnp.ones(2, bool))

    @jax.jit
    def judged(flow, carry, frames):
        seen = []

        def trust(*arguments):
            seen.append(arguments)
            return arguments[2]

        translate_clip(generate, fuse, flow, carry, frames, trust)
        return seen

    ((current, carried, visible),) = judged(flow, carry, frames)
    SAME(current, frames.reshape(6, 8, 16, 3))
    previous = jnp.concatenate([carry.source[:, None], frames[:, :-1]], axis=1)
    expected = jax.jit(backward_warp)(previous.reshape(6, 8, 16, 3), flow.reshape(6, 8, 16, 2))
    jax.tree.map(SAME, (carried, visible), expected)


def test_flow_of_the_clip_itself_may_leave_out_the_first_frame():
    frames, flow = draw(1, 4, HEIGHT, WIDTH, 3), draw(1, 4, HEIGHT, WIDTH, 2, seed=1)
    carry = fresh_carry(frames)
    padded = clip_flow(flow[:, 1:], carry, frames)
    np.testing.assert_array_equal(padded, flow.at[:, 0].set(0))
    np.testing.assert_array_equal(clip_flow(flow, carry, frames), flow)
    short, full = (sketch(carry, frames, given)[1] for given in (flow[:, 1:], flow))
    jax.tree.map(SAME, short, full)
    one = sketch(carry, frames[:, :1], flow[:, :0])[1]
    np.testing.assert_array_equal(one.output, one.raw)


def test_generator_and_estimator_run_once_on_the_folded_clip():
    """And the estimator sees each frame with the one before it, the carry's for the first."""
    frames, calls = draw(2, 3, 4, 8, 3), []

    def recording(current, previous):
        calls.append((current, previous))
        return jnp.zeros((*current.shape[:3], 2))

    def counting(x):
        calls.append(x)
        return x

    carry = Carry(source=draw(2, 4, 8, 3, seed=1), output=frames[:, 0], started=jnp.ones(2, bool))

    @jax.jit
    def seen(carry, frames):
        calls.clear()
        translate_clip(counting, fuse, recording, carry, frames)
        return tuple(calls)

    seen, (current, previous) = seen(carry, frames)
    np.testing.assert_array_equal(seen, frames.reshape(6, 4, 8, 3))
    np.testing.assert_array_equal(current, seen)
    expected = jnp.concatenate([carry.source[:, None], frames[:, :-1]], axis=1)
    np.testing.assert_array_equal(previous, expected.reshape(6, 4, 8, 3))


def influence(function, inputs):
    """[T', T]: how much the output of frame T' changes with the input of frame T."""
    weights = draw(*inputs.shape, seed=9)

    def summed(inputs):
        return (weights * function(inputs)).sum((0, 2, 3, 4))

    return jnp.abs(jax.jacrev(summed)(inputs)).max((1, 3, 4, 5))


def test_no_output_sees_a_later_frame():
    frames = draw(1, 5, 8, 16, 3)

    def outputs(frames):
        return translate_clip(generate, fuse, estimate, fresh_carry(frames), frames)[1].output

    strength = np.asarray(jax.jit(lambda x: influence(outputs, x))(frames))
    np.testing.assert_array_equal(np.triu(strength, 1), 0)
    # And each sees all earlier ones, through the recurrence.
    assert (strength[np.tril_indices(5)] > 1e-4).all()


def test_truncate_stops_the_gradient_at_the_previous_output():
    frames, flow = draw(1, 4, 8, 16, 3), draw(1, 4, 8, 16, 2, seed=1)
    raw = generate(frames)

    @functools.partial(jax.jit, static_argnums=0)
    def rows(truncate):
        def outputs(raw):
            carry = fresh_carry(frames)
            return fuse_clip(fuse, carry, frames, raw, flow, truncate=truncate)[1].output

        return outputs(raw), influence(outputs, raw)

    (full, through), (cut, stopped) = rows(False), rows(True)
    np.testing.assert_array_equal(full, cut)
    off_diagonal = ~np.eye(4, dtype=bool)
    assert not np.asarray(stopped)[off_diagonal].any()
    assert (np.diag(stopped) > 1e-3).all()
    assert (np.asarray(through)[np.tril_indices(4, -1)] > 1e-4).all()


def test_no_gradient_reaches_the_flow():
    frames, flow = draw(1, 3, 8, 16, 3), draw(1, 3, 8, 16, 2, seed=1)

    def loss(flow):
        return translate_clip(generate, fuse, flow, fresh_carry(frames), frames)[1].output.sum()

    assert not jax.jit(jax.grad(loss))(flow).any()


def accumulate(carry, inputs):
    """Keeps several intermediate arrays unless told to recompute them."""
    hidden = jnp.tanh(carry + jnp.sin(inputs))
    carry = jnp.sin(hidden) * jnp.cos(hidden) + 0.5 * carry
    return carry, {"hidden": hidden, "carry": carry}


def test_scan_clip_is_a_loop_over_time():
    carry, inputs = draw(2, 6), draw(2, 4, 6, seed=1)
    last, outputs = scan_clip(accumulate, carry, inputs)
    for t in range(4):
        carry, expected = accumulate(carry, inputs[:, t])
        jax.tree.map(lambda a, b, t=t: SAME(a[:, t], b), outputs, expected)
    SAME(last, carry)


def test_remat_keeps_less_and_changes_nothing():
    carry, inputs = draw(2, 6), draw(2, 4, 6, seed=1)

    def run(carry, inputs, remat):
        return scan_clip(accumulate, carry, inputs, remat=remat)[1]["carry"]

    plain, kept = jax.vjp(functools.partial(run, remat=False), carry, inputs)
    again, recomputed = jax.vjp(functools.partial(run, remat=True), carry, inputs)
    SAME(plain, again)
    cotangent = draw(*plain.shape, seed=2)
    jax.tree.map(SAME, recomputed(cotangent), kept(cotangent))
    assert held(recomputed) < held(kept)


def held(pull_back):
    """Numbers that a pull-back keeps from the forward pass."""
    return sum(leaf.size for leaf in jax.tree.leaves(pull_back))


def test_scan_clip_truncates_the_carry_only():
    carry, inputs = draw(2, 6), draw(2, 4, 6, seed=1)

    def last(carry, inputs):
        return scan_clip(accumulate, carry, inputs, truncate=True)[1]["carry"][:, -1].sum()

    by_carry, by_inputs = jax.grad(last, (0, 1))(carry, inputs)
    assert not by_carry.any() and not by_inputs[:, :-1].any()
    assert by_inputs[:, -1].all()
