from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from data.moving_pictures import distance, gradient, write

from v2v_jax.data.media.frame_folder import FolderWriter
from v2v_jax.data.media.inputs import list_inputs
from v2v_jax.data.media.reader import open_video
from v2v_jax.data.media.writer import VideoWriter


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(13), Fraction(359, 12)])
@pytest.mark.parametrize(("height", "width", "count"), [(48, 64, 31), (47, 63, 1)])
def test_round_trip_keeps_rate_count_size_and_colours(tmp_path, suffix, fps, height, width, count):
    path = tmp_path / f"a{suffix}"
    write(path, count, fps, height=height, width=width)
    with open_video(path) as video:
        frames = list(video)
        assert video.fps == fps
        assert video.frames_estimate == count
        assert (video.height, video.width) == (height, width)
    assert len(frames) == count
    for index, frame in enumerate(frames):
        assert distance(frame, gradient(index, height, width)) < 2.5
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_pure_colours_survive_with_the_matrix_the_file_names(tmp_path):
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (10, 200, 90)]
    with VideoWriter(tmp_path / "a.mp4", 25, 32, 32) as writer:
        for colour in colours:
            writer.write(np.full((32, 32, 3), colour, np.uint8))
    for frame, colour in zip(open_video(tmp_path / "a.mp4"), colours, strict=True):
        assert np.abs(frame.astype(int) - colour).max() <= 4
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].codec_context.colorspace == 1


def test_folder_writer_round_trip_is_lossless(tmp_path):
    frames = [np.random.default_rng(i).integers(0, 256, (5, 7, 3), np.uint8) for i in range(3)]
    with FolderWriter(tmp_path / "out") as writer:
        for frame in frames:
            writer.write(frame)
        assert not (tmp_path / "out").exists()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        f"00000{i}.png" for i in (0, 1, 2)
    ]
    np.testing.assert_array_equal(np.stack(list(open_video(tmp_path / "out"))), np.stack(frames))
    with pytest.raises(FileExistsError, match="not an empty folder"):
        FolderWriter(tmp_path / "out")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_nothing_stands_after_an_error(tmp_path, kind):
    final = tmp_path / ("a.mp4" if kind == "file" else "a")
    opened = VideoWriter(final, 25, 48, 64) if kind == "file" else FolderWriter(final)
    with pytest.raises(RuntimeError, match="translation failed"), opened as writer:
        writer.write(gradient(0))
        raise RuntimeError("translation failed")
    assert list(tmp_path.iterdir()) == []


def test_an_older_result_survives_a_failed_rerun(tmp_path):
    write(tmp_path / "a.mp4", 5)
    before = (tmp_path / "a.mp4").read_bytes()
    writer = VideoWriter(tmp_path / "a.mp4", 25, 48, 64)
    with pytest.raises(KeyboardInterrupt), writer:
        writer.write(gradient(0))
        raise KeyboardInterrupt
    assert (tmp_path / "a.mp4").read_bytes() == before


_KILLED = """
import os, sys, numpy as np
from v2v_jax.data.media.frame_folder import FolderWriter
from v2v_jax.data.media.writer import VideoWriter
path = sys.argv[1]
writer = VideoWriter(path, 25, 48, 64) if path.endswith("mp4") else FolderWriter(path)
for _ in range(100):
    writer.write(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
print("written", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("name", ["a.mp4", "a"])
def test_a_killed_writer_leaves_no_result_and_the_next_one_cleans_up(tmp_path, name):
    final = tmp_path / name

    def writer() -> VideoWriter | FolderWriter:
        return VideoWriter(final, 25, 48, 64) if name == "a.mp4" else FolderWriter(final)

    with subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(final)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"written\n"
        (leftover,) = tmp_path.iterdir()
        writer().abort()
        assert leftover.exists(), "a second writer leaves the living one's work alone"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert list(tmp_path.iterdir()) == [leftover] and leftover.name.startswith(".")
    with pytest.raises(FileNotFoundError):
        list_inputs(final)
    with writer() as other:
        assert not leftover.exists()
        other.write(gradient(0))
    assert list(tmp_path.iterdir()) == [final]


def test_unwritable_places_are_refused_before_the_first_frame(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "dir.mp4").mkdir()
    for path, message in [
        (pathlib.Path("/proc/nowhere/a.mp4"), "cannot write /proc/nowhere/a.mp4"),
        (tmp_path / "file" / "a.mp4", "cannot write"),
        (tmp_path / "dir.mp4", "it is a folder"),
    ]:
        with pytest.raises(OSError, match=message):
            VideoWriter(path, 25, 48, 64)
    with pytest.raises(OSError, match="cannot write /proc/nowhere"):
        FolderWriter("/proc/nowhere/a")
    with pytest.raises(ValueError, match=r"must end in \.mp4"):
        VideoWriter(tmp_path / "a.gif", 25, 48, 64)


_FULL = """
import resource, signal, sys, numpy as np
from v2v_jax.data.media.frame_folder import FolderWriter
from v2v_jax.data.media.writer import VideoWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, limit, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
rng = np.random.default_rng(0)
try:
    with FolderWriter(path) if path.endswith("d") else VideoWriter(path, 25, 48, 64) as writer:
        for _ in range(count):
            writer.write(rng.integers(0, 256, (48, 64, 3), np.uint8))
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize(("name", "limit", "count"), [
    ("a.mp4", 20_000, 200), ("a.mp4", 20_000, 20), ("a.mkv", 20_000, 200), ("d", 5_000, 3),
])  # fmt: skip
def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path, name, limit, count):
    """A limit on file sizes stands in for the disk: the same write fails, with another number."""
    result = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path / name), str(limit), str(count)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == f"cannot write {tmp_path / name}: File too large\n"
    assert list(tmp_path.iterdir()) == []


def test_a_writer_refuses_frames_it_did_not_promise(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25, 48, 64) as writer:
        writer.write(gradient(0))
        with pytest.raises(ValueError, match=r"\[48, 62, 3\] instead of"):
            writer.write(gradient(0, 48, 62))
        with pytest.raises(ValueError, match="float64"):
            writer.write(gradient(0) / 255)
    with pytest.raises(ValueError, match="no frame was written"):
        VideoWriter(tmp_path / "b.mp4", 25, 48, 64).close()
    assert not (tmp_path / "b.mp4").exists()
