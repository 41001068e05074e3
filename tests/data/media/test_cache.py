from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from v2v_jax.data.media import cache
from v2v_jax.data.media.cache import cached_video, content_key
from v2v_jax.data.media.reader import open_video
from v2v_jax.data.media.writer import VideoWriter
from v2v_jax.data.transforms import fit


def film(path: pathlib.Path, count: int = 9, seed: int = 0) -> pathlib.Path:
    base = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    with VideoWriter(path, 25, 48, 64) as writer:
        for shift in range(count):
            writer.write(np.kron(np.roll(base, shift, 1), np.ones((4, 4, 1), np.uint8)))
    return path


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "cache"


def test_frames_are_those_of_the_video_fitted(tmp_path, folder):
    path = film(tmp_path / "a.mp4")
    video = cached_video(path, folder, 16, 32)
    expected = np.stack([fit(frame, 16, 32) for frame in open_video(path)])
    assert video.length == 9
    np.testing.assert_array_equal(video.read(0, 9), expected)
    np.testing.assert_array_equal(video.read(4, 3), expected[4:7])
    assert isinstance(video.read(4, 3), np.memmap)
    np.testing.assert_array_equal(np.load(video.frames_file), expected)


def count_builds(monkeypatch: pytest.MonkeyPatch) -> list[pathlib.Path]:
    built: list[pathlib.Path] = []
    build = cache._build

    def counting(reader, entry, *size):
        built.append(entry)
        build(reader, entry, *size)

    monkeypatch.setattr(cache, "_build", counting)
    return built


def test_the_key_is_content_and_settings_not_name_or_time(tmp_path, folder, monkeypatch):
    built = count_builds(monkeypatch)
    path = film(tmp_path / "a.mp4")
    cached_video(path, folder, 16, 32)
    cached_video(path, folder, 16, 32)
    moved = tmp_path / "elsewhere" / "b.mp4"
    moved.parent.mkdir()
    shutil.copy(path, moved)
    cached_video(moved, folder, 16, 32)
    os.utime(path, (0, 0))
    cached_video(path, folder, 16, 32)
    assert len(built) == 1
    cached_video(path, folder, 16, 24)
    cached_video(path, folder, 8, 32)
    assert len(built) == 3
    stat = path.stat()
    film(path, seed=1)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    changed = cached_video(path, folder, 16, 32)
    assert len(built) == 4 == len(set(built))
    np.testing.assert_array_equal(
        changed.read(0, 9), np.stack([fit(frame, 16, 32) for frame in open_video(path)])
    )
    monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
    cached_video(path, folder, 16, 32)
    assert len(built) == 5


def test_a_folder_is_keyed_by_names_and_contents(tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    for index in range(3):
        Image.fromarray(np.full((8, 16, 3), index, np.uint8)).save(frames / f"{index}.png")
    key = content_key(frames, 8, 16)
    (frames / "notes.txt").write_text("no frame")
    assert content_key(frames, 8, 16) == key
    (frames / "0.png").rename(frames / "9.png")
    swapped = content_key(frames, 8, 16)
    Image.fromarray(np.full((8, 16, 3), 7, np.uint8)).save(frames / "1.png")
    changed = content_key(frames, 8, 16)
    (frames / "1.png").rename(frames / "01.png")
    assert len({key, swapped, changed, content_key(frames, 8, 16)}) == 4


_BUILD = """
import sys, time, pathlib
from v2v_jax.data.media import cache
slow = float(sys.argv[3])
fit = cache.fit
def slow_fit(*arguments):
    print("frame", flush=True)
    time.sleep(slow)
    return fit(*arguments)
cache.fit = slow_fit
cache.cached_video(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), 16, 32)
"""


def builder(path: pathlib.Path, folder: pathlib.Path, slow: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _BUILD, str(path), str(folder), str(slow)], stdout=subprocess.PIPE
    )


def test_a_kill_while_building_leaves_nothing_wrong(tmp_path, folder):
    path = film(tmp_path / "a.mp4")
    with builder(path, folder, slow=0.3) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    visible = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    hidden = [entry for entry in folder.iterdir() if entry.is_dir()]
    assert visible == [] and len(hidden) == 1
    video = cached_video(path, folder, 16, 32)
    assert video.read(0, 9).shape == (9, 16, 32, 3)
    assert [entry for entry in folder.iterdir() if entry.is_dir()] == [video.frames_file.parent]


def test_builders_at_the_same_time_build_once(tmp_path, folder):
    path = film(tmp_path / "a.mp4")
    processes = [builder(path, folder, slow=0.05) for _ in range(3)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(output.count(b"frame") for output in outputs) == [0, 0, 9]
    assert cached_video(path, folder, 16, 32).length == 9


def test_without_file_locks_builders_merely_build_twice(tmp_path, folder, monkeypatch):
    """The loser of the race finds the winner's entry standing and takes it."""
    path = film(tmp_path / "a.mp4")
    build = cache._build

    def raced(reader, entry, *size):
        build(reader, entry, *size)
        build(reader, entry, *size)

    monkeypatch.setattr(cache, "_build", raced)
    assert cached_video(path, folder, 16, 32).length == 9
    assert len([entry for entry in folder.iterdir() if entry.is_dir()]) == 1


@pytest.mark.parametrize("damage", ["truncated frames", "no frames", "no meta", "bad meta"])
def test_a_damaged_entry_is_built_anew(tmp_path, folder, damage):
    path = film(tmp_path / "a.mp4")
    video = cached_video(path, folder, 16, 32)
    expected = np.array(video.read(0, 9))
    meta = video.frames_file.with_name("meta.json")
    if damage == "truncated frames":
        os.truncate(video.frames_file, video.frames_file.stat().st_size - 100)
    elif damage == "bad meta":
        meta.write_text(json.dumps({"frames": 9})[:-3])
    else:
        (meta if damage == "no meta" else video.frames_file).unlink()
    np.testing.assert_array_equal(cached_video(path, folder, 16, 32).read(0, 9), expected)


def test_bad_videos_and_places_are_named(tmp_path, folder):
    path = film(tmp_path / "a.mp4", 40)
    data = path.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(ValueError, match=r"cut\.mp4: truncated, only \d+ of 40 frames"):
        cached_video(tmp_path / "cut.mp4", folder, 16, 32)
    with pytest.raises(FileNotFoundError, match=r"none\.mp4"):
        cached_video(tmp_path / "none.mp4", folder, 16, 32)
    with pytest.raises(OSError, match="cannot write the frame cache /proc/nowhere"):
        cached_video(path, pathlib.Path("/proc/nowhere"), 16, 32)
    assert not folder.exists() or not any(entry.is_dir() for entry in folder.iterdir())


_FULL = """
import pathlib, resource, signal, sys
from v2v_jax.data.media.cache import cached_video
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    cached_video(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), 16, 32)
except OSError as error:
    print(error)
"""


def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path, folder):
    """A limit on file sizes stands in for the disk: the same write fails, with another number."""
    path = film(tmp_path / "a.mp4")
    command = [sys.executable, "-c", _FULL, str(path), str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == f"cannot write the frame cache {folder}: File too large\n"
    assert not any(entry.is_dir() for entry in folder.iterdir())
