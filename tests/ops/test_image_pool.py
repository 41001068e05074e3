from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from v2v_jax.ops.image_pool import draw, empty_pool, exchange


def test_it_replays_the_published_pool(shared):
    """With the reference's own random draws, image by image."""
    for case in json.loads((shared / "goldens" / "image_pool.json").read_text())["cases"]:
        size, events, number = case["size"], iter(case["events"]), 0
        pool = empty_pool(size, 1, 1, 1)
        for returned in case["returned"]:
            swap, place, filled = [], [], int(pool.count)
            for _ in returned:
                kind, value = next(events) if size and filled == size else ("u", 0.0)
                assert kind == "u"
                swap.append(value > 0.5)
                place.append(next(events)[1] if swap[-1] else 0)
                filled = min(filled + 1, size)
            images = jnp.arange(number, number + len(returned), dtype=float)[:, None, None, None]
            number += len(returned)
            pool, got = exchange(pool, images, jnp.asarray(swap), jnp.asarray(place))
            np.testing.assert_array_equal(got[:, 0, 0, 0], returned)
        np.testing.assert_array_equal(pool.images[:, 0, 0, 0], case["final_pool"])
        assert not list(events)


def test_draws_are_even():
    swap, place = draw(jax.random.key(0), 4000, 5)
    assert float(jnp.mean(swap)) == pytest.approx(0.5, abs=0.03)
    np.testing.assert_allclose(jnp.bincount(place, length=5) / 4000, 0.2, atol=0.03)


def test_a_pool_of_none_is_the_identity():
    images = jnp.ones((2, 4, 4, 3))
    pool, got = exchange(empty_pool(0, 4, 4), images, *draw(jax.random.key(0), 2, 0))
    assert got is images and pool.images.shape[0] == 0
