"""The command line of prepare: what it finds, skips, refuses, and that a kill does no harm."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
from fractions import Fraction

import cv2
import numpy as np
import pytest
from data import moving_pictures, raw_trees
from PIL import Image

from v2v_jax.data.media.resample import Resampler
from v2v_jax.data.media.timing import Timing
from v2v_jax.data.media.writer import VideoWriter
from v2v_jax.data.prepare import engine, finish
from v2v_jax.data.prepare.__main__ import main
from v2v_jax.data.raw.reading import Skip
from v2v_jax.data.records.dataset import RecordSource

SIZE = ("--size=16,32", "--workers=3", "--frames_per_shard=2")


def viper(raw: pathlib.Path, out: pathlib.Path, *more: str) -> None:
    main(["viper", f"--raw={raw}", f"--out={out}", "--partial", *SIZE, *more])


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def raw(tmp_path: pathlib.Path) -> pathlib.Path:
    files = raw_trees.viper({"train/001": 5, "train/025": 2, "val/001": 3}, "jpg", backward=True)
    return raw_trees.write_tree(files, tmp_path / "raw")


def skipped(out: pathlib.Path) -> dict[str, str]:
    return dict(json.loads((out / finish.NOTE).read_text())["skipped"])


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main([*arguments])
    assert stopped.value.code == 1
    lines = [x for x in capsys.readouterr().err.splitlines() if "looking through" not in x]
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0]


def test_the_result_depends_on_neither_workers_nor_time(raw, tmp_path):
    for number in (1, 2):
        viper(raw, tmp_path / str(number), f"--workers={number * 2}")
    first = contents(tmp_path / "1")
    assert first == contents(tmp_path / "2")
    shards = [name for name in first if "array_record" in name]
    assert len(shards) == 3 + 1 + 2
    assert not list(tmp_path.glob(".*")), "no leftovers"


def test_started_again_it_does_nothing_until_something_changed(raw, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    viper(raw, out)
    before = contents(out)
    viper(raw, out)
    assert "is there already" in capsys.readouterr().err and contents(out) == before
    (raw / "train/img/001/001_00001.jpg").touch()
    arguments = ("viper", f"--raw={raw}", f"--out={out}", "--partial")
    assert "exists and is something else" in refused(capsys, *arguments, *SIZE)
    assert "exists and is something else" in refused(capsys, *arguments, "--size=8,16")
    assert contents(out) == before


def test_finished_shards_are_taken_over_and_only_those_still_right(raw, tmp_path, monkeypatch):
    """A run fails at its end; a download and a shard's file change: two shards are made anew."""
    out, made = tmp_path / "out", []

    def fail(*_):
        raise OSError("no")

    monkeypatch.setattr(finish, "_write_info", fail)
    with pytest.raises(SystemExit):
        viper(raw, out)
    monkeypatch.undo()
    assert not out.exists()
    path = raw / "train/img/001/001_00004.jpg"
    path.write_bytes(raw_trees.picture(np.zeros((*raw_trees.VIPER_SIZE, 3), np.uint8), "jpg"))
    shards = sorted((tmp_path / ".out.unfinished" / "shards").glob("*.array_record"))
    (damaged,) = [s for s in shards if '["025", 1,' in s.with_suffix(".json").read_text()]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    run = engine._ShardWriter.finish
    monkeypatch.setattr(engine._ShardWriter, "finish", lambda x: made.append(x) or run(x))
    viper(raw, out)
    assert len(made) == 2
    assert RecordSource(out, "test").read(0, 0, 2)["frames"].std() > 5
    frames = RecordSource(out).read(0, 0, 5)["frames"]
    assert frames[3].max() < 5 < frames[4].max()


class Killed(BaseException):
    """Nothing catches it, so nothing is tidied up."""


