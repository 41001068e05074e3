"""Many devices are one device."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training.toy_method import ToyMethod, batches

from v2v_jax.training import parallel
from v2v_jax.training.optimizers import make_optimizers
from v2v_jax.training.state import init_state
from v2v_jax.training.step import train_step


def _trained(devices, steps, dtype=jnp.float64, clips=8):
    """The state after some steps on that many devices."""
    mesh = parallel.make_mesh(jax.devices()[:devices])
    method: Any = ToyMethod(dtype=dtype)
    optimizers = make_optimizers(method.players)
    stream = (parallel.put_batch(batch, mesh) for batch in batches(0, clips=clips))
    first = next(stream)

    def fresh(batch):
        return init_state(jax.random.key(0), batch, method=method, optimizers=optimizers)

    state = parallel.jit_init(fresh, mesh)(first)
    frozen = parallel.put_replicated({"gain": np.asarray(0.7, dtype)}, mesh)
    step = functools.partial(train_step, method=method, optimizers=optimizers)
    step = parallel.jit_step(step, mesh)
    for batch, _ in zip(stream, range(steps), strict=False):
        state, metrics = step(state, frozen, batch)
    assert float(metrics["finite"]) == 1.0
    return state


def test_eight_devices_are_one_in_float64():
    with jax.enable_x64(True):
        one, eight = _trained(1, 5), _trained(8, 5)
        moved = jax.tree.leaves(_trained(1, 1).params)
        for a, b, c in zip(
            jax.tree.leaves(one.params), jax.tree.leaves(eight.params), moved, strict=True
        ):
            assert a.dtype == jnp.float64
            np.testing.assert_allclose(a, b, atol=1e-12, rtol=0)
            assert np.max(np.abs(np.asarray(a) - np.asarray(c))) > 1e-5
        for a, b in zip(jax.tree.leaves(one.ema), jax.tree.leaves(eight.ema), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12, rtol=0)
    assert all(len(x.sharding.device_set) == 8 for x in jax.tree.leaves(eight.params))
    assert all(x.is_fully_replicated for x in jax.tree.leaves(eight.params))


def test_a_batch_is_dealt_out_by_clips():
    mesh = parallel.make_mesh()
    batch = next(batches(0, clips=16))
    placed = parallel.put_batch(batch, mesh)["source"]["frames"]
    assert placed.shape == batch["source"]["frames"].shape
    assert {s.data.shape[0] for s in placed.addressable_shards} == {2}
    np.testing.assert_array_equal(placed, batch["source"]["frames"])


@pytest.mark.parametrize("clips", [4, 12])
def test_an_uneven_batch_is_one_clear_error(clips):
    mesh = parallel.make_mesh()
    with pytest.raises(ValueError, match=f"{clips} clips .* 8 devices: make the batch size"):
        parallel.put_batch(next(batches(0, clips=clips)), mesh)


def test_the_state_is_donated_and_the_frozen_parameters_are_not():
    mesh = parallel.make_mesh(jax.devices()[:2])
    step = parallel.jit_step(lambda s, f, b: (s + f, {"loss": b.sum()}), mesh)
    state = parallel.put_replicated(np.ones(3, np.float32), mesh)
    frozen = parallel.put_replicated(np.ones(3, np.float32), mesh)
    new, metrics = step(state, frozen, np.arange(4.0, dtype=np.float32))
    assert state.is_deleted() and not frozen.is_deleted()
    np.testing.assert_array_equal(new, 2 * np.ones(3))
    assert float(metrics["loss"]) == 6.0


def test_the_mesh_allows_the_gathers_of_a_warp():
    mesh = parallel.make_mesh()
    image = parallel.put_batch(np.arange(32.0).reshape(8, 4), mesh)
    step = parallel.jit_step(lambda s, f, b: (s, b[jnp.arange(8)[:, None], f]), mesh)
    index = np.tile([3, 2, 1, 0], (8, 1))
    np.testing.assert_array_equal(step(np.zeros(1), index, image)[1], np.asarray(image)[:, ::-1])
