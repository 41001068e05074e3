"""A video file's packets, before any of them is decoded: what there is, and what is missing."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np

from v2v_jax.data.media import wholeness
from v2v_jax.data.media.clock import Clock, straightened
from v2v_jax.data.media.frame_names import say

_CLOCKS_THAT_START_ANYWHERE = ("mpegts", "mpeg")
# Not all metadata are UTF-8; PyAV 19 takes any and has no such argument.
_ANY_METADATA: Any = {"metadata_errors": "replace"} if av.__version__.split(".")[0] < "19" else {}
_LATE = Fraction(60)
"""Seconds: a video that begins later than this, and than it is long, counts from some other day."""
_NOTHING = np.iinfo(np.int64).min
_COVER = 0x400
"""FFmpeg's AV_DISPOSITION_ATTACHED_PIC."""
_SURELY_HELD = 5
"""Many files are a frame or two shorter than they say."""


@dataclasses.dataclass(frozen=True)
class Packets:
    """What one pass over a file found.

    Attributes:
        stamps: presentation times of the pictures that are to be shown, int64 [N], ascending,
            ticks; the first key frame and what is decoded after it.
        timed: whether every packet has a time and the container is one that keeps times.
        base: seconds per tick.
        rates: frames per second by the container's words, best first.
        last: how long the last picture is shown, ticks; 0 where nothing says so.
        origin: ticks at which the clock starts.
        skip: packets before the first key frame, which nobody can decode.
        count: all of them.
        slots: of an AVI, whose frames have numbers and no times: how many it has.
        in_order: whether pictures are stored in the order in which they are shown.
        clock: makes one of times that start anew inside the file; ``stamps`` are by it.
        damaged: how many the container itself knows to be incomplete.
    """

    stamps: np.ndarray
    timed: bool
    base: Fraction
    rates: tuple[Fraction, ...]
    last: int
    origin: int
    skip: int
    count: int
    slots: int | None
    in_order: bool
    clock: Clock
    damaged: int


def opened(path: pathlib.Path) -> Any:
    """The file as a PyAV container.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is no video.
    """
    try:
        return av.open(os.path.abspath(path), **_ANY_METADATA)  # "a:b.mp4" is no URL
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise OSError(f"{path}: cannot be opened ({error.strerror})") from error
        raise ValueError(
            f"{path}: not a video that can be read ({error.strerror}); an unfinished or truncated "
            "recording, or another kind of file under this name"
        ) from error


def video_stream(container: Any, path: pathlib.Path) -> Any:
    """The stream of the pictures.

    Raises:
        ValueError: there is none.
    """
    stream = container.streams.best("video")
    films = [film for film in container.streams.video if not _is_cover(film)]
    if stream is not None and _is_cover(stream):
        if not films:
            raise ValueError(f"{path}: sound with a cover picture, no video")
        stream = films[0]
    if stream is None or stream.codec_context is None:
        raise ValueError(f"{path}: no video stream that can be decoded in this file")
    if len(films) > 1:
        say(
            f"{path}: holds {len(films)} videos; number {films.index(stream) + 1} is read "
            f"({stream.width}x{stream.height}), as players do"
        )
    return stream


def _is_cover(stream: Any) -> bool:
    return bool(int(getattr(stream, "disposition", 0)) & _COVER)


def exact(rational: Any) -> Fraction:
    """A number of PyAV's, whose kind depends on its version."""
    return Fraction(rational.numerator, rational.denominator)


def is_picture(packet: Any) -> bool:
    """False of empty packets: the one that ends a stream, and those that say "as before"."""
    return packet.size > 0


def is_end(packet: Any) -> bool:
    """Whether it is the packet that ends a stream, which makes the decoder give all it has."""
    return not packet.size and packet.dts is None and packet.pts is None


def look_through(path: pathlib.Path) -> Packets:
    """Reads all packets of a video file.

    Raises:
        OSError, ValueError: no video; or truncated, by the container's own account.
    """
    with opened(path) as container:
        stream = video_stream(container, path)
        found, broken = _found(container, stream)
        packets = _packets(container, stream, found)
        promised = wholeness.promised_frames(
            path, container, stream, packets, _promised_seconds(container, stream)
        )
        repeated = stream.frames
    if promised is not None:
        have = packets.count if packets.slots is None else packets.slots
        raise ValueError(
            f"{path}: truncated, only {have} of {max(promised, have + 1)} frames could be read; "
            "copy it again or re-encode the part that plays"
        )
    if broken:
        raise ValueError(
            f"{path}: only {packets.count} frames could be read; the file is damaged ({broken}); "
            "copy it again or re-encode the part that plays"
        )
    if packets.slots and packets.slots < repeated <= 2 * packets.slots:
        return dataclasses.replace(packets, slots=repeated)  # The last picture stays.
    return packets