def test_a_kill_between_any_two_steps_on_disk(tmp_path, monkeypatch):
    """Every record, rename, journal, link and tidying up is a place to die at, once each."""
    raw = raw_trees.write_tree(raw_trees.viper({"train/001": 3, "train/025": 1}), tmp_path / "raw")
    viper(raw, tmp_path / "expected")
    expected = contents(tmp_path / "expected")
    places = [
        (engine._ShardWriter, "add"), (engine.os, "replace"), (pathlib.Path, "write_text"),
        (finish.os, "link"), (finish.shutil, "rmtree"),
    ]  # fmt: skip
    for step in range(100):
        countdown = iter(range(step))

        def deadly(function, countdown=countdown):
            def call(*args, **kwargs):
                if next(countdown, None) is None:
                    raise Killed
                return function(*args, **kwargs)

            return call

        out = tmp_path / "runs" / str(step)
        with monkeypatch.context() as patch:
            for owner, name in places:
                patch.setattr(owner, name, deadly(getattr(owner, name)))
            try:
                viper(raw, out)
                break
            except Killed:
                pass
        assert not out.exists() or contents(out) == expected, "never a half one"
        viper(raw, out)
        assert contents(out) == expected
        assert not list((tmp_path / "runs").glob(".*"))
    assert 15 < step < 99


_KILLS = """
import os, pathlib, random, shutil, signal, sys, time
from v2v_jax.data.prepare import engine, finish
from v2v_jax.data.prepare.__main__ import main
import array_record.python.array_record_module
from tensorflow_datasets.proto import tf_example_pb2
from v2v_jax.data.media.resample import Resampler
image = Resampler.image
Resampler.image = lambda *given: time.sleep(0.02) or image(*given)  # Long against starting up.
raw, folder, kills = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
def child(out):
    pid = os.fork()
    if pid:
        return pid
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.dup2(2, 1)
    code = 1
    try:
        main(["viper", f"--raw={raw}", f"--out={out}", "--partial", "--size=16,32",
              "--workers=2", "--frames_per_shard=2"])
        code = 0
    finally:
        os._exit(code)
start = time.monotonic()
_, status = os.waitpid(child(folder / "expected"), 0)
assert status == 0
seconds, chance, killed = time.monotonic() - start, random.Random(5), 0
while killed < kills:
    pid = child(folder / "out")
    time.sleep(chance.uniform(0, seconds / 2))
    os.kill(pid, signal.SIGKILL)
    if os.WIFSIGNALED(os.waitpid(pid, 0)[1]):
        killed += 1
        print(len(list(folder.glob(".out.unfinished/shards/*.json"))), flush=True)
    else:  # It was done before; from the start again.
        shutil.rmtree(folder / "out")
_, status = os.waitpid(child(folder / "out"), 0)
assert status == 0
"""


def test_ten_kills_at_random_moments(tmp_path):
    files = raw_trees.viper({"train/001": 60}, backward=True)
    raw = raw_trees.write_zips(files, tmp_path / "raw", parts=3)
    command = [sys.executable, "-c", _KILLS, str(raw), str(tmp_path), "10"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    finished = done.stdout.split()
    assert len(finished) == 10 and len(set(finished)) > 2, "the kills hit different states"
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_dry_run_writes_nothing(raw, tmp_path, capsys):
    viper(raw, tmp_path / "out", "--dry_run")
    text = capsys.readouterr().out
    assert "10 frames in 6 shards, 0 of them there already" in text
    assert "3 × a forward flow without its second frame" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]


