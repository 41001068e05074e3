"""The paper's baselines by config: trained, judged, translated, as a user does it."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from test_build import tiny

from v2v_jax import Translator, build
from v2v_jax.training.loop import train

SHORT = {
    "data.batch_size": 8,
    "steps": 2,
    "log_every": 1,
    "picture_every": 2,
    "checkpoint_every": 2,
}


def run(name, workdir, **changes):
    """Two steps of ``configs/demo_<name>.py`` with tiny networks."""
    make = importlib.import_module(f"configs.demo_{name}")
    config = tiny(make, **SHORT | {"segmenter.features": 4, "pool": 2} | changes)
    train(**build.training(config, workdir))
    return config


def test_cyclegan_trains_and_translates(tmp_path):
    run("cyclegan", tmp_path)
    video = np.random.default_rng(0).integers(0, 256, (3, 16, 32, 3), np.uint8)
    translated = Translator.load(tmp_path)(video)
    assert translated.shape == video.shape
    again = Translator.load(tmp_path)(video[1:2])
    np.testing.assert_array_equal(again[0], translated[1])


def test_cycada_is_judged_by_a_trained_segmenter(tmp_path):
    run("segmenter", tmp_path / "segmenter")
    judge = str(tmp_path / "segmenter")
    run("cycada", tmp_path / "cycada", **{"segmenter.run": judge})
    text = (tmp_path / "cycada" / "metrics.jsonl").read_text()
    assert "to_target/semantic" in text and "to_source/semantic" in text
    # Its colours are those of classes.
    video = np.zeros((1, 16, 32, 3), np.uint8)
    painted = Translator.load(tmp_path / "segmenter", direction="labels")(video)
    assert len(np.unique(painted.reshape(-1, 3), axis=0)) <= 19
    # The judge is no part of translating: it may be gone.
    (tmp_path / "segmenter").rename(tmp_path / "gone")
    assert Translator.load(tmp_path / "cycada")(video).shape == video.shape


@pytest.mark.parametrize(
    ("changes", "error", "hints"),
    [
        ({}, ValueError, ["config.segmenter.run is empty", "demo_segmenter.py"]),
        ({"segmenter.run": "nowhere"}, FileNotFoundError, ["nowhere"]),
        ({"weights.semantic": 0.0}, ValueError, ["weights.semantic", "CycleGAN"]),
    ],
)
def test_what_cycada_lacks_is_named(tmp_path, changes, error, hints):
    with pytest.raises(error) as caught:
        run("cycada", tmp_path, **changes)
    assert all(hint in str(caught.value) for hint in hints)


def test_a_run_that_is_no_such_segmenter_is_refused(tmp_path):
    run("segmenter", tmp_path / "other", **{"segmenter.features": 2})
    with pytest.raises(ValueError, match=r"not a run of the segmenter 'small' with 4 features"):
        run("cycada", tmp_path / "cycada", **{"segmenter.run": str(tmp_path / "other")})
