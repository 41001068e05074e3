"""Two commands on one workdir, and one process of two, on the command line."""

from __future__ import annotations

import json
import shutil

import pytest
from command import DEMO, call, finish, refused, start, trained
from evaluation.quick import quick_judges
from training.worker import free_port, holder


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory):
    return trained(tmp_path_factory)


@pytest.fixture
def busy(tmp_path, trained_run):
    """A run that another process owns, and that process."""
    shutil.copytree(trained_run, tmp_path / "run")
    with holder(tmp_path / "run") as process:
        yield tmp_path / "run", process


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_only_one_trains_and_all_may_read(busy, trained_run, capsys, tmp_path, monkeypatch):
    quick_judges(monkeypatch)
    run, process = busy
    unfinished = run / "checkpoints" / "7.orbax-checkpoint-tmp-1"
    unfinished.mkdir()
    (unfinished / "half").write_text("of a save in progress")
    before = snapshot(run)
    for force in ((), ("--take_over",)):
        line = refused(capsys, *DEMO, f"--workdir={run}", "--config.steps=9", *force)
        assert f"{run} is in use by pid {process.pid} on " in line
    line = refused(capsys, "--mode=table", "--config=configs/tables.py", f"--workdir={run}")
    assert f"is in use by pid {process.pid} on " in line
    assert snapshot(run) == before
    call("--mode=export", f"--workdir={run}", f"--output={tmp_path}/model")
    call("--mode=evaluate", f"--workdir={run}")
    assert json.loads((run / "evaluation.json").read_text())
    assert before.items() <= snapshot(run).items()
    line = refused(capsys, "--mode=export", f"--workdir={trained_run}", f"--output={run}")
    assert "holds checkpoints already" in line
    shutil.rmtree(run / "checkpoints" / "3")
    shutil.rmtree(run / "checkpoints" / "6")
    line = refused(capsys, "--mode=export", f"--workdir={trained_run}", f"--output={run}")
    assert f"is in use by pid {process.pid}" in line and unfinished.is_dir()


def test_a_bad_config_leaves_no_folder(capsys, tmp_path):
    refused(capsys, *DEMO, f"--workdir={tmp_path}/new/run", "--config.method=nonsense")
    assert not list(tmp_path.iterdir())


def test_a_missing_process_is_one_line_in_the_end(tmp_path):
    alone = [
        (number, port := free_port(), start(
            *DEMO, f"--workdir={tmp_path}/run", f"--coordinator=localhost:{port}",
            "--num_processes=2", f"--process_id={number}", "--join_timeout=2",
        ))
        for number in (0, 1)
    ]  # fmt: skip
    for number, port, process in alone:
        code, _, errors = finish(process)
        assert code == 1, errors
        (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
        assert f"waited 2 s in vain for process {1 - number} of 2 at localhost:{port}" in line
        assert "Traceback" not in errors and "Check failure" not in errors
    assert not (tmp_path / "run").exists()
