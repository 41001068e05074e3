from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from v2v_jax.data.media.frame_folder import FolderWriter
from v2v_jax.data.media.inputs import list_inputs
from v2v_jax.data.media.reader import open_video
from v2v_jax.data.media.writer import VideoWriter


def gradient(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth picture whose colours tell its number and its orientation."""
    rows, columns = np.mgrid[0:height, 0:width]
    red = 255 * rows / height
    blue = 255 * columns / width
    return np.stack([red, np.full_like(red, index * 4 % 256), blue], -1).astype(np.uint8)


def write(path: pathlib.Path, count: int = 10, fps: Fraction | int = 25, **size: int) -> None:
    height, width = size.get("height", 48), size.get("width", 64)
    with VideoWriter(path, fps, height, width) as writer:
        for index in range(count):
            writer.write(gradient(index, height, width))


def encode(
    path: pathlib.Path, codec: str = "libx264", count: int = 10, *, noise=False, rotate=None
) -> None:
    """A video by other hands than `VideoWriter`'s."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.bit_rate = (
            4_000_000  # At its default, MPEG-4 shows more of itself than of the frames.
        )
        if rotate is not None:
            stream.set_display_rotation(*rotate)
        for index in range(count):
            frame = rng.integers(0, 256, (48, 64, 3), np.uint8) if noise else gradient(index)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())


def distance(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


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


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.avi", "mpeg4"), ("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("a.mov", "mpeg4")],
)
def test_reads_every_container(tmp_path, name, codec):
    encode(tmp_path / name, codec, 12)
    video = open_video(tmp_path / name)
    frames = list(video)
    assert (len(frames), video.fps, video.frames_estimate) == (12, 25, 12)
    assert distance(frames[7], gradient(7)) < 3


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [
        ((90,), lambda p: np.rot90(p, 1)),
        ((180,), lambda p: np.rot90(p, 2)),
        ((-90,), lambda p: np.rot90(p, -1)),
        ((0, True), lambda p: p[:, ::-1]),
        ((90, True), lambda p: np.rot90(p, 1)[:, ::-1]),
    ],
)
def test_rotation_metadata_is_honoured(tmp_path, rotation, expected):
    encode(tmp_path / "a.mp4", rotate=rotation)
    video = open_video(tmp_path / "a.mp4")
    frames = list(video)
    upright = expected(gradient(3))
    assert (video.height, video.width) == upright.shape[:2]
    assert distance(frames[3], upright) < 5


def test_a_video_can_be_iterated_twice_and_left_early(tmp_path):
    write(tmp_path / "a.mp4", 8)
    with open_video(tmp_path / "a.mp4") as video:
        first = next(iter(video))
        assert len(list(video)) == 8
        np.testing.assert_array_equal(next(iter(video)), first)


def test_memory_is_constant_in_the_length_of_the_video(tmp_path):
    write(tmp_path / "a.mp4", 120, height=240, width=320)
    code = (
        "import resource, sys\n"
        "from v2v_jax.data.media.reader import open_video\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for number, frame in enumerate(open_video(sys.argv[1])):\n"
        "    if number == 40: before = peak()\n"
        "print(peak() - before)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.mp4")], capture_output=True, check=True
    )
    assert int(result.stdout) < 4 * 1024  # KiB; the 80 frames left are 18 MiB.


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi"])
def test_a_truncated_video_names_its_frames(tmp_path, suffix):
    whole, path = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    if suffix in {".webm", ".avi"}:
        encode(whole, "mpeg4" if suffix == ".avi" else "libvpx-vp9", 40, noise=True)
    else:
        rng = np.random.default_rng(0)
        with VideoWriter(whole, 25, 48, 64) as writer:
            for _ in range(40):
                writer.write(rng.integers(0, 256, (48, 64, 3), np.uint8))
    data = whole.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(ValueError, match=r"only \d+ of 40 frames could be read") as error:
        list(open_video(path))
    assert str(path) in str(error.value)
    match = re.search(r"only (\d+) of", str(error.value))
    assert match is not None and 10 < int(match[1]) < 40
    assert "\n" not in str(error.value)


def test_a_hole_in_the_middle_is_an_error(tmp_path):
    # A hole inside one frame is concealed by the decoder: wrong pixels, but every frame is there.
    encode(tmp_path / "a.mp4", count=40, noise=True)
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20_000] = bytes(20_000)
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(ValueError, match="of 40 frames could be read; the file is damaged"):
        list(open_video(tmp_path / "a.mp4"))


def test_a_trimmed_mp4_is_not_mistaken_for_a_truncated_one(tmp_path):
    """A phone's trim keeps hidden frames in front, which the file's own count includes."""
    encode(tmp_path / "whole.mp4", count=40)
    with (
        av.open(str(tmp_path / "whole.mp4")) as whole,
        av.open(str(tmp_path / "a.mp4"), "w", options={"avoid_negative_ts": "disabled"}) as cut,
    ):
        stream = cut.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(whole.streams.video[0]):
            if packet.dts is not None and packet.pts is not None and packet.time_base is not None:
                shift = round(Fraction(10, 25) / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = stream
                cut.mux(packet)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].frames == 40
    frames = list(open_video(tmp_path / "a.mp4"))
    assert 28 <= len(frames) <= 31
    assert distance(frames[-1], gradient(39)) < 5


