"""The tool's own work: which figures it compares, its CSV, its table.  No network, no training."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tools import stand_ins
from tools.stand_ins import References, Setting
from v2v_jax.evaluation.distribution import crop_features, crop_labels


def test_settings_are_workdirs_with_or_without_a_step(tmp_path):
    assert Setting.parse("runs/a@b") == Setting("runs/a@b", None)
    assert Setting.parse("runs/a@120") == Setting("runs/a", 120)
    for name in ("60", "120", "120.orbax-checkpoint-tmp-1"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert stand_ins.latest(Setting(str(tmp_path), None)).step == 120
    assert stand_ins.latest(Setting(str(tmp_path), 60)).step == 60
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        stand_ins.latest(Setting(str(tmp_path / "none"), None))


def test_no_measure_looks_at_the_truth():
    figures = {
        "miou/output": 0.5, "miou/source": 0.4, "truth/l1/output": 1.0, "output_over_truth": 2.0,
        "class_sky/truth/l1/output": 1.0, "at_10/structure/output": 0.9, "truth/gain": 0.1,
        "output_over_source": 0.5, "detail_least/output": 2.0, "miou/truth": 0.8,
    }  # fmt: skip
    found = stand_ins.plain_measures(figures)
    kept = {"miou/output", "at_10/structure/output", "output_over_source", "detail_least/output"}
    assert kept <= found.keys() and not [name for name in found if "truth" in name]
    assert found["|log output_over_source|"] == pytest.approx(found["|log detail_least/output|"])
    assert "|log detail_most/output|" not in found and "miou/source" not in found


def test_doing_nothing_and_perfection_are_rows_but_in_no_correlation(monkeypatch):
    """They are scored as a method's output would be; no network is asked."""
    seen = []

    def score(clip: Any, rollout: Any, *_: Any) -> Any:
        seen.append(rollout)
        return SimpleNamespace(rollout=rollout)

    monkeypatch.setattr(stand_ins.scoring, "score_clip", score)
    monkeypatch.setattr(stand_ins, "find_regions", lambda clip: None)
    monkeypatch.setattr(stand_ins, "figures_of", lambda clips, scores, beside: {"truth/gain": 0.0})
    clip: Any = {"frames": np.zeros((2, 4, 8, 3), np.uint8), "truth": np.ones((2, 4, 8, 3))}
    nothing: Any = None
    for name in stand_ins.EXTREMES:
        assert stand_ins.latest(Setting(name, None)) == Setting(name, 0)
        stand_ins.measures(Setting(name, 0), [clip], nothing, nothing)
    assert [int(rollout.output.max()) for rollout in seen] == [0, 1]
    assert all(rollout.raw is rollout.output and not rollout.mask.any() for rollout in seen)
    rows = [{"run": f"r{k}", "step": 1, "truth/gain": k, "fid/x": -k} for k in range(6)]
    # Two runs are worse than doing nothing; by this measure the source is worse than all but one,
    # and one run seems better than the truth.
    rows = [row | {"truth/gain": row["truth/gain"] - 1.5} for row in rows]
    ends = [
        {"run": name, "step": 0, "truth/gain": gain, "fid/x": value}
        for name, gain, value in (("(source)", 0, -0.5), ("(truth)", 1, -4.5))
    ]
    assert stand_ins.table(rows + ends).splitlines() == [
        "| measure | ρ over 6 settings [95 %] | ρ over 6 runs [95 %] | source | truth "
        "| truth beats | right about nothing |",
        "|---|---|---|---|---|---|---|",
        "| `fid/x` | -1.00 [-1.00, -1.00] | -1.00 [-1.00, -1.00] | -0.5 | -4.5 | 83% | 83% |",
    ]


def colours(frames: np.ndarray) -> dict[str, np.ndarray]:
    """A network whose maps are the frames, halved until a cell is as large as its tap's."""
    return {tap: frames[:, ::cell, ::cell] / 255.0 for tap, cell in stand_ins.TAPS.items()}


