"""The Translator: one video, whichever way it is fed."""

import contextlib
import dataclasses
import itertools
import subprocess
import sys
import weakref
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import v2v_jax
from v2v_jax import assembly
from v2v_jax.data.media.reader import open_video
from v2v_jax.data.media.writer import VideoWriter
from v2v_jax.data.transforms import fit
from v2v_jax.methods.recurrent import Recurrent
from v2v_jax.nets.discriminator import PatchDiscriminator
from v2v_jax.nets.fusion import Fusion
from v2v_jax.nets.generator import ResnetGenerator
from v2v_jax.ops.warp import backward_warp
from v2v_jax.training import checkpoints
from v2v_jax.translator import (
    Restored,
    Translator,
    plan_outputs,
    progress,
    stream,
    translate_files,
)

GENERATOR = {"gain": np.float32(-1.5)}


def brightness_shift(current, previous):
    """A flow that both the host and the graph can compute: 0.05 pixels per grey level."""
    shift = (np.mean(current, dtype=np.float32) - np.mean(previous, dtype=np.float32)) * 0.05
    flow = np.zeros((*current.shape[:2], 2), np.float32)
    flow[..., 0] = shift
    return flow


@dataclasses.dataclass(frozen=True)
class Remembering:
    """Half a blurred frame, half the previous output carried along: errors of a chunk show."""

    name: str = "remembering"

    def initial_carry(self, frames):
        first = jnp.zeros_like(frames[:, 0])
        return {"source": first, "output": first, "started": jnp.zeros(len(first), bool)}

    def translate(self, generator, frozen, carry, frames, flow=None):
        del frozen

        def step(carry, inputs):
            frame, given = inputs
            shift = 0.05 * 127.5 * jnp.mean(frame - carry["source"], (1, 2, 3))
            estimated = jnp.zeros((*frame.shape[:3], 2)).at[..., 0].set(shift[:, None, None])
            blurred = (frame + jnp.roll(frame, 1, 1) + jnp.roll(frame, 1, 2)) / 3
            raw = jnp.tanh(generator["gain"] * blurred)
            warped, _ = backward_warp(carry["output"], estimated if given is None else given)
            mixed = 0.5 * warped + 0.5 * raw
            output = jnp.where(carry["started"][:, None, None, None], mixed, raw)
            started = jnp.ones_like(carry["started"])
            return {"source": frame, "output": output, "started": started}, output

        flow = None if flow is None else jnp.swapaxes(flow, 0, 1)
        carry, output = jax.lax.scan(step, carry, (jnp.swapaxes(frames, 0, 1), flow))
        return carry, jnp.swapaxes(output, 0, 1)


@dataclasses.dataclass(frozen=True)
class Inverting:
    """A per-frame method: no carry."""

    def initial_carry(self, frames):
        return ()

    def translate(self, generator, frozen, carry, frames, flow=None):
        return carry, -frames


REMEMBERING: Any = Remembering()
INVERTING: Any = Inverting()


def make_video(frames=12, height=32, width=64, seed=0):
    levels = np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3))
    # Brightness varies with time, so brightness_shift moves the picture by whole pixels.
    gains = 0.5 + 0.5 * np.sin(np.arange(frames)) ** 2
    return (levels * gains[:, None, None, None]).astype(np.uint8)


def make(method: Any = REMEMBERING, host_flow=None, chunk: int | None = 5):
    return Translator(method, GENERATOR, {}, host_flow, chunk)


def streamed(translator, video):
    state = translator.start(*video.shape[1:3])
    frames = []
    for frame in video:
        output, state = translator.step(frame, state)
        frames.append(output)
    return np.stack(frames)


def grey_levels(a, b):
    assert a.dtype == b.dtype == np.uint8 and a.shape == b.shape
    return np.abs(a.astype(int) - b.astype(int)).max()


@pytest.mark.parametrize("host_flow", [None, brightness_shift], ids=["graph", "host"])
def test_chunks_of_any_size_and_the_stream_give_the_same_video(host_flow):
    video = make_video()
    whole = make(host_flow=host_flow, chunk=12)(video)
    for chunk in (1, 2, 5, 20):
        assert grey_levels(make(host_flow=host_flow, chunk=chunk)(video), whole) == 0
    assert grey_levels(streamed(make(host_flow=host_flow), video), whole) == 0


