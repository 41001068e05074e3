"""Moments of how things look, against numpy's own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from v2v_jax.ops import style


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    frames = rng.uniform(-1, 1, (2, 8, 12, 3)).astype(np.float32)
    return frames, rng.integers(0, 3, (2, 8, 12))


def test_means_and_spreads_are_those_of_the_pixels_of_a_kind(drawn):
    frames, kinds = drawn
    of = style.moments(jnp.asarray(frames), jnp.asarray(kinds), 4)
    looks = np.asarray(style.look(jnp.asarray(frames)), np.float64)
    np.testing.assert_allclose(of.weight, np.bincount(kinds.ravel(), minlength=4) / kinds.size)
    for kind in range(3):
        mine = looks[kinds == kind]
        np.testing.assert_allclose(of.first[kind] / of.weight[kind], mine.mean(0), atol=1e-5)
        spread = np.sqrt(
            of.second[kind] / of.weight[kind] - (of.first[kind] / of.weight[kind]) ** 2
        )
        np.testing.assert_allclose(spread, mine.std(0), atol=1e-5)
    assert of.weight[3] == 0 and not of.first[3].any()


def test_a_coarse_map_of_kinds_is_enlarged_by_repetition(drawn):
    frames, kinds = drawn
    coarse = kinds[:, ::4, ::4]
    fine = coarse.repeat(4, axis=1).repeat(4, axis=2)
    for one, other in zip(
        style.moments(jnp.asarray(frames), jnp.asarray(coarse), 3),
        style.moments(jnp.asarray(frames), jnp.asarray(fine), 3),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_colours_and_detail_are_where_they_are_said_to_be():
    flat = jnp.broadcast_to(jnp.asarray([0.5, -0.25, 0.0]), (1, 8, 12, 3))
    looks = style.look(flat)
    np.testing.assert_allclose(looks[0, 3, 3, :3], [0.5, -0.25, 0.0], atol=1e-6)
    np.testing.assert_allclose(looks[..., 9:], 0.0, atol=1e-6)
    dots = flat.at[:, ::2, ::2].add(0.2)
    fine, coarse = jnp.std(style.look(dots)[..., 9:], axis=(0, 1, 2))
    assert fine > 5 * coarse
    blobs = flat.at[:, 2:6, 3:7].add(0.2)
    assert jnp.std(style.look(blobs)[..., 10]) > 0.05


def test_equal_is_nothing_apart_and_every_change_is_something(drawn):
    frames, kinds = (jnp.asarray(v) for v in drawn)
    own = style.moments(frames, kinds, 4)
    assert style.distance(own, own) == 0
    for changed in (frames + 0.1, frames * 0.7, frames.at[..., 2].multiply(0.5)):
        assert style.distance(style.moments(changed, kinds, 4), own) > 1e-3
    # Only how colours go together changes: two channels' signs are the same less often.
    mixed = frames.at[..., 1].set(frames[..., 0])
    twisted = frames.at[..., 1].set(-frames[..., 0])
    assert style.distance(*(style.moments(x, kinds, 4) for x in (mixed, twisted))) > 1e-2


def test_kinds_that_one_side_has_never_seen_do_not_count(drawn):
    frames, kinds = (jnp.asarray(v) for v in drawn)
    mine = style.moments(frames, kinds, 5)
    goal = style.moments(frames, jnp.where(kinds == 2, 3, kinds), 5)
    assert style.distance(mine, goal) == 0
    assert style.distance(mine, style.nothing(5)) == 0


def test_the_slope_is_finite_where_a_kind_is_one_flat_colour(drawn):
    frames, kinds = (jnp.asarray(v) for v in drawn)
    goal = style.moments(frames, kinds, 4)
    flat = jnp.full_like(frames, 0.3)
    slope = jax.grad(lambda x: style.distance(style.moments(x, kinds, 4), goal))(flat)
    assert jnp.isfinite(slope).all() and jnp.abs(slope).max() > 0


def test_what_hardly_varies_is_to_be_met_more_closely(drawn):
    frames, kinds = (jnp.asarray(v) for v in drawn)

    def apart(contrast):
        goal, moved = contrast * frames, contrast * frames + 0.1
        return style.distance(*(style.moments(x, kinds, 4) for x in (moved, goal)))

    spread = np.asarray(style.look(jnp.asarray(frames)).std((0, 1, 2)))
    step = 0.1 * style.DIRECTIONS.sum(1)
    for contrast in (0.1, 1.0):
        wanted = (step**2 / ((contrast * spread[:9]) ** 2 + style.FLOOR**2)).sum() / style.LOOKS
        np.testing.assert_allclose(apart(contrast), wanted, rtol=0.1)


def test_small_things_count_more_than_their_share():
    weight = jnp.asarray([0.96, 0.04])

    def moved(*by):
        mean = jnp.broadcast_to(jnp.asarray(by)[:, None], (2, style.LOOKS))
        of = weight[:, None]
        return style.Moments(weight, of * mean, of * (jnp.square(mean) + 0.04))

    large, small = (style.distance(moved(*by), moved(0, 0)) for by in ((0.2, 0.0), (0.0, 0.2)))
    np.testing.assert_allclose(small / large, np.sqrt(0.04 / 0.96), rtol=1e-4)
