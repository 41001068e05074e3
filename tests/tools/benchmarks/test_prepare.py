"""The benchmark of preparing runs on few frames, and its exit status follows the limit."""

from __future__ import annotations

import re

import pytest

from tools.benchmarks import prepare as benchmark
from v2v_jax.data.records.dataset import RecordSource


@pytest.mark.parametrize("limit, status", [(0.0, 0), (1e6, 1)])
def test_preparing_fails_under_the_limit(monkeypatch, capsys, limit, status):
    monkeypatch.setattr(benchmark, "LIMIT", limit)
    assert benchmark.main(["--frames=1", "--rounds=1", "--workers=1", "--format=png"]) == status
    printed = capsys.readouterr().out
    assert printed.startswith("Python ") and "load of the machine" in printed
    assert "1 frames 1920x1080 png with labels and flow, 1 threads, medians of 1 rounds" in printed
    ours, bare = (float(rate) for rate in re.findall(r"([\d.]+) frames/s", printed))
    ratio = re.search(r"^ratio ([\d.]+) \(limit", printed, re.MULTILINE)
    # Rates are printed to a tenth of a frame, of which few are done in a second.
    assert ratio and float(ratio[1]) == pytest.approx(ours / bare, abs=0.05 + 0.1 / bare)


def test_what_is_prepared_are_the_frames_that_were_written(tmp_path):
    benchmark.write_viper(tmp_path / "raw", 3, "jpg", size=(64, 128))
    assert len(list((tmp_path / "raw").glob("train/img/*/*.jpg"))) == 3
    benchmark.prepare(tmp_path, 1, "--size=32,64")
    source = RecordSource(tmp_path / "out", fields=[])
    assert (source.size, source.lengths) == ((32, 64), [3])
