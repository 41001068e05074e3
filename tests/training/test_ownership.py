"""One owner per workdir, named to everybody else; a dead one is no obstacle."""

import errno
import fcntl
import json
import os
import random
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from training import worker

from v2v_jax.training import checkpoints
from v2v_jax.training.checkpoints import DamagedCheckpoint, load_player
from v2v_jax.training.ownership import NAME, InUse, Owner, owned


@pytest.fixture(name="holder")
def _holder(tmp_path):
    """A process that owns tmp_path/run."""
    with worker.holder(tmp_path / "run") as process:
        yield process


def left(folder, **fields):
    """What a killed owner leaves."""
    folder.mkdir(parents=True, exist_ok=True)
    owner = {"pid": 1, "host": "elsewhere", "since": "2026-11-27 10:00:00", "born": "", **fields}
    (folder / NAME).write_text(json.dumps(owner))


def test_the_second_is_refused_with_the_names_of_the_first(holder, tmp_path):
    with pytest.raises(InUse) as refused, owned(tmp_path / "run"):
        pass
    text = str(refused.value)
    named = Owner.me()
    assert f"--workdir={tmp_path}/run is in use by pid {holder.pid} on {named.host} since " in text
    assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d: wait for it, stop it, or give", text)
    # Nor by force: the kernel knows that it lives.
    with pytest.raises(InUse), owned(tmp_path / "run", take_over=True):
        pass
    # And the lock is what it was.
    assert json.loads((tmp_path / "run" / NAME).read_text())["pid"] == holder.pid
    holder.kill()
    holder.wait()
    with owned(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / NAME).read_text())["pid"] == os.getpid()


def test_it_may_be_asked_for_again_and_leaves_nothing(tmp_path):
    with owned(tmp_path / "a" / "run"), owned(tmp_path / "a" / "run"):
        assert (tmp_path / "a" / "run" / NAME).is_file()
    assert not list(tmp_path.iterdir())
    (tmp_path / "kept").mkdir()
    with owned(tmp_path / "kept"):
        pass
    assert not list((tmp_path / "kept").iterdir())


def test_another_hosts_lock_needs_force(tmp_path):
    left(tmp_path)
    with (
        pytest.raises(InUse, match=r"pid 1 on elsewhere since .*give --take_over as well"),
        owned(tmp_path),
    ):
        pass
    assert json.loads((tmp_path / NAME).read_text())["host"] == "elsewhere"
    with owned(tmp_path, take_over=True):
        assert json.loads((tmp_path / NAME).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_without_the_kernel_the_pid_decides(tmp_path, monkeypatch, number):
    def without(*_):
        raise OSError(number, "no locks here")

    monkeypatch.setattr(fcntl, "lockf", without)
    me = Owner.me()
    left(tmp_path, host=me.host, pid=me.pid, born=me.born)
    with pytest.raises(InUse, match=f"pid {me.pid} on"), owned(tmp_path):
        pass
    for gone in ({"pid": 2**22 + 1, "born": me.born}, {"pid": me.pid, "born": "1"}):
        left(tmp_path, host=me.host, **gone)
        with owned(tmp_path):
            pass


def test_a_torn_lock_is_no_obstacle(tmp_path):
    (tmp_path / NAME).write_text('{"pid": 1, "ho')
    with owned(tmp_path):
        assert json.loads((tmp_path / NAME).read_text())["pid"] == os.getpid()


def test_a_folder_that_cannot_be_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    said = r"--workdir=.*/file/run cannot be written: Not a directory"
    with pytest.raises(OSError, match=said), owned(tmp_path / "file" / "run"):
        pass


def steps_of(workdir):
    return [line["step"] for line in worker.logged(workdir) if "loss/painter" in line]


def owner_of(workdir):
    try:
        return json.loads((workdir / NAME).read_text())["pid"]
    except (OSError, ValueError):
        return None


def a_try(workdir: Path, chance: random.Random, reading: bool = False) -> None:
    """One trains, another comes, the first is killed: nothing may be lost."""
    first = worker.start(workdir=str(workdir), steps=100_000, checkpoint_every=3, sleep=0.01)
    # Steps may be those of the try before.
    worker.wait_for(lambda: owner_of(workdir) == first.pid and len(steps_of(workdir)) > 8, first)
    seen = steps_of(workdir)[-1]
    second = worker.start(workdir=str(workdir), steps=100_000, checkpoint_every=3)
    if reading:
        for _ in range(3):
            load_player(workdir / "checkpoints")
    code, output = worker.finish(second)
    assert code == 1, output
    assert f"is in use by pid {first.pid} on " in output.splitlines()[-1]
    # What the second one said has cost the first one nothing.
    worker.wait_for(lambda: steps_of(workdir)[-1] > seen + 3, first)
    time.sleep(chance.uniform(0, 0.3))
    first.send_signal(chance.choice([signal.SIGKILL, signal.SIGTERM]))
    worker.finish(first)
    found = steps_of(workdir)
    assert found == list(range(1, found[-1] + 1))
    load_player(workdir / "checkpoints")


def after(workdir: Path, plain: Path) -> None:
    """The run resumes, and is the one that nobody disturbed."""
    last = steps_of(workdir)[-1]
    worker.run(workdir=str(workdir), steps=last + 2)
    worker.run(workdir=str(plain), steps=last + 2, seconds=3600)  # All at once what took 20 tries.
    a, b = (
        [line["loss/painter"] for line in worker.logged(path) if "loss/painter" in line]
        for path in (workdir, plain)
    )
    assert len(a) == last + 2
    np.testing.assert_array_equal(a, b)


def test_a_second_command_costs_the_first_one_nothing(tmp_path):
    a_try(tmp_path / "run", random.Random(0), reading=True)
    after(tmp_path / "run", tmp_path / "plain")


@pytest.mark.slow
def test_twenty_tries_with_kills_at_random_moments(tmp_path):
    chance = random.Random(1)
    for number in range(20):
        a_try(tmp_path / "run", chance, reading=number % 2 == 0)
    after(tmp_path / "run", tmp_path / "plain")


def test_a_checkpoint_that_goes_while_it_is_read_is_not_damaged(tmp_path, monkeypatch):
    for step in "12":
        (tmp_path / step).mkdir()
    tries = []

    def player(directory, step):
        tries.append(step)
        if len(tries) == 3:
            return {"to_target": 1}, {}
        # The first time it is no longer the newest, the second time it is gone.
        (tmp_path / "2").rename(tmp_path / "7") if step == 2 else (tmp_path / "9").mkdir()
        raise DamagedCheckpoint("half of it is gone")

    monkeypatch.setattr(checkpoints, "_player", player)
    assert load_player(tmp_path) == ({"to_target": 1}, {})
    assert tries == [2, 7, 9]
    monkeypatch.setattr(checkpoints, "_player", gone_while_read(tmp_path / "1"))
    with pytest.raises(FileNotFoundError, match="no checkpoint 1"):
        load_player(tmp_path, 1)


def gone_while_read(path):
    def read(*_):
        path.rename(path.with_name("trash"))
        raise DamagedCheckpoint("half of it is gone")

    return read


def test_several_processes_are_refused_as_one(holder, tmp_path):
    port = worker.free_port()
    pair = [
        worker.start(workdir=str(tmp_path / "run"), processes=2, process=i, port=port)
        for i in range(2)
    ]
    for code, output in map(worker.finish, pair):
        assert code == 1, output
        assert f"is in use by pid {holder.pid} on " in output
        assert "Check failure" not in output