def test_the_whole_video_is_the_methods_own_recurrence():
    video = make_video()
    frames = jnp.asarray(video, jnp.float32)[None] / 127.5 - 1
    method = Remembering()
    _, expected = method.translate(GENERATOR, {}, method.initial_carry(frames), frames)
    assert np.std(np.asarray(expected)) > 0.1
    expected = np.round((np.asarray(expected[0]) + 1) * 127.5).astype(np.uint8)
    assert grey_levels(make()(video), expected) <= 1


def test_the_papers_method_streams_and_chunks_alike():
    method: Any = Recurrent(
        image=ResnetGenerator(features=4, blocks=1),
        fusion=Fusion(features=4),
        discriminator=PatchDiscriminator(features=4),
        content=PatchDiscriminator(features=4),
    )
    video = make_video(frames=5, height=30, width=45)
    clip: Any = {"frames": video[None, :, :28, :44]}
    players = jax.eval_shape(method.init, jax.random.key(0), {"source": clip, "target": clip})
    rng = np.random.default_rng(0)  # Compiling a random initialisation would take seconds.
    generator = jax.tree.map(
        lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32),
        players["generator"]["to_target"],
    )
    translator = Translator(method, generator, {}, brightness_shift, chunk=2)
    whole = translator(video)
    assert np.std(whole) > 1
    assert grey_levels(streamed(translator, video), whole) <= 1
    alone = np.concatenate([translator(video[t : t + 1]) for t in range(5)])
    assert grey_levels(alone, whole) > 1, "the recurrence does nothing"


def test_large_frames_come_in_smaller_chunks():
    def frames_at_once(height, width):
        lengths = []

        def estimate(current, previous):
            return np.zeros((height, width, 2), np.float32)

        translator = make(INVERTING, host_flow=estimate, chunk=None)
        advance = translator._advance
        translator._advance = lambda state, frames, length: (
            lengths.append(length) or advance(state, frames, length)
        )
        translator(np.zeros((1, height, width, 3), np.uint8))
        return lengths[0]

    assert frames_at_once(32, 64) == frames_at_once(512, 1024) == 8
    assert frames_at_once(1080, 1920) == 2
    assert frames_at_once(2160, 3840) == 1


def test_flow_on_the_host_does_what_flow_in_the_graph_does():
    video = make_video()
    still = make(host_flow=lambda current, previous: 0 * brightness_shift(current, previous))
    moved = make(host_flow=brightness_shift)(video)
    assert grey_levels(moved, make()(video)) <= 1
    assert grey_levels(moved, still(video)) > 10


def test_host_flow_sees_each_pair_once_at_the_padded_size():
    video = make_video(frames=12, height=30, width=61)
    video[:, 0, 0, 0] = np.arange(12)
    pairs = []

    def record(current, previous):
        assert current.shape == previous.shape == (32, 64, 3) and current.dtype == np.uint8
        pairs.append((current[0, 0, 0], previous[0, 0, 0]))
        return np.zeros((32, 64, 2), np.float32)

    expected = [(t, t - 1) for t in range(1, 12)]
    make(host_flow=record)(video)
    assert pairs == expected
    pairs.clear()
    streamed(make(host_flow=record), video)
    assert pairs == expected


@pytest.mark.parametrize("height, width", [(16, 16), (30, 61), (33, 64), (17, 47)])
def test_any_size_is_padded_by_its_edges_and_cropped_back(height, width):
    video = make_video(frames=3, height=height, width=width)
    margins = ((0, 0), (0, -height % 4), (0, -width % 4), (0, 0))
    translator = make(INVERTING)
    assert grey_levels(translator(video), 255 - video) == 0
    translator = make()
    by_hand = translator(np.pad(video, margins, mode="edge"))[:, :height, :width]
    assert grey_levels(translator(video), by_hand) == 0
    assert grey_levels(streamed(translator, video), by_hand) == 0


