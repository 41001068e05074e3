"""Videos whose every frame is known, for the tests of reading and writing them."""

from __future__ import annotations

import pathlib
from fractions import Fraction
from typing import Any

import av
import numpy as np

from v2v_jax.data.media.packets import exact
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


def encode_at(
    path: pathlib.Path,
    stamps: list[int],
    base: Fraction = Fraction(1, 1000),
    *,
    last: int = 40,
    codec: str = "libx264",
    rate: Fraction | int = 25,
    size: tuple[int, int] = (48, 64),
    pix_fmt: str = "yuv420p",
    rotate: int = 0,
    options: dict[str, str] | None = None,
) -> None:
    """A video whose frame i is `gradient` i, shown at ``stamps[i]`` ticks of ``base`` seconds.

    Args:
        path, codec, size, pix_fmt, rotate, options: of what is written.
        stamps: ascending.
        base: seconds per tick.
        last: how long the last frame is shown, ticks.
        rate: what the header claims.
    """
    ticks, kind = str(base.denominator), {}
    if path.suffix in (".mp4", ".mov"):
        kind = {"video_track_timescale": ticks, "movie_timescale": ticks}
    if options is None:
        options = {"bf": "0", "crf": "10"} if codec == "libx264" else {}
    shown = dict(zip(stamps, np.diff([*stamps, stamps[-1] + last]).tolist(), strict=True))
    with av.open(str(path), "w", options=kind) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = *size, pix_fmt
        if "crf" not in options:
            stream.bit_rate = 4_000_000
        stream.codec_context.time_base = base
        if rotate:
            stream.set_display_rotation(rotate)

        def mux(frame: av.VideoFrame | None) -> None:
            for packet in stream.encode(frame):
                packet.duration = shown.get(packet.pts, packet.duration)
                container.mux(packet)

        for index, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(gradient(index, *size)).reformat(format=pix_fmt)
            frame.pts, frame.time_base = stamp, base
            mux(frame)
        mux(None)


def remux(source: pathlib.Path, path: pathlib.Path, keep: Any, shift: bool = True) -> None:
    """Copies the packets for which ``keep(number, packet)``, from time 0 on: no new coding."""
    with av.open(str(source)) as whole, av.open(str(path), "w") as cut:
        stream = cut.add_stream_from_template(whole.streams.video[0])
        begin = None
        for number, packet in enumerate(whole.demux(whole.streams.video[0])):
            if packet.dts is None or packet.pts is None or not keep(number, packet):
                continue
            begin = packet.dts if begin is None else begin
            if shift:
                packet.pts, packet.dts = packet.pts - begin, packet.dts - begin
            packet.stream = stream
            cut.mux(packet)


def times(path: pathlib.Path) -> tuple[list[Fraction], Fraction]:
    """When the frames of a file are shown, seconds, and how long the last one is."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base = exact(stream.time_base)
        shown = sorted((p.pts, p.duration) for p in container.demux(stream) if p.pts is not None)
    return [pts * base for pts, _ in shown], (shown[-1][1] or 0) * base