def test_bad_files_are_skipped_by_name_and_end_a_clip(raw, tmp_path, capsys):
    def spoil(name: str, data: bytes) -> None:
        (raw / "train" / name).write_bytes(data)

    small = raw_trees.texture(0, 20, 48)
    spoil("img/001/001_00003.jpg", (raw / "train/img/001/001_00003.jpg").read_bytes()[:-100])
    spoil("img/025/025_00001.jpg", raw_trees.picture(small, "jpg"))
    spoil("cls/001/001_00001.png", raw_trees.grey_png(np.full(raw_trees.VIPER_SIZE, 77, np.uint8)))
    spoil("cls/001/001_00002.png", raw_trees.picture(small, "png"))
    spoil("cls/001/001_00005.png", raw_trees.grey_png(np.zeros((3, 4), np.uint8)))
    spoil("flow/001/001_00001.npz", b"PK")
    spoil("flow/001/001_00004.npz", raw_trees.flow_npz(*np.zeros((2, 3, 4))))
    viper(raw, tmp_path / "out")
    found = skipped(tmp_path / "out")
    assert {name.removeprefix("train/"): why for name, why in found.items()} == {
        "flow/001/001_00005.npz": "a forward flow without its second frame",
        "flow/025/025_00002.npz": "a forward flow without its second frame",
        "val/flow/001/001_00003.npz": "a forward flow without its second frame",
        "img/001/001_00003.jpg": "truncated (the JPEG has no end)",
        "img/025/025_00001.jpg": "48x20 pixels, not 48x27",
        "cls/001/001_00001.png": "class id 77 is not in the map 'viper'",
        "cls/001/001_00002.png": "RGB pixels where class ids should be",
        "cls/001/001_00005.png": "4x3 labels of a 48x27 picture",
        "flow/001/001_00001.npz": "not a flow npz with u and v (File is not a zip file)",
        "flow/001/001_00004.npz": "4x3 flow of a 48x27 picture",
    }
    assert "7 ×" not in (text := capsys.readouterr().out) and "10 files were skipped" in text
    source = RecordSource(tmp_path / "out")
    assert [(clip.number, clip.frames) for clip in source.clips] == [(1, 2), (4, 2)]
    assert source.clips[0].runs == {"forward_flow": [[1, 2]], "backward_flow": [[1, 2]]}
    assert (source.read(0, 0, 2)["labels"] == 255).all()
    assert not source.read(0, 0, 2)["forward_flow_valid"].any()
    assert source.read(0, 0, 2)["flow_valid"].any()
    assert RecordSource(tmp_path / "out", "test").lengths == [1]


def test_videos(tmp_path, capsys):
    for name, count in (("a.mp4", 5), ("b/a.mp4", 4), ("b/cut.mp4", 40)):
        (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        with VideoWriter(tmp_path / "raw" / name, Fraction(25), 32, 48) as writer:
            for at in range(count):
                writer.write(raw_trees.texture(count, 32, 48, shift=2 * at))
    cut = tmp_path / "raw" / "b" / "cut.mp4"
    cut.write_bytes(cut.read_bytes()[:-3000])
    arguments = ["videos", f"--raw={tmp_path}/raw/**/*.mp4", "--size=16,32"]
    main([*arguments, f"--out={tmp_path}/1", "--workers=1"])
    main([*arguments, f"--out={tmp_path}/2", "--workers=4"])
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    source = RecordSource(tmp_path / "1")
    assert [(clip.name, clip.frames) for clip in source.clips] == [("raw/a.mp4", 5), ("b/a.mp4", 4)]
    frames = source.read(0, 0, 5)["frames"]
    crop = cv2.resize(raw_trees.texture(5, 32, 48)[4:28], (32, 16), interpolation=cv2.INTER_AREA)
    assert np.abs(frames[0].astype(int) - crop).mean() < 6
    assert "b/cut.mp4" in capsys.readouterr().out


def test_a_gap_in_the_times_of_a_video_begins_a_new_clip(tmp_path):
    stamps = [0, 40, 80, 3000, 3040]
    moving_pictures.encode_at(tmp_path / "a.mp4", stamps)
    main(["videos", f"--raw={tmp_path}/a.mp4", f"--out={tmp_path}/out", "--size=16,32"])
    source = RecordSource(tmp_path / "out")
    assert [(clip.number, clip.frames) for clip in source.clips] == [(0, 3), (4, 2)]


def test_a_gap_in_the_numbering_is_counted(tmp_path, capsys):
    frames = tmp_path / "raw"
    frames.mkdir()
    for number in (0, 1, 2, 500, 501):
        Image.fromarray(raw_trees.texture(number, 16, 32)).save(frames / f"{number:06}.png")
    Image.fromarray(raw_trees.texture(9, 16, 32)).save(frames / "000001.jpg")
    arguments = ["videos", f"--raw={frames}", "--size=16,32"]
    main([*arguments, f"--out={tmp_path}/out", "--dry_run"])
    assert re.findall(r"train +(\d+) +(\d+)", capsys.readouterr().out)[0] == ("2", "5")
    main([*arguments, f"--out={tmp_path}/out"])
    output = capsys.readouterr().out
    assert re.findall(r"train +(\d+) +(\d+)", output)[-1] == ("2", "5")
    assert "raw/000001.jpg: the same as 000001.png" in output
    source = RecordSource(tmp_path / "out")
    assert [(clip.number, clip.frames) for clip in source.clips] == [(0, 3), (500, 2)]
    # A file that is filled in later joins them.
    for number in range(3, 500):
        (frames / f"{number:06}.png").write_bytes((frames / "000000.png").read_bytes())
    main([*arguments, f"--out={tmp_path}/whole"])
    assert RecordSource(tmp_path / "whole").lengths == [502]


@pytest.mark.parametrize("name", ["a:b", "clips [1]", "動" * 81 + "a", "50%d"])
def test_data_sets_of_any_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with VideoWriter("raw.mp4", Fraction(25), 16, 32) as writer:
        for at in range(3):
            writer.write(raw_trees.texture(at, 16, 32))
    main(["videos", "--raw=raw.mp4", f"--out={name}", "--size=16,32"])
    assert RecordSource(name).lengths == [3]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "raw.mp4"])


