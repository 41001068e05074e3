"""200 videos of random kinds through our own reader and writer: nothing of them may change."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from data.moving_pictures import distance, encode_at, gradient, times

from v2v_jax.data.media.outputs import open_output
from v2v_jax.data.media.reader import open_video
from v2v_jax.translator import Translator, translate_files

VIDEOS, AT_ONCE = 200, 20
KINDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("libx264", ".mp4"): ("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuv420p10le"),
    ("libx264", ".mov"): ("yuv420p", "yuvj420p"),
    ("libx264", ".mkv"): ("yuv420p", "yuv444p"),
    ("libx264", ".ts"): ("yuv420p",),
    ("mpeg4", ".avi"): ("yuv420p",),
    ("mpeg4", ".mp4"): ("yuv420p",),
    ("ffv1", ".mkv"): ("yuv444p", "bgr0"),
    ("mjpeg", ".mov"): ("yuvj420p", "yuvj444p"),
    ("libvpx", ".webm"): ("yuv420p",),
}
SIZES = [(48, 64), (47, 63), (64, 48), (32, 50)]
RATES = [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(10)]


@dataclasses.dataclass(frozen=True)
class Identity:
    """A network that changes nothing."""

    def initial_carry(self, frames: Any) -> Any:
        return ()

    def translate(self, generator: Any, frozen: Any, carry: Any, frames: Any, flow: Any = None):
        return carry, frames


def drawn(seed: int) -> dict[str, Any]:
    """What one video is like."""
    rng = np.random.default_rng([13, seed])
    codec, suffix = list(KINDS)[rng.integers(len(KINDS))]
    rate = RATES[rng.integers(len(RATES))]
    pattern = rng.choice(["constant", "jitter", "lost", "still", "wild", "held", "late"])
    base = {".mkv": 1000, ".webm": 1000, ".ts": 90_000}.get(suffix)
    if suffix == ".avi":  # It knows no times but its rate.
        pattern = "constant"
    base = Fraction(1, base or int(rng.choice([600, 12_800, 30_000])))
    if suffix == ".avi" or (pattern == "constant" and not base.denominator % rate.numerator):
        base = 1 / rate
    # FFmpeg does not know a transport stream by fewer packets.
    count = int(rng.integers(3, 10)) + 6 * (suffix == ".ts")
    step = 1 / (rate * base)
    even = [round(i * step) for i in range(count)]
    whole = max(1, round(step))
    stamps = {
        "constant": even,
        "jitter": [s + int(rng.integers(0, whole // 3 + 1)) for s in even],
        "lost": [s for i, s in enumerate(even) if i % 3 != 1],
        "still": [s + (i > count // 2) * 50 * whole for i, s in enumerate(even)],
        "wild": np.cumsum(rng.integers(1, 4 * whole, count)).tolist(),
        "held": even,
        "late": [s + 3 * whole for s in even],
    }[pattern]
    codec_suits = codec not in ("mpeg4", "libvpx", "mjpeg")
    size = SIZES[rng.integers(len(SIZES))]
    pix_fmts = KINDS[codec, suffix]
    pix_fmt = pix_fmts[rng.integers(len(pix_fmts))]
    if not codec_suits or pix_fmt not in ("yuv444p", "bgr0"):
        size = (size[0] // 2 * 2, size[1] // 2 * 2)
    return {
        "suffix": suffix,
        "pattern": pattern,
        "rate": rate,
        "out": [".mp4", ".mov", ".mkv"][rng.integers(3)],
        "film": {
            "stamps": stamps, "base": base, "last": whole * (30 if pattern == "held" else 1),
            "codec": codec, "rate": rate, "size": size, "pix_fmt": pix_fmt,
            "rotate": int(rng.choice([0, 90, 180, 270])) if suffix in (".mp4", ".mov") else 0,
        },
    }  # fmt: skip


def upright(index: int, size: tuple[int, int], rotate: int) -> np.ndarray:
    return np.rot90(gradient(index, *size), rotate // 90)


@pytest.fixture(scope="module")
def identity() -> Translator:
    method: Any = Identity()
    return Translator(method, {}, {}, None, 4)


@pytest.mark.parametrize("first", range(0, VIDEOS, AT_ONCE))
def test_nothing_of_a_video_changes(tmp_path, identity, first):
    for seed in range(first, first + AT_ONCE):
        kind = drawn(seed)
        source, result = tmp_path / f"{seed}{kind['suffix']}", tmp_path / f"{seed}o{kind['out']}"
        encode_at(source, **kind["film"])
        try:
            translate_files(identity, [(source, result)], open_video, open_output)
            check(kind, source, result)
        except Exception as error:
            raise AssertionError(f"video {seed}: {kind}") from error


def check(kind: dict[str, Any], source: Any, result: Any) -> None:
    """Count, times, shape and colour of ``result``."""
    film, constant = kind["film"], kind["pattern"] in ("constant", "late")
    shown, last = times(result)
    count, base = len(film["stamps"]), film["base"]
    assert len(shown) == count
    before = [stamp * base for stamp in film["stamps"]]
    slack = Fraction(1, 2000) if kind["out"] == ".mkv" else Fraction(0)
    with open_video(source) as video:
        if constant:  # A rate, from 0 on, which ticks may have rounded.
            # Of few ticks per second and few frames, 24 and 23.976 look alike.
            assert video.fps == kind["rate"] or base.denominator == 600
            expected, slack = [i / kind["rate"] for i in range(count)], max(slack, base)
        else:
            begin = before[0] if kind["suffix"] == ".ts" or video.timing.base is None else 0
            expected = [time - begin for time in before]
            shift = shown[0] if kind["suffix"] == ".ts" else Fraction(0)
            shown = [time - shift for time in shown]
            assert video.timing.base is None or kind["suffix"] == ".ts" or slack or (
                video.timing.base == Fraction(1, base.denominator)
            )  # fmt: skip
    assert all(abs(a - b) <= slack for a, b in zip(shown, expected, strict=True))
    if kind["pattern"] == "held" and kind["suffix"] != ".ts":
        assert abs(last - film["last"] * base) <= 2 * slack
    frames = list(open_video(result))
    assert len(frames) == count
    for index, frame in enumerate(frames):
        assert distance(frame, upright(index, film["size"], film["rotate"])) < 5
