"""Steadying what a run translates, and any pair of videos, in the graph and by command line."""

from __future__ import annotations

import cv2
import jax
import numpy as np
import pytest
from assembly.test_assembly import tiny
from command import call, refused, write_video
from methods.tiny_recurrent import draw_like
from test_baselines import SMALL, image_params, noise, save
from test_translator import grey_levels, streamed

from configs import demo
from v2v_jax import Translator, assembly
from v2v_jax.assembly import data
from v2v_jax.data.media.reader import open_video
from v2v_jax.data.media.writer import VideoWriter
from v2v_jax.evaluation import protocol
from v2v_jax.methods.stabilised import Pair, Stabilised

GONE = {"stabiliser.run": "gone"}


def drawn(config, gain):
    """Parameters of the translating player; a real start would hardly show a picture."""
    described = assembly.description(config)
    method, batch = described["method"], described["batch"]
    shapes = jax.eval_shape(method.init, jax.random.key(0), batch)[method.players[0]]
    return draw_like(shapes, gain=gain)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A per-frame run, one of the paper's method, and a stabiliser whose translator is gone."""
    folder = tmp_path_factory.mktemp("runs")
    for name, make, changes in (
        ("cyclegan", (demo, "cyclegan"), {}),
        ("ours", demo, {}),
        ("bt", (demo, "bt"), SMALL | GONE),
    ):
        config = tiny(make, **changes)
        save(folder / name, drawn(config, gain=1.0), config)
    return folder


def of(restored, generator, chunk=None):
    return Translator(restored.method, generator, restored.frozen, restored.host_flow, chunk)


@pytest.fixture(scope="module")
def steadied(runs):
    """The per-frame run with the stabiliser behind it."""
    return assembly.stabilised(runs / "cyclegan", runs / "bt")


def test_what_a_run_translates_is_steadied(runs, steadied):
    video, translator = noise(5), of(*steadied, chunk=2)
    assert isinstance(translator.method, Stabilised)
    assert translator.method.directions == ("to_target", "to_source")
    raw, steady = Translator.load(runs / "cyclegan")(video), translator(video)
    np.testing.assert_array_equal(steady[0], raw[0])
    assert grey_levels(steady[1:], raw[1:]) > 30
    # As one, in chunks, frame by frame, and behind a translator that is at hand.
    assert grey_levels(of(*steadied, chunk=8)(video), steady) <= 1
    assert grey_levels(streamed(translator, video), steady) <= 1
    loaded = Translator.load(runs / "cyclegan")
    restored = assembly.restore_method(build_config(runs / "cyclegan"))
    again = assembly.stabilise(restored, loaded.params["generator"], runs / "bt")
    np.testing.assert_array_equal(of(*again, chunk=2)(video), steady)
    # The stabiliser is what it was trained to be: by hand, of the translator's frames.
    stabiliser, params = translator.method.stabiliser, translator.params["generator"]
    frames, processed = (np.float32(x)[None] / 127.5 - 1 for x in (video, raw))
    carry = stabiliser.initial_carry(frames)
    run = jax.jit(stabiliser.stabilise)
    _, expected = run(params["stabiliser"], {}, carry, frames, processed)
    levels = np.round((np.asarray(expected[0]) + 1) * 127.5).astype(np.uint8)
    assert grey_levels(levels, steady) <= 2


def build_config(workdir):
    from v2v_jax.training.checkpoints import load_player

    return load_player(workdir / "checkpoints")[1]["config"]


def test_the_other_direction_and_a_step(runs):
    there, back = (
        assembly.stabilised(runs / "cyclegan", runs / "bt", direction)[1]
        for direction in ("to_target", "to_source")
    )
    same = jax.tree.map(np.array_equal, there, back)
    assert jax.tree.all(same["stabiliser"]) and not jax.tree.all(same["translator"])
    with pytest.raises(FileNotFoundError, match="no checkpoint 7"):
        assembly.stabilised(runs / "cyclegan", runs / "bt", step=7)
    with pytest.raises(FileNotFoundError, match="no checkpoint 7"):
        assembly.stabilised(None, runs / "bt", step=7)


def test_the_papers_method_can_be_steadied_and_evaluated(runs):
    """With its flow and its carry; what flickers is its output."""
    restored, generator = assembly.stabilised(runs / "ours", runs / "bt")
    video = noise(4)
    arguments = restored.method, generator, restored.frozen, video
    flow = protocol.host_flow(video, restored.host_flow)
    assert flow is not None
    rolled = protocol.rollout(*arguments, flow, chunk=3)
    np.testing.assert_array_equal(rolled.raw, Translator.load(runs / "ours")(video))
    assert grey_levels(rolled.output, of(restored, generator)(video)) <= 1
    assert not rolled.mask.any() and grey_levels(rolled.output, rolled.raw) > 30