def test_a_single_frame_and_a_method_without_carry():
    video = make_video(frames=1)
    assert grey_levels(make(INVERTING)(video), 255 - video) == 0
    assert grey_levels(make()(video), streamed(make(), video)) == 0


def test_only_one_shape_compiles_for_all_lengths():
    translator = make(Remembering("compiles once"), chunk=5)
    for frames in (1, 5, 12):
        translator(make_video(frames=frames))
    assert translator._translate_bytes._cache_size() == 1
    assert make(Remembering("compiles once"))._translate_bytes is translator._translate_bytes


def test_a_state_is_never_changed():
    translator = make(host_flow=brightness_shift)
    first, second = make_video(frames=2)
    buffer = first.copy()
    _, state = translator.step(buffer, translator.start(32, 64))
    buffer[:] = 0  # A camera may hand out the same buffer again and again.
    once, _ = translator.step(second, state)
    again, _ = translator.step(second, state)
    expected = translator(np.stack([first, second]))[1]
    assert grey_levels(once, expected) == grey_levels(again, expected) == 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.previous = None  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    "video",
    [
        np.zeros((2, 32, 64, 3), np.float32),
        np.zeros((32, 64, 3), np.uint8),
        np.zeros((2, 32, 64, 4), np.uint8),
        np.zeros((0, 32, 64, 3), np.uint8),
        np.zeros((2, 15, 64, 3), np.uint8),
    ],
    ids=["float", "rank", "alpha", "empty", "small"],
)
def test_a_bad_video_is_refused_in_one_line(video):
    with pytest.raises(ValueError, match="must be") as caught:
        make()(video)
    assert "\n" not in str(caught.value)


def test_a_frame_of_another_size_is_refused():
    translator = make()
    with pytest.raises(ValueError, match=r"every frame must be uint8 \[32, 64, 3\]"):
        translator.step(np.zeros((32, 60, 3), np.uint8), translator.start(32, 64))
    with pytest.raises(ValueError, match="chunk"):
        make(chunk=0)


def test_the_pure_function_serves_other_programs():
    translator = make()
    frames = jnp.asarray(make_video(frames=4), jnp.float32)[None] / 127.5 - 1
    carry = translator.method.initial_carry(frames)
    _, expected = translator.translate_fn(translator.params, carry, frames)

    @jax.jit
    def program(params, carry, clips):
        one = jax.vmap(translator.translate_fn, in_axes=(None, None, 0))
        return one(params, carry, clips)[1]

    clips = jnp.stack([frames, -frames])
    both = program(translator.params, carry, clips)
    np.testing.assert_allclose(both[0], expected, atol=1e-6)
    jitted: Any = translator.translate_fn
    exported = jax.export.export(jitted)(translator.params, carry, frames)
    _, output = exported.call(translator.params, carry, frames)
    np.testing.assert_allclose(output, expected, atol=1e-6)
    # Chunks by the caller's own hand, with the carry handed on.
    carry, head = translator.translate_fn(translator.params, carry, frames[:, :1])
    _, tail = translator.translate_fn(translator.params, carry, frames[:, 1:])
    np.testing.assert_allclose(jnp.concatenate([head, tail], 1), expected, atol=1e-6)


def test_a_long_stream_keeps_few_frames_alive():
    alive, most, device = 0, 0, []

    def ended():
        nonlocal alive
        alive -= 1

    def camera():
        nonlocal alive, most
        for t in range(500):
            frame = np.full((16, 16, 3), t % 256, np.uint8)
            weakref.finalize(frame, ended)
            alive += 1
            most = max(most, alive)
            yield frame

    def write(frame):
        assert frame.shape == (16, 32, 3)
        device.append(len(jax.live_arrays()))

    written = make(host_flow=brightness_shift, chunk=4).translate_stream(
        camera(), write, side_by_side=True, log=lambda line: None
    )
    assert written == len(device) == 500
    assert most <= 3 * 4
    assert max(device[250:]) <= max(device[:250])


