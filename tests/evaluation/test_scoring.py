"""The long-clip protocol ranks methods whose faults are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from evaluation import fakes

from v2v_jax.evaluation import metrics, scoring
from v2v_jax.evaluation.reporting.rows import distance_rows
from v2v_jax.evaluation.reporting.verdicts import Verdict, format_figures, verdicts
from v2v_jax.methods.base import Method


def _figures(method: Method) -> dict[str, float]:
    clips = [fakes.clip(0), fakes.clip(1)]
    pairs = [
        dict(
            scoring.evaluate(
                method, {}, {}, [clip], flow_for_method=clip["flow"], judges=fakes.JUDGES
            )
        )
        for clip in clips
    ]
    return {name: float(np.mean([p[name] for p in pairs])) for name in pairs[0]}


def _failed(figures: dict[str, float]) -> set[str]:
    return {verdict.name for verdict in verdicts(figures) if not verdict.passed}


def test_a_video_handed_through_scores_as_its_source():
    figures = _figures(fakes.IDENTITY)
    assert figures["warping_error/source"] > 1e-4
    for video in ("raw", "output"):
        error = figures[f"warping_error/{video}"]
        assert error == pytest.approx(figures["warping_error/source"], rel=1e-6)
    assert figures["colour_distance"] == 0.0 and figures["smeared_clips"] == 0.0
    assert figures["at_60/structure/output"] == pytest.approx(1.0)
    assert figures["at_60/miou/output"] > 0.99


def test_copying_its_past_is_flagged_although_its_warping_error_is_the_lowest():
    figures = _figures(fakes.SMEARING)
    assert figures["warping_error/output"] < 0.2 * figures["warping_error/source"]
    assert figures["smeared_clips"] == 1.0  # the mean over two evaluations of one clip each
    assert "output's warping error / source's" in _failed(figures)
    assert "mask in newly visible regions" in _failed(figures)
    assert "structure agreement, frame 60 / frame 1" in _failed(figures)
    text = format_figures(figures)
    assert "FAILURE  output's warping error / source's" in text and "SMEARING" in text


def test_copying_loses_the_layout_with_the_distance_from_the_start():
    rows: Any = distance_rows(_figures(fakes.SMEARING))
    assert [row["frame distance"] for row in rows] == [1, 10, 30, 60]
    assert rows[0]["structure/output"] > 0.85 and rows[3]["structure/output"] < 0.3
    assert rows[0]["miou/output"] > rows[3]["miou/output"] + 0.3
    assert rows[3]["structure/raw"] > 0.99 and rows[3]["miou/raw"] > 0.8


def test_flicker_has_a_high_error_everywhere():
    figures = _figures(fakes.FLICKERING)
    # Every pair differs by 2 * fakes.FLICKER in [-1, 1], so by fakes.FLICKER in [0, 1].
    for video in ("raw", "output"):
        error = figures[f"warping_error/{video}"]
        assert error == pytest.approx(fakes.FLICKER**2 + figures["warping_error/source"], rel=0.1)
    assert figures["at_30/warping_error/output"] == pytest.approx(error, rel=0.05)
    assert figures["raw_over_output"] == pytest.approx(1.0)
    assert "raw's warping error / output's" in _failed(figures)


def test_an_honest_method_passes_every_check():
    figures = _figures(fakes.HONEST)
    assert figures["mask_agree"] == pytest.approx(0.7)
    assert figures["mask_new"] == pytest.approx(0.05)
    assert _failed(figures) == set()
    assert "FAILURE" not in format_figures(figures)
    assert figures["raw_over_output"] > 1.5


def test_a_host_estimator_feeds_the_method():
    clip = fakes.clip()
    flow = iter(clip["flow"])
    by_estimator = scoring.evaluate_clip(
        fakes.HONEST, {}, {}, clip, flow_for_method=lambda current, previous: next(flow)
    )
    by_array = scoring.evaluate_clip(fakes.HONEST, {}, {}, clip, flow_for_method=clip["flow"])
    assert by_estimator.values == by_array.values


def test_short_clips_are_refused_with_the_way_out():
    clip = fakes.clip(length=12)
    with pytest.raises(ValueError, match="'pan 0' has 12 frames, distance 60 needs as many"):
        scoring.evaluate_clip(fakes.IDENTITY, {}, {}, clip, flow_for_method=clip["flow"])
    scores = scoring.evaluate_clip(
        fakes.IDENTITY, {}, {}, clip, flow_for_method=clip["flow"], distances=(1, 10)
    )
    assert "at_10/mask" in scores.values


def test_segmentation_is_pooled_over_clips_and_figures_are_averaged():
    clips = [fakes.clip(0), fakes.clip(1)]
    flow = clips[0]["flow"]
    figures = dict(
        scoring.evaluate(fakes.HONEST, {}, {}, clips, flow_for_method=flow, judges=fakes.JUDGES)
    )
    single = [
        scoring.evaluate_clip(fakes.HONEST, {}, {}, clip, flow_for_method=flow, judges=fakes.JUDGES)
        for clip in clips
    ]
    assert figures["clips"] == 2
    errors = [scores.values["warping_error/output"] for scores in single]
    assert figures["warping_error/output"] == pytest.approx(np.mean(errors))
    pooled = single[0].counts["at_60/miou/output"] + single[1].counts["at_60/miou/output"]
    accuracy = np.diagonal(pooled).sum() / pooled.sum()
    assert figures["at_60/pixel_accuracy/output"] == pytest.approx(accuracy)
    # Whole clips, every frame.
    whole = scoring.pooled_counts(single, "output")
    assert whole is not None and whole.sum() == 2 * fakes.LENGTH * fakes.HEIGHT * fakes.WIDTH
    assert figures["pixel_accuracy/output"] == pytest.approx(np.trace(whole) / whole.sum())
    scores = metrics.segmentation_scores(whole)
    assert figures["miou/output"] == scores.miou_official
    assert figures["fwiou/output"] == scores.fwiou
    with pytest.raises(ValueError, match="no clips"):
        dict(scoring.evaluate(fakes.HONEST, {}, {}, [], flow_for_method=None))


def test_a_figure_that_is_not_a_number_has_not_passed():
    assert not Verdict("x", float("nan"), 0.5, False, "").passed
    assert Verdict("x", 0.5, 0.5, False, "").passed and Verdict("x", 0.5, 0.5, True, "").passed
