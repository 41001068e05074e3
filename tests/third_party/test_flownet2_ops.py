"""Properties of the operations, at sizes where a plain loop is the reference."""

from __future__ import annotations

from typing import Any

import flownet2_port
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flownet2_port import channel_norm, correlate, resample
from flownet2_port.resampling import normalise_pair
from golden_recipe import distance


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def plain_correlation(a: np.ndarray, b: np.ndarray, radius: int, stride: int) -> np.ndarray:
    """As defined: one displacement after the other, dy outer, zeros outside, mean over channels."""
    margin = radius * stride
    around = (margin, margin)
    b = np.pad(b.astype(np.float64), ((0, 0), around, around, (0, 0)))
    _, height, width, _ = a.shape
    starts = range(0, 2 * margin + 1, stride)
    return np.stack(
        [(a * b[:, y : y + height, x : x + width]).mean(-1) for y in starts for x in starts], -1
    )


@pytest.mark.parametrize(
    ("shape", "displacement", "stride"),
    [
        ((1, 1, 1, 4), 20, 2),
        ((2, 17, 35, 3), 4, 1),
        ((1, 20, 9, 5), 7, 3),
        ((1, 9, 40, 2), 0, 2),
        ((1, 34, 66, 2), 20, 2),
    ],
)
def test_correlation_is_its_definition(shape, displacement, stride):
    a, b = draw(*shape), draw(*shape, seed=1)
    value = correlate(jnp.asarray(a), jnp.asarray(b), displacement, stride)
    truth = plain_correlation(a, b, displacement // stride, stride)
    assert value.shape == truth.shape and distance(value, truth) < 1e-6


def test_correlation_gradient_is_its_definition():
    a, b, weights = draw(1, 9, 12, 3), draw(1, 9, 12, 3, seed=1), draw(1, 9, 12, 25, seed=2)
    gradient = jax.grad(lambda b: (correlate(jnp.asarray(a), b, 4, 2) * weights).sum())(b)
    truth = np.zeros((1, 9 + 8, 12 + 8, 3))
    for index in range(25):
        y, x = 2 * (index // 5), 2 * (index % 5)
        truth[:, y : y + 9, x : x + 12] += a * weights[..., index, None] / 3
    assert distance(gradient, truth[:, 4:-4, 4:-4]) < 1e-6


def test_correlation_sums_are_float32():
    a, b = (jnp.asarray(draw(1, 8, 8, 256, seed=i), jnp.bfloat16) for i in (0, 1))
    value = correlate(a, b)
    assert value.dtype == jnp.float32
    a, b = (np.asarray(x, np.float32) for x in (a, b))
    assert distance(value, plain_correlation(a, b, 10, 2)) < 1e-6


@pytest.mark.parametrize("height", [32, 64])
def test_correlation_costs_less_than_twice_its_work_and_little_memory(height):
    x = jax.ShapeDtypeStruct((1, height, 64, 256), jnp.float32)
    program: Any = jax.jit(correlate).lower(x, x).compile()
    work = 2 * height * 64 * 441 * 256
    assert work < program.cost_analysis()["flops"] < 2 * work
    assert program.memory_analysis().temp_size_in_bytes < work / 2 * 4 / 10


def test_resampling_and_norm_keep_at_least_float32():
    image, flow = jnp.ones((1, 4, 4, 3), jnp.bfloat16), jnp.zeros((1, 4, 4, 2), jnp.bfloat16)
    assert resample(image, flow).dtype == channel_norm(image).dtype == jnp.float32


def test_resampling_reads_where_the_flow_points():
    image = jnp.asarray(draw(2, 7, 9, 3))
    flow = jnp.broadcast_to(jnp.array([2.0, -1.0])[None, None, None], (2, 7, 9, 2))
    np.testing.assert_array_equal(resample(image, flow)[:, 1:, :-2], image[:, :-1, 2:])


def test_resampling_gradient_is_that_of_the_slope():
    ramp = jnp.broadcast_to(jnp.arange(8.0)[None, None, :, None], (1, 6, 8, 1))
    flow = jnp.asarray(0.3 + 0 * draw(1, 6, 8, 2))
    gradient = jax.grad(lambda f: resample(3 * ramp, f).sum())(flow)
    np.testing.assert_allclose(gradient[:, :, :-1, 0], 3, rtol=1e-5)
    np.testing.assert_array_equal(gradient[:, :, -1, 0], 0)
    np.testing.assert_allclose(gradient[..., 1], 0, atol=1e-5)


def test_gradients_at_zero_are_zero_not_nan():
    x = jnp.zeros((1, 2, 2, 3)).at[0, 0, 0].set(jnp.array([3.0, 4.0, 0.0]))
    gradient = jax.grad(lambda x: channel_norm(x).sum())(x)
    expected = np.zeros((1, 2, 2, 3))
    expected[0, 0, 0] = [0.6, 0.8, 0]
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_one_mean_for_both_frames_and_one_per_sample():
    first, second = (np.random.default_rng(i).uniform(0, 255, (2, 64, 128, 3)) for i in (0, 1))
    value = normalise_pair(jnp.asarray(first, jnp.float32), jnp.asarray(second, jnp.float32))
    both = np.concatenate([first, second], axis=1)
    mean = both.mean((1, 2), keepdims=True)
    truth = np.concatenate([(x - mean) / 255 for x in (first, second)], axis=-1)
    assert distance(value, truth) < 1e-6


def test_the_mean_of_a_large_frame_is_exact_enough():
    bright = jnp.full((1, 768, 1024, 3), 201.7).at[:, :, ::2].set(13.3)
    value = normalise_pair(bright, bright)
    np.testing.assert_allclose(abs(value), (201.7 - 13.3) / 2 / 255, rtol=1e-6)


def test_bytes_are_taken_as_they_are():
    frame = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    narrow = normalise_pair(jnp.asarray(frame), jnp.asarray(frame))
    wide = normalise_pair(jnp.asarray(frame, jnp.float32), jnp.asarray(frame, jnp.float32))
    np.testing.assert_array_equal(narrow, wide)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: correlate(jnp.ones((1, 4, 4, 2)), jnp.ones((1, 4, 5, 2))), "one shape"),
        (lambda: correlate(jnp.ones((4, 4, 2)), jnp.ones((4, 4, 2))), "one shape"),
        (lambda: correlate(jnp.ones((1, 4, 4, 2)), jnp.ones((1, 4, 4, 2)), -1), "=-1"),
        (lambda: correlate(jnp.ones((1, 4, 4, 2)), jnp.ones((1, 4, 4, 2)), 4, 0), "stride=0"),
        (lambda: resample(jnp.ones((1, 4, 4, 2)), jnp.ones((1, 4, 4, 3))), "do not fit"),
    ],
)
def test_wrong_shapes_are_said(run, message):
    with pytest.raises(ValueError, match=message):
        run()


def test_public_names():
    names = "FlowNet2 FlowNetC FlowNetS FlowNetSD FlowNetFusion correlate resample channel_norm"
    assert {*names.split(), "params_from_torch"} <= set(flownet2_port.__all__)
