"""The input's benchmark runs on tiny records, and its exit status follows the limits."""

from __future__ import annotations

import contextlib
import itertools
import re

import cv2
import numpy as np
import pytest

from tools.benchmarks import data as benchmark

TINY = ["--size", "32", "64", "--frames=12", "--batches=6", "--threads=1"]


@pytest.mark.parametrize("limit, status", [(0.0, 0), (1e6, 1)])
def test_throughput_fails_under_the_limit(monkeypatch, capsys, limit, status):
    monkeypatch.setattr(benchmark, "DATA_LIMIT", limit)
    assert benchmark.main([*TINY, "--rounds=1", "--batch_size=2"]) == status
    printed = capsys.readouterr().out
    assert "batches of 2 clip pairs of 3 frames 32x64, 1 threads, 0 workers" in printed
    clips, frames = (
        [float(rate) for rate in re.findall(rf"([\d.]+) {what}/s", printed)]
        for what in ("clips", "frames")
    )
    assert len(clips) == 2 and min(clips) > 0
    np.testing.assert_allclose(frames, np.array(clips) * 3, rtol=0.01)
    ratio = re.search(r"^ratio ([\d.]+) \(limit", printed, re.MULTILINE)
    assert ratio and abs(float(ratio[1]) - clips[0] / clips[1]) < 0.02


@pytest.mark.parametrize("limit, status", [(1e12, 0), (-1e12, 1)])
def test_memory_fails_over_the_limit(monkeypatch, capsys, limit, status):
    monkeypatch.setattr(benchmark, "MEMORY_LIMIT", limit)
    assert benchmark.main([*TINY, "--memory", "--batches=20"]) == status
    assert re.search(r"20 batches in .* growth [+-][\d.]+ MB", capsys.readouterr().out)


def test_bare_decoding_is_of_the_frames_that_are_timed(tmp_path):
    args = benchmark.parse([*TINY, "--batch_size=2"])
    sources = benchmark.write_records(tmp_path, args)
    jpegs = benchmark.drawn_jpegs(sources, 3, args)
    with contextlib.closing(benchmark.stream(sources, args)) as batches:
        timed = list(itertools.islice(batches, benchmark.WARM_UP, benchmark.WARM_UP + 3))
    assert len(jpegs) == len(timed)
    for batch, codes in zip(timed, jpegs, strict=True):
        clips = np.concatenate([batch[domain]["frames"] for domain in ("source", "target")])
        decoded = [cv2.imdecode(code, cv2.IMREAD_COLOR_RGB) for code in codes]
        for clip, bare in zip(clips, np.reshape(decoded, clips.shape), strict=True):
            # Time may run backwards.
            assert any(np.array_equal(clip, bare[::way]) for way in (1, -1))
