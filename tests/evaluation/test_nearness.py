"""Distances to the truth over clips: pooled pixels, by class and by frame, and valid JSON."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from evaluation import fakes

from v2v_jax.evaluation import nearness, scoring, truth
from v2v_jax.evaluation.reporting.rows import distance_rows, truth_parts, truth_rows, video_rows
from v2v_jax.evaluation.reporting.verdicts import format_figures

SKY = 10


def clip(seed: int = 0, length: int = 12, shift: int = 20) -> Any:
    """A clip whose truth is the source, so much brighter, and in whose lower half sky is."""
    made = fakes.clip(seed, length)
    made["frames"] = np.clip(made["frames"], 0, 200).astype(np.uint8)
    made["truth"] = (made["frames"] + shift).astype(np.uint8)
    made["labels"] = made["labels"] * 0
    made["labels"][:, 8:] = SKY
    return made


def pan(current: np.ndarray, previous: np.ndarray) -> np.ndarray:
    return fakes.clip(0, 2)["flow"][0]


def figures(*clips: Any, method: Any = fakes.HONEST, **options: Any) -> dict[str, float]:
    options = {"distances": (1, 10), "judges": fakes.JUDGES} | options
    return dict(scoring.evaluate(method, {}, {}, clips, flow_for_method=pan, **options))


def test_doing_nothing_gains_nothing():
    found = figures(clip(), method=fakes.IDENTITY)
    assert found["truth/gain"] == found["truth/gain_raw"] == 0
    for video in ("source", "raw", "output"):
        assert found[f"truth/l1/{video}"] == pytest.approx(20)
        assert found[f"truth/psnr/{video}"] == pytest.approx(20 * math.log10(255 / 20))
        assert found[f"at_10/truth/l1/{video}"] == pytest.approx(20)
        assert found[f"class_sky/truth/l1/{video}"] == pytest.approx(20)
        assert 0 < found[f"truth/ssim/{video}"] < 1 and found[f"truth/delta_e/{video}"] > 2
        for band in nearness.SPECTRA:
            assert found[f"{band}/{video}"] == pytest.approx(1)


def test_the_truth_itself_gains_all_and_is_no_infinity():
    one = clip()
    sums = nearness.nearness(
        {"source": one["frames"], "raw": one["frames"], "output": one["truth"]},
        one["truth"], one["labels"], {"at_1/": slice(1, 4)},
    )  # fmt: skip
    found = dict(nearness.nearness_figures([sums]))
    assert found["truth/gain"] == 1 and found["truth/gain_raw"] == 0
    assert found["at_1/truth/gain"] == found["class_sky/truth/gain"] == 1
    assert found["truth/psnr/output"] == nearness.PSNR_CAP and found["truth/ssim/output"] == 1
    assert all(math.isfinite(value) for value in found.values())


def test_a_gain_is_of_pooled_distances_and_no_mean_of_gains():
    clips = [clip(0, shift=4), clip(1, 24, shift=40)]
    found = figures(*clips)
    rolled = [
        scoring.evaluate_clip(fakes.HONEST, {}, {}, c, flow_for_method=pan, distances=(1,))
        for c in clips
    ]
    outputs = np.concatenate([score.rollout.output for score in rolled])
    whole = (np.concatenate([c[name] for c in clips]) for name in ("truth", "frames"))
    assert found["truth/gain"] == pytest.approx(truth.gain(outputs, *whole))
    weights = [12, 24]
    assert found["truth/l1/source"] == pytest.approx(np.average([4, 40], weights=weights))
    # Two clips of different length look at as many frames at a distance.
    assert found["at_10/truth/l1/source"] == pytest.approx(np.average([4, 40], weights=(4, 5)))


def test_classes_and_frames_are_told_apart():
    one = clip()
    one["truth"][:, :8] = one["frames"][:, :8]
    one["truth"][8:, 8:] = one["frames"][8:, 8:]
    found = figures(one, method=fakes.IDENTITY)
    assert found["class_road/truth/l1/output"] == 0
    assert math.isnan(found["class_road/truth/gain"])
    assert found["class_sky/truth/l1/output"] == pytest.approx(20 * 8 / 12)
    assert found["at_1/truth/l1/output"] == pytest.approx(10)
    assert found["at_10/truth/l1/output"] == 0
    assert found["class_road/truth/psnr/output"] == nearness.PSNR_CAP


def test_spectra_pool_the_energy_of_all_clips():
    plain, doubled = clip(0), clip(1)
    middle = doubled["frames"].mean(axis=(1, 2), keepdims=True)
    doubled["truth"] = np.clip(middle + 0.5 * (doubled["frames"] - middle), 0, 255).astype(np.uint8)
    found = figures(plain, doubled, method=fakes.IDENTITY)
    energy = [truth.spectral_energy(c["frames"], tapered=True) for c in (plain, doubled)]
    wanted = [truth.spectral_energy(c["truth"], tapered=True) for c in (plain, doubled)]
    for name, value, of in zip(nearness.SPECTRA, np.sum(energy, 0), np.sum(wanted, 0), strict=True):
        assert found[f"{name}/source"] == pytest.approx(value / of)


def test_the_ceiling_is_read_by_the_same_judges():
    found = figures(clip())
    for name in ("warping_error", "contrast", "share_target", "miou", "at_10/structure"):
        assert f"{name}/truth" in found
    ratio = found["warping_error/output"] / found["warping_error/truth"]
    assert found["output_over_truth"] == pytest.approx(ratio)


def test_without_a_truth_there_is_no_figure_of_it():
    one = clip()
    with_truth = figures(one)
    del one["truth"]
    without = figures(one)
    assert not [name for name in without if "truth" in name]
    # And what was there before is what it was.
    assert without == {n: v for n, v in with_truth.items() if "truth" not in n}
    assert truth_rows(without) == [] and truth_parts(without, "class", "class") == []
    assert [row["video"] for row in video_rows(without)] == ["source", "raw", "output"]


def test_clips_without_labels_have_no_classes():
    one = clip()
    del one["labels"]
    found = figures(one)
    assert "truth/gain" in found and not [n for n in found if n.startswith("class_")]


def test_tables_of_the_distance_stand_apart():
    found = figures(clip())
    assert [row["video"] for row in truth_rows(found)] == ["source", "raw", "output"]
    assert truth_rows(found)[0]["gain"] == 0
    assert truth_rows(found)[2]["gain"] == found["truth/gain"]
    assert truth_rows(found)[2]["spectrum_0.45_0.5"] == found["truth/spectrum_0.45_0.5/output"]
    classes, frames = truth_parts(found, "class", "class"), truth_parts(found, "at", "frame")
    assert [row["class"] for row in classes] == ["road", "sky"]
    assert classes[1]["l1/output"] == found["class_sky/truth/l1/output"]
    assert [row["frame"] for row in frames] == ["1", "10"]
    for row in itertools.chain(video_rows(found), distance_rows(found)):
        assert not [name for name in row if "truth/" in name or "class" in name]
    text = format_figures(found)
    assert "gain" in text and "spectrum_0.05_0.15" in text and "sky" in text
