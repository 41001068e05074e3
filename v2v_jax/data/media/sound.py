"""The sound of a video, beside what its pictures became: copied where it can be, else AAC."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol

import av
import av.error
import numpy as np
from absl import logging

from v2v_jax.data.media.clock import Clock, Hand
from v2v_jax.data.media.metadata import keep_metadata
from v2v_jax.data.media.packets import exact, opened

_MP4 = {"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "opus", "flac", "dca"}
_PCM = {f"pcm_{kind}" for kind in ("s16le", "s16be", "s24le", "s24be", "s32le", "s32be", "f32le")}
COPIED = {
    ".mp4": _MP4,
    ".mov": _MP4 - {"opus", "flac"} | _PCM,
    ".mkv": _MP4 | _PCM | {"vorbis", "mp2", "mp2float", "truehd", "pcm_u8"},
}
"""FFmpeg's names of the codecs that players expect in a container."""
_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_LAYOUTS = {1: "mono", 6: "5.1"}
_BIT_RATE = 96_000  # Per channel.


class Beside(Protocol):
    """What goes into a container beside the pictures."""

    def until(self, seconds: Fraction) -> None:
        """Writes what ends before ``seconds`` of the output."""
        ...

    def finish(self, seconds: Fraction) -> None:
        """Writes what begins before ``seconds``, cut there, and closes the source."""
        ...

    def close(self) -> None: ...


class Nothing:
    """Where there is no sound, or none is wanted."""

    def until(self, seconds: Fraction) -> None: ...
    def finish(self, seconds: Fraction) -> None: ...
    def close(self) -> None: ...


def kept(like: Any, result: Any, suffix: str, *, audio: bool, location: bool) -> Beside:
    """Hands metadata on and promises the sound to a container that has no header yet.

    Args:
        like: the open video whose pictures are written, see `media.reader.VideoReader`; None or a
            folder of frames has no sound.
        result: PyAV's container, with its video stream.
        suffix: ".mp4", ".mov" or ".mkv".
        audio: whether sound is wanted.
        location: see `media.metadata`.

    Sound that cannot be read is no reason to lose the pictures: it is left out, and said so.
    """
    path = getattr(like, "path", None)
    if path is None or not pathlib.Path(path).is_file():
        return Nothing()
    try:
        source = opened(pathlib.Path(path))
    except (OSError, ValueError) as error:
        logging.warning("%s: its sound and date are not kept (%s)", path, error)
        return Nothing()
    keep_metadata(source, result, location=location)
    sound = None
    if audio:
        clock = getattr(like, "clock", None) or Clock()
        sound = Sound(pathlib.Path(path), source, result, suffix, like.timing.origin, clock)
    if sound is None or not sound.tracks:
        source.close()
        return Nothing()
    return sound


class Sound:
    """All sound tracks of a file, in the output's time.

    Args:
        path: for messages.
        source: PyAV's container.
        result: as in `kept`.
        suffix: of the result.
        begin: the time of the source's clock, seconds, that is 0 in the result.
        clock: how the pictures' clock starts anew on the way; that of the sound does, too.
    """

    def __init__(
        self,
        path: pathlib.Path,
        source: Any,
        result: Any,
        suffix: str,
        begin: Fraction,
        clock: Clock,
    ) -> None:
        self._path, self._source, self._begin = path, source, begin
        self.tracks: dict[int, Copied | Encoded] = {}
        for stream in source.streams.audio:
            try:
                self.tracks[stream.index] = _track(stream, result, suffix)
            except (av.error.FFmpegError, ValueError, AttributeError) as error:
                logging.warning("%s: a sound track is not kept (%s)", path, error)
        wanted = [stream for stream in source.streams.audio if stream.index in self.tracks]
        self._hands = {index: Hand(clock) for index in self.tracks}
        self._pieces = self._read(source.demux(*wanted)) if wanted else iter(())
        self._next: tuple[Copied | Encoded, Any, Fraction] | None = None

    def _read(self, packets: Iterator[Any]) -> Iterator[tuple[Copied | Encoded, Any, Fraction]]:
        """Pieces of sound with their tracks and what is 0 for them, in the order of the file."""
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                track = self.tracks[packet.stream.index]
                pieces = list(track.pieces(packet))
            except av.error.InvalidDataError:
                continue  # Players leave out a damaged packet, too.
            except av.error.FFmpegError as error:
                logging.warning("%s: its sound ends early (%s)", self._path, error.strerror)
                return
            for piece in pieces:
                shift = self._hands[packet.stream.index].shift(track.start(piece))
                yield track, piece, self._begin - shift

    def until(self, seconds: Fraction) -> None:
        """See `Beside`."""
        while self._advance():
            track, piece, begin = self._next  # type: ignore[misc]
            if track.end(piece) - begin > seconds:
                return
            track.put(piece, begin, None)
            self._next = None

    def finish(self, seconds: Fraction) -> None:
        """See `Beside`."""
        while self._advance():
            track, piece, begin = self._next  # type: ignore[misc]
            track.put(piece, begin, seconds)
            self._next = None
        for track in self.tracks.values():
            track.flush()
        self.close()

    def _advance(self) -> bool:
        if self._next is None:
            self._next = next(self._pieces, None)
        return self._next is not None

    def close(self) -> None:
        """Lets go of the source."""
        self._pieces = iter(())
        self._next = None
        self._source.close()


