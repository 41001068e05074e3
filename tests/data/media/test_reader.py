from __future__ import annotations

import pathlib
import re
import subprocess
import sys
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from data.moving_pictures import distance, encode, gradient, write
from PIL import Image

from v2v_jax.data.media.reader import open_video
from v2v_jax.data.media.writer import VideoWriter


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
