"""One evaluation of a run: what it writes is what it found."""

from __future__ import annotations

import base64
import io
import json
import logging
import math
import re

import numpy as np
import pytest
from evaluation import fakes
from PIL import Image

from v2v_jax.evaluation import scoring
from v2v_jax.evaluation.scoring import Judges
from v2v_jax.evaluation.session import (
    Translating,
    evaluate_run,
    film_strips,
    reachable_distances,
    truth_section,
)

NOTE = "content features come from a network with RANDOM weights"


def exact_flow(current, previous):
    flow = np.zeros((*current.shape[:2], 2), np.float32)
    flow[..., 0] = fakes.STEP
    return flow


def evaluate(workdir, clips, method=fakes.HONEST):
    return evaluate_run(
        method=method, generator={}, frozen={}, clips=clips, flow=exact_flow, scoring_flow=None,
        judges=Judges(), workdir=workdir, config={"seed": 3, "data": {"size": [16, 32]}},
        notes=[NOTE],
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An evaluation of two clips: its folder and its figures."""
    workdir = tmp_path_factory.mktemp("run")
    lines = [json.dumps({"step": step, "loss/generator": 1.0 / step}) for step in (1, 2, 3)]
    (workdir / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    (workdir / "report.html").write_text("an older report")
    return workdir, evaluate(workdir, [fakes.clip(0), fakes.clip(1)])


def test_the_json_holds_the_figures(run):
    workdir, figures = run
    written = json.loads((workdir / "evaluation.json").read_text())
    assert written == {n: v if math.isfinite(v) else None for n, v in figures.items()}
    assert written["clips"] == 2
    assert "at_60/mask" in written


def test_what_is_no_number_is_null(tmp_path):
    clip = fakes.clip(length=4)
    clip["frames"][:], clip["flow"][:] = clip["frames"][0], 0
    figures = evaluate_run(
        method=fakes.IDENTITY, generator={}, frozen={}, clips=[clip], flow=clip["flow"],
        scoring_flow=None, judges=Judges(), workdir=tmp_path, config={},
    )  # fmt: skip
    # Nothing moves: no pixel is new, and no error to divide by.
    assert math.isnan(figures["mask_new"]) and math.isinf(figures["output_over_source"])
    written = json.loads((tmp_path / "evaluation.json").read_text())
    assert written["mask_new"] is None and written["output_over_source"] is None


def test_the_report_stands_alone_and_says_what_must_not_be_missed(run):
    workdir, _ = run
    page = (workdir / "report.html").read_text()
    assert NOTE in page
    assert "http" not in page and "<script" not in page
    assert "loss/generator" in page
    assert page.count("data:image/gif;base64,") == 1
    for caption in ("source, frames 1, 10, 30, 60", "raw", "mask", "output"):
        assert caption in page
    assert not list(workdir.glob("*.part"))


def test_the_report_has_the_flip_matrix_where_a_segmenter_reads(tmp_path):
    evaluate_run(
        method=fakes.HONEST, generator={}, frozen={}, clips=[fakes.clip()], flow=exact_flow,
        scoring_flow=None, judges=fakes.JUDGES, workdir=tmp_path, config={},
    )  # fmt: skip
    page = (tmp_path / "report.html").read_text()
    assert "What each class of the source is read as" in page
    assert "<td>road</td>" in page and "<th>sidewalk</th>" in page.replace(' rowspan="2"', "")
    assert "fwIoU" in page and "fwiou/output" in (tmp_path / "evaluation.json").read_text()


def test_the_report_shows_the_truth_where_there_is_one(tmp_path, run):
    clip = fakes.clip()
    clip["truth"] = np.clip(clip["frames"] * 0.5 + 60, 0, 255).astype(np.uint8)
    figures = evaluate(tmp_path, [clip])
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Distance to the truth</h2>" in page
    for caption in ("source, output, and the perfect translation", "By class of the source"):
        assert caption in page
    assert "truth: the perfect translation" in page
    written = json.loads((tmp_path / "evaluation.json").read_text(), parse_constant=pytest.fail)
    assert written["truth/gain"] == figures["truth/gain"] < 1
    assert "truth" not in (run[0] / "report.html").read_text()


def test_another_run_stands_beside_this_one(tmp_path, capsys):
    clip = fakes.clip()
    clip["truth"] = np.clip(clip["frames"] * 0.5 + 60, 0, 255).astype(np.uint8)
    other = Translating("shipped after 9 steps", fakes.FLICKERING, {}, {}, exact_flow)
    figures = evaluate_run(
        method=fakes.HONEST, generator={}, frozen={}, clips=[clip], flow=exact_flow,
        scoring_flow=None, judges=fakes.JUDGES, workdir=tmp_path, config={},
        title="trained here for 3 steps", beside=[other],
    )  # fmt: skip
    page = (tmp_path / "report.html").read_text()
    assert page.index("<h2>Side by side</h2>") < page.index("<h2>Checks</h2>")
    for row in ("the source, untranslated", "trained here", "shipped after 9 steps", "the truth"):
        assert f"<td>{row}" in page and f"<span>{row}" in page and f'alt="{row}' in page
    assert "shipped after 9 steps" in capsys.readouterr().out
    # Each is scored as it would be alone.
    written = json.loads((tmp_path / "beside.json").read_text())["shipped after 9 steps"]
    (tmp_path / "alone").mkdir()
    alone = evaluate_run(
        method=fakes.FLICKERING, generator={}, frozen={}, clips=[clip], flow=exact_flow,
        scoring_flow=None, judges=fakes.JUDGES, workdir=tmp_path / "alone", config={},
    )  # fmt: skip
    assert written == {n: v if math.isfinite(v) else None for n, v in alone.items()}
    assert written["truth/gain"] != figures["truth/gain"]
    assert not (tmp_path / "alone" / "beside.json").exists()
    assert "Side by side" not in (tmp_path / "alone" / "report.html").read_text()


def test_a_strip_of_the_truth_closes_the_film():
    clip = fakes.clip(length=12)
    score = scoring.evaluate_clip(
        fakes.HONEST, {}, {}, clip, flow_for_method=clip["flow"], distances=(1,)
    )
    assert list(film_strips(clip, score))[-1] == "output"
    clip["truth"] = clip["frames"] // 2
    last = list(film_strips(clip, score).items())[-1]
    assert last[0].startswith("truth") and np.array_equal(last[1], clip["truth"][[1, 10, 11]])
    section = truth_section({}, clip, score)
    assert section is not None
    (picture,) = section.pictures.values()
    rows = np.split(picture, 3, axis=1)
    assert np.array_equal(rows[0], clip["frames"][[1, 10, 11]])
    assert np.array_equal(rows[1], score.rollout.output[[1, 10, 11]])
    assert np.array_equal(rows[2], last[1])


def test_failures_are_printed_loudly(tmp_path, capsys, caplog):
    with caplog.at_level(logging.WARNING, "absl"):
        evaluate(tmp_path, [fakes.clip()], fakes.SMEARING)
    assert "FAILURE" in capsys.readouterr().out
    assert NOTE in caplog.text
    assert "FAILURE" in (tmp_path / "report.html").read_text()
    # Without a log there are no curves, and that is no error.
    assert "loss/generator" not in (tmp_path / "report.html").read_text()


def test_the_animation_shows_source_raw_and_output(run):
    workdir, _ = run
    page = (workdir / "report.html").read_text()
    found = re.search(r"data:image/gif;base64,([^\"]+)", page)
    assert found is not None
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as gif:
        frames = getattr(gif, "n_frames", 1)
        first = np.asarray(gif.convert("RGB")).astype(int)
    assert frames == fakes.LENGTH
    assert first.shape == (fakes.HEIGHT, 3 * fakes.WIDTH, 3)
    # A palette of 256 colours.
    assert np.abs(first[:, : fakes.WIDTH] - fakes.clip(0)["frames"][0]).mean() < 4


def test_short_clips_are_scored_as_far_as_they_go_and_that_is_said(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "absl"):
        figures = evaluate(tmp_path, [fakes.clip(length=62), fakes.clip(length=12)])
    assert "pan 0 has only 12 frames" in caplog.text
    assert "at_10/mask" in figures and "at_30/mask" not in figures
    assert "source, frames 1, 10, 30, 60" in (tmp_path / "report.html").read_text()
    evaluate(tmp_path, [fakes.clip(length=12)])
    page = (tmp_path / "report.html").read_text()
    assert "source, frames 1, 10, 11" in page and "10, 11, 11" not in page


@pytest.mark.parametrize(
    ("lengths", "distances"),
    [((60,), (1, 10, 30, 60)), ((90, 59), (1, 10, 30)), ((2, 90), (1,)), ((10, 12), (1, 10))],
)
def test_reachable_distances_are_those_of_the_shortest_clip(lengths, distances, caplog):
    clips = [{"name": "x", "frames": np.zeros((length, 1, 1, 3), np.uint8)} for length in lengths]
    with caplog.at_level(logging.WARNING, "absl"):
        assert reachable_distances(clips) == distances  # type: ignore[arg-type]
    assert bool(caplog.records) == (60 not in distances)


@pytest.mark.parametrize("lengths", [(), (1,), (5, 1)])
def test_nothing_to_compare_is_an_error(lengths):
    clips = [{"name": "x", "frames": np.zeros((length, 1, 1, 3), np.uint8)} for length in lengths]
    with pytest.raises(ValueError, match="at least one clip, of at least two frames"):
        reachable_distances(clips)  # type: ignore[arg-type]
