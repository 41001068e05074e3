"""From a config to objects: what is refused, what is said aloud, and evaluation inside training."""

from __future__ import annotations

import json
import logging
import math
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from command import write_video
from evaluation.quick import quick_judges

from configs import demo, videos
from v2v_jax import assembly
from v2v_jax.assembly import networks
from v2v_jax.assembly.resuming import changed_fields, warn_of_changes
from v2v_jax.assembly.scoring import evaluation_clips, judges, periodic_evaluation
from v2v_jax.data.world import World
from v2v_jax.evaluation import metrics
from v2v_jax.flow.dis import Dis
from v2v_jax.training.checkpoints import Checkpoints


def tiny(make: Any = demo, **changes: Any) -> Any:
    """A config on 16x32 frames with networks of 4 features; changes by dotted name.

    ``make``: a world of configs/, or (world, method).
    """
    world, *method = make if isinstance(make, tuple) else (make,)
    config = world.get_config(*method)
    config.data.size = (16, 32)
    config.data.clips, config.data.length = 2, 8
    config.image.features = config.fusion.features = config.discriminator.features = 4
    config.image.blocks = config.discriminator.layers = 1
    config.content.features, config.content.tap = 4, "relu1_2"
    config.evaluate.clips, config.evaluate.frames = 1, 8
    config.history = 0
    config.update_from_flattened_dict(changes)
    return config


@pytest.mark.parametrize(
    ("changes", "hints"),
    [
        ({"method": "cycle"}, ["'method'", "'cycle'", "recurrent"]),
        ({"data.size": (18, 32)}, ["config.data.size", "18x32", "multiples of 4", "16,32"]),
        ({"data.size": (8, 32)}, ["config.data.size", "8x32", "at least 16"]),
        ({"data.size": (64,)}, ["config.data.size", "height,width"]),
        ({"data.size": (64, 64, 3)}, ["config.data.size", "height,width"]),
        ({"data.frames": 1}, ["config.data.frames", "at least 2"]),
        ({"flow.kind": "farneback"}, ["'kind'", "farneback", "zero, dis, given"]),
        ({"precision": "int8"}, ["'precision'", "float32, bfloat16"]),
        ({"image.upsample": "nearest"}, ["'upsample'", "'nearest'", "transpose, resize"]),
        ({"image.up_init": "flat"}, ["'up_init'", "'flat'", "normal, even"]),
        ({"cycle_memory": "none"}, ["cycle_memory", "'source'"]),
        ({"fusion.kind": "max"}, ["'kind'", "'max'", "learned, average, rule"]),
        ({"fusion.kind": "rule", "gate": False}, ["config.fusion.kind", "--config.gate=true"]),
    ],
    ids=str,
)
def test_a_method_that_cannot_be_built_is_one_clear_error(changes, hints):
    with pytest.raises(ValueError) as error:
        assembly.method(tiny(**changes))
    for hint in hints:
        assert hint in str(error.value)


@pytest.mark.parametrize(
    ("weights", "changes", "kind", "hint"),
    [
        ("", {}, ValueError, "--config.content.weights=random"),
        ("", {}, ValueError, "`make features`"),
        ("nowhere.npz", {"content.features": 64}, FileNotFoundError, "nowhere.npz"),
        ("vgg.npz", {"content.features": 16}, ValueError, "64 wide"),
        ("vgg.txt", {"content.features": 64}, ValueError, ".safetensors"),
        ("broken.npz", {"content.features": 64}, ValueError, "broken.npz"),
    ],
)
def test_content_weights_must_be_had_or_random_by_name(tmp_path, weights, changes, kind, hint):
    (tmp_path / "broken.npz").write_bytes(b"no zip file")
    (tmp_path / "vgg.txt").write_text("weights, honestly")
    path = str(tmp_path / weights) if weights else ""
    with pytest.raises(kind) as error:
        assembly.frozen(tiny(**{"content.weights": path, **changes}))
    assert hint in str(error.value)
    assert "\n" not in str(error.value)


def test_random_content_weights_are_said_aloud_and_the_same_every_time(caplog):
    with caplog.at_level(logging.WARNING, "absl"):
        first, second = assembly.frozen(tiny()), assembly.frozen(tiny(seed=5))
    assert "RANDOM" in caplog.text
    assert jax.tree.all(jax.tree.map(np.array_equal, first, second))


def test_without_the_content_term_no_weights_are_asked_for():
    config = tiny(**{"weights.content": 0.0, "content.weights": ""})
    assert assembly.frozen(config) == {"content": {}, "flow": {}, "segmenter": {}, "translator": {}}
    assert networks.random_weights_note(config) is None


def test_random_weights_work_at_the_papers_width():
    config = tiny(**{"content.features": 64, "content.tap": "relu1_2"})
    assert assembly.frozen(config)["content"]["conv1_2"]["kernel"].shape == (3, 3, 64, 64)


def plain(config):
    return json.loads(config.to_json_best_effort())


