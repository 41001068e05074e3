"""Where a run starts from: what is asked for, refused, told, and skipped."""

from __future__ import annotations

import json
import logging
from typing import Any

import jax
import numpy as np
import pytest
from assembly.test_assembly import tiny
from training.test_checkpoints import assert_same

from configs import demo
from v2v_jax import Translator, assembly
from v2v_jax.assembly.resuming import changed_fields
from v2v_jax.training import loop, parallel
from v2v_jax.training.checkpoints import load_player, saved_steps
from v2v_jax.training.describe import describe

WARM = {"warm_up.steps": 3, "warm_up.batch": 4, "log_every": 1, "picture_every": 0}


def config_of(method="cyclegan", **changes) -> Any:
    return tiny((demo, method), **WARM, **changes)


def train(config, workdir, init_from=None, **options):
    arguments = assembly.training(config, workdir, init_from)
    return loop.train(**arguments | {"mesh": parallel.make_mesh(jax.devices()[:1])} | options)


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)


@pytest.fixture(scope="module")
def warmed(tmp_path_factory):
    """A run of two steps behind its warm-up."""
    workdir = tmp_path_factory.mktemp("warmed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "device_count", lambda: 1)
        return workdir, train(config_of(steps=2), workdir)


def test_without_warm_up_nothing_is_new(tmp_path):
    arguments = assembly.training(tiny(), tmp_path)
    assert arguments["warm_up"] is None and arguments["initial"] is None
    assert "warm_up" not in assembly.description(tiny())


def test_a_run_stopped_at_any_point_is_the_whole_one(tmp_path, warmed):
    """Stopped in the phase, at its end, and in the run; with the pipeline's own batches."""
    arguments = assembly.training(config_of(steps=2), tmp_path)
    one = {"mesh": parallel.make_mesh(jax.devices()[:1])}
    for last in (2, 3):
        stopped = arguments["warm_up"] | {"steps": last}
        loop.train(workdir=tmp_path / "warm_up", **stopped, **one)
        assert saved_steps(tmp_path / "warm_up" / "checkpoints")[-1] == last
    loop.train(**arguments | {"steps": 1}, **one)
    assert_same(train(config_of(steps=2), tmp_path), warmed[1])


def test_frames_are_single_ones_of_both_domains_and_a_stream_of_their_own(tmp_path):
    arguments = assembly.training(config_of(**{"data.batch_size": 2}), tmp_path)
    stream, own = arguments["warm_up"]["batches"](0), arguments["batches"](0)
    first, second, other = next(stream), next(stream), next(own)
    for domain in ("source", "target"):
        assert first[domain].keys() == {"frames"}
        assert first[domain]["frames"].shape == (2, 1, 16, 32, 3)
        assert not np.array_equal(first[domain]["frames"], second[domain]["frames"])
        assert not np.array_equal(first[domain]["frames"], other[domain]["frames"])
    resumed = next(arguments["warm_up"]["batches"](1))
    np.testing.assert_array_equal(resumed["source"]["frames"], second["source"]["frames"])


def test_another_runs_networks_take_the_place_of_the_phase(tmp_path, warmed, caplog):
    with caplog.at_level(logging.INFO, "absl"):
        state = train(config_of(steps=1), tmp_path / "new", str(warmed[0]), steps=0)
    said = [r.getMessage() for r in caplog.records if "starting from" in r.getMessage()]
    assert said == [f"starting from what translates in {warmed[0]}, without the 3 steps of warm-up"]
    assert not (tmp_path / "new" / "warm_up").exists()
    ema, _ = load_player(warmed[0] / "checkpoints")
    assert_same(state.params["generator"], ema)
    assert_same(state.ema, ema)
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        train(config_of(steps=1), tmp_path / "other", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"start from does not fit.*is float32.*, this run needs"):
        train(config_of(steps=1, **{"image.features": 8}), tmp_path / "other", str(warmed[0]))


def test_the_warmed_networks_translate_by_themselves(warmed):
    frames = np.random.default_rng(0).integers(0, 256, (2, 16, 32, 3), np.uint8)
    assert Translator.load(warmed[0] / "warm_up")(frames).shape == frames.shape


@pytest.mark.parametrize(
    ("method", "changes", "hints"),
    [
        ("bt", {}, ["config.warm_up.steps: 3", "'blind_temporal'", "no image generators"]),
        ("segmenter", {}, ["config.warm_up.steps: 3", "'segmentation'", "no image generators"]),
        ("cyclegan", {"warm_up.steps": -1}, ["config.warm_up.steps: -1"]),
        ("cyclegan", {"warm_up.batch": 3}, ["config.warm_up.batch: 3", "even"]),
        ("cyclegan", {"warm_up.batch": 0}, ["config.warm_up.batch: 0", "at least 2"]),
    ],
)
def test_a_warm_up_that_cannot_be_had_is_one_clear_error(method, changes, hints, tmp_path):
    config = tiny((demo, method), **WARM | {"stabiliser.run": "r"} | changes)
    with pytest.raises(ValueError) as error:
        assembly.description(config)
    for hint in hints:
        assert hint in str(error.value)
    assert "\n" not in str(error.value)


def test_frames_that_cannot_be_dealt_out(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    with pytest.raises(ValueError, match=r"warm_up\.batch: 2 .* 4 devices: .* multiple of 8"):
        assembly.training(config_of(), tmp_path)


def test_description_tells_its_cost():
    text = describe(**assembly.description(config_of()))
    before, after = text.split("batch of the 3 steps of warm-up\n")
    assert before.rstrip("\n") == describe(**assembly.description(_cold()))
    lines = after.splitlines()
    assert lines[0].split() == ["source.frames", "uint8", "[2,", "1,", "16,", "32,", "3]"]
    assert lines[2] == "one step of warm-up" and lines[3].split()[0] == "GFLOP"
    assert 0 < float(lines[3].split()[1]) < 1


def _cold():
    config = config_of()
    config.warm_up.steps = 0
    return config


def test_a_changed_warm_up_is_one_warning_while_it_lasts(tmp_path, caplog):
    arguments = assembly.training(config_of(), tmp_path)
    one = {"mesh": parallel.make_mesh(jax.devices()[:1])}
    loop.train(workdir=tmp_path / "warm_up", **arguments["warm_up"] | {"steps": 1}, **one)
    with caplog.at_level(logging.WARNING, "absl"):
        assembly.training(config_of(**{"warm_up.learning_rate": 0.1}), tmp_path)
    assert caplog.text.count("warm_up.learning_rate 0.002 -> 0.1") == 1


def test_configs_of_older_versions_are_those_without_it():
    new = json.loads(tiny().to_json_best_effort())
    old = json.loads(json.dumps(new))
    del old["warm_up"], old["image"]["upsample"], old["image"]["up_init"]
    assert changed_fields(old, new) == changed_fields(new, old) == []
    new["image"]["upsample"] = "resize"
    assert changed_fields(old, new) == ["image.upsample transpose -> resize"]
