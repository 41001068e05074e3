"""The tables of a model card, from evaluations on disk."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "card.py"


def figures(gain: float) -> dict[str, float | None]:
    found: dict[str, float | None] = {
        "truth/gain": gain, "miou/output": 0.3, "miou/truth": 0.4, "output_over_truth": 0.64,
        "output_over_source": 0.4, "at_60/structure/output": 0.8, "at_1/structure/output": 0.8,
        "class_terrain/iou/source": 0.0, "class_terrain/iou/output": 0.1,
        "class_terrain/iou/truth": 0.6, "class_train/iou/output": 0.0,
    }  # fmt: skip
    for k, video in enumerate(("source", "output", "truth")):
        found |= {f"class_sky/read_right/{video}": k / 2, f"class_sky/as_building/{video}": 0.04}
    for k, band in enumerate(("0.05_0.15", "0.15_0.25", "0.25_0.35", "0.35_0.45", "0.45_0.5")):
        found[f"truth/spectrum_{band}/output"] = 0.5 + k / 10
    return found


def model_of(folder: Path, name: str) -> Path:
    (folder / "checkpoints" / "9").mkdir(parents=True)
    (folder / "checkpoints" / "9" / name).write_text("bytes")
    return folder


def call(monkeypatch, *argv: str) -> list[int]:
    """Runs the tool; the seeds that it evaluates, with a gain of a tenth of the seed."""
    monkeypatch.setattr(sys, "argv", ["card.py", *argv])
    tool, seeds = runpy.run_path(str(TOOL)), []

    def evaluate(copy: Path, seed: int) -> None:
        seeds.append(seed)
        assert (copy / "checkpoints" / "9").is_dir()
        (copy / "evaluation.json").write_text(json.dumps(figures(seed / 10)))

    monkeypatch.setitem(tool["main"].__globals__, "evaluate", evaluate)
    tool["main"]()
    return seeds


def test_it_prints_a_row_per_seed_and_the_mean(tmp_path, monkeypatch, capsys):
    model = model_of(tmp_path / "model", "a")
    argv = [str(model), f"--workdir={tmp_path}", "--seeds", "5", "7"]
    assert call(monkeypatch, *argv) == [5, 7]
    lines = capsys.readouterr().out.strip().splitlines()
    cells = "0.00 | 0.50 | 1.00 | 0.04 | 0.04 | 0.04 | 0.75 | 0.64 | 0.40 | 1.00 | 0.50 | 0.60"
    assert lines[2].startswith(f"| 5 | 0.50 | {cells}")
    assert lines[4].startswith("| mean | 0.60 |") and lines[4].endswith("| 0.90 |")
    assert "| terrain | 0.00 | 0.10 | 0.60 | 0.50 |" in lines
    # Read in one video alone: there is nothing to compare.
    assert not any(line.startswith("| train |") for line in lines)


def test_what_is_known_of_another_checkpoint_is_found_anew(tmp_path, monkeypatch):
    argv = [f"--workdir={tmp_path}/card", "--seeds", "5"]
    assert call(monkeypatch, str(model_of(tmp_path / "a" / "model", "a")), *argv) == [5]
    assert call(monkeypatch, str(tmp_path / "a" / "model"), *argv) == []
    assert call(monkeypatch, str(model_of(tmp_path / "b" / "model", "b")), *argv) == [5]
    copied = tmp_path / "card" / "model_5" / "checkpoints" / "9"
    assert [path.name for path in copied.iterdir()] == ["b"]


def test_a_model_that_is_not_there_is_said_in_a_line(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match=r"card: .*none holds no checkpoint"):
        call(monkeypatch, str(tmp_path / "none"), f"--workdir={tmp_path}")
