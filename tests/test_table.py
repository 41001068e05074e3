"""The paper's tables in one command: trained, judged alike, resumed, never mixed up."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
from assembly.test_assembly import tiny
from command import refused
from evaluation.quick import quick_judges
from ml_collections import ConfigDict

from configs import demo
from configs import tables as paper
from configs import tables_128x256 as larger
from v2v_jax import assembly
from v2v_jax.assembly import data, table, table_scores, upper_bound
from v2v_jax.assembly.resuming import changed_fields
from v2v_jax.evaluation.truth import gain
from v2v_jax.training.checkpoints import load_player

SMALL = {
    "data.batch_size": 8, "data.length": 20, "segmenter.features": 4, "steps": 2,
    "log_every": 1, "checkpoint_every": 2, "picture_every": 0, "pool": 2,
    "evaluate.frames": 12, "evaluate.clips": 1, "weights.content": 0.0,
}  # fmt: skip


def row(title, make, tables=(), needs=(), **changes):
    run = tiny(make, **SMALL | changes)
    return ConfigDict({"title": title, "run": run, "tables": tables, "needs": needs})


def small_table():
    """A segmenter nobody shows, CyCADA that needs it, and ours."""
    config = ConfigDict()
    config.seeds, config.only = (0,), ()
    config.rows = ConfigDict({
        "segmenter": row("Segmenter", (demo, "segmenter")),
        "cycada": row("CyCADA", (demo, "cycada"), (1, 2), (("segmenter.run", "segmenter"),)),
        "ours": row("Ours", demo, (1, 2, 3), **{"data.batch_size": 8}),
    })  # fmt: skip
    config.order = ("segmenter", "cycada", "ours")
    config.claims = (("ours", "miou/output", ">", 0.0, "cycada"),)
    config.matrices = ("ours",)
    return config


@pytest.fixture(autouse=True)
def quick_probes(monkeypatch):
    quick_judges(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The workdir of a small table, trained and scored."""
    made = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch:
        quick_judges(patch)
        table.make_tables(small_table(), made)
    return made


def test_rows_are_trained_scored_and_tabled(folder):
    text = (folder / "tables.md").read_text()
    assert "### Table 1" in text and "### Table 2" in text
    for name in ("CyCADA", "Ours", "Oracle: target frames", "Source, untranslated"):
        assert f"| {name}" in text
    assert "sky → building" in text and "Ours: the whole flip matrix" in text
    assert "| Segmenter" not in text
    rows = list(csv.DictReader((folder / "tables.csv").read_text().splitlines()))
    # The source's own figures, which both rows found alike, count once.
    assert [line["row"] for line in rows] == ["cycada", "ours", "source", "target", "perfect"]
    figures = next(line for line in rows if line["row"] == "source")
    assert float(figures["output_over_source"]) == 1 and not figures["at_1/miou/output"]
    assert figures["warping_error/output"] == rows[0]["warping_error/source"]
    assert figures["miou/output"] == rows[0]["miou/source"]
    assert all(float(line["miou/output"]) >= 0 for line in rows)
    gains = {line["row"]: line["truth/gain"] for line in rows}
    assert float(gains["source"]) == 0 and float(gains["perfect"]) == 1 and not gains["target"]
    assert float(gains["ours"]) < 1
    assert "| truth/gain |" in text and "| Perfect translation |" in text
    perfect = next(line for line in rows if line["row"] == "perfect")
    assert perfect["miou/output"] == rows[0]["miou/truth"]
    assert float(perfect["output_over_truth"]) == 1
    assert (folder / "tables.svg").read_text().startswith("<svg")
    # The segmenter that CyCADA was judged by is the table's own.
    run = load_player(folder / "cycada" / "0" / "checkpoints")[1]["config"]
    assert run["segmenter"]["run"] == str(folder / "segmenter" / "0")


def test_the_upper_bound_is_a_row_that_says_what_it_uses(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "t", ignore=shutil.ignore_patterns("checkpoints"))
    config = small_table()
    config.pairs = ConfigDict({"steps": 3, "batch": 2, "learning_rate": 2e-3})
    table.make_tables(config, tmp_path / "t")
    text = (tmp_path / "t" / "tables.md").read_text()
    assert "| Trained on pairs (upper bound: it uses the truth) |" in text
    score = json.loads(table_scores.path_of(tmp_path / "t", "paired", 0).read_text())
    assert score["figures"]["truth/l1/output"] > 0 and score["figures"]["truth/gain"] < 1
    assert score["config"]["pairs"]["steps"] == 3
    # Another budget is another score; without one the row is gone.
    config.pairs.steps = 4
    with pytest.raises(ValueError, match=r"paired/0/.*pairs.steps 3 -> 4"):
        table.make_tables(config, tmp_path / "t")
    config.pairs.steps = 0
    table.make_tables(config, tmp_path / "t")
    assert "upper bound" not in (tmp_path / "t" / "tables.md").read_text()


def test_training_on_pairs_nears_the_truth():
    run = tiny(**{"image.features": 8, "data.clips": 1})
    world = data.world(run, "game", "train")
    frames, truth = (of.frames(0).frames for of in (world, world.perfect("street")))
    options = {"batch": 4, "learning_rate": 3e-3}
    gains = [
        gain(upper_bound.trained_on_pairs(run, steps=steps, **options)(frames), truth, frames)
        for steps in (1, 60)
    ]
    assert gains[0] < 0 < gains[1]


