from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from data.moving_pictures import distance, gradient

from v2v_jax.data.media.cache import cached_video
from v2v_jax.data.media.fields import FieldWriter
from v2v_jax.data.media.frame_names import say
from v2v_jax.data.media.outputs import open_output
from v2v_jax.data.media.reader import open_video
from v2v_jax.data.media.shape import Fitted, Look
from v2v_jax.data.media.writer import VideoWriter
from v2v_jax.data.transforms import fit


@pytest.fixture(autouse=True)
def said_anew():
    say.cache_clear()


class Like:
    """An open video that is nothing but its look."""

    path = None

    def __init__(self, look: Look) -> None:
        self.look = look


def disc(height: int = 48, width: int = 64, *, aspect: float = 1.0) -> np.ndarray:
    """A disc, round where pixels of this aspect ratio are shown."""
    rows, columns = np.mgrid[0:height, 0:width]
    apart = np.hypot(rows - height / 2 + 0.5, (columns - width / 2 + 0.5) * aspect)
    return np.repeat(np.where(apart < 20, 220, 40).astype(np.uint8)[..., None], 3, -1)


def extent(picture: np.ndarray) -> tuple[int, int]:
    """Rows and columns of the disc."""
    bright = picture[..., 1] > 130
    return int(bright.any(1).sum()), int(bright.any(0).sum())


def write(path, look: Look, frames) -> None:
    with VideoWriter(path, 25, *frames[0].shape[:2], like=Like(look), crf=5) as writer:
        for frame in frames:
            writer.write(frame)


def copied(source, path, **options) -> None:
    reader = open_video(source, **options)
    with VideoWriter(path, reader.fps, reader.height, reader.width, like=reader) as writer:
        for frame in reader:
            writer.write(frame)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("aspect", [Fraction(64, 45), Fraction(8, 9)])
def test_the_shape_of_pixels_is_kept(tmp_path, suffix, aspect):
    write(tmp_path / f"a{suffix}", Look(aspect), [disc()] * 3)
    copied(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    with av.open(str(tmp_path / f"b{suffix}")) as container:
        stream = container.streams.video[0]
        assert (stream.sample_aspect_ratio, stream.width, stream.height) == (aspect, 64, 48)


def test_pixels_of_a_turned_video_are_turned(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        stream.set_display_rotation(90)
        for index in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gradient(index))))
        container.mux(stream.encode())
    with open_video(tmp_path / "a.mp4") as reader:
        assert (reader.height, reader.width) == (64, 48)
        assert reader.look == Look(Fraction(45, 64))


def test_a_size_makes_pixels_square_and_crops_as_training_does(tmp_path, caplog):
    aspect = Fraction(64, 45)
    write(tmp_path / "a.mp4", Look(aspect), [disc(aspect=float(aspect))] * 2)
    fitted = Fitted(open_video(tmp_path / "a.mp4"), (48, 64))
    assert fitted.look == Look() and "12 of 48 rows" not in caplog.text
    assert "19 of 64 columns are left out at the edges, as in training" in caplog.text
    frame = next(iter(fitted))
    # Resampling alone takes 3.7 of a drawn edge, and H.264 less than 1 of what is resampled.
    drawn = fit(disc(aspect=float(aspect)), 48, 64, aspect)
    assert frame.shape == (48, 64, 3) and distance(drawn, disc()) < 4
    assert distance(frame, drawn) < 1 and extent(frame) == extent(disc()) == (40, 40)
    video = cached_video(tmp_path / "a.mp4", tmp_path / "cache", 48, 64)
    np.testing.assert_array_equal(video.read(0, 1)[0], frame)
    assert not caplog.text.count("another aspect ratio") > 1


def test_a_size_of_the_same_shape_says_nothing(tmp_path, caplog):
    write(tmp_path / "a.mp4", Look(), [disc()] * 2)
    fitted = Fitted(open_video(tmp_path / "a.mp4"), (24, 32))
    assert next(iter(fitted)).shape == (24, 32, 3)
    assert not caplog.text


def combed(index: int) -> np.ndarray:
    """A bar that moves, its even rows as it was half a frame before."""
    picture = np.full((48, 64, 3), 40, np.uint8)
    for field in (0, 1):
        at = 8 + 6 * index + 3 * field
        picture[field::2, at : at + 8] = 220
    return picture


def combs(frame: np.ndarray) -> float:
    """How much neighbouring rows differ."""
    return float(np.abs(np.diff(frame[..., 1].astype(int), axis=0)).mean())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("order", ["tff", "bff"])
