"""Nothing is refused that is whole, and truncated is what is truncated."""

from __future__ import annotations

import logging as std_logging
from fractions import Fraction

import av
import pytest
from data.moving_pictures import distance, encode, encode_at, gradient, remux

from v2v_jax.data.media.frame_names import say
from v2v_jax.data.media.reader import open_video

GROUPS = {"g": "12", "keyint_min": "12", "sc_threshold": "0"}


def numbers(path, count=60, size=(48, 64)):
    """Which `gradient` each frame is."""
    found = []
    for frame in open_video(path):
        likely = min(range(count), key=lambda i: distance(frame, gradient(i, *size)))
        assert distance(frame, gradient(likely, *size)) < 6
        found.append(likely)
    return found


@pytest.fixture
def said(caplog):
    say.cache_clear()
    caplog.set_level(std_logging.WARNING, logger="absl")
    return caplog


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
@pytest.mark.parametrize(("drop", "expected"), [
    ({3}, [0, 1, 2, 2, 3, 4, 5, 6, 7, 8]), ({4, 5, 8}, [0, 1, 2, 3, 3, 3, 4, 5, 5, 6]),
])  # fmt: skip
def test_an_avi_repeats_a_frame_by_an_empty_chunk(tmp_path, codec, drop, expected):
    stamps = [number for number in range(10) if number not in drop]
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    base = Fraction(1, 25)
    encode_at(tmp_path / "a.avi", stamps, base, last=1, codec=codec, pix_fmt=pix_fmt)
    with open_video(tmp_path / "a.avi") as video:
        assert (video.frames_estimate, video.fps) == (10, 25)
    assert numbers(tmp_path / "a.avi", 10) == expected


def test_an_avi_that_ends_with_empty_chunks_holds_its_last_frame(tmp_path):
    encode(tmp_path / "a.avi", "mpeg4", 10)
    data = bytearray((tmp_path / "a.avi").read_bytes())
    at = data.find(b"strh") + 8 + 32  # dwLength of the stream's header.
    assert int.from_bytes(data[at : at + 4], "little") == 10
    data[at : at + 4] = (13).to_bytes(4, "little")
    (tmp_path / "a.avi").write_bytes(data)
    assert numbers(tmp_path / "a.avi") == [*range(10), 9, 9, 9]


def test_a_webm_whose_last_picture_is_held_is_whole(tmp_path):
    encode_at(tmp_path / "a.webm", [0, 40, 80], last=4000, codec="libvpx")
    with open_video(tmp_path / "a.webm") as video:
        assert len(list(video)) == 3
        assert video.timing.stamps == [0, 40, 80] and video.timing.last == 4000


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_cut_at_an_open_group_of_pictures(tmp_path, said, codec, suffix):
    groups = "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=2:b-adapt=0"
    params = {"libx264": f"{groups}:b-pyramid=0", "libx265": f"{groups}:log-level=none"}
    options = {f"{codec[3:]}-params": params[codec]}
    whole, cut = tmp_path / "a.mp4", tmp_path / f"b{suffix}"
    stamps, base = [512 * i for i in range(40)], Fraction(1, 12800)
    encode_at(whole, stamps, base, options=options, codec=codec, last=512)
    with av.open(str(whole)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    remux(whole, cut, lambda n, _: n >= keys[1])
    found, coded = numbers(cut, 40), 40 - keys[1]
    assert found == list(range(found[0], 40)) and len(found) < coded
    with av.open(str(cut)) as container:  # An edit list hides what the muxer was told of.
        hidden = sum(p.is_discard for p in container.demux(video=0))
    skipped = f"its first {coded - len(found)} frames need others that were cut off"
    assert hidden or skipped in said.text


@pytest.mark.parametrize(("codec", "suffix"), [
    ("libx264", ".mp4"), ("libx264", ".mkv"), ("libx264", ".ts"), ("libx265", ".mp4"),
    ("mpeg4", ".mp4"), ("mpeg4", ".avi"), ("mpeg4", ".mkv"), ("mpeg2video", ".ts"),
    ("mpeg2video", ".mpg"), ("libvpx", ".webm"), ("libvpx-vp9", ".webm"), ("libvpx-vp9", ".mp4"),
])  # fmt: skip
def test_a_video_that_starts_inside_a_group_of_pictures(tmp_path, said, codec, suffix):
    options = {"g": "12", "x265-params": "keyint=12:min-keyint=12:log-level=none:open-gop=0"}
    if codec != "libx265":
        options = {**GROUPS, "bf": "0"} if codec.startswith("lib") else {"g": "12"}
    if codec.startswith("libvpx"):
        options = {"g": "12", "keyint_min": "12", "deadline": "realtime", "cpu-used": "8",
                   "lag-in-frames": "0"}  # fmt: skip
    whole, cut = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    with av.open(str(whole), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.bit_rate = 4_000_000
        for index in range(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gradient(index))))
        container.mux(stream.encode())
    assert numbers(whole, 40) == list(range(40))
    remux(whole, cut, lambda n, _: n >= 5)
    assert numbers(cut, 40) == list(range(12, 40))
    assert "its first 7 frames need others that were cut off" in said.text


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".webm", ".mp4"])
def test_what_is_truncated_is_called_so_before_anything_is_computed(tmp_path, suffix):
    codec = {".mkv": "libx264", ".avi": "mpeg4", ".webm": "libvpx", ".mp4": "libx264"}[suffix]
    encode(tmp_path / f"a{suffix}", codec, 40, noise=True)
    data = (tmp_path / f"a{suffix}").read_bytes()
    if suffix == ".mp4":  # Fragmented: there is no index of the whole.
        with av.open(str(tmp_path / "a.mp4")) as source, av.open(
            str(tmp_path / "f.mp4"), "w", options={"movflags": "frag_keyframe+empty_moov"}
        ) as target:  # fmt: skip
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
        data = (tmp_path / "f.mp4").read_bytes()
        assert len(list(open_video(tmp_path / "f.mp4"))) == 40
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(ValueError, match=r"truncated, only \d+ of \d+ frames could be read"):
        open_video(cut)