def test_what_is_scored_is_not_trained_again_and_printed(folder, monkeypatch, capsys):
    def train(**_):
        raise AssertionError("trained again")

    monkeypatch.setattr(table.loop, "train", train)
    before = (folder / "tables.md").read_text()
    table.make_tables(small_table(), folder)
    assert (folder / "tables.md").read_text() == before
    assert before.strip() in capsys.readouterr().out


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("rows.ours.run.optimizer.learning_rate", 1e-3, r"ours/0/.*learning_rate"),
        # What a resumed run may change is no longer the same score.
        ("rows.ours.run.steps", 3, r"ours/0/.*steps 2 -> 3"),
        ("rows.ours.run.evaluate.clips", 2, r"ours/0/.*evaluate.clips 1 -> 2"),
        # CyCADA's segmenter would be another; the oracles' world is the first shown row's.
        ("rows.segmenter.run.seed", 1, None),
        ("rows.segmenter.run.steps", 3, r"segmenter/0/.*steps"),
        ("rows.cycada.run.data.clips", 9, r"cycada/0/.*data.clips"),
        ("rows.ours.run.log_every", 7, None),
        ("rows.segmenter.run.log_every", 7, None),
    ],
)
def test_scores_of_another_configuration_are_refused(folder, field, value, found):
    config = small_table()
    config.update_from_flattened_dict({field: value})
    # Rows that nobody asked for are shown as well.
    config.only = ("segmenter",)
    if found is None:
        table.make_tables(config, folder)
        return
    with pytest.raises(ValueError, match=rf"{found}.*\(mv .*/0 .*/0_old.* --workdir"):
        table.make_tables(config, folder)


def test_a_row_is_another_where_one_it_needs_is():
    config = small_table()
    before = table_scores.asked(config, "cycada", 0)
    config.rows.segmenter.run.steps = 3
    changes = changed_fields(before, table_scores.asked(config, "cycada", 0), frozenset())
    assert changes == ["needs.segmenter.steps 2 -> 3"]
    config.rows.cycada.run.data.clips = 9
    config.rows.cycada.run.steps = 9
    config.rows.cycada.run.evaluate.frames = 9
    oracle = table_scores.asked(small_table(), "target", 0)
    changes = changed_fields(oracle, table_scores.asked(config, "target", 0), frozenset())
    assert [change.split()[0] for change in changes] == ["data.clips", "evaluate.frames"]


def test_a_table_can_be_moved_and_scores_moved_away(folder, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved, ignore=shutil.ignore_patterns("checkpoints"))
    shutil.copytree(moved / "ours" / "0", moved / "ours" / "0_old")
    table.make_tables(small_table(), moved)
    assert (moved / "tables.md").read_text() == (folder / "tables.md").read_text()


@pytest.mark.parametrize("text", ["{", "[]", '{"figures": {}}'])
def test_what_is_no_score_is_named(text, folder, tmp_path):
    path = table_scores.path_of(tmp_path, "ours", 0)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ValueError, match=r"ours/0/scores.json is no score .*mv "):
        table.make_tables(small_table(), tmp_path)


def test_a_signal_stops_the_table_and_scores_nothing_unfinished(tmp_path, monkeypatch):
    full = table.loop.train
    monkeypatch.setattr(table.loop, "train", lambda **options: full(**options | {"steps": 1}))
    config = small_table()
    config.only = ("cycada",)
    table.make_tables(config, tmp_path)
    assert (tmp_path / "segmenter" / "0" / "checkpoints" / "1").is_dir()
    assert not list(tmp_path.rglob("scores.json"))
    assert not (tmp_path / "ours").exists()


def test_judges_are_drawn_anew_for_every_seed(tmp_path):
    seeds = [table._Judge(small_table(), seed, tmp_path)._run.seed for seed in (0, 3)]
    assert seeds == [0, 3]


def test_only_takes_what_the_rows_need_along():
    config = small_table()
    assert table._needed(config, ("cycada",)) == ["segmenter", "cycada"]
    assert table._needed(config, ("ours",)) == ["ours"]


def test_the_command_line_makes_tables(tmp_path, capsys):
    only = "--config.only=('nobody',)"
    message = refused(
        capsys, "--mode=table", "--config=configs/tables.py", f"--workdir={tmp_path}", only
    )
    assert "'nobody' is none of the rows cyclegan" in message


@pytest.mark.parametrize("seeds", [(), (0, -1)])
def test_seeds_that_are_none_are_refused(seeds, tmp_path):
    config = small_table()
    config.seeds = seeds
    with pytest.raises(ValueError, match=r"config\.seeds: give one or more"):
        table.make_tables(config, tmp_path)


def test_an_unknown_row_is_named(tmp_path):
    config = small_table()
    config.only = ("our",)
    with pytest.raises(ValueError, match="'our' is none of the rows segmenter, cycada, ours"):
        table.make_tables(config, tmp_path)


@pytest.mark.parametrize("made", [paper, larger])
@pytest.mark.parametrize("name", paper.get_config().order)
def test_every_row_of_the_papers_tables_builds(made, name, tmp_path):
    config = made.get_config()
    run = table.run_config(config, name, 1, tmp_path)
    assert run.seed == 1 and run.steps == made.STEPS
    for field, other in config.rows[name].needs:
        assert run[field.split(".")[0]][field.split(".")[1]] == str(tmp_path / other / "1")
        assert config.order.index(other) < config.order.index(name)
    assembly.description(run)


def test_all_rows_see_as_many_frames_of_one_world():
    config = paper.get_config()
    seen = {
        name: config.rows[name].run.data.frames * config.rows[name].run.data.batch_size
        for name in config.order
        if config.rows[name].tables and "stabiliser.run" not in dict(config.rows[name].needs)
    }
    assert set(seen.values()) == {3}
    worlds = {str(config.rows[name].run.data.clips) for name in config.order}
    assert len(worlds) == 1


def test_claims_speak_of_rows_that_exist():
    config = paper.get_config()
    known = {*config.order, *table.ORACLES}
    assert {name for claim in config.claims for name in (claim[0], claim[4])} <= known
