"""The generator that changes colours, and the discriminator that sees them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods.tiny_recurrent import draw_like

from v2v_jax.nets.discriminator import PatchDiscriminator
from v2v_jax.nets.generator import LocalAffine, LocalMatrix

NET = LocalAffine(features=4, blocks=1)
MATRIX = LocalMatrix(features=4, blocks=1)


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def drawn(net, *inputs):
    shapes = jax.eval_shape(net.init, jax.random.key(0), *inputs)["params"]
    return draw_like(shapes)


@pytest.mark.parametrize("net", [NET, MATRIX])
def test_training_starts_from_the_identity_and_can_leave_it(net):
    x = draw(2, 16, 32, 3)
    params = net.init(jax.random.key(0), x)["params"]
    np.testing.assert_array_equal(net.apply({"params": params}, x), x)
    slope = jax.grad(lambda p: jnp.sum(jnp.square(net.apply({"params": p}, x) - 1)))(params)
    assert float(jnp.abs(slope["affine"]["kernel"]).max()) > 0


def test_it_is_affine_in_colour_place_by_place():
    """With the same maps, what lies between two inputs goes to what lies between the outputs."""
    x = draw(1, 16, 32, 3)
    params = drawn(NET, x)
    y = np.asarray(NET.apply({"params": params}, x))
    scale_shift = jax.jit(lambda p, x: NET.apply({"params": p}, x, method=NET.maps))(params, x)
    scale, shift = (np.asarray(v) for v in scale_shift)
    np.testing.assert_allclose(y, np.asarray(x) * (1 + scale) + shift, rtol=1e-5, atol=1e-5)
    # Smooth: nothing of the highest frequency along a row, where white noise has as much as below.
    spectrum = np.abs(np.fft.rfft(scale - scale.mean(2, keepdims=True), axis=2)) ** 2
    assert spectrum[:, :, 12:].sum() < 0.1 * spectrum[:, :, :5].sum()


def test_a_matrix_mixes_the_colours_of_a_place():
    x = draw(1, 16, 32, 3)
    params = drawn(MATRIX, x)
    y = np.asarray(MATRIX.apply({"params": params}, x))
    maps = jax.jit(lambda p, x: MATRIX.apply({"params": p}, x, method=MATRIX.maps))(params, x)
    matrix, shift = (np.asarray(v, np.float64) for v in maps)
    mixed = np.einsum("nhwc,nhwcd->nhwd", x, matrix + np.eye(3)) + shift
    np.testing.assert_allclose(y, mixed, rtol=1e-5, atol=1e-5)


def test_a_matrix_can_make_clouds_and_sky_one_grey():
    """Stripes two pixels wide: no smooth scale and shift does that for all three colours."""
    blue = jnp.asarray([-0.4, 0.2, 0.9])
    x = jnp.where((jnp.arange(32) // 2 % 2 == 0)[None, None, :, None], blue, 0.95)
    x = jnp.broadcast_to(x, (1, 16, 32, 3))
    matrix = np.linalg.lstsq(np.array([[*blue, 1], [0.95, 0.95, 0.95, 1]]), np.full((2, 3), 0.6))[0]
    params = jax.tree.map(jnp.zeros_like, MATRIX.init(jax.random.key(0), x)["params"])
    params["affine"]["bias"] = jnp.concatenate(
        [jnp.asarray(matrix[:3] - np.eye(3), jnp.float32).ravel(), jnp.asarray(matrix[3])]
    )
    y = MATRIX.apply({"params": params}, x)
    np.testing.assert_allclose(y, 0.6, atol=1e-5)


@pytest.mark.parametrize("size", [(18, 32), (16, 30)])
def test_a_size_that_does_not_fit_is_an_error(size):
    with pytest.raises(ValueError, match="divisible by 4"):
        NET.init(jax.random.key(0), draw(1, *size, 3))


@pytest.mark.parametrize(("norm", "sees"), [("none", True), ("instance", False)])
def test_without_a_norm_brightness_is_seen(norm, sees):
    net = PatchDiscriminator(features=4, layers=1, norm=norm)
    x = 0.2 * draw(1, 16, 32, 3)
    params = drawn(net, x)
    change = net.apply({"params": params}, 3 * x) - net.apply({"params": params}, x)
    level = float(jnp.mean(jnp.abs(change)))
    params["conv_0"]["bias"] = jnp.zeros_like(params["conv_0"]["bias"])
    change = net.apply({"params": params}, 3 * x) - net.apply({"params": params}, x)
    assert (float(jnp.mean(jnp.abs(change))) > 1e-3) == sees, level


def test_a_judge_of_motion_wants_motion_and_uses_it():
    net, x, motion = PatchDiscriminator(4, 1, motion=True), draw(1, 16, 32, 3), draw(1, 4, 8, 4)
    params = drawn(net, x, motion)
    first, second = (net.apply({"params": params}, x, m) for m in (motion, -motion))
    assert float(jnp.max(jnp.abs(first - second))) > 0.1
    with pytest.raises(ValueError, match="judges motion, but was given 0 maps"):
        net.init(jax.random.key(0), x)
    with pytest.raises(ValueError, match="judges frames alone, but was given 1 maps"):
        PatchDiscriminator(4, 1).init(jax.random.key(0), x, motion)


def test_a_judge_of_motion_and_labels_wants_both():
    net = PatchDiscriminator(4, 1, motion=True, labels=True)
    x, motion, labels = draw(1, 16, 32, 3), draw(1, 4, 8, 4), draw(1, 16, 32, 19)
    params = drawn(net, x, motion, labels)
    first, second = (net.apply({"params": params}, x, motion, m) for m in (labels, -labels))
    assert float(jnp.max(jnp.abs(first - second))) > 0.1
    with pytest.raises(ValueError, match="judges motion and labels, but was given 1 maps"):
        net.init(jax.random.key(0), x, motion)