def _found(container: Any, stream: Any) -> tuple[np.ndarray, str | None]:
    """One row per picture, in the order of the file: time, order, duration, key, hidden, damaged.

    And why it ends there, if it is not the end of the file.
    """
    rows, broken = [], None
    try:
        for packet in container.demux(stream):
            if is_picture(packet):
                pts = _NOTHING if packet.pts is None else packet.pts
                dts = _NOTHING if packet.dts is None else packet.dts
                kind = packet.is_keyframe, packet.is_discard, packet.is_corrupt
                rows.append((pts, dts, packet.duration or 0, *kind))
    except av.error.FFmpegError as error:
        broken = error.strerror
    return np.array(rows, np.int64).reshape(-1, 6), broken


def _packets(container: Any, stream: Any, found: np.ndarray) -> Packets:
    numbered = container.format.name == "avi"
    keys = np.flatnonzero(found[:, 3])
    skip = int(keys[0]) if len(keys) else 0
    shown = found[skip:][found[skip:, 4] == 0]
    if not len(shown):
        shown = found[skip:]
    times = shown[:, 1 if numbered else 0]
    missing = len(times) == 0 or times.min() == _NOTHING
    base = exact(stream.time_base)
    anywhere = container.format.name in _CLOCKS_THAT_START_ANYWHERE
    clock = Clock()
    if not missing and not numbered:
        times, clock = straightened(_known(shown[:, 1]), times, base, jumps=anywhere)
    order = np.argsort(times, kind="stable")
    last = 0 if missing else int(shown[order[-1], 2])
    if not missing and not numbered:
        last = _held(container, stream, times[order], last)
        anywhere |= times.min() * base > max(_LATE, int(np.ptp(times)) * base)
    origin = 0
    if anywhere and container.start_time is not None:
        origin = round(Fraction(container.start_time, 1_000_000) / base)
    elif anywhere and not missing:  # FFmpeg knows none that is very far off.
        origin = int(times.min())
    rates = [stream.average_rate, stream.guessed_rate, getattr(stream, "base_rate", None)]
    if missing:  # Of a bare stream, the mean is FFmpeg's own guess.
        rates[:2] = rates[1::-1]
    return Packets(
        stamps=times[order],
        timed=not missing and not numbered,
        base=base,
        rates=tuple(exact(rate) for rate in rates if rate),
        last=last,
        origin=origin,
        skip=skip,
        count=len(found),
        slots=int(times.max()) + 1 if numbered and not missing else None,
        in_order=not stream.codec_context.has_b_frames,
        clock=clock,
        damaged=int(found[skip:, 5].sum()),
    )


def _known(times: np.ndarray) -> np.ndarray:
    """With the time before where one is missing; in front, the first there is."""
    there = np.flatnonzero(times != _NOTHING)
    if not len(there):
        return np.zeros_like(times)
    last = np.searchsorted(there, np.arange(len(times)), side="right") - 1
    return times[there[np.maximum(last, 0)]]


def _held(container: Any, stream: Any, stamps: np.ndarray, last: int) -> int:
    """How long the last picture is shown, ticks; ``last`` by its packet's account."""
    seconds, at = _promised_seconds(container, stream), int(stamps[-1])
    if seconds is not None:
        return max(last, round(seconds / exact(stream.time_base)) - at)
    if "mp4" not in container.format.name or not stream.codec_context.has_b_frames:
        return last
    # There a packet's duration is that to the next in the order of decoding.
    held = (stream.start_time or 0) + (stream.duration or 0) - at
    distances = np.diff(stamps)
    if len(distances) and held > 0:
        varies = np.ptp(distances) > 1 or held > _SURELY_HELD * np.median(distances)
        return held if varies else last
    return last


def _promised_seconds(container: Any, stream: Any) -> Fraction | None:
    """When the pictures end by what a matroska file says of them."""
    if "matroska" not in container.format.name:
        return None
    text = stream.metadata.get("DURATION")
    if text and text.count(":") == 2:
        hours, minutes, seconds = (Fraction(part) for part in text.split(":"))
        return 3600 * hours + 60 * minutes + seconds
    # The container's own duration may be that of a longer sound track.
    if len(container.streams) == 1 and container.duration:
        return Fraction(container.duration, 1_000_000)
    return None