def test_any_pair_of_videos_is_steadied(runs, steadied):
    """Of the translator's own frames, the steady video is the same."""
    restored, generator = assembly.stabilised(None, runs / "bt")
    translator = of(restored, generator, chunk=2)
    assert isinstance(translator.method, Pair) and translator.channels == 6
    video = noise(5)
    raw = Translator.load(runs / "cyclegan")(video)
    pair = np.concatenate([video, raw], axis=-1)
    steady = translator(pair)
    assert steady.shape == video.shape and steady.dtype == np.uint8
    np.testing.assert_array_equal(steady[0], raw[0])
    # The pair went through 8 bits.
    assert grey_levels(steady, of(*steadied, chunk=2)(video)) <= 3
    assert grey_levels(streamed(translator, pair), steady) <= 1
    beside: list[np.ndarray] = []
    translator.translate_stream(iter(pair), beside.append, side_by_side=True)
    np.testing.assert_array_equal(np.stack(beside), np.concatenate([video, raw, steady], axis=2))
    smaller: list[np.ndarray] = []
    doubled = pair.repeat(2, axis=1).repeat(2, axis=2)
    translator.translate_stream(iter(doubled), smaller.append, size=(16, 32))
    assert grey_levels(np.stack(smaller), steady) <= 1
    with pytest.raises(ValueError, match=r"uint8 \[T, H, W, 6\].* got uint8 \[5, 16, 32, 3\]"):
        translator(video)
    with pytest.raises(ValueError, match=r"every frame must be uint8 \[16, 32, 6\]"):
        translator.step(video[0], translator.start(16, 32))


# --- The command line -----------------------------------------------------------------------


def read(path):
    with open_video(path) as reader:
        return np.stack(list(reader))


def differs(path, expected):
    """From frames that went through the same compression, on average."""
    again = path.with_name("expected.mp4")
    with VideoWriter(again, 10, *expected.shape[1:3]) as writer:
        for frame in expected:
            writer.write(frame)
    difference = np.abs(read(path).astype(int) - read(again)).mean()
    again.unlink()
    return difference


def flickering(path, original):
    """The original, brighter and darker by turns, as frames that lose nothing."""
    path.mkdir(parents=True)
    for t, frame in enumerate(read(original)):
        changed = np.clip(frame.astype(int) + 20 * (-1) ** t, 0, 255).astype(np.uint8)
        cv2.imwrite(str(path / f"{t:03}.png"), changed[..., ::-1])
    return path


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "in" / "a.mp4", 6, fps=10)


def test_translate_and_stabilise(runs, video, tmp_path):
    out = tmp_path / "out.mp4"
    call("--mode=translate", f"--workdir={runs}/cyclegan", f"--stabilise={runs}/bt",
         f"--input={video}", f"--output={out}")  # fmt: skip
    expected = of(*assembly.stabilised(runs / "cyclegan", runs / "bt"))(read(video))
    assert differs(out, expected) < 1
    assert differs(out, Translator.load(runs / "cyclegan")(read(video))) > 3


def test_stabilise_pairs_of_videos(runs, video, tmp_path):
    pair = ["--mode=translate", f"--stabilise={runs}/bt"]
    processed = flickering(tmp_path / "processed" / "a", video)
    expected = of(*assembly.stabilised(None, runs / "bt"))(
        np.concatenate([read(video), read(processed)], axis=-1)
    )
    out = tmp_path / "out.mp4"
    call(*pair, f"--input={video}", f"--processed={processed}", f"--output={out}")
    assert differs(out, expected) < 1
    with open_video(out) as reader:
        assert reader.fps == 10
    wide = tmp_path / "wide.mp4"
    call(*pair, f"--input={video}", f"--processed={processed}", f"--output={wide}",
         "--side_by_side")  # fmt: skip
    assert differs(wide, np.concatenate([read(video), read(processed), expected], axis=2)) < 1
    # Folders, in order; a folder of frames takes its pair's rate.
    second = write_video(tmp_path / "in" / "b.mp4", 4, fps=10)
    flickering(tmp_path / "processed" / "b", second)
    call(*pair, f"--input={tmp_path}/processed", f"--processed={tmp_path}/in/*.mp4",
         f"--output={tmp_path}/out")  # fmt: skip
    assert {p.name: len(read(p)) for p in (tmp_path / "out").iterdir()} == {"a.mp4": 6, "b.mp4": 4}
    with open_video(tmp_path / "out" / "a.mp4") as reader:
        assert reader.fps == 10


