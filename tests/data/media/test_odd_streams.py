"""Streams that are not what a first look says: covers, single fields, sizes that change."""

from __future__ import annotations

import io
import logging as std_logging
import os
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from data.moving_pictures import distance, encode, encode_at, gradient, times
from data.single_fields import write_fields
from PIL import Image

from v2v_jax.data.media.frame_names import say
from v2v_jax.data.media.outputs import open_output
from v2v_jax.data.media.reader import open_video


@pytest.fixture
def said(caplog):
    say.cache_clear()
    caplog.set_level(std_logging.WARNING, logger="absl")
    return caplog


@pytest.mark.parametrize("suffix", [".ts", ".m2ts", ".mkv", ".mp4", ".h264"])
@pytest.mark.parametrize("together", [False, True])
def test_fields_that_are_packets_of_their_own_are_no_frames(tmp_path, said, suffix, together):
    pictures = [gradient(at, 64, 64) for at in range(16)]
    path, result = tmp_path / f"a{suffix}", tmp_path / "b.mp4"
    write_fields(path, pictures, together=together)
    with open_video(path) as video:
        assert video.fps == 25 and video.frames_estimate == 16
        with open_output(result, video.fps, 64, 64, like=video) as writer:
            for index, frame in enumerate(video):
                assert distance(frame, pictures[index]) < 2.5
                writer.write(frame)
    assert times(result) == ([Fraction(at, 25) for at in range(16)], Fraction(1, 25))
    assert "could not be shown" not in said.text and "interlaced" in said.text
    with open_video(path, deinterlace=True) as video:
        assert len(list(video)) == 16 and video.fps == 25


