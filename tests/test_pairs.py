"""Which processed video belongs to which original."""

from __future__ import annotations

from pathlib import Path

import pytest

from v2v_jax.translator import pair_up, pairs


def paths(*names: str) -> list[Path]:
    return [Path(name) for name in names]


@pytest.fixture
def said(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(pairs.logging, "info", lambda form, *args: lines.append(form % args))
    return lines


@pytest.mark.parametrize(
    ("originals", "processed", "how"),
    [
        # What pairing in order would get wrong.
        (["in/a.mp4", "in/b.mp4"], ["x/b.mov", "x/a.mov"], "2 by name"),
        (["in/a/1.mp4", "in/b/1.mp4"], ["x/b/1.mp4", "x/a/1.mp4"], "2 by name"),
        (["in/2.mp4", "in/10.mp4"], ["x/10.mkv", "x/2.mkv"], "2 by name"),
        (["in/\u00e9.mp4", "in/a.mp4"], ["x/a.mp4", "x/e\u0301.mp4"], "2 by name"),
    ],
)
def test_names_that_match_belong_together(said, originals, processed, how):
    found = pair_up(paths(*originals), paths(*processed))
    assert list(found) == paths(*originals)
    assert list(found.values()) == paths(*reversed(processed))
    assert said == [f"videos are paired with what was made of them: {how}"]


def test_other_names_are_paired_in_order(said):
    found = pair_up(paths("in/a.mp4", "in/b.mp4"), paths("x/1.mp4", "x/2.mp4"))
    assert list(found.values()) == paths("x/1.mp4", "x/2.mp4")
    assert "2 in order, as their names differ: in/a.mp4 with x/1.mp4" in said[0]


def test_the_rest_is_paired_in_order(said):
    found = pair_up(paths("a.mp4", "b.mp4", "c.mp4"), paths("x/b.mp4", "x/m.mp4", "x/n.mp4"))
    assert found == dict(zip(paths("a.mp4", "b.mp4", "c.mp4"),
                             paths("x/m.mp4", "x/b.mp4", "x/n.mp4"), strict=True))  # fmt: skip
    assert "1 by name; 2 in order" in said[0] and "a.mp4 with x/m.mp4" in said[0]


def test_uneven_numbers_are_refused_by_name():
    with pytest.raises(ValueError, match=r"2 videos and --processed 1: .*nothing is called like b"):
        pair_up(paths("a.mp4", "b.mp4"), paths("x/a.mp4"))
    with pytest.raises(ValueError, match="2 videos and --processed 1"):
        pair_up(paths("a.mp4", "b.mp4"), paths("x/q.mp4"))
