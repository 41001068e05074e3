"""A run of an older tree (tools/goldens/make_old_run.sh) goes on in this one, with its figures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from command import DEMO, call

import v2v_jax
from v2v_jax.training import parallel

OLD = Path(__file__).with_name("golden") / "old_run"


@pytest.fixture
def workdir(tmp_path):
    shutil.copytree(OLD / "checkpoints", tmp_path / "run" / "checkpoints")
    return tmp_path / "run"


@pytest.fixture
def one_device(monkeypatch):
    """As on a user's machine: the tests' eight devices would need batches of eight clips."""
    make = parallel.make_mesh
    monkeypatch.setattr(parallel, "make_mesh", lambda: make(jax.devices()[:1]))


def test_it_translates_as_it_did(workdir):
    stored = np.load(OLD / "translated.npz")
    street = v2v_jax.Translator.load(workdir)(stored["game"])
    # Another machine's convolutions may round a value at a half to the other grey level.
    apart = np.abs(street.astype(int) - stored["street"])
    assert apart.max() <= 1 and (apart > 0).mean() < 0.01


def test_it_resumes_with_the_losses_it_had(workdir, one_device):
    call(*DEMO, f"--workdir={workdir}", "--config.history=1", "--config.steps=4")
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    made = {line["step"]: line for line in map(json.loads, lines)}
    then = [json.loads(line) for line in (OLD / "metrics.jsonl").read_text().splitlines()]
    assert sorted(made) == [3, 4]
    for line in then[2:]:
        for name in (n for n in line if n.startswith(("loss/", "term/"))):
            assert made[line["step"]][name] == pytest.approx(line[name], rel=2e-4), name


def test_it_scores_what_it_scored(workdir, one_device):
    call("--mode=evaluate", f"--workdir={workdir}")
    made = json.loads((workdir / "evaluation.json").read_text())
    then = json.loads((OLD / "evaluation.json").read_text())
    assert then.keys() <= made.keys()
    for name, value in then.items():
        assert made[name] == pytest.approx(value, rel=1e-3, abs=1e-7), name