def _track(stream: Any, result: Any, suffix: str) -> Copied | Encoded:
    if stream.codec_context is None:
        raise ValueError("of an unknown kind")
    if stream.codec_context.name in COPIED[suffix]:
        track = Copied(stream, result, negative=suffix != ".mkv")
    else:
        track = Encoded(stream, result)
    if language := stream.metadata.get("language"):
        track.stream.metadata["language"] = language
    return track


class Copied:
    """A track whose packets go over as they are.

    ``negative``: whether the container can say that its first packet is only there to start the
    decoder; others would move everything else behind that.
    """

    def __init__(self, stream: Any, result: Any, *, negative: bool) -> None:
        self._result, self._negative = result, negative
        self._last: int | None = None
        self.stream = result.add_stream_from_template(stream)

    def pieces(self, packet: Any) -> Iterator[Any]:
        if packet.size and (packet.pts if packet.pts is not None else packet.dts) is not None:
            yield packet

    def start(self, packet: Any) -> Fraction:
        return _start(packet) * exact(packet.time_base)

    def end(self, packet: Any) -> Fraction:
        return (_start(packet) + (packet.duration or 0)) * exact(packet.time_base)

    def put(self, packet: Any, begin: Fraction, end: Fraction | None) -> None:
        base = exact(packet.time_base)
        start = _start(packet) - round(begin / base)
        length = packet.duration or 0
        # One packet before the begin starts the decoder, where the container can hide it.
        if start + 2 * length <= 0 or (start < 0 and not self._negative):
            return
        # Where two recordings were joined, the sound of the first may reach into the second.
        if self._last is not None and start <= self._last:
            return
        if end is not None:
            if start * base >= end:
                return
            packet.duration = min(length, max(1, round(end / base) - start))
        packet.pts = packet.dts = self._last = start
        packet.stream = self.stream
        self._result.mux(packet)

    def flush(self) -> None: ...


class Encoded:
    """A track that is decoded and coded as AAC, cut to the sample."""

    def __init__(self, stream: Any, result: Any) -> None:
        context = stream.codec_context
        rate = context.sample_rate
        self._rate = rate if rate in _RATES else 48_000
        channels = len(context.layout.channels) or 2
        self._layout = _LAYOUTS.get(channels, "stereo")
        self._resampler = av.AudioResampler("fltp", self._layout, self._rate)
        self._result = result
        self.stream = result.add_stream("aac", rate=self._rate)
        self.stream.codec_context.layout = self._layout
        self.stream.bit_rate = _BIT_RATE * {"mono": 1, "stereo": 2, "5.1": 4}[self._layout]
        self._at: Fraction | None = None
        self._written = 0

    def pieces(self, packet: Any) -> Iterator[Any]:
        """Sound as (its begin in seconds, float32 [channels, samples])."""
        for frame in packet.decode():
            for part in self._resampled(frame):
                samples = part.to_ndarray()
                yield self._at, samples
                self._at = (self._at or Fraction(0)) + Fraction(samples.shape[1], self._rate)
        if not packet.size and self._at is not None:
            for part in self._resampler.resample(None):
                yield self._at, part.to_ndarray()

    def _resampled(self, frame: Any) -> list[Any]:
        if frame.pts is not None:
            stated = frame.pts * exact(frame.time_base)
            # Rounded time stamps are no gaps.
            if self._at is None or abs(stated - self._at) > Fraction(1, 20):
                self._at = stated
        elif self._at is None:
            self._at = Fraction(0)
        frame.pts = None
        return self._resampler.resample(frame)

    def start(self, piece: Any) -> Fraction:
        return piece[0]

    def end(self, piece: Any) -> Fraction:
        return piece[0] + Fraction(piece[1].shape[1], self._rate)

    def put(self, piece: Any, begin: Fraction, end: Fraction | None) -> None:
        at, samples = piece
        start = round((at - begin) * self._rate)
        stop = samples.shape[1]
        if end is not None:
            stop = min(stop, round(end * self._rate) - start)
        first = max(0, self._written - start)
        if first >= stop:
            return
        part = np.ascontiguousarray(samples[:, first:stop])
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=self._layout)
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = start + first, Fraction(1, self._rate)
        self._written = start + stop
        self._result.mux(self.stream.encode(frame))

    def flush(self) -> None:
        self._result.mux(self.stream.encode(None))


def _start(packet: Any) -> int:
    return packet.pts if packet.pts is not None else packet.dts