def test_flags_that_do_not_go_together(runs, video, tmp_path, capsys):
    translate = ["--mode=translate", f"--input={video}", f"--output={tmp_path}/out.mp4"]
    bt, other = f"--stabilise={runs}/bt", f"--processed={video}"
    for flags, hints in (
        ([other], ["--processed", "--stabilise=RUN"]),
        ([other, bt, f"--workdir={runs}/cyclegan"], ["--processed", "no --workdir"]),
        ([bt], ["needs --workdir"]),
        ([other, f"--stabilise={runs}/cyclegan"], ["'cyclegan'", "demo.py:bt"]),
        ([other, f"--stabilise={tmp_path}"], [f"{tmp_path} holds no checkpoint", "demo.py:bt"]),
        ([bt, f"--processed={tmp_path}/no.mp4"], ["no video matches", "no.mp4"]),
    ):
        line = refused(capsys, *translate, *flags)
        assert all(hint in line for hint in hints), line
    assert not (tmp_path / "out.mp4").exists()


def test_pairs_that_do_not_match(runs, video, tmp_path, capsys):
    pair = ["--mode=translate", f"--stabilise={runs}/bt", f"--input={video}"]
    out = f"--output={tmp_path}/out.mp4"
    shorter = write_video(tmp_path / "shorter.mp4", 4)
    longer = write_video(tmp_path / "longer.mp4", 9)
    larger = write_video(tmp_path / "larger.mp4", 6, height=32)
    for processed, hints in (
        (shorter, [f"{shorter} ends after 4 frames", f"{video} goes on"]),
        (longer, [f"{video} ends after 6 frames", f"{longer} goes on"]),
        (larger, [f"{larger} has frames of 32x32", f"{video} of 16x32"]),
        (f"{tmp_path}/*.mp4", ["--input has 1 videos", "--processed 3"]),
    ):
        line = refused(capsys, *pair, out, f"--processed={processed}")
        assert all(hint in line for hint in hints), line
        # Nothing under the final name, and nothing beside it.
        assert sorted(p.name for p in tmp_path.iterdir()) == [
            "in", "larger.mp4", "longer.mp4", "shorter.mp4",
        ]  # fmt: skip
    before = longer.read_bytes()
    line = refused(capsys, *pair, f"--output={longer}", f"--processed={longer}")
    assert "would overwrite an input" in line and longer.read_bytes() == before


def test_one_bad_pair_does_not_lose_the_others(runs, video, tmp_path, capsys):
    write_video(tmp_path / "in" / "b.mp4", 5)
    for name, frames in (("a", 6), ("b", 3)):
        write_video(tmp_path / "made" / f"{name}.mp4", frames)
    line = refused(capsys, "--mode=translate", f"--stabilise={runs}/bt", f"--input={tmp_path}/in",
                   f"--processed={tmp_path}/made", f"--output={tmp_path}/out")  # fmt: skip
    assert "1 of 2 videos failed" in line and "made/b.mp4 ends after 3 frames" in line
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    ("kind", "before"),
    [
        ("dis", [108.37715911865234, 69.86643981933594]),
        ("given", [96.29842376708984, 57.843711853027344]),
    ],
)
def test_training_sees_no_flow_of_target_clips_and_loses_nothing(runs, tmp_path, kind, before):
    """Its losses are those of the batches with both flows, of which ``before`` was taken."""
    changes = {"flow.kind": kind, "data.threads": 0, "stabiliser.run": str(tmp_path / "cyclegan")}
    save(tmp_path / "cyclegan", {"to_target": image_params()}, tiny((demo, "cyclegan")))
    config = tiny((demo, "bt"), **SMALL | changes)
    made, described = assembly.training(config, tmp_path / "bt"), assembly.description(config)
    params, frozen = {"stabiliser": drawn(config, gain=1.0)}, made["frozen"]

    @jax.jit
    def losses(batch):
        return made["method"].losses(params, frozen, {}, batch, jax.random.key(0))[0]["stabiliser"]

    def kinds(batch):
        return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), batch)

    whole = data.batches(config, tmp_path)(0)
    for expected, batch, full in zip(before, made["batches"](0), whole, strict=False):
        assert batch["source"].keys() == {"frames", "flow"}
        assert batch["target"].keys() == {"frames"}
        assert kinds(batch) == kinds(described["batch"])
        loss = float(losses(batch))
        assert loss == float(losses(full)) and "flow" in full["target"]
        assert loss == pytest.approx(expected, rel=1e-4), "the same on every machine, not in bits"