def test_a_video_that_breaks_off_is_left_out_whole(tmp_path, monkeypatch):
    from v2v_jax.data.prepare import films

    for name in "ab":
        with VideoWriter(tmp_path / f"{name}.mp4", Fraction(25), 32, 48) as writer:
            for at in range(6):
                writer.write(raw_trees.texture(1, 32, 48, shift=at))

    class Broken:
        frames_estimate = 6
        timing = Timing(Fraction(25))

        def __init__(self, path):
            self._frames, self._bad = list(opened(path)), path.name == "a.mp4"
            self._path = path

        def __iter__(self):
            yield from self._frames[:4]
            if self._bad:
                raise ValueError(f"{self._path}: damaged")
            yield from self._frames[4:]

        def __enter__(self):
            return self

        def __exit__(self, *_): ...

    opened = films.open_video
    monkeypatch.setattr(films, "open_video", Broken)
    main(["videos", f"--raw={tmp_path}/*.mp4", f"--out={tmp_path}/out", "--size=16,32"])
    assert [clip.name for clip in RecordSource(tmp_path / "out").clips] == ["b.mp4"]
    assert skipped(tmp_path / "out") == {"a.mp4": "damaged"}


def test_bad_arguments_are_one_line(raw, tmp_path, capsys):
    out = f"--out={tmp_path}/out"
    assert "no such folder" in refused(capsys, "viper", f"--raw={tmp_path}/none", out)
    assert "no frames of VIPER" in refused(capsys, "viper", f"--raw={raw}/val/cls", out)
    assert "sequences of VIPER are missing" in refused(capsys, "viper", f"--raw={raw}", out)
    assert "no sequences of Cityscapes" in refused(capsys, "cityscapes", f"--raw={raw}", out)
    assert "no pictures in trainA" in refused(capsys, "recyclegan", f"--raw={raw}", out)
    assert "no video matches" in refused(capsys, "videos", f"--raw={tmp_path}/*.mp4", out)
    for size in ("256", "0,5", "a,b", "9999,16"):
        line = refused(capsys, "viper", f"--raw={raw}", out, f"--size={size}")
        assert "--size" in line and "height,width of 8 to 8192" in line
    assert "invalid choice: 'kitti'" in refused(capsys, "kitti")
    assert "--raw, --out" in refused(capsys, "viper")
    assert "'depth': choose from labels, flow" in refused(
        capsys, "viper", f"--raw={raw}", out, "--without=depth"
    )
    for place in ("/proc/nowhere/out", f"{raw}/train/img/001/001_00001.jpg/out"):
        line = refused(capsys, "viper", f"--raw={raw}", f"--out={place}", "--partial")
        assert f"cannot write {place}" in line
    for path in raw.rglob("*.jpg"):
        path.write_bytes(b"no picture")
    line = refused(capsys, "viper", f"--raw={raw}", out, "--partial", "--frames_per_shard=3")
    assert "not one frame of viper could be used" in line and "neither a png nor a jpg" in line