def test_a_stream_equals_the_whole_video_and_reports_progress(monkeypatch):
    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.0)
    video, frames, lines = make_video(), [], []
    make().translate_stream(
        iter(video), frames.append, chunk=3, side_by_side=True, total=12, log=lines.append
    )
    both = np.stack(frames)
    assert grey_levels(both[:, :, :64], video) == 0
    assert grey_levels(both[:, :, 64:], make()(video)) == 0
    assert len(lines) == 13
    # How long still depends on the machine; the next test has a clock of its own.
    assert lines[4].startswith("translated 5 of 12 frames, ") and ", ETA " in lines[4]
    assert lines[-1].startswith("translated 12 frames, ") and "ETA" not in lines[-1]


def test_progress_comes_now_and_then_with_the_time_left(monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    lines = []
    said = progress.Progress(100_000, lines.append)
    for _ in range(20):
        said.advance()
    # The clock ticks at every look: started at 0, first line at 10 with a rate taken at 11.
    assert lines == [
        "translated 10 of 100000 frames, 0.9 frames/s, ETA 30:33:09",
        "translated 19 of 100000 frames, 0.9 frames/s, ETA 30:41:45",
    ]


def test_a_stream_at_another_size():
    video = np.repeat(np.repeat(make_video(frames=3), 2, axis=1), 2, axis=2)
    frames = []
    make().translate_stream(iter(video), frames.append, size=(32, 64))
    assert grey_levels(np.stack(frames), make()(make_video(frames=3))) == 0
    with pytest.raises(ValueError, match="at least 16x16"):
        make().translate_stream(iter(video), frames.append, size=(8, 64))
    with pytest.raises(ValueError, match="no frame"):
        make().translate_stream(iter([]), frames.append)


def test_another_size_is_cropped_to_as_in_training():
    frame = make_video(frames=1, height=64, width=48)[0]
    for size in ((32, 48), (64, 24), (20, 40), (64, 48), (33, 17), (128, 300)):
        np.testing.assert_array_equal(stream.resized(frame, size), fit(frame, *size))


class FakeFiles:
    """Videos by path in memory; an exception in place of a frame is raised while reading."""

    def __init__(self, videos):
        self.videos = videos
        self.written = {}

    @contextlib.contextmanager
    def reader(self, path):
        video = self.videos[path]

        class Frames(SimpleNamespace):
            def __iter__(self):
                for frame in video:
                    if isinstance(frame, Exception):
                        raise frame
                    yield frame

        height, width = video[0].shape[:2]
        yield Frames(fps=25, height=height, width=width, frames_estimate=len(video))

    @contextlib.contextmanager
    def writer(self, path, fps, height, width, *, like=None):
        frames = []
        yield SimpleNamespace(write=frames.append)
        assert all(frame.shape == (height, width, 3) for frame in frames) and fps == 25
        self.written[path] = np.stack(frames)


def test_one_bad_file_does_not_lose_the_others():
    good = make_video()
    bad = [*good[:7], ValueError("b.mp4 ends in the middle of a frame")]
    files: Any = FakeFiles({"a.mp4": list(good), "b.mp4": bad, "c.mp4": list(good[:3])})
    jobs: Any = [(path, f"out/{path}") for path in files.videos]
    with pytest.raises(OSError, match=r"1 of 3 videos failed: b\.mp4: .*middle of a frame"):
        translate_files(make(), jobs, files.reader, files.writer)
    assert sorted(files.written) == ["out/a.mp4", "out/c.mp4"]
    assert grey_levels(files.written["out/a.mp4"], make()(good)) == 0
    with pytest.raises(ValueError, match=r"^b\.mp4 ends"):
        translate_files(make(), jobs[1:2], files.reader, files.writer)


def test_files_side_by_side_at_another_size():
    files: Any = FakeFiles({"a.mp4": list(make_video())})
    jobs: Any = [("a.mp4", "b.mp4")]
    translate_files(make(), jobs, files.reader, files.writer, side_by_side=True, size=(16, 32))
    assert files.written["b.mp4"].shape == (12, 16, 64, 3)


def test_real_files_keep_rate_size_and_count(tmp_path):
    video = np.repeat(make_video(frames=1, height=30, width=46), 7, axis=0)
    for name in ("good.mov", "cut.mp4"):
        with VideoWriter(tmp_path / name, Fraction(30000, 1001), 30, 46) as writer:
            for frame in video:
                writer.write(frame)
    whole = (tmp_path / "cut.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "text.mp4").write_text("not a video")
    output = tmp_path / "out"
    jobs = plan_outputs([tmp_path / name for name in ("cut.mp4", "text.mp4", "good.mov")], output)
    with pytest.raises(OSError, match=r"2 of 3 videos failed: \S+cut\.mp4.*; \S+text\.mp4"):
        translate_files(make(INVERTING), jobs, open_video, VideoWriter)
    assert [path.name for path in output.iterdir()] == ["good.mp4"]
    with open_video(output / "good.mp4") as result, open_video(tmp_path / "good.mov") as source:
        assert result.fps == source.fps == Fraction(30000, 1001)
        frames, originals = list(result), np.stack(list(source))
    assert len(frames) == 7 and frames[0].shape == (30, 46, 3)
    assert np.abs(np.stack(frames) - (255.0 - originals)).mean() < 8  # H.264 loses a little.


def test_a_bug_is_not_taken_for_a_bad_file():
    files: Any = FakeFiles(
        {"a.mp4": [*make_video(), TypeError("a bug")], "b.mp4": list(make_video())}
    )
    jobs: Any = [("a.mp4", "x"), ("b.mp4", "y")]
    with pytest.raises(TypeError, match="a bug"):
        translate_files(make(), jobs, files.reader, files.writer)


def test_plan_outputs(tmp_path):
    folder = tmp_path / "frames.v2"
    folder.mkdir()
    assert plan_outputs(["a.mov"], "b.mp4") == [(Path("a.mov"), Path("b.mp4"))]
    assert plan_outputs(["x/a.mov"], "out") == [(Path("x/a.mov"), Path("out/a.mp4"))]
    assert plan_outputs(["a.b.avi", folder], "out.d") == [
        (Path("a.b.avi"), Path("out.d/a.b.mp4")),
        (folder, Path("out.d/frames.v2.mp4")),
    ]
    with pytest.raises(ValueError, match="2 inputs need a folder"):
        plan_outputs(["a.mp4", "b.mp4"], "c.mp4")
    with pytest.raises(ValueError, match=r"x/a\.mp4 and x/a\.mov would both become"):
        plan_outputs(["x/a.mp4", "x/a.mov"], "out")
    with pytest.raises(ValueError, match="overwrite an input"):
        plan_outputs([folder / ".." / "a.mp4"], tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="overwrite an input"):
        plan_outputs(["x/a.mov", "y/a.mp4", "x/b.mov"], "y")
    with pytest.raises(ValueError, match=r"out\.avi: outputs are \.mp4"):
        plan_outputs(["a.mp4"], "out.avi")


def test_inputs_of_one_name_keep_their_folders(tmp_path):
    """KITTI's sequences are all called ``data``."""
    drives = [tmp_path / f"drive_{i}" / "image_02" / "data" for i in (1, 2)]
    for drive in drives:
        drive.mkdir(parents=True)
    results = [Path("out") / f"drive_{i}" / "image_02" for i in (1, 2)]
    planned = plan_outputs(drives, "out")
    assert planned == list(zip(drives, [r / "data.mp4" for r in results], strict=True))
    pictures = plan_outputs(drives, "out", frames="png")
    assert [result for _, result in pictures] == [r / "data" / "%06d.png" for r in results]
    mixed = plan_outputs(["x/a.mp4", "y/a.mov", "y/b.mov"], "out")
    assert [str(result) for _, result in mixed] == ["out/x/a.mp4", "out/y/a.mp4", "out/y/b.mp4"]


def test_pictures_as_outputs(tmp_path):
    def results(inputs, output, **options):
        return [str(result) for _, result in plan_outputs(inputs, output, **options)]

    assert results(["a.mp4"], "f/%05d.png") == ["f/%05d.png"]
    assert results(["a.mp4", "b.mp4"], "f/%d.JPG") == ["f/a/%d.JPG", "f/b/%d.JPG"]
    assert results(["a.mp4"], "f", frames="png") == ["f/a/%06d.png"]
    assert results(["a.mp4"], "f.png/") == ["f.png/a.mp4"]
    assert results(["a.mp4"], "runs/v1.v2") == ["runs/v1.v2/a.mp4"]
    (tmp_path / "frames").mkdir()
    with pytest.raises(ValueError, match="overwrite an input"):
        results([tmp_path / "frames"], tmp_path / "frames" / "%05d.png")
    with pytest.raises(ValueError, match="give a folder, not"):
        results(["a.mp4"], "b.mp4", frames="png")
    for name in ("out.wmv", "out.mpeg", "out.txt", "out.3gp"):
        with pytest.raises(ValueError, match=rf"^{name}: outputs are \.mp4 .* write {name}/$"):
            results(["a.mp4"], name)
    with pytest.raises(ValueError, match=r"pictures are x/%05d\.png"):
        results(["a.mp4"], "x/out.png")


def remembering(name="remembering", host_flow=None):
    method: Any = Remembering(name)
    return Restored(method, {}, host_flow)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A run whose checkpoint and config are made up."""

    def load_player(directory, step=None):
        assert directory == tmp_path.resolve() / "checkpoints"
        gain = np.float32(-1.5 if step is None else step)
        players = {"to_target": {"gain": gain}, "to_source": {"gain": -gain}}
        return players, {"config": {"name": "from the config"}}

    def restore(config):
        return remembering(config["name"], brightness_shift)

    monkeypatch.setattr(checkpoints, "load_player", load_player)
    monkeypatch.setattr(Translator, "factory", staticmethod(restore))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


def test_load_restores_method_direction_step_and_host_flow(trained):
    video = make_video()
    translator = Translator.load(str(trained), chunk=3)
    assert translator.method == Remembering("from the config") and translator.chunk == 3
    assert translator.host_flow is brightness_shift
    assert grey_levels(translator(video), make(host_flow=brightness_shift)(video)) == 0
    assert Translator.load(trained, "to_source").params["generator"]["gain"] == 1.5
    assert Translator.load(trained, step=7).params["generator"]["gain"] == 7
    with pytest.raises(ValueError, match=r"'sideways'.* one of to_source, to_target"):
        Translator.load(trained, "sideways")


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_load_without_a_checkpoint_says_how_to_train(tmp_path, monkeypatch, folder):
    monkeypatch.setattr(Translator, "factory", staticmethod(lambda config: pytest.fail("used")))
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=rf"train first.*--workdir=\S+/{folder}`") as caught:
        Translator.load(tmp_path / folder)
    assert "\n" not in str(caught.value)


def test_load_takes_the_average_out_of_a_real_checkpoint(tmp_path, monkeypatch):
    restored = remembering()
    monkeypatch.setattr(Translator, "factory", staticmethod(lambda config: restored))
    gains = {"to_target": {"gain": jnp.float32(-1.5)}, "to_source": {"gain": jnp.float32(1.5)}}
    saved = checkpoints.Checkpoints(tmp_path / "checkpoints")
    for step, factor in [(1, 2.0), (2, 1.0)]:
        ema = jax.tree.map(lambda gain, by=factor: gain * by, gains)
        saved.save(step, {"ema": ema, "step": jnp.int32(step)}, {"config": {}})
    saved.close()
    video = make_video()
    assert grey_levels(Translator.load(tmp_path)(video), make()(video)) == 0
    assert Translator.load(tmp_path, "to_source", step=1).params["generator"]["gain"] == 3
    with pytest.raises(FileNotFoundError, match="no checkpoint 3"):
        Translator.load(tmp_path, step=3)


def test_the_public_name_brings_the_factory():
    assert v2v_jax.Translator is Translator
    assert Translator.factory is assembly.restore_method
    with pytest.raises(AttributeError, match="Translater"):
        getattr(v2v_jax, "Translater")  # noqa: B009


def test_importing_the_package_is_light():
    program = (
        "import sys, v2v_jax; assert not {'jax', 'flax', 'numpy'} & set(sys.modules); "
        "assert 'Translator' in dir(v2v_jax); "
        "assert not hasattr(v2v_jax, 'Missing') and 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
