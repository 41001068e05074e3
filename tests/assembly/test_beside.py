"""Who stands beside an evaluated run, and who does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from v2v_jax.assembly.beside import called, standing_beside

SHIPPED = Path(__file__).parents[2] / "pretrained" / "game2street"


def run_of(folder: Path, step: int, *, logged: bool) -> Path:
    (folder / "checkpoints" / str(step)).mkdir(parents=True)
    if logged:
        (folder / "metrics.jsonl").touch()
    return folder


def test_a_run_is_called_after_what_was_done_with_it(tmp_path):
    here = run_of(tmp_path / "a", 360, logged=True)
    came = run_of(tmp_path / "b", 1279, logged=False)
    assert called(here, None) == "trained here for 360 steps"
    assert called(here, 180) == "trained here for 180 steps"
    assert called(came, None) == f"{came} after 1279 steps"
    assert called(came, None, other=True) == f"shipped ({came}) after 1279 steps"
    assert called(here, None, other=True) == f"{here} after 360 steps"


def test_the_shipped_model_can_stand_beside():
    (found,), notes = standing_beside(str(SHIPPED), "to_target")
    assert found.title.startswith(f"shipped ({SHIPPED}) after") and notes == []
    assert found.flow is not None


def test_where_it_is_missing_the_report_says_so_in_one_line(tmp_path):
    found, (note,) = standing_beside(str(tmp_path / "pretrained"), "to_target")
    assert found == [] and str(tmp_path / "pretrained") in note and "no checkpoint" in note
    assert "\n" not in note
    assert standing_beside(None, "to_target") == ([], [])


def test_a_direction_it_does_not_know_is_an_error():
    with pytest.raises(ValueError, match="not trained for direction"):
        standing_beside(str(SHIPPED), "to_the_moon")