def test_a_saved_config_restores_the_method_without_its_content_weights():
    restored = assembly.restore_method(plain(tiny(**{"content.weights": "gone.safetensors"})))
    assert restored.method == assembly.method(tiny())
    assert restored.host_flow == Dis(scale=2.0)
    assert assembly.restore_method(plain(tiny(**{"flow.kind": "zero"}))).host_flow is None
    # An arbitrary video brings no flow of its own.
    assert assembly.restore_method(plain(tiny(**{"flow.kind": "given"}))).host_flow == Dis(
        scale=2.0
    )


@pytest.mark.parametrize("change", ["unknown weight", "unknown option"])
def test_a_config_of_another_version_is_named_as_such(change):
    saved = plain(tiny())
    if change == "unknown weight":
        saved["weights"]["perceptual"] = 1.0
    else:
        saved["fusion"]["occlusion_a"] = 50.0
    with pytest.raises(ValueError, match=r"another version of v2v_jax.*(perceptual|occlusion_a)"):
        assembly.restore_method(saved)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, []),
        ({"steps": 9, "log_every": 9, "picture_every": 9, "checkpoint_every": 9}, []),
        ({"evaluate_every": 9, "evaluate.clips": 3, "keep": 9, "data.threads": 9}, []),
        ({"data.source": "b/*", "data.cache": "/tmp/c"}, []),
        ({"optimizer.learning_rate": 1.0}, ["optimizer.learning_rate 0.0005 -> 1.0"]),
        ({"data.size": (16, 64), "gate": False}, ["data.size [16, 32] -> [16, 64]", "gate True"]),
        ({"content.weights": "vgg.npz"}, ["content.weights random -> vgg.npz"]),
    ],
    ids=str,
)
def test_changed_fields_are_those_that_change_the_training(changes, named):
    found = changed_fields(plain(tiny()), plain(tiny(**changes)))
    assert len(found) == len(named)
    for change, hint in zip(found, named, strict=True):
        assert change.startswith(hint)


def test_a_moved_weight_file_and_other_versions_fields():
    moved = {"content": {"weights": "a.npz"}}, {"content": {"weights": "b.npz"}}
    assert changed_fields(*moved) == []
    assert changed_fields({"old": 1}, {"new": (2,)}) == ["new unset -> [2]", "old 1 -> unset"]


def test_resuming_with_another_config_is_one_warning(tmp_path, caplog):
    config = tiny()
    saved = {"ema": {"to_target": {"w": jax.numpy.zeros(3)}}}
    with caplog.at_level(logging.WARNING, "absl"):
        warn_of_changes(plain(config), tmp_path)  # A fresh folder.
        checkpoints = Checkpoints(tmp_path / "checkpoints")
        checkpoints.save(1, saved, {"config": plain(config)})
        checkpoints.close()
        warn_of_changes(plain(config), tmp_path)
        assert not caplog.records
        warn_of_changes(plain(tiny(ema_decay=0.5, seed=3)), tmp_path)
    assert len(caplog.records) == 1
    assert "ema_decay 0.99 -> 0.5; seed 0 -> 3" in caplog.text


def test_training_needs_a_folder_it_can_write(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"--workdir=.*file/run cannot be written: Not a directory"):
        assembly.training(tiny(), tmp_path / "file" / "run")


def test_empty_globs_name_the_field(tmp_path):
    config = tiny(videos)
    with pytest.raises(ValueError, match=r"config\.data\.source is empty.*--config\.data\.source="):
        assembly.training(config, tmp_path)


def test_no_evaluation_unless_asked_for(tmp_path):
    config = tiny()
    assert periodic_evaluation(config, tmp_path, assembly.method(config)) is None
    arguments = assembly.training(config, tmp_path)
    assert arguments["evaluate"] is None
    assert arguments["meta"]["config"] == plain(config)


def state(**fields) -> Any:
    return SimpleNamespace(**fields)


def evaluation_of(config, workdir):
    method = assembly.method(config)
    batch = assembly.description(config)["batch"]
    batch = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), batch)
    params = jax.jit(method.init)(jax.random.key(0), batch)["generator"]
    evaluate = periodic_evaluation(config, workdir, method)
    assert evaluate is not None
    return evaluate, params


def test_evaluation_inside_training_scores_the_averaged_parameters(
    tmp_path, monkeypatch, optimised
):
    # Else a warped grey is not grey to the last bit.
    monkeypatch.setattr(metrics, "_squares_per_pair", optimised(metrics._squares_per_pair))
    config = tiny(**{"evaluate_every": 5, "evaluate.clips": 7})
    evaluate, params = evaluation_of(config, tmp_path)
    zeros = jax.tree.map(np.zeros_like, params)
    figures = evaluate(state(params=zeros, ema=params), 5)
    assert figures == evaluate(state(params=params, ema=params), 10)
    other = {"to_target": params["to_target"], "to_source": zeros["to_source"]}
    assert figures == evaluate(state(params=params, ema=other), 10)
    blank = evaluate(state(params=params, ema=zeros), 10)
    # Nothing but grey: no error along the flow, and no structure of the source.
    assert blank["eval/warping_error/output"] == 0 < figures["eval/warping_error/output"]
    assert figures["eval/clips"] == 2, "a few clips, whatever the evaluation afterwards takes"
    assert {"eval/mask_new", "eval/at_1/structure/output"} <= set(figures)
    for name, value in figures.items():
        assert name.startswith("eval/")
        assert type(value) is float and not math.isinf(value), name


