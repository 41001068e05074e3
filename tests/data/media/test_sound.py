from __future__ import annotations

import pathlib
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from data.moving_pictures import gradient

from v2v_jax.data.media.reader import open_video
from v2v_jax.data.media.writer import VideoWriter

RATE = 48_000
CLICK = 0.5


def click(seconds: float) -> np.ndarray:
    """float32 [2, N]: silence, and a tone of 50 ms at `CLICK`."""
    time = np.arange(round(seconds * RATE)) / RATE
    tone = 0.8 * np.sin(2 * np.pi * 1000 * time) * (abs(time - CLICK - 0.025) < 0.025)
    return np.repeat(tone[None].astype(np.float32), 2, axis=0)


def film(
    path: pathlib.Path,
    sound: str | None = "aac",
    *,
    codec="libx264",
    count=25,
    seconds=1.0,
    late=0,
    tracks=1,
    metadata: dict[str, str] | None = None,
) -> None:
    """Pictures at 25 frames per second from frame ``late`` on, and sound from 0 on."""
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata or {})
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        heard: list[Any] = []
        for _ in range(tracks if sound else 0):
            track: Any = container.add_stream(sound, rate=RATE)
            track.codec_context.layout = "stereo"
            heard.append(track)
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(gradient(index))
            frame.pts, frame.time_base = index + late, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        samples = click(seconds)
        for track in heard:
            for at in range(0, samples.shape[1], 960):
                part = np.ascontiguousarray(samples[:, at : at + 960])
                frame = av.AudioFrame.from_ndarray(part, "fltp", "stereo")
                frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
                container.mux(track.encode(frame))
            container.mux(track.encode())


def copied(source: pathlib.Path, path: pathlib.Path, **options: Any) -> None:
    with open_video(source) as reader:
        size = reader.height, reader.width
        with VideoWriter(path, reader.fps, *size, like=reader, **options) as writer:
            for frame in reader:
                writer.write(frame)


def heard(path: pathlib.Path, track: int = 0) -> tuple[float, float, str]:
    """When the click is heard after the first picture, where the sound ends, its codec."""
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).time or 0.0
    with av.open(str(path)) as container:
        stream = container.streams.audio[track]
        at, end = [], 0.0
        for frame in container.decode(stream):
            loud = np.abs(frame.to_ndarray().astype(float)).reshape(-1, frame.samples)[0]
            if not frame.format.is_planar:
                loud = np.abs(frame.to_ndarray().astype(float)).reshape(-1, 2)[:, 0]
            loud = loud / (32768 if "s16" in frame.format.name else 1)
            at += (frame.time + np.flatnonzero(loud > 0.3) / frame.sample_rate).tolist()
            end = max(end, frame.time + frame.samples / frame.sample_rate)
        return min(at) - first, end - first, stream.codec_context.name


@pytest.mark.parametrize(
    ("name", "sound", "codec", "suffix", "expected"),
    [
        ("a.mp4", "aac", "libx264", ".mp4", "aac"),
        ("a.mp4", "aac", "libx264", ".mov", "aac"),
        ("a.mp4", "aac", "libx264", ".mkv", "aac"),
        ("a.avi", "pcm_s16le", "mpeg4", ".mp4", "aac"),
        ("a.avi", "pcm_s16le", "mpeg4", ".mov", "pcm_s16le"),
        ("a.avi", "mp3", "mpeg4", ".mp4", "mp3float"),
        ("a.webm", "libopus", "libvpx-vp9", ".mp4", "opus"),
        ("a.webm", "libopus", "libvpx-vp9", ".mkv", "opus"),
        ("a.mkv", "pcm_s16le", "libx264", ".mp4", "aac"),
        ("a.ts", "aac", "libx264", ".mp4", "aac"),
        ("a.ts", "aac", "libx264", ".mkv", "aac"),
        ("a.ts", "ac3", "libx264", ".mp4", "ac3"),
    ],
)
def test_sound_is_kept_in_time(tmp_path, name, sound, codec, suffix, expected):
    film(tmp_path / name, sound, codec=codec)
    copied(tmp_path / name, tmp_path / f"b{suffix}")
    before, after = heard(tmp_path / name), heard(tmp_path / f"b{suffix}")
    assert after[2] in (expected, expected.removesuffix("float"), f"lib{expected}")
    assert abs(after[0] - before[0]) < 0.03 and 0.93 < after[1] < 1.06
    with open_video(tmp_path / f"b{suffix}") as reader:
        count = len(list(open_video(tmp_path / name)))
        assert (reader.fps, len(list(reader)), reader.timing.origin) == (25, count, 0)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(("sound", "packet"), [("aac", 1024), ("flac", 4608)])
