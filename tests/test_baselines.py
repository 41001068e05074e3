"""The paper's baselines by config: trained, judged, translated, as a user does it."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from assembly.test_assembly import plain, tiny
from methods.tiny_recurrent import draw_like
from test_configs import parameters

from configs import demo, viper2city
from v2v_jax import Translator, assembly
from v2v_jax.methods import blind_temporal, recyclegan
from v2v_jax.nets.generator import ResnetGenerator
from v2v_jax.training import parallel
from v2v_jax.training.checkpoints import Checkpoints, load_player
from v2v_jax.training.loop import train

SHORT = {
    "data.batch_size": 8,
    "steps": 2,
    "log_every": 1,
    "picture_every": 2,
    "checkpoint_every": 2,
}


SMALL = {
    "segmenter.features": 4,
    "predictor.features": 4,
    "stabiliser.features": 4,
    "stabiliser.blocks": 1,
}


def run(name, workdir, devices=None, **changes):
    """Two steps of ``configs/demo.py``, or ``demo.py:<name>``, with tiny networks."""
    make = demo if name == "demo" else (demo, name)
    config = tiny(make, **SHORT | SMALL | {"pool": 2} | changes)
    mesh = parallel.make_mesh(jax.devices()[:devices])
    train(**assembly.training(config, workdir) | {"mesh": mesh})
    return config


def noise(frames=4):
    return np.random.default_rng(0).integers(0, 256, (frames, 16, 32, 3), np.uint8)


def terms(workdir):
    """The loss terms that a run has logged."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return {name[5:] for line in lines for name in json.loads(line) if name.startswith("term/")}


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
        ({}, ValueError, ["config.segmenter.run is empty", "demo.py:segmenter"]),
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


# --- Recycle-GAN ----------------------------------------------------------------------------


def test_recyclegan_trains_and_translates(tmp_path):
    run("recyclegan", tmp_path)
    losses = {"adversarial", "recycle", "prediction", "cycle", "identity", "discriminator"}
    assert terms(tmp_path) == {f"{n}/{x}" for n in ("to_target", "to_source") for x in losses}
    for direction in ("to_target", "to_source"):
        translated = Translator.load(tmp_path, direction)(noise())
        assert translated.shape == (4, 16, 32, 3)
    # Frame by frame: the predictor exists only while training.
    again = Translator.load(tmp_path, "to_source")(noise()[2:3])
    np.testing.assert_array_equal(again[0], translated[2])


def test_recyclegans_configs_are_upstreams_variants():
    config = viper2city.get_config("recyclegan")
    made = assembly.method(config)
    assert isinstance(made, recyclegan.RecycleGan)
    assert made.weights == recyclegan.VARIANTS["reCycle"] and made.adversarial == "lsgan"
    config.weights.cycle = 0.0
    plainer = assembly.method(config)
    assert isinstance(plainer, recyclegan.RecycleGan)
    assert plainer.weights == recyclegan.VARIANTS["recycle"]
    batch = assembly.description(config)["batch"]
    assert batch["source"].keys() == {"frames"} and batch["source"]["frames"].shape[1] == 3
    params = jax.eval_shape(made.init, jax.random.key(0), batch)
    assert parameters(params["predictor"]["to_target"]) == 54_407_747  # unet_256
    # The depth that fits every size is that of unet_256 here.
    config.predictor.depth = 0
    assert jax.eval_shape(assembly.method(config).init, jax.random.key(0), batch) == params


@pytest.mark.parametrize(
    ("changes", "hints"),
    [
        ({"data.frames": 2}, ["config.data.frames", "K = 2", "at least 3"]),
        ({"predictor.depth": 9}, ["config.predictor.depth", "at most 8", "depth=0"]),
        ({"predictor.depth": -1}, ["config.predictor.depth", "-1"]),
        ({"predictor.depth": 5}, ["config.predictor.depth", "16x32", "depth=0"]),
    ],
)
def test_what_recyclegan_cannot_do_is_named(tmp_path, changes, hints):
    with pytest.raises(ValueError) as caught:
        run("recyclegan", tmp_path, **changes)
    assert all(hint in str(caught.value) for hint in hints) and "\n" not in str(caught.value)


# --- Blind temporal consistency -------------------------------------------------------------


def test_blind_temporal_is_trained_over_a_per_frame_run(tmp_path):
    run("cyclegan", tmp_path / "cyclegan")
    before = load_player(tmp_path / "cyclegan" / "checkpoints")[0]["to_target"]
    over = {"stabiliser.run": str(tmp_path / "cyclegan")}
    config = run("bt", tmp_path / "bt", **over, evaluate_every=2)
    losses = {"short_term", "long_term", "content"}
    assert terms(tmp_path / "bt") == {f"to_target/{term}" for term in losses}
    assert "eval/warping_error/raw" in (tmp_path / "bt" / "metrics.jsonl").read_text()
    translator = Translator.load(tmp_path / "bt")
    assert translator.host_flow is None, "flow serves the losses alone"
    np.testing.assert_equal(jax.device_get(translator.params["frozen"]["translator"]), before)
    raw, steady = Translator.load(tmp_path / "cyclegan")(noise()), translator(noise())
    np.testing.assert_array_equal(steady[0], raw[0])
    assert (steady[1:] != raw[1:]).any()
    described = assembly.description(config)
    assert described["frozen"]["translator"].keys() == before.keys()
    with pytest.raises(ValueError, match="'to_source'"):
        Translator.load(tmp_path / "bt", "to_source")
    (tmp_path / "cyclegan").rename(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="holds no checkpoint") as caught:
        Translator.load(tmp_path / "bt")
    for hint in (f"{tmp_path}/cyclegan", "--workdir=", "--stabilise="):
        assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


