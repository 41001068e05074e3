"""Every benchmark starts as a script, and the networks' benchmarks run on tiny inputs."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from types import SimpleNamespace

import flax.linen as nn
import jax.numpy as jnp
import pytest

from tools.benchmarks import end_point_error, flow, generator

ROOT = pathlib.Path(__file__).parents[3]
FLAGS = {
    "data": "--memory --frames --stored --size --batch_size --clip --batches --rounds --threads",
    "prepare": "--frames --rounds --workers --format",
    "generator": "--height --width --features --rounds",
    "flow": "--height --width --batch --dtype --rounds",
    "step": "--old --rounds --config --limit",
    "end_point_error": "--raft_small --raft_large --size --split --clips --frames --scales",
}
MILLISECONDS = r" +[\d.]+ ms \(fastest [\d.]+\) .* GFLOP .* MB temporary  compiled in [\d.]+ s"


@pytest.mark.parametrize("name", FLAGS)
def test_every_script_starts_and_names_its_flags(name):
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "third_party")])}
    script = [sys.executable, str(ROOT / "tools" / "benchmarks" / f"{name}.py"), "--help"]
    ran = subprocess.run(script, capture_output=True, text=True, env=os.environ | paths)
    assert ran.returncode == 0, ran.stderr
    assert set(FLAGS[name].split()) <= set(re.findall(r"--\w+", ran.stdout))


def test_all_benchmarks_are_listed_here():
    scripts = {
        path.stem
        for path in (ROOT / "tools" / "benchmarks").glob("*.py")
        if '__name__ == "__main__"' in path.read_text()
    }
    assert scripts == set(FLAGS)


class Difference(nn.Module):
    """In FlowNet2's place, whose compilation takes most of a minute."""

    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, first, second):
        return nn.Dense(2)(first - second)


def test_flow_times_every_form_and_the_forward(monkeypatch, capsys):
    monkeypatch.setattr(flow, "FlowNet2", Difference)
    monkeypatch.setattr(flow, "_torch_model", lambda: None)
    flow.main(["--height=64", "--width=64", "--rounds=1"])
    head, *forms, forward = capsys.readouterr().out.splitlines()
    assert head.startswith("jax ") and head.endswith(", 1x64x64")
    assert len(forms) == len(flow.FORMS)
    for name, line in zip(flow.FORMS, forms, strict=True):
        found = re.fullmatch(
            rf"correlation, {re.escape(f'{name:13}')}{MILLISECONDS}  differs (\S+)", line
        )
        assert found and float(found[1]) < 1e-5, line
    assert re.fullmatch(rf"FlowNet2 forward, jax   {MILLISECONDS}", forward)


def test_end_point_error_prints_a_row_per_estimator(capsys):
    tiny = ["--size=32x64", "--clips=1", "--frames=2", "--scales=1"]
    end_point_error.main(tiny)
    head, columns, rule, zero, dis = capsys.readouterr().out.splitlines()
    assert head == "1 clips of 2 frames per domain, split val, 32x64; end-point error in pixels"
    assert columns.count("|") == rule.count("|") == zero.count("|") == dis.count("|") == 9
    # No motion errs by the motion itself, which the world draws from its seed.
    assert zero.startswith("| zero | 1.045 | 1.101 | 1.296 | 1.330 | 0.792 | 44.3 % | ")
    assert dis.startswith("| DIS scale 1 | ") and float(dis.split("|")[-2]) > 0


def test_generator_says_what_it_needs(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert generator.main([]) == 1
    assert "needs torch to compare with; run `make torch`" in capsys.readouterr().err


@pytest.mark.parametrize("difference, status", [(1e-6, 0), (1e-4, 1)])
def test_generator_prints_both_ratios_and_fails_if_outputs_differ(
    monkeypatch, capsys, difference, status
):
    torch = SimpleNamespace(
        manual_seed=lambda seed: None, __version__="2.0", get_num_threads=lambda: 1
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    names = [f"{whose} {what}" for what in generator.LIMITS for whose in ("jax", "torch")]
    ran = []
    runs = {name: lambda name=name: ran.append(name) for name in names}
    monkeypatch.setattr(generator, "_prepare", lambda frame, features: (runs, difference))
    monkeypatch.setattr(generator, "LIMITS", {name: 1e9 for name in generator.LIMITS})
    assert generator.main(["--height=8", "--width=8", "--rounds=2"]) == status
    assert ran == names * 3
    *_, error, forward, gradient = capsys.readouterr().out.splitlines()
    assert error == f"relative L2 between the outputs: {difference:.1e}"
    for what, line in (("forward  ", forward), ("gradient ", gradient)):
        pattern = (
            r"jax [\d.]+ s  torch [\d.]+ s  ratio [\d.]+, of the fastest runs [\d.]+  \(limit "
        )
        assert re.match(f"{what} {pattern}", line), line


def test_generator_agrees_with_torch(monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.setattr(generator, "LIMITS", {name: 1e9 for name in generator.LIMITS})
    assert generator.main(["--height=16", "--width=16", "--features=2", "--rounds=1"]) == 0
    assert "relative L2 between the outputs: " in capsys.readouterr().out