def test_deep_measures_rank_a_translation_above_its_source():
    """Two classes; the source is dark, the target bright, and shows more of the one class."""
    rng = np.random.default_rng(0)

    def domain(share: float, light: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.where(rng.random((8, 2, 4)) < share, 10, 0).repeat(16, 1).repeat(16, 2)
        frames = light + 90 * (labels == 10)[..., None] + rng.integers(0, 20, (*labels.shape, 3))
        return frames.astype(np.uint8), labels

    (dark, labels), (bright, wanted) = domain(0.3, 10), domain(0.8, 100)
    crops = {
        f"eyes/{tap}": crop_features(maps, 16 // stand_ins.TAPS[tap])
        for tap, maps in colours(bright).items()
    }
    beside = References({"eyes": colours}, crops, crop_labels(wanted, 16))

    def look(output: np.ndarray) -> dict[str, float]:
        clips: Any = [{"frames": dark, "labels": labels}]
        scores: Any = [SimpleNamespace(rollout=SimpleNamespace(output=output))]
        return stand_ins.deep_measures(clips, scores, beside)

    nothing, good = look(dark), look(dark + 90)
    for tap in stand_ins.TAPS:
        for what in ("fid", "kid", "matched_kid"):
            assert good[f"{what}/eyes/{tap}"] < nothing[f"{what}/eyes/{tap}"]
        assert nothing[f"content_distance/eyes/{tap}"] == pytest.approx(0, abs=1e-4)
    # What is left of KID is that the target shows more of one class.
    assert abs(good["matched_kid/eyes/conv2_2"]) < 0.2 * good["kid/eyes/conv2_2"]


def test_no_channel_decides_by_its_scale():
    rng = np.random.default_rng(2)
    crops, wanted = rng.normal(1, 2, (20, 3)), rng.normal(size=(30, 3))
    units = np.array([1.0, 1000.0, 1e-3])
    plain, large = (stand_ins.scaled(crops * by, wanted * by) for by in (np.ones(3), units))
    assert all(np.allclose(a, b) for a, b in zip(plain, large, strict=True))
    assert np.allclose(plain[1].std(0), 1) and np.allclose(plain[1].mean(0), 0)
    # A dead channel.
    assert np.isfinite(stand_ins.scaled(crops * 0, wanted * 0)[0]).all()


def test_a_killed_call_goes_on_where_it_stopped(tmp_path):
    settings = [Setting(f"runs/{name}", 10) for name in "abc"]
    asked = []

    def measure(setting: Setting) -> dict[str, float]:
        asked.append(setting)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return {"truth/gain": 0.5, f"only/{setting.workdir[-1]}": 1 / 3}

    with pytest.raises(KeyboardInterrupt):
        stand_ins.measure_all(settings, tmp_path, measure)
    rows = stand_ins.measure_all(settings, tmp_path, measure)
    assert asked == [*settings, settings[2]]
    assert [row["run"] for row in rows] == ["runs/a", "runs/b", "runs/c"]
    again = stand_ins.read(tmp_path / "measures.csv")
    assert [row["step"] for row in again] == [10] * 3 and again[0]["only/a"] == 1 / 3
    # A figure that a run does not have.
    assert math.isnan(again[1]["only/a"])


def test_the_table_is_sorted_and_counts_runs_apart_from_settings():
    rng = np.random.default_rng(1)
    rows = []
    for run in range(8):
        for step in (200, 100):
            gain = run + (0.5 if step == 200 else 0.0)
            rows.append({
                "run": f"r{run}", "step": step, "truth/gain": gain, "noise": rng.normal(),
                # Of the runs' last checkpoints the order is the truth's, of the first ones not.
                "late": gain if step == 200 else -gain, "inverse": -(gain**3), "flat": 1.0,
            })  # fmt: skip
    lines = stand_ins.table(rows).splitlines()
    assert "16 settings" in lines[0] and "8 runs" in lines[0]
    assert lines[2].startswith("| `inverse` | -1.00 [-1.00, -1.00] | -1.00")
    assert lines[-1] == "| `flat` | – | – |" and "right about" not in lines[0]
    late = next(line for line in lines if "`late`" in line)
    assert late.endswith("| +1.00 [+1.00, +1.00] |") and "| +1.00 [" not in late[:20]