def test_fields_are_said_and_kept(tmp_path, caplog, suffix, order):
    write(tmp_path / f"a{suffix}", Look(fields=order), [combed(i) for i in range(6)])
    copied(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    assert caplog.text.count("both fields are taken as one picture: --deinterlace") == 1
    assert f"interlaced ({'top' if order == 'tff' else 'bottom'} field first)" in caplog.text
    with av.open(str(tmp_path / f"b{suffix}")) as container:
        frames = list(container.decode(video=0))
        assert len(frames) == 6 and all(frame.interlaced_frame for frame in frames)
    for index, frame in enumerate(open_video(tmp_path / f"b{suffix}")):
        assert distance(frame, combed(index)) < 2.5


def test_each_field_has_its_own_chroma(tmp_path):
    """Lines of 4:2:0 belong to one field or the other; read as neighbours, red and blue mix."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[0::2], picture[1::2] = (200, 30, 30), (30, 30, 200)
    write(tmp_path / "a.mp4", Look(fields="tff"), [picture] * 3)
    for frame in open_video(tmp_path / "a.mp4"):
        assert distance(frame, picture) < 12


def test_interlacing_that_begins_later_is_said_and_mended(tmp_path, caplog):
    write(tmp_path / "a.mkv", Look(), [combed(0)] * 4)
    write(tmp_path / "b.mkv", Look(fields="tff"), [combed(i) for i in range(6)])
    with av.open(str(tmp_path / "c.ts"), "w") as result:
        count, stream = 0, None
        for name in "ab":
            with av.open(str(tmp_path / f"{name}.mkv")) as source:
                stream = stream or result.add_stream_from_template(source.streams.video[0])
                bare = av.BitStreamFilterContext("h264_mp4toannexb", source.streams.video[0])
                for packet in source.demux(video=0):
                    for part in bare.filter(packet) if packet.size else ():
                        part.time_base = Fraction(1, 90_000)
                        part.pts = part.dts = 3600 * count
                        part.stream = stream
                        result.mux(part)
                        count += 1
    plain = list(open_video(tmp_path / "c.ts"))
    assert caplog.text.count("interlaced from frame 4 on, and both fields are taken as") == 1
    clean = list(open_video(tmp_path / "c.ts", deinterlace=True))
    assert len(plain) == len(clean) == 10
    np.testing.assert_array_equal(np.stack(plain[:4]), np.stack(clean[:4]))
    assert max(map(combs, clean[5:-1])) < min(map(combs, plain[5:-1])) / 4


@pytest.mark.parametrize("count", [1, 6])
def test_deinterlacing_leaves_one_clean_picture_of_each_frame(tmp_path, caplog, count):
    write(tmp_path / "a.mp4", Look(fields="tff"), [combed(i) for i in range(count)])
    copied(tmp_path / "a.mp4", tmp_path / "b.mp4", deinterlace=True)
    assert "deinterlaced by bwdif" in caplog.text
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert [frame.interlaced_frame for frame in container.decode(video=0)] == [False] * count
        assert container.streams.video[0].frames == count
    with open_video(tmp_path / "a.mp4", deinterlace=True) as reader:
        assert reader.timing.rate == 25
        if count > 1:
            assert max(map(combs, list(reader)[1:-1])) < combs(combed(3)) / 4


def test_deinterlacing_leaves_progressive_video_alone(tmp_path, caplog):
    write(tmp_path / "a.mp4", Look(), [combed(i) for i in range(3)])
    plain = np.stack(list(open_video(tmp_path / "a.mp4")))
    np.testing.assert_array_equal(
        np.stack(list(open_video(tmp_path / "a.mp4", deinterlace=True))), plain
    )
    assert "says it is progressive" in caplog.text


def test_training_deinterlaces_too(tmp_path):
    write(tmp_path / "a.mp4", Look(fields="tff"), [combed(i) for i in range(5)])
    plain, clean = (
        cached_video(tmp_path / "a.mp4", tmp_path / "cache", 48, 64, deinterlace=way).read(2, 1)[0]
        for way in (False, True)
    )
    assert combs(clean) < combs(plain) / 4


def test_heights_that_cannot_be_coded_as_fields_are_written_all_the_same(tmp_path):
    write(tmp_path / "a.mp4", Look(fields="tff"), [gradient(0, 46, 64)])
    assert next(iter(open_video(tmp_path / "a.mp4"))).shape == (46, 64, 3)
    assert FieldWriter("tff", "yuv420p").frame(gradient(0)).interlaced_frame


def test_pictures_cannot_say_the_shape_of_pixels(tmp_path, caplog):
    with open_output(
        tmp_path / "f" / "%03d.png", Fraction(25), 48, 64, like=Like(Look(Fraction(2)))
    ) as writer:
        writer.write(gradient(0))
    assert "--size makes them square" in caplog.text
