from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from data.moving_pictures import distance

from v2v_jax.data.media.colour import tone_mapped
from v2v_jax.data.media.frame_names import say
from v2v_jax.data.media.reader import open_video
from v2v_jax.data.media.writer import VideoWriter

PATCHES = np.array(
    [(255, 255, 255), (0, 0, 0), (128, 128, 128), (200, 40, 40), (40, 160, 60), (60, 60, 190),
     (220, 200, 60), (90, 180, 190)], np.uint8,
)  # fmt: skip


def patches(height: int, width: int) -> np.ndarray:
    row = np.repeat(PATCHES, -(-width // len(PATCHES)), axis=0)[:width]
    return np.broadcast_to(row, (height, width, 3)).copy()


def encode(
    path, picture, matrix, levels, *, tags: dict[str, int], pix_fmt="yuv420p", codec="libx264"
) -> None:
    """Two frames of a picture, coded by one matrix and tagged as ``tags`` say."""
    height, width = picture.shape[:2]
    deep = picture.dtype == np.uint16
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb48le" if deep else "rgb24")
            frame = VideoReformatter().reformat(
                frame, format=pix_fmt, dst_colorspace=matrix, dst_color_range=levels
            )
            frame.colorspace = tags.get("colorspace", 2)
            frame.color_range = tags.get("color_range", 0)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def shown(path, matrix, levels=ColorRange.MPEG) -> np.ndarray:
    """What a player shows that takes this matrix."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return (
            VideoReformatter()
            .reformat(frame, format="rgb24", src_colorspace=matrix, src_color_range=levels)
            .to_ndarray()
        )


CASES = [
    ("tagged 709", 96, 160, Colorspace.ITU709, {"colorspace": 1, "color_range": 1}),
    ("tagged 601 in HD", 96, 1280, Colorspace.ITU601, {"colorspace": 6, "color_range": 1}),
    ("tagged 470bg", 96, 160, Colorspace.ITU601, {"colorspace": 5, "color_range": 1}),
    ("tagged 240M", 96, 160, Colorspace.SMPTE240M, {"colorspace": 7, "color_range": 1}),
    ("tagged 2020", 96, 160, Colorspace.BT2020, {"colorspace": 9, "color_range": 1}),
    ("full 709", 96, 160, Colorspace.ITU709, {"colorspace": 1, "color_range": 2}),
    ("full 601", 96, 160, Colorspace.ITU601, {"colorspace": 5, "color_range": 2}),
    ("untagged SD", 96, 160, Colorspace.ITU601, {}),
    ("untagged wide", 96, 1280, Colorspace.ITU709, {}),
    ("untagged upright", 720, 160, Colorspace.ITU709, {}),
    ("untagged PAL", 576, 160, Colorspace.ITU601, {}),
]


@pytest.mark.parametrize(
    ("height", "width", "matrix", "tags"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_what_players_show_is_kept(tmp_path, suffix, height, width, matrix, tags):
    levels = ColorRange.JPEG if tags.get("color_range") == 2 else ColorRange.MPEG
    source, result = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    encode(source, patches(height, width), matrix, levels, tags=tags)
    reader = open_video(source)
    with VideoWriter(result, reader.fps, height, width, like=reader) as writer:
        for frame in reader:
            assert distance(frame, patches(height, width)) < 2.5
            writer.write(frame)
    before, after = shown(source, matrix, levels), shown(result, Colorspace.ITU709)
    assert distance(before, after) < 1.5


def pq(nits: float) -> float:
    y = (nits / 10_000) ** (1305 / 8192)
    return ((107 / 128 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def grey(code: float) -> np.ndarray:
    return np.full((48, 64, 3), round(65535 * code), np.uint16)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize(
    ("transfer", "name", "code", "level"),
    [
        (16, "PQ", pq(203), 255),
        (16, "PQ", pq(1000), 255),
        (16, "PQ", pq(20.3), 255 * 0.1 ** (1 / 2.4)),
        (16, "PQ", 0, 0),
        (18, "HLG", 0.75, 255),
        (18, "HLG", 0.5, 255 * (1000 / 203 * (1 / 12) ** 1.2) ** (1 / 2.4)),
    ],
)
def test_hdr_is_tone_mapped_and_said(tmp_path, caplog, codec, transfer, name, code, level):
    say.cache_clear()
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": transfer, "color_range": 1}
    path = tmp_path / "a.mkv"
    encode(path, grey(code), Colorspace.BT2020, ColorRange.MPEG, tags=tags,
           pix_fmt="yuv420p10le", codec=codec)  # fmt: skip
    for frame in open_video(path):
        assert np.abs(frame.astype(int) - level).max() <= 3
    assert caplog.text.count(f"HDR ({name}), tone-mapped to BT.709: 203 nits become white") == 1


def test_primaries_of_sdr_become_those_of_709(tmp_path):
    """The red of BT.709 at half light, stored in BT.2020's primaries."""
    code = (0.5 * np.array([0.6274, 0.0691, 0.0164])) ** (1 / 2.4)
    picture = np.broadcast_to(np.rint(65535 * code), (48, 64, 3)).astype(np.uint16)
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 14, "color_range": 1}
    encode(tmp_path / "a.mkv", picture, Colorspace.BT2020, ColorRange.MPEG, tags=tags,
           pix_fmt="yuv420p10le")  # fmt: skip
    red, green, blue = next(iter(open_video(tmp_path / "a.mkv")))[24, 32].tolist()
    assert abs(red - 255 * 0.5 ** (1 / 2.4)) <= 3 and max(green, blue) < 30
    # Unsaid, they are BT.709's, as ever.
    encode(tmp_path / "b.mkv", picture, Colorspace.BT2020, ColorRange.MPEG,
           tags={"colorspace": 9, "color_range": 1}, pix_fmt="yuv420p10le")  # fmt: skip
    assert distance(next(iter(open_video(tmp_path / "b.mkv"))), (picture >> 8).astype(np.uint8)) < 2


@pytest.mark.parametrize(("levels", "expected"), [(1, (0, 128, 255)), (2, (16, 126, 235))])
def test_grey_that_says_it_is_limited_is_spread(tmp_path, levels, expected):
    shades = np.repeat(np.array([16, 126, 235], np.uint8), 16)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "gray"
        stream.codec_context.color_range = levels
        frame = av.VideoFrame.from_ndarray(np.tile(shades, (32, 1)), format="gray")
        frame.color_range = levels
        container.mux([*stream.encode(frame), *stream.encode()])
    found = next(iter(open_video(tmp_path / "a.mkv")))[0, 8::16, 0]
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_primaries_of_hdr_become_those_of_709():
    """The red of BT.709 in BT.2020's primaries, at 100 nits."""
    light = 100 * np.array([0.6274, 0.0691, 0.0164])
    deep = np.array([[[round(65535 * pq(nits)) for nits in light]]], np.uint16)
    red = tone_mapped(deep, "PQ")[0, 0]
    assert abs(int(red[0]) - 255 * (100 / 203) ** (1 / 2.4)) <= 2 and red[1:].max() <= 25
    assert tone_mapped(deep, "PQ", wide=False)[0, 0, 1] > 50
