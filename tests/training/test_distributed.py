"""Several processes are one process: over localhost, with gloo."""

import signal

import numpy as np
import pytest
from training import worker

from v2v_jax.training.parallel import initialize_distributed, launched_together


def _pair(**options):
    port = worker.free_port()
    return [worker.start(**options, processes=2, process=i, port=port) for i in range(2)]


def _numbers(workdir):
    lines = [line for line in worker.logged(workdir) if "loss/painter" in line]
    steps = [line["step"] for line in lines]
    return steps, np.array([[line["loss/painter"], line["loss/critic"]] for line in lines])


def test_two_processes_are_one_and_their_checkpoint_resumes_in_one(tmp_path):
    pair = _pair(workdir=str(tmp_path / "two"), steps=5)
    for code, output in map(worker.finish, pair):
        assert code == 0, output
    worker.run(workdir=str(tmp_path / "two"), steps=8)
    worker.run(workdir=str(tmp_path / "one"), steps=8)

    steps, two = _numbers(tmp_path / "two")
    assert steps == list(range(1, 9))
    np.testing.assert_allclose(two, _numbers(tmp_path / "one")[1], atol=1e-5, rtol=0)


def test_two_processes_warm_up_as_one(tmp_path):
    for code, output in map(
        worker.finish, _pair(workdir=str(tmp_path / "two"), steps=2, warm_up=3)
    ):
        assert code == 0, output
    worker.run(workdir=str(tmp_path / "one"), steps=2, warm_up=3)
    found = [worker.logged(tmp_path / n / "warm_up") for n in ("two", "one")]
    for name in ("loss/painter", "term/to_target/target"):
        two, one = ([line[name] for line in lines] for lines in found)
        assert len(two) == 3 and two[-1] < two[0]
        np.testing.assert_allclose(two, one, atol=1e-5, rtol=0)
    two, one = (_numbers(tmp_path / name) for name in ("two", "one"))
    assert two[0] == one[0] == [1, 2]
    np.testing.assert_allclose(two[1], one[1], atol=1e-5, rtol=0)


def test_sigterm_to_one_process_stops_both_at_the_same_step(tmp_path):
    pair = _pair(workdir=str(tmp_path), steps=100_000, sleep=0.05)
    worker.wait_for(lambda: len(worker.logged(tmp_path)) > 2, pair[0])
    pair[1].send_signal(signal.SIGTERM)
    for code, output in map(worker.finish, pair):
        assert code == 0, output
        assert "the same command resumes" in output
    last = max(line["step"] for line in worker.logged(tmp_path))
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == [str(last)]


def test_a_bare_machine_starts_nothing(monkeypatch):
    for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert initialize_distributed() is False


@pytest.mark.parametrize(
    ("environ", "several"),
    [
        ({}, False),
        ({"SLURM_NTASKS": "8"}, False),  # sbatch without srun: the other seven do not exist
        ({"SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_STEP_NUM_TASKS": "8"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
    ],
)
def test_launchers_are_detected(environ, several):
    assert launched_together(environ) is several


@pytest.mark.parametrize(
    "given", [("host:1", None, 0), (None, 2, 0), ("host", 2, 0), ("host:1", 2, 2)]
)
def test_contradictions_are_one_clear_error(given):
    with pytest.raises(ValueError, match="--coordinator"):
        initialize_distributed(*given)
