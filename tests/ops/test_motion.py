"""Motion as a picture, and its kinds."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from v2v_jax.ops.motion import KINDS, ROWS, frequencies, motion_kind, motion_map


def uniform(dx, dy, size=(64, 128)):
    return jnp.broadcast_to(jnp.asarray([dx, dy], jnp.float32), (1, *size, 2))


def test_a_uniform_flow_is_its_logarithm_everywhere():
    made = motion_map(uniform(-3.0, 4.0))
    assert made.shape == (1, ROWS, 2 * ROWS, 4)
    expected = [-np.log1p(6), np.log1p(8), np.log1p(10)]
    np.testing.assert_allclose(made[0, 5, 7, :3], expected, rtol=1e-5)
    assert float(jnp.std(made[..., :3], axis=(0, 1, 2)).max()) < 1e-5
    np.testing.assert_allclose(made[0, [0, -1], 0, 3], [-1.7, 1.7], rtol=1e-6)


def test_a_scene_moves_alike_at_every_size():
    small, large = motion_map(uniform(1.5, 0.5)), motion_map(uniform(6.0, 2.0, (256, 512)))
    np.testing.assert_allclose(small, large, rtol=1e-5)


def test_noise_is_averaged_and_outlines_are_lost():
    noise = jnp.asarray(np.random.default_rng(0).normal(0, 1, (1, 64, 128, 2)), jnp.float32)
    alone = jnp.log1p(2 * jnp.abs(noise)) * jnp.sign(noise)
    assert float(jnp.std(motion_map(noise)[..., 0])) < 0.5 * float(jnp.std(alone))


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [(0.0, 0), (0.1, 0), (0.2, 1), (0.6, 2), (1.0, 3), (2.0, 4), (5.0, 5), (40.0, 6)],
)
def test_places_are_sorted_by_speed_and_height(pixels, kind):
    kinds = motion_kind(motion_map(uniform(pixels, 0.0)))
    assert kinds.shape == (1, ROWS, 2 * ROWS)
    np.testing.assert_array_equal(kinds[0, :, 0] // (ROWS // 2), kind)
    np.testing.assert_array_equal(kinds[0, :, 0] % (ROWS // 2), np.arange(ROWS) // 2)
    assert 0 <= int(kinds.min()) <= int(kinds.max()) < KINDS


def test_frequencies_are_shares():
    shares = frequencies(jnp.asarray([[[0, 0, 0, KINDS - 1]]]))
    assert shares.shape == (KINDS,)
    np.testing.assert_allclose(shares[jnp.asarray([0, KINDS - 1])], [0.75, 0.25])
    np.testing.assert_allclose(jnp.sum(shares), 1, rtol=1e-6)
