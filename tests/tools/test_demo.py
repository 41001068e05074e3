"""`make demo` shows what it made beside what is shipped."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_trains_translates_and_evaluates_beside_the_shipped_model(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["demo.py", f"--workdir={tmp_path}", "--config.steps=3"])
    demo = runpy.run_path(str(ROOT / "tools" / "demo.py"))
    commands: list[tuple[str, ...]] = []
    scope = demo["main"].__globals__
    monkeypatch.setitem(scope, "run", lambda *arguments: commands.append(arguments))
    monkeypatch.setitem(scope, "write_clip", lambda path: None)
    monkeypatch.setitem(scope, "ROOT", tmp_path.parent)
    demo["main"]()
    train, translate, evaluate = commands
    assert "--config.steps=3" in train and "--config=configs/demo.py:motion" in train
    assert "--mode=translate" in translate
    assert evaluate == (
        "--mode=evaluate",
        f"--workdir={tmp_path}",
        "--beside=pretrained/game2street",
    )
    assert (ROOT / "pretrained" / "game2street" / "checkpoints").is_dir()
