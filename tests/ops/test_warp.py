"""What a warp and its masks promise; the numbers of published code are in test_warp_parity."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.ndimage import map_coordinates

from v2v_jax.ops.warp import backward_warp, forward_backward_occlusion, occlusion_mask

HEIGHT, WIDTH = 7, 11


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def constant(dx, dy, height=HEIGHT, width=WIDTH):
    return jnp.tile(jnp.array([dx, dy], jnp.float32), (1, height, width, 1))


@pytest.mark.parametrize("reach", [0, 2, 40])
def test_integer_flow_moves_pixels_exactly(reach):
    """From no motion to mostly outside, where the border repeats; never mixed, never rounded."""
    rng = np.random.default_rng(reach)
    image = draw(2, HEIGHT, WIDTH, 3)
    flow = rng.integers(-reach, reach + 1, (2, HEIGHT, WIDTH, 2))
    warped, visible = backward_warp(jnp.asarray(image), jnp.asarray(flow, jnp.float32))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    taken = np.stack(
        [image[n, y[n].clip(0, HEIGHT - 1), x[n].clip(0, WIDTH - 1)] for n in range(2)]
    )
    np.testing.assert_array_equal(warped, taken)
    inside = (x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT)
    np.testing.assert_array_equal(visible[..., 0], inside)


def test_visible_ends_where_the_frame_does():
    image = jnp.asarray(draw(1, HEIGHT, WIDTH, 3))
    beyond = [(0.5, 0, 3, -1), (-0.5, 0, 3, 0), (0, 0.25, -1, 5), (0, -3.5, 3, 5)]
    for dx, dy, row, column in beyond:
        warped, visible = backward_warp(image, constant(dx, dy))
        assert visible.shape == (1, HEIGHT, WIDTH, 1)
        assert visible[0, row, column, 0] == 0
        # The border pixel that the coordinate was clamped to.
        clamped = row if dx else (0 if dy < 0 else -1)
        np.testing.assert_array_equal(warped[0, row, column], image[0, clamped, column])
    assert visible[0, 4, 5, 0] == 1, "0.5 is still inside"


def test_motion_beyond_the_frame_repeats_the_border():
    image = jnp.asarray(draw(1, HEIGHT, WIDTH, 3))
    warped, visible = backward_warp(image, constant(-1e5, 0))
    np.testing.assert_array_equal(warped, jnp.broadcast_to(image[:, :, :1], image.shape))
    assert not visible.any()


@pytest.mark.parametrize("size", [(1, 6), (6, 1), (1, 1)])
def test_frames_of_one_row_or_column(size):
    image = jnp.asarray(draw(1, *size, 2))
    warped, visible = backward_warp(image, constant(0, 0, *size))
    np.testing.assert_array_equal(warped, image)
    assert visible.all()


def test_gradients_of_image_and_flow_are_those_of_bilinear_sampling():
    with jax.enable_x64(True):
        image = jnp.asarray(draw(1, HEIGHT, WIDTH, 2), float)
        flow = jnp.asarray(2.3 * draw(1, HEIGHT, WIDTH, 2, seed=1), float)
        cotangent = jnp.asarray(draw(1, HEIGHT, WIDTH, 2, seed=2), float)

        def expected(image, flow):
            rows, columns = jnp.mgrid[:HEIGHT, :WIDTH]
            at = [rows + flow[0, ..., 1], columns + flow[0, ..., 0]]
            planes = [map_coordinates(image[0, ..., c], at, 1, mode="nearest") for c in range(2)]
            return jnp.stack(planes, axis=-1)[None]

        ours, pull_back = jax.vjp(lambda *x: backward_warp(*x)[0], image, flow)
        theirs, pull_back_theirs = jax.vjp(expected, image, flow)
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
        (by_image, by_flow), (image_truth, flow_truth) = map(
            lambda pull: pull(cotangent), (pull_back, pull_back_theirs)
        )
        np.testing.assert_allclose(by_image, image_truth, atol=1e-12)
        # Outside, the clamp has no gradient; the reference's clamped neighbours cancel to rounding.
        np.testing.assert_allclose(by_flow, flow_truth, atol=1e-12)
        assert float(jnp.abs(by_flow).max()) > 0.1


@pytest.mark.parametrize("dx", [0.0, 1e5, -1e5, 1e30, WIDTH - 1.0, 0.5])
def test_gradients_are_finite(dx):
    """Through warp, mask and loss of identical images, where a square root would give NaN."""
    image = jnp.asarray(draw(1, HEIGHT, WIDTH, 3))

    def loss(current, previous, flow):
        warped, visible = backward_warp(previous, flow)
        return jnp.sum(occlusion_mask(current, warped, visible) * jnp.abs(current - warped))

    value, grads = jax.value_and_grad(loss, (0, 1, 2))(image, image, constant(dx, 0))
    assert jnp.isfinite(value)
    for grad in grads:
        assert jnp.isfinite(grad).all()

    by_image, by_flow = jax.grad(lambda i, f: jnp.sum(backward_warp(i, f)[0] ** 2), (0, 1))(
        image, constant(dx, 0)
    )
    assert jnp.isfinite(by_image).all() and jnp.isfinite(by_flow).all()
    assert float(jnp.abs(by_image).max()) > 0
    if abs(dx) >= 1e5:
        assert not by_flow[..., 0].any()


def test_visible_carries_no_gradient():
    image, flow = jnp.asarray(draw(1, HEIGHT, WIDTH, 1)), constant(0.5, 0.5)
    grads = jax.grad(lambda i, f: backward_warp(i, f)[1].sum(), (0, 1))(image, flow)
    assert not any(grad.any() for grad in grads)


@pytest.mark.parametrize(
    ("image", "flow"),
    [
        ((2, 4, 6, 3), (1, 4, 6, 2)),
        ((1, 4, 6, 3), (1, 6, 4, 2)),
        ((1, 4, 6, 3), (1, 4, 6, 3)),
        ((4, 6, 3), (4, 6, 2)),
        ((1, 4, 6, 3, 1), (1, 4, 6, 2)),
    ],
)
def test_shapes_that_do_not_belong_together(image, flow):
    with pytest.raises(ValueError, match="backward_warp"):
        backward_warp(jnp.zeros(image), jnp.zeros(flow))


# reference_networks.md, section 11; Lai et al.'s squared form forgives noise, eq. 7's does not.
@pytest.mark.parametrize(
    ("grey", "literal", "squared"),
    [(1, 0.712, 0.998), (4, 0.257, 0.964), (16, 0.004, 0.554), (64, 0.0, 1e-4)],
)
def test_occlusion_mask_of_a_grey_step(grey, literal, squared):
    previous = jnp.asarray(draw(1, 4, 6, 3)) * 0.1
    current = previous + grey / 127.5
    ones = jnp.ones((1, 4, 6, 1))
    for wanted, option in ((literal, False), (squared, True)):
        mask = occlusion_mask(current, previous, ones, squared=option)
        assert mask.shape == (1, 4, 6, 1)
        np.testing.assert_allclose(mask, wanted, atol=6e-4)
        half = occlusion_mask(current, previous, ones, squared=option, alpha=25.0)
        np.testing.assert_allclose(half, np.sqrt(wanted), atol=1.1e-2)


def test_occlusion_mask_is_zero_outside_and_constant():
    previous, current = jnp.asarray(draw(2, 1, 4, 6, 3))
    visible = jnp.asarray(draw(1, 4, 6, 1) > 0, jnp.float32)
    same = occlusion_mask(current, current, visible)
    np.testing.assert_array_equal(same, visible)
    for squared in (False, True):

        def total(current, previous, squared=squared):
            return occlusion_mask(current, previous, visible, squared=squared, alpha=1.0).sum()

        assert total(current, previous) > 0.1
        for grad in jax.grad(total, (0, 1))(current, previous):
            np.testing.assert_array_equal(grad, jnp.zeros_like(current))


def test_forward_backward_occlusion_of_a_moving_square():
    """A square of 4 pixels moves 3 to the right: only what it uncovered is new."""
    old, new = np.zeros((8, 16), bool), np.zeros((8, 16), bool)
    old[2:6, 4:8] = new[2:6, 7:11] = True
    backward = np.zeros((1, 8, 16, 2), np.float32)
    forward = np.zeros((1, 8, 16, 2), np.float32)
    backward[0, new, 0], forward[0, old, 0] = -3, 3
    kept = forward_backward_occlusion(jnp.asarray(backward), jnp.asarray(forward))
    assert kept.shape == (1, 8, 16, 1)
    np.testing.assert_array_equal(kept[0, ..., 0], ~(old & ~new))


def test_forward_backward_occlusion_at_the_border_and_its_thresholds():
    backward, forward = constant(2, 0), constant(-2, 0)
    kept = forward_backward_occlusion(backward, forward)
    np.testing.assert_array_equal(kept[0, ..., 0], np.arange(WIDTH)[None] < [[WIDTH - 2]] * HEIGHT)
    # A gap of 0.7 pixels: 0.49 against 0.5 + 0.01 * (4 + 1.69).
    assert forward_backward_occlusion(backward, constant(-1.3, 0))[0, 0, 0, 0] == 1
    assert forward_backward_occlusion(backward, constant(-1.2, 0))[0, 0, 0, 0] == 0
    assert forward_backward_occlusion(backward, constant(-1.3, 0), absolute=0.4)[0, 0, 0, 0] == 0
    assert forward_backward_occlusion(backward, constant(-1.2, 0), relative=0.1)[0, 0, 0, 0] == 1
