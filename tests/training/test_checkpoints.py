"""What was saved comes back bit for bit, or there is an error that says what to do."""

import json
import signal
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training import worker
from training.toy_method import ToyMethod, batches

from v2v_jax.training import parallel
from v2v_jax.training.checkpoints import Checkpoints, DamagedCheckpoint, load_player
from v2v_jax.training.optimizers import make_optimizers
from v2v_jax.training.state import init_state

SAVER = Path(worker.__file__).with_name("saver.py")


def make_state(seed=0, mesh=None, **fields):
    """A complete train state with a typed key, on a mesh."""
    mesh = mesh or parallel.make_mesh(jax.devices()[:1])
    method: Any = ToyMethod(**fields)
    optimizers = make_optimizers(method.players)

    def fresh(batch):
        return init_state(jax.random.key(seed), batch, method=method, optimizers=optimizers)

    return parallel.jit_init(fresh, mesh)(parallel.put_batch(next(batches(0, clips=8)), mesh))


def assert_same(a, b):
    """Bitwise, keys and dtypes included."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


@pytest.fixture(name="saved")
def _saved(tmp_path):
    """Checkpoints 1 and 2 of different states."""
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step in (1, 2):
        checkpoints.save(step, make_state(seed=step), {"config": {"sides": [8, 16]}, "seed": step})
    checkpoints.close()
    return tmp_path / "checkpoints"


def test_the_state_comes_back_bit_for_bit_on_other_devices(saved):
    mesh = parallel.make_mesh()
    restored = Checkpoints(saved).restore_latest(make_state(mesh=mesh))
    assert restored is not None
    state, meta = restored
    assert_same(state, make_state(seed=2))
    assert meta == {"config": {"sides": [8, 16]}, "seed": 2}
    assert all(x.sharding == parallel.replicated(mesh) for x in jax.tree.leaves(state))


def test_an_empty_directory_restores_nothing(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest_step() is None
    assert checkpoints.restore_latest(make_state()) is None


def test_saving_does_not_stop_the_next_step_from_reusing_the_buffers(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    state, expected = make_state(), make_state()
    checkpoints.save(1, state, {})
    double = jax.jit(lambda s: jax.tree.map(lambda x: x * 2, s), donate_argnums=0)
    # Where the writer still reads a buffer, JAX copies instead of reusing it.
    double(state.params)
    restored = checkpoints.restore_latest(expected)
    assert restored is not None
    assert_same(restored[0], expected)


def test_only_the_newest_are_kept_and_a_relative_path_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoints = Checkpoints("some/where", keep=2)
    for step in (1, 2, 3):
        checkpoints.save(step, make_state(), {})
    checkpoints.close()
    kept = sorted(path.name for path in (tmp_path / "some/where").iterdir())
    assert kept == ["2", "3"]
    with pytest.raises(ValueError, match="at least 2"):
        Checkpoints(tmp_path / "other", keep=1)


def test_saving_a_step_twice_is_an_error(saved):
    with pytest.raises(OSError, match="checkpoint 2 was not written"):
        Checkpoints(saved).save(2, make_state(), {})


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"features": 5}, r"ema/to_target/bias is float32\[3\], this run needs float32\[5\]"),
        ({"dtype": jnp.bfloat16}, r"is float32\[3\], this run needs bfloat16\[3\]"),
        ({"players": ("painter",)}, "opt_state/critic/.* is only in the checkpoint"),
    ],
)
def test_other_networks_are_an_error_that_names_the_arrays(saved, fields, named):
    with pytest.raises(ValueError, match=f"does not fit this configuration: .*{named}"):
        Checkpoints(saved).restore_latest(make_state(**fields))


def _flip_a_bit(path, nth):
    data = bytearray(path.read_bytes())
    data[nth % len(data)] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("nth", [100_000, 200_000, 300_000])
def test_a_flipped_bit_that_orbax_restores_silently_is_found(tmp_path, nth):
    # Random numbers are stored uncompressed: orbax has no checksum over them.
    states = [
        {"ema": {"w": jnp.asarray(rng.integers(0, 2**31, 100_000, np.int32)), "b": jnp.ones(3)}}
        for rng in map(np.random.default_rng, range(3))
    ]
    directory = tmp_path / "checkpoints"
    checkpoints = Checkpoints(directory)
    for step, state in enumerate(states):
        checkpoints.save(step, state, {})
    checkpoints.wait()
    for step in (1, 2):
        files = [p for p in (directory / str(step) / "state").rglob("*") if p.is_file()]
        _flip_a_bit(max(files, key=lambda p: p.stat().st_size), nth)
    named = "2 is damaged: 1 of 2 arrays have changed: ema/w"
    with pytest.raises(
        DamagedCheckpoint, match=f"{named}; checkpoint 0 is good: .*, mv "
    ) as caught:
        checkpoints.restore_latest(states[0])
    with pytest.raises(DamagedCheckpoint, match=named):
        load_player(directory)

    for command in str(caught.value).split("resume from it, ")[1].split(" && "):
        _, old, new = command.split()
        Path(old).rename(new)
    restored = Checkpoints(directory).restore_latest(states[0])
    assert restored is not None
    assert_same(restored[0], states[0])


@pytest.mark.parametrize("what", ["{", '{"leaves": {}}', "changed"])
def test_damaged_meta_data_are_found(saved, what):
    path = saved / "2" / "meta" / "metadata"
    if what == "changed":
        what = path.read_text().replace('"seed": 2', '"seed": 3')
        assert json.loads(what)["seed"] == 3
    path.write_text(what)
    with pytest.raises(DamagedCheckpoint, match=r"2 is damaged: .*; checkpoint 1 is good"):
        Checkpoints(saved).restore_latest(make_state())


def test_inference_loads_only_the_average(saved):
    ema, meta = load_player(saved)
    assert_same(ema, make_state(seed=2).ema)
    assert meta["config"] == {"sides": [8, 16]}
    assert_same(load_player(saved, 1)[0], make_state(seed=1).ema)
    assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(ema))


def test_inference_without_a_checkpoint_is_one_clear_error(saved, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no checkpoint in {tmp_path}/nowhere"):
        load_player(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no checkpoint 5 in .* it has \[1, 2\]"):
        load_player(saved, 5)
    assert not (tmp_path / "nowhere").exists()


def test_kill_9_in_the_middle_of_a_save_leaves_the_older_checkpoint(tmp_path):
    process = worker.start(SAVER, directory=str(tmp_path), megabytes=16)
    worker.wait_for(lambda: list(tmp_path.glob("[3-9].orbax-checkpoint-tmp*")), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    checkpoints = Checkpoints(tmp_path)
    step = checkpoints.latest_step()
    assert step is not None and step >= 1
    like = {"step": jnp.asarray(0), "w": jnp.zeros(16 * 2**18, jnp.float32)}
    restored = checkpoints.restore_latest(like)
    assert restored is not None
    expected = np.random.default_rng(step).random(16 * 2**18, "f4")
    np.testing.assert_array_equal(restored[0]["w"], expected)
    assert int(restored[0]["step"]) == step
    assert all(path.name.isdigit() for path in tmp_path.iterdir())


def test_a_full_disk_leaves_the_last_checkpoint_good(tmp_path):
    process = worker.start(SAVER, directory=str(tmp_path), megabytes=4, limit=2**20)
    code, output = worker.finish(process)
    assert code == 0, output
    # Also the save after the failed one is tried, and fails by itself.
    for step in (2, 3):
        failed = [line for line in output.splitlines() if line.startswith(f"FAILED {step}")]
        assert len(failed) == 1, output
        assert f"checkpoint {step} could not be written" in failed[0]
        assert "checkpoint 1 is still good" in failed[0]
    # Nothing of the failed ones remains: it would keep the disk full.
    assert output.count("LEFT 1 ['0', '1']") == 2, output
    assert "STEPS 4" in output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "4"]


def test_a_failed_save_surfaces_at_the_next_step(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, make_state(), {})
    checkpoints.wait()
    checkpoints.check()

    def broken():
        raise ValueError("RESOURCE_EXHAUSTED:\nno space")

    monkeypatch.setattr(checkpoints._manager, "check_for_errors", broken)
    with pytest.raises(OSError, match=r"checkpoint 1 is still good.*EXHAUSTED: no space"):
        checkpoints.check()
    checkpoints.check()