def test_evaluation_inside_training_takes_short_videos_as_they_are(tmp_path, caplog):
    pattern = str(write_video(tmp_path / "a" / "0.mp4", 6))
    config = tiny(videos, **{"evaluate_every": 5, "data.source": pattern})
    with caplog.at_level(logging.WARNING, "absl"):
        evaluate, params = evaluation_of(config, tmp_path)
    assert "only 6 frames" in caplog.text and "training videos" in caplog.text
    figures = evaluate(state(ema=params), 5)
    assert "eval/at_1/warping_error/output" in figures
    assert not any(name.startswith("eval/at_10") for name in figures)


def test_evaluation_afterwards_wants_the_length_it_was_asked_for(tmp_path):
    paths = [write_video(tmp_path / "a" / f"{i}.mp4", length) for i, length in enumerate((4, 9))]
    config = tiny(videos, **{"data.source": str(paths[0].parent / "*"), "evaluate.frames": 10})
    with pytest.raises(ValueError, match=r"longest .* has 9 frames.*--config\.evaluate\.frames=9"):
        evaluation_clips(config, "source", tmp_path)
    config.evaluate.frames = 9
    (clip,) = evaluation_clips(config, "source", tmp_path)
    assert clip["name"] == str(paths[1]) and clip["frames"].shape == (9, 16, 32, 3)
    config.evaluate.clips = 0
    with pytest.raises(ValueError, match="0 clips"):
        evaluation_clips(config, "source", tmp_path)


def test_held_out_videos_are_those_of_the_evaluation(tmp_path):
    train = write_video(tmp_path / "train" / "0.mp4", 8)
    held_out = write_video(tmp_path / "test" / "1.mp4", 8)
    config = tiny(videos, **{"data.source": str(train), "evaluate.source": str(held_out)})
    assert evaluation_clips(config, "source", tmp_path)[0]["name"] == str(held_out)


def test_synthetic_clips_are_held_out_and_know_everything(tmp_path):
    config = tiny()
    (clip,) = evaluation_clips(config, "source", tmp_path)
    assert clip["name"] == "game test 0"
    known: Any = clip
    assert known["flow"].shape == (7, 16, 32, 2) and known["labels"].shape == (8, 16, 32)
    trained_on = assembly.training(config, tmp_path)["batches"].args[0].read(0, 0, 8)
    assert not np.array_equal(clip["frames"], trained_on["frames"])


@pytest.mark.parametrize("domain", ["source", "target"])
def test_synthetic_clips_bring_their_perfect_translation(domain, tmp_path):
    (clip,) = evaluation_clips(tiny(), domain, tmp_path)
    mine, other = ("game", "street") if domain == "source" else ("street", "game")
    world = World(mine, "test", height=16, width=32, clips=1, length=8)
    assert np.array_equal(clip["frames"], world.frames(0).frames)
    assert np.array_equal(clip.get("truth", ()), world.perfect(other).frames(0).frames)


def test_no_training_sees_the_truth(tmp_path):
    config = tiny(**{"data.labels": True, "data.clips": 1})
    options = assembly.training(config, tmp_path)
    batch: Any = next(options["batches"](0))
    world = World("game", height=16, width=32, clips=1, length=8)
    truth = world.perfect("street").frames(0).frames
    for name in ("source", "target"):
        assert batch[name].keys() <= {"frames", "flow", "labels"}
        rows = np.asarray(batch[name]["frames"]).reshape(-1, *truth.shape[1:])
        gaps = np.abs(rows[:, None].astype(int) - truth[None]).mean(axis=(2, 3, 4))
        mirrored = np.abs(rows[:, None, :, ::-1].astype(int) - truth[None]).mean(axis=(2, 3, 4))
        assert min(gaps.min(), mirrored.min()) > 5


def test_evaluation_inside_training_follows_the_gain_and_no_detail(tmp_path):
    evaluate, params = evaluation_of(tiny(evaluate_every=5), tmp_path)
    figures = evaluate(state(ema=params), 5)
    assert {"eval/truth/gain", "eval/truth/l1/output"} <= figures.keys()
    assert not [name for name in figures if "class_" in name or "/truth/" in name[len("eval/") :]]


def test_judges_of_a_domain_with_labels(tmp_path, monkeypatch):
    quick_judges(monkeypatch)
    found = judges(tiny(), ("source", "target"), tmp_path)
    assert found.segment is not None and found.share_target is not None
    frames = evaluation_clips(tiny(), "target", tmp_path)[0]["frames"]
    assert 0 <= found.share_target(frames) <= 1
    assert found.segment(frames).shape == frames.shape[:3]
