"""The command line as a user meets it: every mode, every way to start it wrongly."""

from __future__ import annotations

import json
import shutil
import signal
import time
from fractions import Fraction

import cv2
import jax
import numpy as np
import pytest
from command import DEMO, TINY, call, finish, refused, run, start, trained, write_video
from data.moving_pictures import encode_at, times
from evaluation.quick import quick_judges

import v2v_jax
from v2v_jax.data.media.reader import open_video
from v2v_jax.training.checkpoints import load_player

RANDOM = "RANDOM weights"


def frames_of(path):
    with open_video(path) as reader:
        return np.stack(list(reader)), reader.fps


def difference(a, b):
    return np.abs(a.astype(int) - b.astype(int)).mean()


def checkpoints_of(workdir):
    return sorted(int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit())


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return trained(tmp_path_factory)


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "in" / "drive.mp4", 7, 18, 34, Fraction(30000, 1001))


# --- train ----------------------------------------------------------------------------------


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(workdir, tmp_path):
    output = run(*DEMO, f"--workdir={tmp_path}/run", "--config.steps=6")
    stopped, straight = (load_crcs(path / "checkpoints") for path in (workdir, tmp_path / "run"))
    assert stopped == straight
    assert any(name.startswith("opt_state/") for name in straight)
    logs = [(path / "metrics.jsonl").read_text() for path in (workdir, tmp_path / "run")]
    a, b = ([json.loads(line) for line in log.splitlines()] for log in logs)
    assert [line["step"] for line in a] == [line["step"] for line in b] == [1, 2, 3, 4, 5, 6]
    assert [line["loss/generator"] for line in a] == [line["loss/generator"] for line in b]
    # What a user must see, and what nobody wants to.
    assert output.count(RANDOM) == 1
    assert "trained to step 6" in output
    assert "Traceback" not in output and "another config" not in output
    # Doing nothing is no failure; JAX_PLATFORMS as it is where nobody sets it.
    changed = ["--config.ema_decay=0.5", "--config.keep=9"]
    again = run(*DEMO, f"--workdir={tmp_path}/run", "--config.steps=6", *changed, JAX_PLATFORMS="")
    assert "already trained to step 6 of 6" in again
    assert again.count("another config: ema_decay 0.99 -> 0.5\n") == 1
    assert "Unable to initialize backend" not in again


def load_crcs(directory):
    """CRC-32 of every leaf of the newest checkpoint, as it was saved."""
    step = max(int(path.name) for path in directory.iterdir())
    meta = json.loads(next((directory / str(step) / "meta").glob("*")).read_text())
    return {name: leaf["crc32"] for name, leaf in meta["leaves"].items()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_save_and_exit_with_0(tmp_path, number):
    for name in "ab":
        for i in range(2):
            write_video(tmp_path / name / f"{i}.mp4", 6 + i, 20, 36, 10)
    globs = [
        f"--config.data.{d}={tmp_path}/{n}/*.mp4" for d, n in (("source", "a"), ("target", "b"))
    ]
    process = start(
        *DEMO, "--config.data.kind=videos", *globs, f"--workdir={tmp_path}/run",
        "--config.steps=1000000",
    )  # fmt: skip
    log = tmp_path / "run" / "metrics.jsonl"
    while not log.exists() or log.read_text().count("\n") < 3:
        assert process.poll() is None, finish(process)
        time.sleep(0.02)
    process.send_signal(number)
    code, _, errors = finish(process)
    assert code == 0, errors
    assert "the same command resumes" in errors and "Traceback" not in errors
    (step,) = checkpoints_of(tmp_path / "run")
    assert 3 <= step < 1_000_000
    assert json.loads(log.read_text().splitlines()[-1])["step"] == step


def test_two_processes_train_one_run_and_evaluate(tmp_path):
    port = free_port()
    pair = [
        start(
            *DEMO, f"--workdir={tmp_path}/run", "--config.steps=2", "--config.data.batch_size=2",
            "--config.evaluate_every=2", f"--coordinator=127.0.0.1:{port}",
            "--num_processes=2", f"--process_id={i}", "--config.weights.cycle=0.0",
            "--config.weights.content=0.0", "--config.weights.temporal=0.0",
        )
        for i in range(2)
    ]  # fmt: skip
    for code, _, errors in map(finish, pair):
        assert code == 0, errors
        assert "process " in errors and "Traceback" not in errors
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 2]
    assert "eval/warping_error/output" in json.loads(lines[-1])
    assert checkpoints_of(tmp_path / "run") == [2]


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_full_disk_leaves_the_previous_checkpoint_good(workdir, tmp_path):
    shutil.copytree(workdir, tmp_path / "run")
    before = load_player(tmp_path / "run" / "checkpoints")[0]
    # No file may grow over 8 kB: room for the log, not for a checkpoint.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))"
    code, _, errors = finish(
        start(
            *DEMO, f"--workdir={tmp_path}/run", "--config.steps=7", "--config.log_every=0",
            # Else the limit would leave torn programs in the tests' cache.
            prelude=limit, JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="1e9",
        )
    )  # fmt: skip
    assert code == 1, errors
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert "checkpoint 7 could not be written" in line
    assert "disk full?" in line and "checkpoint 6 is still good" in line
    assert "Traceback" not in errors
    assert checkpoints_of(tmp_path / "run") == [3, 6]
    after = load_player(tmp_path / "run" / "checkpoints")[0]
    assert jax.tree.all(jax.tree.map(np.array_equal, before, after))