def test_sound_ends_with_the_pictures_and_begins_with_them(tmp_path, suffix, sound, packet):
    film(tmp_path / "a.mkv", sound, seconds=3.0, late=5)
    copied(tmp_path / "a.mkv", tmp_path / f"b{suffix}")
    before, after = heard(tmp_path / "a.mkv"), heard(tmp_path / f"b{suffix}")
    assert before[1] > 2.7 and abs(before[0] - (CLICK - 0.2)) < 0.03
    # Within a packet, which is all that a copy can do.
    assert abs(after[0] - before[0]) < 0.03 and 0.95 < after[1] < 1 + packet / RATE


def test_coded_sound_is_cut_to_the_sample(tmp_path):
    film(tmp_path / "a.avi", "pcm_s16le", codec="mpeg4", seconds=3.0)
    copied(tmp_path / "a.avi", tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        stream = container.streams.audio[0]
        base = stream.time_base
        assert stream.duration is not None and base is not None
        assert abs(stream.duration * base.numerator / base.denominator - 1) < 0.025


def test_every_track_is_kept_or_none_is_wanted(tmp_path):
    film(tmp_path / "a.mp4", tracks=2)
    copied(tmp_path / "a.mp4", tmp_path / "b.mp4")
    copied(tmp_path / "a.mp4", tmp_path / "c.mp4", audio=False)
    for name, count in (("b.mp4", 2), ("c.mp4", 0)):
        with av.open(str(tmp_path / name)) as container:
            assert len(container.streams.audio) == count
    assert heard(tmp_path / "b.mp4", 1)[0] == pytest.approx(CLICK, abs=0.03)


def test_a_silent_video_stays_silent(tmp_path):
    film(tmp_path / "a.mp4", None)
    copied(tmp_path / "a.mp4", tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_damaged_sound_costs_no_picture(tmp_path):
    film(tmp_path / "a.mkv", "aac")
    data = bytearray((tmp_path / "a.mkv").read_bytes())
    with av.open(str(tmp_path / "a.mkv")) as container:
        sounds = [bytes(packet) for packet in container.demux(audio=0)]
    # What is in the packets, not how the file is built: those of the click hold something.
    heard_in = [sound for sound in sounds if len(sound) > 24]
    assert heard_in
    for sound in heard_in:
        at = data.find(sound)
        data[at + 8 : at + 16] = b"\xff" * 8
    (tmp_path / "a.mkv").write_bytes(data)
    for suffix in (".mp4", ".mov"):
        copied(tmp_path / "a.mkv", tmp_path / f"b{suffix}")
        assert len(list(open_video(tmp_path / f"b{suffix}"))) == 25
        with av.open(str(tmp_path / f"b{suffix}")) as container:
            assert len([p for p in container.demux(audio=0) if p.size]) > 40


def test_damaged_sound_that_is_coded_anew_is_left_out_where_it_is_damaged(tmp_path):
    film(tmp_path / "a.mkv", "flac", codec="mpeg4")
    data = bytearray((tmp_path / "a.mkv").read_bytes())
    with av.open(str(tmp_path / "a.mkv")) as container:
        sounds = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    for sound in (sounds[1], sounds[-2]):
        at = data.find(sound)
        data[at : at + 8] = b"\0" * 8
    (tmp_path / "a.mkv").write_bytes(data)
    copied(tmp_path / "a.mkv", tmp_path / "b.mov")  # No flac in a .mov.
    after = heard(tmp_path / "b.mov")
    assert after[2] == "aac" and abs(after[0] - CLICK) < 0.03 and 0.93 < after[1] < 1.06
    assert len(list(open_video(tmp_path / "b.mov"))) == 25


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_date_is_kept_and_the_place_only_on_demand(tmp_path, suffix):
    told = {
        "creation_time": "2019-03-04T05:06:07.000000Z", "location": "+48.2082+016.3738/",
        "title": "Mine",
    }  # fmt: skip
    film(tmp_path / "a.mp4", metadata=told)
    copied(tmp_path / "a.mp4", tmp_path / f"b{suffix}")
    copied(tmp_path / "a.mp4", tmp_path / f"c{suffix}", location=True)
    found = []
    for name in ("b", "c"):
        with av.open(str(tmp_path / f"{name}{suffix}")) as container:
            known = {key.lower(): value for key, value in container.metadata.items()}
            assert known["creation_time"].startswith("2019-03-04T05:06:07")
            assert "title" not in known
            found.append(any("48.2082" in value for value in known.values()))
    assert found == [False, True]