def bad_inputs(folder: pathlib.Path) -> dict[str, tuple[pathlib.Path, type[Exception], str]]:
    encode(folder / "a.mp4")
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("not a video\n" * 50)
    # Without its index (at the end, as cameras write it) an mp4 is lost.
    (folder / "nomoov.mp4").write_bytes((folder / "a.mp4").read_bytes()[:900])
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    (folder / "nothing").mkdir()
    return {
        "missing": (folder / "missing.mp4", FileNotFoundError, "no such file or folder"),
        "empty": (folder / "empty.mp4", ValueError, "empty"),
        "text": (folder / "text.mp4", ValueError, "not a video that can be read"),
        "nomoov": (folder / "nomoov.mp4", ValueError, "not a video that can be read"),
        "sound": (folder / "sound.mp4", ValueError, "no video stream"),
        "no frames": (folder / "nothing", ValueError, "no frames in this folder"),
    }


@pytest.mark.parametrize("case", ["missing", "empty", "text", "nomoov", "sound", "no frames"])
def test_bad_input_is_one_clear_line(tmp_path, case):
    path, kind, message = bad_inputs(tmp_path)[case]
    with pytest.raises(kind, match=message) as error:
        list(open_video(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_folders_are_read_in_numeric_order(tmp_path):
    for index in (10, 2, 1, 33):
        Image.fromarray(np.full((4, 6, 3), index, np.uint8)).save(tmp_path / f"frame_{index}.png")
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / ".hidden.png")
    (tmp_path / "notes.txt").write_text("not a frame")
    video = open_video(tmp_path)
    assert [int(frame[0, 0, 0]) for frame in video] == [1, 2, 10, 33]
    assert (video.fps, video.frames_estimate, video.height, video.width) == (25, 4, 4, 6)
    assert open_video(tmp_path, fps=Fraction(30000, 1001)).fps == Fraction(30000, 1001)


def test_every_kind_of_picture_becomes_rgb(tmp_path):
    colour = np.array([200, 100, 50], np.uint8)
    rgb = np.broadcast_to(colour, (4, 6, 3))
    Image.fromarray(np.full((4, 6), 130, np.uint8)).save(tmp_path / "0.png")
    Image.fromarray(np.full((4, 6), 130 * 257, np.uint16)).save(tmp_path / "1.png")
    Image.fromarray(np.concatenate([rgb, np.full((4, 6, 1), 9, np.uint8)], -1)).save(
        tmp_path / "2.png"
    )
    Image.fromarray(np.ascontiguousarray(rgb)).quantize(4).save(tmp_path / "3.png")
    deep = np.ascontiguousarray(rgb[..., ::-1].astype(np.uint16) * 257)
    assert cv2.imwrite(str(tmp_path / "4.png"), deep)
    Image.fromarray(np.full((4, 6, 2), [130, 9], np.uint8), "LA").save(tmp_path / "5.png")
    Image.fromarray(np.ascontiguousarray(rgb)).save(tmp_path / "6.JPEG", quality=98)
    grey = [130, 130, 130]
    for frame, expected in zip(
        open_video(tmp_path), [grey, grey, colour, colour, colour, grey, colour], strict=True
    ):
        assert frame.shape == (4, 6, 3) and frame.dtype == np.uint8
        assert np.abs(frame.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("damage", ["truncated", "flipped", "text"])
def test_a_damaged_picture_is_named(tmp_path, damage):
    rng = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / f"{index}.png")
    data = bytearray((tmp_path / "1.png").read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    (tmp_path / "1.png").write_bytes(
        {"truncated": data[: len(data) // 2], "flipped": data, "text": b"hello"}[damage]
    )
    with pytest.raises(ValueError, match=r"1\.png: not a picture that can be read") as error:
        list(open_video(tmp_path))
    assert "\n" not in str(error.value)


def test_a_frame_of_another_size_is_named(tmp_path):
    for index, width in enumerate((6, 6, 7)):
        Image.fromarray(np.zeros((4, width, 3), np.uint8)).save(tmp_path / f"{index}.png")
    with pytest.raises(ValueError, match=r"2\.png: 7x4 pixels, .* 6x4"):
        list(open_video(tmp_path))


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


def test_what_patterns_stand_for(tmp_path):
    videos, frames = tmp_path / "videos", tmp_path / "frames"
    videos.mkdir()
    for name in ("clip10.mp4", "clip2.MOV", "odd[1].mkv", ".hidden.mp4", "notes.txt"):
        (videos / name).write_bytes(b"x")
    for scene in ("b", "a"):
        (frames / scene).mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(frames / scene / "0.png")

    def names(pattern: pathlib.Path) -> list[str]:
        return [path.name for path in list_inputs(pattern)]

    assert names(videos) == ["clip2.MOV", "clip10.mp4", "odd[1].mkv"]
    assert names(videos / "clip*") == ["clip2.MOV", "clip10.mp4"]
    assert names(tmp_path / "**" / "*.mp4") == ["clip10.mp4"]
    assert names(videos / "odd[1].mkv") == ["odd[1].mkv"]
    assert names(frames) == ["a", "b"]
    assert names(frames / "*") == ["a", "b"]
    assert names(frames / "a") == ["a"]
    with pytest.raises(FileNotFoundError, match=r"no video matches .*none\*\.mp4.*looked for"):
        list_inputs(videos / "none*.mp4")
    with pytest.raises(FileNotFoundError, match="no video matches"):
        (tmp_path / "empty").mkdir()
        list_inputs(tmp_path / "empty")
    with pytest.raises(ValueError, match="give the folder of frames itself"):
        list_inputs(frames / "a" / "*.png")
    with pytest.raises(ValueError, match=r"notes\.txt, which is neither"):
        list_inputs(videos / "*")