@pytest.fixture
def one_device(monkeypatch):
    """As on a user's machine: the tests' eight devices would need batches of eight clips."""
    from v2v_jax.training import parallel

    make = parallel.make_mesh
    monkeypatch.setattr(parallel, "make_mesh", lambda: make(jax.devices()[:1]))


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        (["--config.image.features=8"], "this run needs"),
        (["--config.image.blocks=2"], "missing in the checkpoint"),
        (["--config.seed=7"], "seed 0, not 7"),
    ],
)
def test_another_networks_checkpoint(workdir, capsys, one_device, changes, hint):
    before = load_crcs(workdir / "checkpoints")
    line = refused(capsys, *DEMO, f"--workdir={workdir}", "--config.steps=9", *changes)
    assert hint in line and "new --workdir" in line
    assert load_crcs(workdir / "checkpoints") == before


def test_a_damaged_checkpoint(workdir, tmp_path, capsys, one_device):
    shutil.copytree(workdir, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints" / "6" / "state").rglob("*"):
        if path.is_file() and path.stat().st_size > 1000:
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 255
            path.write_bytes(data)
    line = refused(capsys, *DEMO, f"--workdir={tmp_path}/run", "--config.steps=9")
    assert "checkpoints/6 is damaged" in line
    assert "checkpoint 3 is good: to resume from it, mv " in line
    out = tmp_path / "out.mp4"
    translate = ["--mode=translate", f"--workdir={tmp_path}/run", f"--output={out}"]
    video = write_video(tmp_path / "v.mp4", 3)
    assert "checkpoints/6 is damaged" in refused(capsys, *translate, f"--input={video}")
    call(*translate, f"--input={video}", "--step=3")
    assert len(frames_of(out)[0]) == 3


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("nothing", "no video matches"),
        ("short", "only 2 frames"),
        ("truncated", "truncated"),
        ("empty", "0 bytes"),
        ("text", "not a video"),
        ("picture", "single pictures"),
        ("no frames", "no video matches"),
    ],
)
def test_bad_videos(workdir, tmp_path, capsys, one_device, content, hint):
    good = write_video(tmp_path / "good" / "0.mp4", 6)
    bad = tmp_path / "bad" / "0.mp4"
    bad.parent.mkdir()
    if content == "short":
        write_video(bad, 2)
    elif content == "truncated":
        whole = write_video(bad, 40).read_bytes()
        bad.write_bytes(whole[: len(whole) * 2 // 3])
    elif content == "empty":
        bad.touch()
    elif content == "text":
        bad.write_text("This is no video.\n" * 50)
    elif content == "picture":
        cv2.imwrite(str(bad.with_suffix(".png")), np.zeros((16, 32, 3), np.uint8))
    pattern = tmp_path / "bad" / "*.*"
    line = refused(
        capsys, "--config=configs/videos.py", *TINY, f"--workdir={tmp_path}/run",
        f"--config.data.source={good}", f"--config.data.target={pattern}",
        "--config.weights.content=0.0",
    )  # fmt: skip
    assert hint in line
    assert str(tmp_path / "bad") in line
    if content not in ("nothing", "no frames"):
        translate = ["--mode=translate", f"--workdir={workdir}", f"--output={tmp_path}/o.mp4"]
        if content == "short":
            call(*translate, f"--input={pattern}")
            assert len(frames_of(tmp_path / "o.mp4")[0]) == 2
        else:
            assert hint in refused(capsys, *translate, f"--input={pattern}")
            assert not list(tmp_path.glob("*o*.mp4")), "a half file is left"


# --- translate ------------------------------------------------------------------------------


def test_translate_keeps_rate_count_and_size(workdir, video, tmp_path):
    out = tmp_path / "new" / "folder" / "out.mp4"
    call("--mode=translate", f"--workdir={workdir}", f"--input={video}", f"--output={out}")
    frames, fps = frames_of(out)
    assert frames.shape == (7, 18, 34, 3) and fps == Fraction(30000, 1001)
    # The file is what the library gives, up to the codec.
    source = frames_of(video)[0]
    expected = v2v_jax.Translator.load(workdir)(source)
    assert difference(frames, expected) < 0.4 * difference(frames, source)
    assert [path.name for path in out.parent.iterdir()] == ["out.mp4"]


def test_translate_side_by_side_at_another_size(workdir, video, tmp_path):
    out = tmp_path / "out.mp4"
    call(
        "--mode=translate", f"--workdir={workdir}", f"--input={video}", f"--output={out}",
        "--side_by_side", "--size=20,40",
    )  # fmt: skip
    frames, _ = frames_of(out)
    assert frames.shape == (7, 20, 80, 3)
    source = np.stack([cv2.resize(f, (40, 20), interpolation=3) for f in frames_of(video)[0]])
    assert difference(frames[:, :, :40], source) < 4


def test_translate_in_the_other_direction(workdir, video, tmp_path, capsys):
    translate = ["--mode=translate", f"--workdir={workdir}", f"--input={video}"]
    for direction in ("to_target", "to_source"):
        call(*translate, f"--output={tmp_path}/{direction}.mp4", f"--direction={direction}")
    there, back = (frames_of(tmp_path / f"to_{name}.mp4")[0] for name in ("target", "source"))
    assert difference(there, back) > 1
    line = refused(capsys, *translate, f"--output={tmp_path}/x.mp4", "--direction=sideways")
    assert "'sideways'" in line and "to_source, to_target" in line


def test_translate_folders_and_globs(workdir, tmp_path):
    for name, frames in (("one", 3), ("two", 5)):
        write_video(tmp_path / "in" / f"{name}.mp4", frames)
    for place in ("in", "in/*.mp4"):
        out = tmp_path / place.replace("/*.", "_")
        out = out.with_name(out.name + "_out")
        call("--mode=translate", f"--workdir={workdir}", f"--input={tmp_path}/{place}",
             f"--output={out}")  # fmt: skip
        assert {p.name: len(frames_of(p)[0]) for p in out.iterdir()} == {"one.mp4": 3, "two.mp4": 5}


@pytest.mark.parametrize("shape", [(18, 30), (18, 30, 4)], ids=["grey", "alpha"])
def test_translate_grey_and_alpha_frames(workdir, tmp_path, shape):
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(3):
        picture = np.random.default_rng(i).integers(0, 256, shape, np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), picture)
    out = tmp_path / "out.mp4"
    call("--mode=translate", f"--workdir={workdir}", f"--input={folder}", f"--output={out}")
    assert frames_of(out)[0].shape == (3, 18, 30, 3)


def test_one_bad_video_does_not_lose_the_others(workdir, tmp_path, capsys):
    write_video(tmp_path / "in" / "a.mp4", 3)
    (tmp_path / "in" / "b.mp4").write_text("no video")
    write_video(tmp_path / "in" / "c.mp4", 3)
    line = refused(capsys, "--mode=translate", f"--workdir={workdir}", f"--input={tmp_path}/in",
                   f"--output={tmp_path}/out")  # fmt: skip
    assert "1 of 3 videos failed" in line and "b.mp4" in line
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.mp4", "c.mp4"]


def test_outputs_that_cannot_be_written(workdir, video, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    translate = ["--mode=translate", f"--workdir={workdir}", f"--input={video}"]
    for output, hints in {
        f"{tmp_path}/file/out.mp4": ["cannot write", f"{tmp_path}/file is a file, not a folder"],
        f"{tmp_path}/file": ["cannot write", f"{tmp_path}/file is a file"],
        "/proc/none/out.mp4": ["cannot write", "/proc/none/out.mp4"],
        f"{tmp_path}/out.gif": ["out.gif", ".mp4"],
        f"{video}": ["would overwrite an input"],
    }.items():
        line = refused(capsys, *translate, f"--output={output}")
        for hint in hints:
            assert hint in line
    assert (tmp_path / "file").read_text() == "mine"
    assert len(frames_of(video)[0]) == 7


def test_translate_without_input_or_checkpoint(workdir, video, tmp_path, capsys):
    out = f"--output={tmp_path}/out.mp4"
    for place in ("none.mp4", "*.mkv"):
        line = refused(capsys, "--mode=translate", f"--workdir={workdir}", out,
                       f"--input={tmp_path}/{place}")  # fmt: skip
        assert f"no video matches '{tmp_path}/{place}'" in line
    for folder in (tmp_path / "nowhere", tmp_path):
        line = refused(capsys, "--mode=translate", f"--workdir={folder}", out, f"--input={video}")
        assert f"{folder} holds no checkpoint: train first" in line
    line = refused(capsys, "--mode=translate", f"--workdir={workdir}", out, f"--input={video}",
                   "--step=4")  # fmt: skip
    assert "no checkpoint 4" in line and "[3, 6]" in line
    line = refused(capsys, "--mode=translate", f"--workdir={workdir}", out, f"--input={video}",
                   "--size=8,8")  # fmt: skip
    assert "at least 16x16" in line
    assert not (tmp_path / "out.mp4").exists()


def test_translate_writes_pictures_and_at_a_rate(workdir, tmp_path, capsys):
    """Frames out, and in again at the rate that is asked for; times of a video kept or forced."""
    video = tmp_path / "a.mkv"
    encode_at(video, [0, 40, 80, 3000], size=(18, 34))
    base = ["--mode=translate", f"--workdir={workdir}"]
    call(*base, f"--input={video}", f"--output={tmp_path}/f/%05d.png")
    assert sorted(p.name for p in (tmp_path / "f").iterdir()) == [f"0000{i}.png" for i in range(4)]
    call(*base, f"--input={tmp_path}/f", f"--output={tmp_path}/g", "--frames=jpg", "--fps=10")
    assert len(list((tmp_path / "g" / "f").glob("*.jpg"))) == 4
    for name, rate in (("25", []), ("10", ["--fps=10"])):
        call(*base, f"--input={tmp_path}/f", f"--output={tmp_path}/{name}.mp4", *rate)
        assert frames_of(tmp_path / f"{name}.mp4")[1] == int(name)
    call(*base, f"--input={video}", f"--output={tmp_path}/kept.mp4")
    assert times(tmp_path / "kept.mp4")[0] == [0, Fraction(1, 25), Fraction(2, 25), 3]
    call(*base, f"--input={video}", f"--output={tmp_path}/even.mp4", "--fps=5")
    assert frames_of(tmp_path / "even.mp4")[1] == 5
    assert len(times(tmp_path / "even.mp4")[0]) == 15
    line = refused(capsys, *base, f"--input={video}", f"--output={tmp_path}/f/%05d.png")
    assert "not an empty folder" in line
    line = refused(capsys, *base, f"--input={video}", f"--output={tmp_path}/b.mp4", "--fps=fast")
    assert "'fast' is no frame rate" in line
    line = refused(capsys, *base, f"--input={video}", f"--output={tmp_path}/%s.png")
    assert "need one number in their names" in line


# --- evaluate, describe ---------------------------------------------------------------------


def test_evaluate_writes_figures_and_a_report(workdir, tmp_path, capsys, monkeypatch):
    quick_judges(monkeypatch)
    shutil.copytree(workdir, tmp_path / "run")
    call("--mode=evaluate", f"--workdir={tmp_path}/run", f"--beside={workdir}")
    figures = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert figures["clips"] == 1 and figures["warping_error/raw"] > 0
    # Probes were trained: the domain classifier's and the segmenter's figures.
    assert {"share_target/output", "at_1/miou/output", "at_1/structure/output"} <= set(figures)
    report = (tmp_path / "run" / "report.html").read_text()
    assert RANDOM in report
    assert "http" not in report
    assert "data:image/gif;base64," in report
    assert "trained here for 6 steps" in report and f"{workdir} after 6 steps" in report
    (theirs,) = json.loads((tmp_path / "run" / "beside.json").read_text()).values()
    assert theirs == figures
    assert "raw_over_output" in capsys.readouterr().out


def test_evaluate_on_videos(workdir, video, tmp_path, capsys):
    shutil.copytree(workdir, tmp_path / "run")
    arguments = [
        "--mode=evaluate", f"--workdir={tmp_path}/run", "--config=configs/videos.py", *TINY,
        f"--config.data.source={video}", f"--config.data.target={video}",
        f"--config.evaluate.source={video}", "--config.evaluate.probes=False",
    ]  # fmt: skip
    line = refused(capsys, *arguments)
    assert "longest of the source videos has 7 frames" in line
    call(*arguments, "--config.evaluate.frames=7")
    figures = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert figures["warping_error/output"] > 0
    assert "share_target/output" not in figures


def test_evaluate_without_a_checkpoint(tmp_path, capsys):
    line = refused(capsys, "--mode=evaluate", f"--workdir={tmp_path}")
    assert "holds no checkpoint: train first" in line


def test_an_exported_model_translates_and_evaluates_as_its_run_and_trains_nothing(
    workdir, video, tmp_path, capsys, one_device
):
    model = tmp_path / "model"
    call("--mode=export", f"--workdir={workdir}", f"--output={model}")
    mine, theirs = (load_player(path / "checkpoints")[0] for path in (model, workdir))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), mine, theirs))
    whole, part = (
        sum(f.stat().st_size for f in (path / "checkpoints").rglob("*") if f.is_file())
        for path in (workdir, model)
    )
    assert part < whole / 3
    for path in (model, workdir):
        out = f"--output={path.parent}/{path.name}.mp4"
        call("--mode=translate", f"--workdir={path}", f"--input={video}", out)
    pair = [frames_of(path.parent / f"{path.name}.mp4")[0] for path in (model, workdir)]
    np.testing.assert_array_equal(*pair)
    line = refused(capsys, *DEMO, f"--workdir={model}")
    assert "exported model" in line and "--init_from" in line
    again = "--mode=export", f"--workdir={workdir}"
    assert "holds checkpoints already" in refused(capsys, *again, f"--output={model}")
    nowhere = "--mode=export", f"--workdir={tmp_path}", f"--output={tmp_path}/other"
    assert "no checkpoint" in refused(capsys, *nowhere)
    assert not (tmp_path / "other").exists()


def test_describe_needs_no_data_no_weights_and_no_workdir(capsys):
    # Fewer terms compile faster.
    without = [f"--config.weights.{term}=0.0" for term in ("content", "cycle", "temporal")]
    call("--mode=describe", "--config=configs/videos.py", *TINY, *without)
    out = capsys.readouterr().out
    for part in ("generator", "discriminator", "GFLOP", "[1, 3, 16, 32, 3]"):
        assert part in out