def save(workdir, generator, config):
    """A checkpoint of a run that nobody trained."""
    checkpoints = Checkpoints(workdir / "checkpoints")
    checkpoints.save(1, {"ema": generator}, {"config": plain(config)})
    checkpoints.close()


def image_params(features=4, blocks=1):
    frame = jax.ShapeDtypeStruct((1, 16, 32, 3), np.float32)
    shapes = jax.eval_shape(ResnetGenerator(features, blocks).init, jax.random.key(0), frame)
    return jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes["params"])


STEADY = {name: {"kernel": np.ones(3, np.float32)} for name in ("stem_original", "head")}
"""Layers of a stabiliser."""


def test_of_the_papers_method_only_the_image_generator_counts(tmp_path):
    one = {"image": image_params(), "fusion": {"conv": np.zeros(3, np.float32)}}
    save(tmp_path, {"to_target": one, "to_source": one}, tiny())
    changes = {"stabiliser.run": str(tmp_path), "weights.long_term": 1.0, "weights.content": 0.0}
    frozen = assembly.frozen(tiny(**changes))
    np.testing.assert_equal(frozen["translator"], image_params())
    assert assembly.frozen(tiny(**changes | {"weights.long_term": 0.0}))["translator"] == {}


@pytest.mark.parametrize(
    ("changes", "error", "hints"),
    [
        ({"stabiliser.run": ""}, ValueError, ["stabiliser.run is empty", "demo.py:cyclegan"]),
        ({"stabiliser.run": "nowhere"}, FileNotFoundError, ["stabiliser.run", "nowhere"]),
        ({"image.features": 8}, ValueError, ["4 features and 1 blocks", "--config.image.features"]),
        ({"image.blocks": 2}, ValueError, ["4 features and 1 blocks", "--config.image.blocks"]),
        ({"saved": "segmentation"}, ValueError, ["no image generator", "'segmentation'"]),
        ({"saved": "blind_temporal"}, ValueError, ["no image generator", "'blind_temporal'"]),
        ({"stabiliser.norm": "batch"}, ValueError, ["'norm'", "'batch'", "none, instance"]),
        ({"weights.short_term": 0.0, "weights.long_term": 0.0}, ValueError, ["both 0"]),
        ({"data.frames": 1}, ValueError, ["config.data.frames", "at least 2"]),
    ],
    ids=str,
)
def test_what_blind_temporal_lacks_is_named(tmp_path, changes, error, hints):
    changes = {"stabiliser.run": str(tmp_path / "other")} | changes
    method = changes.pop("saved", "cyclegan")
    direction = "labels" if method == "segmentation" else "to_target"
    params = STEADY if method == "blind_temporal" else image_params()
    save(tmp_path / "other", {direction: params}, tiny(method=method))
    with pytest.raises(error) as caught:
        run("bt", tmp_path / "bt", **changes)
    message = str(caught.value)
    assert all(hint in message for hint in hints) and "\n" not in message


def test_blind_temporals_config_is_upstreams():
    config = viper2city.get_config("bt")
    made = assembly.method(config)
    assert isinstance(made, blind_temporal.BlindTemporal)
    assert made.weights == blind_temporal.Weights() and not made.content.normalise
    described = assembly.description(config)
    params = jax.eval_shape(made.init, jax.random.key(0), described["batch"])
    assert parameters(params["stabiliser"]["to_target"]) == 2_979_555
    assert parameters(described["frozen"]["translator"]) == 7_833_987
    assert "conv4_3" in described["frozen"]["content"]
    assert "conv5_1" not in described["frozen"]["content"]


# --- The paper's ablations ------------------------------------------------------------------


def gate_of(current, previous):
    """Lai et al.'s squared mask, of frames in 0..255."""
    return np.exp(-50.0 * np.square((current - previous) / 255.0).sum(-1, keepdims=True))


@pytest.mark.parametrize("kind", ["average", "rule"])
def test_a_fusion_without_parameters_trains_resumes_and_translates(tmp_path, kind):
    changes = {"fusion.kind": kind, "gate": kind == "rule", "flow.kind": "zero"}
    # Fewer terms and devices compile faster.
    changes |= {"weights.content": 0.0, "weights.cycle": 0.0, "data.batch_size": 1}
    run("demo", tmp_path, devices=1, **changes)
    run("demo", tmp_path, devices=1, **changes, steps=3)
    assert load_player(tmp_path / "checkpoints", 3)[0]["to_target"].keys() == {"image"}
    loaded = Translator.load(tmp_path)
    # So short a training leaves a grey image generator.
    generator = draw_like(loaded.params["generator"])
    translator = Translator(loaded.method, generator, loaded.params["frozen"], loaded.host_flow)
    video = noise(2)
    change = np.random.default_rng(1).integers(-40, 41, video[0].shape)
    video[1] = np.clip(video[0].astype(int) + change, 0, 255)
    first, second = translator(video[:1])[0].astype(float), translator(video[1:])[0].astype(float)
    kept = gate_of(*video[::-1].astype(float)) if kind == "rule" else 0.5
    assert np.abs(first - second).max() > 30 and np.ptp(gate_of(*video.astype(float))) > 0.5
    expected = kept * first + (1 - kept) * second
    assert np.abs(translator(video)[1] - expected).max() <= 1
