"""A video's frames keep their times."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from data.moving_pictures import distance, encode_at, gradient, times, write

from v2v_jax.data.media.frame_folder import FolderReader
from v2v_jax.data.media.outputs import open_output
from v2v_jax.data.media.reader import open_video
from v2v_jax.data.media.timing import exact_rate, gaps, judge

SCREEN = [0, 40, 80, 120, 160, 3000, 3017, 6000]
"""Milliseconds: stills between movements, as recorders of screens write them."""


def copy(source, result, **options):
    """Reads and writes; returns how many frames were read."""
    with open_video(source) as reader:
        size = reader.height, reader.width
        with open_output(result, reader.fps, *size, like=reader, **options) as writer:
            count = 0
            for frame in reader:
                writer.write(frame)
                count += 1
    return count


@pytest.mark.parametrize(("name", "codec"), [
    ("a.mp4", "libx264"), ("a.mov", "mpeg4"), ("a.mkv", "libx264"), ("a.webm", "libvpx"),
])  # fmt: skip
@pytest.mark.parametrize("claimed", [25, 30_000])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_variable_rate_keeps_every_time_stamp(tmp_path, name, codec, claimed, suffix):
    encode_at(tmp_path / name, SCREEN, codec=codec, rate=claimed if codec == "libx264" else 25)
    out = tmp_path / f"out{suffix}"
    assert copy(tmp_path / name, out) == len(SCREEN)
    shown, last = times(out)
    assert shown == [Fraction(stamp, 1000) for stamp in SCREEN]
    assert shown[-1] + last == Fraction(604, 100)
    for index, frame in enumerate(open_video(out)):
        assert distance(frame, gradient(index)) < 4
    with open_video(out) as again:
        assert again.fps == len(SCREEN) / Fraction(604, 100)
        assert again.timing.base == Fraction(1, 1000)


@pytest.mark.parametrize("base", [Fraction(1, 600), Fraction(1, 90_000), Fraction(1001, 30_000)])
@pytest.mark.parametrize("begin", [0, 7])
def test_the_time_base_is_the_inputs(tmp_path, base, begin):
    stamps = [begin + stamp for stamp in (0, 3, 4, 9, 10, 31)]
    encode_at(tmp_path / "a.mp4", stamps, base, last=2)
    copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    ticks = base.numerator
    with open_video(tmp_path / "b.mp4") as video:
        list(video)
        assert video.timing.base == Fraction(1, base.denominator)
        assert video.timing.stamps == [stamp * ticks for stamp in stamps]
        assert video.timing.last == 2 * ticks


def test_a_held_last_frame_is_held(tmp_path):
    encode_at(tmp_path / "a.mp4", [0, 40, 80], last=5000)
    copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert times(tmp_path / "b.mp4") == ([0, Fraction(1, 25), Fraction(2, 25)], 5)


def test_a_constant_rate_stays_one_whatever_the_header_claims(tmp_path):
    encode_at(tmp_path / "a.mkv", [40 * i for i in range(9)], rate=30_000)
    with open_video(tmp_path / "a.mkv") as video:
        assert video.fps == 25 and video.timing.base is None
    write(tmp_path / "b.mkv", 9, Fraction(30000, 1001))
    with open_video(tmp_path / "b.mkv") as video:
        assert video.fps == Fraction(30000, 1001) and video.timing.base is None


def test_a_forced_rate_repeats_and_leaves_out(tmp_path):
    encode_at(tmp_path / "a.mp4", SCREEN)
    assert copy(tmp_path / "a.mp4", tmp_path / "b.mp4", forced=Fraction(10)) == len(SCREEN)
    shown, last = times(tmp_path / "b.mp4")
    assert shown == [Fraction(i, 10) for i in range(60)] and last == Fraction(1, 10)
    frames = list(open_video(tmp_path / "b.mp4"))
    # Shown until 80, 160 (of 200: rounded to 2), 3000 and 3017 ms; frame 6 from 3.0 s to 6 s.
    for at, index in ((0, 0), (1, 3), (29, 4), (30, 6), (59, 6)):
        assert distance(frames[at], gradient(index)) < 4, at
    write(tmp_path / "c.mp4", 9, 30)
    copy(tmp_path / "c.mp4", tmp_path / "d.mp4", forced=Fraction(60))
    with open_video(tmp_path / "d.mp4") as video:
        assert video.fps == 60 and len(list(video)) == 18
    copy(tmp_path / "c.mp4", tmp_path / "e.mp4", forced=Fraction(1, 100))
    assert len(list(open_video(tmp_path / "e.mp4"))) == 1


def test_folders_have_the_rate_they_are_given(tmp_path):
    write(tmp_path / "a.mp4", 5, 10)
    copy(tmp_path / "a.mp4", tmp_path / "f" / "%04d.png")
    assert sorted(p.name for p in (tmp_path / "f").iterdir()) == [f"000{i}.png" for i in range(5)]
    with open_video(tmp_path / "f", fps=10) as folder:
        assert isinstance(folder, FolderReader)
        with open_output(tmp_path / "b.mp4", folder.fps, 48, 64, like=folder) as writer:
            for frame in folder:
                writer.write(frame)
    with open_video(tmp_path / "b.mp4") as video:
        assert video.fps == 10 and len(list(video)) == 5
    copy(tmp_path / "a.mp4", tmp_path / "j" / "%d.jpg")
    for index, frame in enumerate(open_video(tmp_path / "j")):
        assert distance(frame, gradient(index)) < 4


def test_what_people_call_a_rate():
    assert exact_rate(25) == exact_rate("25") == exact_rate(25.0) == 25
    assert exact_rate("29.97") == exact_rate(29.97) == exact_rate("30000/1001")
    assert exact_rate("23.976") == exact_rate("23.98") == Fraction(24000, 1001)
    assert exact_rate("12.5") == Fraction(25, 2)
    for text in ("fast", "0", "-3", "1/0", "nan", "1e9", ""):
        with pytest.raises(ValueError, match="no frame rate: give frames per second"):
            exact_rate(text)


def test_which_frames_have_a_rate():
    def base_of(stamps, base=Fraction(1, 1000), rates=(), last=0):
        return judge(np.array(stamps), base, rates, last).base

    ntsc = [round(i * Fraction(1001, 30)) for i in range(500)]
    assert base_of(ntsc) is None and base_of([int(s) + 7 for s in ntsc]) is None
    assert base_of([i // 2 for i in range(40)], rates=[Fraction(2000)]) is None
    assert base_of([0, 1, 3, 4], Fraction(1, 30), [Fraction(30)]) is not None
    assert base_of([0, 40, 80, 121]) is not None
    assert base_of([0, 40, 80], last=61) is not None and base_of([0, 40, 80], last=60) is None
    one = judge(np.array([5]), Fraction(1, 1000), [], 40)
    assert one.base is None and one.rate == 25 and one.origin == Fraction(5, 1000)


def test_gaps_are_multiples_of_the_median_distance():
    assert gaps(SCREEN, 4) == [5, 7] and gaps(SCREEN, 100) == [] == gaps(SCREEN, 0) == gaps([], 4)


def test_two_frames_at_one_time_are_both_written(tmp_path):
    timing = judge(np.array([0, 5, 5, 90]), Fraction(1, 1000), [], 5)
    for number, stamp in enumerate((0, 5, 5, None)):
        timing.note(number, stamp)
        timing.note(number, stamp)  # A second pass over the video.
    assert timing.stamps == [0, 5, 6, 6 + timing.usual]