def test_two_at_once_do_not_meet(raw, tmp_path, capsys):
    with engine.work_folder(tmp_path / "out"):
        line = refused(capsys, "viper", f"--raw={raw}", f"--out={tmp_path}/out", "--partial")
    assert "another process is preparing it" in line


_FULL = """
import resource, signal, sys
from v2v_jax.data.prepare.__main__ import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
main(sys.argv[2:])
"""


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(raw, tmp_path):
    """A limit on file sizes stands in for the disk."""
    arguments = ["viper", f"--raw={raw}", f"--out={tmp_path}/out", "--partial", *SIZE]
    command = [sys.executable, "-c", _FULL, "3000", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: cannot write") and "start the same command again" in line
    assert "Traceback" not in done.stderr and not (tmp_path / "out").exists()
    viper(raw, tmp_path / "out")
    viper(raw, tmp_path / "expected")
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_progress_says_how_long(raw, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("v2v_jax.data.prepare.progress._SECONDS", 0.0)
    viper(raw, tmp_path / "out")
    lines = [line for line in capsys.readouterr().err.splitlines() if "frames/s" in line]
    assert len(lines) == 10 and "10 of 10 frames (100.0 %)" in lines[-1]
    assert "0 min 00 s left, 0 skipped" in lines[-1]


def test_flow_is_scaled_by_the_ratio_of_its_own_axis():
    u, v = np.full((1080, 1920), 7.5, np.float32), np.full((1080, 1920), -4.0, np.float32)
    u[600, 1000] = np.nan
    for fit, ratios in (("squeeze", (512 / 1920, 256 / 1080)), ("crop", (512 / 1920, 256 / 960))):
        flow = Resampler(256, 512, fit).flow(u, v).astype(np.float32)
        unknown = np.isnan(flow).any(-1)
        assert unknown.sum() == 1
        expected = np.array([7.5, -4.0]) * ratios
        np.testing.assert_allclose(flow[~unknown], np.tile(expected, (131071, 1)), rtol=1e-3)
    row = int(600 * 256 / 1080)
    assert np.isnan(Resampler(256, 512, "squeeze").flow(u, v)[row, int(1000 * 512 / 1920)])[0]


@pytest.mark.parametrize("height, width", [(18, 32), (27, 48), (7, 13), (60, 100)])
def test_a_pixel_an_unknown_one_touches_is_unknown(height, width):
    """Compared with moving the unknown pixels' values: what does not change is untouched."""
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=(2, 27, 48)).astype(np.float32)
    valid = rng.random((27, 48)) > 0.05
    resampler = Resampler(height, width, "squeeze")
    # One component is unknown where the other is known.
    flow = resampler.flow(np.where(valid, u, np.nan).astype(np.float32), v)
    lifted = resampler.flow(np.where(valid, u, u + 100), v)
    plain = resampler.flow(u, v)
    touched = (lifted != plain)[..., 0]
    for axis in range(2):
        np.testing.assert_array_equal(np.isnan(flow[..., axis]), touched)
    np.testing.assert_allclose(flow[~touched], plain[~touched], rtol=1e-2, atol=1e-3)


def test_index_cuts_clips_where_a_frame_is_missing(tmp_path):
    records = [("a", 1, "l"), ("a", 2, "lf"), ("a", 4, "f"), ("b", 5, ""), ("b", 6, "l")]
    halves = [records[:1], records[1:]]
    done = [engine.Done("train", tmp_path, 0, half, [Skip("", "")]) for half in halves]
    assert finish.clip_index(done) == [
        ["a", 1, 2, {"labels": [[0, 2]], "forward_flow": [[1, 2]]}],
        ["a", 4, 1, {"forward_flow": [[0, 1]]}],
        ["b", 5, 2, {"labels": [[1, 2]]}],
    ]
