"""Files whose clock starts anew inside: recordings joined end to end, broken broadcasts."""

from __future__ import annotations

import logging as std_logging
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from data.moving_pictures import distance, encode_at, gradient, times

from v2v_jax.data.media.cache import cached_video
from v2v_jax.data.media.frame_names import say
from v2v_jax.data.media.outputs import open_output
from v2v_jax.data.media.reader import open_video

RATE = 48_000


@pytest.fixture
def said(caplog):
    say.cache_clear()
    caplog.set_level(std_logging.WARNING, logger="absl")
    return caplog


def film(path, codec: str, *, sound: str | None = None, count=20) -> None:
    """20 frames at 25 per second; of the sound, a tone begins half a second in."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.bit_rate = 4_000_000
        track: Any = container.add_stream(sound, rate=RATE) if sound else None
        if track:
            track.codec_context.layout = "stereo"
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(gradient(index))
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track:
            time = np.arange(count * RATE // 25) / RATE
            wave = 0.5 * np.sin(2 * np.pi * 1000 * time) * (time > 0.5)
            for at in range(0, len(wave), 1152):
                part = np.repeat(wave[None, at : at + 1152].astype(np.float32), 2, axis=0)
                heard = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), "fltp", "stereo")
                heard.sample_rate, heard.pts, heard.time_base = RATE, at, Fraction(1, RATE)
                container.mux(track.encode(heard))
            container.mux(track.encode())


def copied(source, result, **options) -> None:
    with open_video(source) as reader:
        size = reader.height, reader.width
        with open_output(result, reader.fps, *size, like=reader, **options) as writer:
            for frame in reader:
                writer.write(frame)


@pytest.mark.parametrize(("suffix", "codec", "parts"), [
    (".ts", "libx264", 3), (".ts", "mpeg2video", 3), (".mpg", "mpeg2video", 3),
    (".mkv", "libx264", 2),
])  # fmt: skip
def test_joined_recordings_follow_each_other(tmp_path, said, suffix, codec, parts):
    film(tmp_path / f"a{suffix}", codec)
    path, result = tmp_path / f"b{suffix}", tmp_path / "c.mp4"
    path.write_bytes(parts * (tmp_path / f"a{suffix}").read_bytes())
    copied(path, result)
    assert times(result) == ([Fraction(at, 25) for at in range(20 * parts)], Fraction(1, 25))
    assert f"its clock starts anew {'2 times' if parts == 3 else 'once'}" in said.text
    frames = list(open_video(result))
    for at in (0, 19, 20, 39, 20 * parts - 1):
        assert distance(frames[at], gradient(at % 20)) < 5, at


@pytest.mark.parametrize("sound", ["aac", "mp2"])
def test_their_sound_follows_them(tmp_path, sound):
    film(tmp_path / "a.ts", "libx264", sound=sound)
    (tmp_path / "b.ts").write_bytes(2 * (tmp_path / "a.ts").read_bytes())
    copied(tmp_path / "b.ts", tmp_path / "c.mp4")
    loud: list[float] = []
    with av.open(str(tmp_path / "c.mp4")) as container:
        for frame in container.decode(audio=0):
            level = np.abs(frame.to_ndarray()[0])
            loud += (frame.time + np.flatnonzero(level > 0.2) / RATE).tolist()
    heard = np.array(loud)
    assert len(times(tmp_path / "c.mp4")[0]) == 40
    assert heard.min() == pytest.approx(0.5, abs=0.05)
    # Silent again until half a second into the second part.
    assert heard[heard > 0.9].min() == pytest.approx(1.3, abs=0.05)
    assert heard.max() == pytest.approx(1.6, abs=0.05)


def test_a_broadcast_whose_clock_leaps_goes_on_and_a_still_picture_stays(tmp_path):
    stamps = [40 * at for at in range(12)]
    leap = [*stamps, *(3_600_000 + 40 * at for at in range(12))]
    encode_at(tmp_path / "a.ts", [90 * at for at in leap], Fraction(1, 90_000), last=3600)
    with open_video(tmp_path / "a.ts") as video:
        assert len(list(video)) == 24 and video.fps == 25 and video.timing.base is None
    encode_at(tmp_path / "a.mkv", leap)
    with open_video(tmp_path / "a.mkv") as video:
        list(video)
        assert video.timing.stamps == leap


def test_joined_recordings_are_one_clip_at_a_constant_rate(tmp_path):
    film(tmp_path / "a.ts", "libx264")
    (tmp_path / "b.ts").write_bytes(2 * (tmp_path / "a.ts").read_bytes())
    (clip,) = cached_video(tmp_path / "b.ts", tmp_path / "c", 48, 64).cut(tmp_path / "b.ts", 4)
    assert clip.length == 40
    with open_video(tmp_path / "b.ts") as video:
        assert video.fps == 25 and video.timing.base is None


def test_a_clock_that_counts_from_another_day_begins_at_0(tmp_path):
    day = 1_600_000_000
    for name, steps in (("a", (0, 40, 80, 160, 200)), ("b", (0, 40, 80, 120))):
        encode_at(tmp_path / f"{name}.mkv", [day + step for step in steps])
        copied(tmp_path / f"{name}.mkv", tmp_path / f"{name}.mp4")
        assert times(tmp_path / f"{name}.mp4")[0] == [Fraction(step, 1000) for step in steps]