def song(path, *, picture: bool) -> None:
    """An mp3 with a cover in its ID3 tag."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libmp3lame", rate=44_100)
        stream.codec_context.layout = "stereo"
        for at in range(40):
            silence = np.zeros((2, 1152), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, "fltp", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = 44_100, at * 1152, Fraction(1, 44_100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if picture:
        coded = io.BytesIO()
        Image.new("RGB", (64, 64), (200, 30, 30)).save(coded, "JPEG")
        body = b"\0image/jpeg\0\3\0" + coded.getvalue()
        tag = b"APIC" + len(body).to_bytes(4, "big") + b"\0\0" + body
        length = bytes(len(tag) >> by & 127 for by in (21, 14, 7, 0))
        path.write_bytes(b"ID3\3\0\0" + length + tag + path.read_bytes())


def test_a_cover_is_no_video(tmp_path):
    song(tmp_path / "a.mp3", picture=True)
    with pytest.raises(ValueError, match=r"a\.mp3: sound with a cover picture, no video"):
        open_video(tmp_path / "a.mp3")
    song(tmp_path / "b.mp3", picture=False)
    with pytest.raises(ValueError, match="no video stream"):
        open_video(tmp_path / "b.mp3")


def test_which_of_two_videos_is_read_is_said(tmp_path, said):
    sizes = [(32, 32), (48, 64)]
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        streams: list[Any] = [container.add_stream("libx264", rate=25) for _ in sizes]
        for stream, (height, width) in zip(streams, sizes, strict=True):
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for stream, size in zip(streams, sizes, strict=True):
            for index in range(5):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(gradient(index, *size))))
            container.mux(stream.encode())
    with open_video(tmp_path / "a.mkv") as video:
        number = 1 + sizes.index((video.height, video.width))
        assert len(list(video)) == 5
    assert said.text.count(f"holds 2 videos; number {number} is read") == 1


@pytest.mark.parametrize("deinterlace", [False, True])
@pytest.mark.parametrize(("codec", "second"), [("libvpx", (96, 128)), ("libx264", (96, 96))])
def test_a_call_whose_size_changes_is_scaled_to_the_first(
    tmp_path, said, codec, second, deinterlace
):
    sizes = [(48, 64), second]
    suffix = ".webm" if codec == "libvpx" else ".mkv"
    for number, size in enumerate(sizes):
        stamps = [40 * index for index in range(5)]
        options = {"bf": "0", "x264-params": "repeat-headers=1"} if suffix == ".mkv" else {}
        path = tmp_path / f"{number}{'.ts' if suffix == '.mkv' else suffix}"
        base = Fraction(1, 90_000 if suffix == ".mkv" else 1000)
        encode_at(path, [round(s / 1000 / base) for s in stamps], base, last=round(0.04 / base),
                  codec=codec, size=size, options=options)  # fmt: skip
    parts = sorted(tmp_path.iterdir())
    with av.open(str(tmp_path / f"all{parts[0].suffix}"), "w") as result:
        with av.open(str(parts[0])) as first:
            stream: Any = result.add_stream_from_template(first.streams.video[0])
        count = 0
        for part in parts:
            with av.open(str(part)) as source:
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.time_base = Fraction(1, 1000)
                        packet.pts = packet.dts = 40 * count
                        packet.duration, packet.stream = 40, stream
                        result.mux(packet)
                        count += 1
    frames = list(open_video(tmp_path / f"all{parts[0].suffix}", deinterlace=deinterlace))
    assert len(frames) == 10 and {frame.shape for frame in frames} == {(48, 64, 3)}
    assert said.text.count("frame 5 has") == 1 and "the first one 64x48" in said.text
    inside = frames[7] if second == (96, 128) else frames[7][:, 8:56]
    expected = gradient(2, 48, inside.shape[1])
    assert distance(inside, expected) < 6
    if second == (96, 96):
        assert frames[7][:, :7].max() < 20 and frames[7][:, 57:].max() < 20


def test_packets_that_are_known_to_be_damaged_are_said(tmp_path, said):
    encode(tmp_path / "a.ts", count=40, noise=True)
    data = bytearray((tmp_path / "a.ts").read_bytes())
    at = len(data) // 188 // 2 * 188
    del data[at : at + 188]
    (tmp_path / "a.ts").write_bytes(data)
    list(open_video(tmp_path / "a.ts"))
    assert "packets are known to be damaged; what can be decoded is used" in said.text


def test_a_bare_stream_has_the_rate_it_tells(tmp_path):
    with av.open(str(tmp_path / "a.h264"), "w", format="h264") as container:
        stream: Any = container.add_stream("libx264", rate=50)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gradient(index))))
        container.mux(stream.encode())
    with open_video(tmp_path / "a.h264") as video:
        assert video.fps == 50
        assert [distance(f, gradient(i)) < 5 for i, f in enumerate(video)] == [True] * 10


def test_one_picture_is_a_video_of_one_frame_and_stands_upright(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(gradient(0)).save(tmp_path / "a.jpg", exif=turned, quality=95)
    (frame,) = open_video(tmp_path / "a.jpg")
    assert distance(frame, np.rot90(gradient(0), -1)) < 3
    Image.fromarray(gradient(0)).save(tmp_path / "b.png")
    (frame,) = open_video(tmp_path / "b.png")
    np.testing.assert_array_equal(frame, gradient(0))
    # One that moves is a video.
    first, *others = [Image.fromarray(gradient(i)) for i in range(4)]
    first.save(tmp_path / "c.png", save_all=True, append_images=others, duration=[40, 40, 500, 40])
    assert len(list(open_video(tmp_path / "c.png"))) == 4


@pytest.mark.parametrize("angle", [0, 90, 180, -90])
def test_beside_data_of_unknown_kinds_a_frame_is_turned_all_the_same(tmp_path, angle):
    from v2v_jax.data.media.turning import upright

    class Frame:
        rotation = angle

        @property
        def side_data(self):
            raise ValueError("31 is not a valid Type")

    expected = np.rot90(gradient(0), angle // 90)
    np.testing.assert_array_equal(upright(gradient(0), Frame()), expected)


def test_what_is_not_there_or_no_file_says_so(tmp_path):
    (tmp_path / "a.mp4").symlink_to("/elsewhere/a.mp4")
    with pytest.raises(FileNotFoundError, match=r"a link to /elsewhere/a\.mp4, and there is no"):
        open_video(tmp_path / "a.mp4")
    os.mkfifo(tmp_path / "b.mp4")
    with pytest.raises(ValueError, match="neither a file nor a folder; save what it gives"):
        open_video(tmp_path / "b.mp4")


def test_what_ffmpeg_cannot_decode_is_not_called_truncated(tmp_path):
    first, *others = [Image.fromarray(gradient(i)) for i in range(4)]
    first.save(tmp_path / "a.webp", save_all=True, append_images=others, duration=40)
    try:
        assert len(list(open_video(tmp_path / "a.webp"))) == 4
    except ValueError as error:  # So far no FFmpeg can.
        assert "of a kind (webp) that FFmpeg cannot decode: convert it" in str(error)
        assert "truncated" not in str(error)
