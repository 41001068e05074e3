"""Videos being read: files through PyAV and folders of frames, as a player would show them."""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol, Self

import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from v2v_jax.data.media.clock import Hand
from v2v_jax.data.media.colour import colour_of, to_rgb
from v2v_jax.data.media.fields import deinterlaced, field_order
from v2v_jax.data.media.frame_folder import FolderReader, is_still
from v2v_jax.data.media.frame_names import say
from v2v_jax.data.media.packets import is_end, is_picture, look_through, opened, video_stream
from v2v_jax.data.media.shape import Look, boxed, pixel_aspect, say_fields
from v2v_jax.data.media.timing import Timing, judge
from v2v_jax.data.media.turning import quarter_turned, upright

_OF_FIELDS = ("h264", "hevc", "vc1")
_WITH_HIDDEN_PICTURES = ("vp8", "vp9", "av1", "libdav1d", "libvpx", "libvpx-vp9")
_SAMPLE = 50
"""Frames by which a video of single fields is told."""
BT709 = 1  # ISO/IEC 23091-2's number for primaries, transfer and matrix alike.


class VideoReader(Protocol):
    """An open video: its properties and, by iteration, its frames.

    Every iteration starts at the first frame and holds a handful of frames at most.

    Attributes:
        path: the file or folder.
        fps: frames per second, exact; of a variable rate the mean.
        timing: when each frame is shown; its time stamps are noted while frames are read.
        frames_estimate: what the container promises, for progress; None where it says nothing.
        height, width: of the frames as they come out, rotation already applied.
    """

    path: pathlib.Path
    fps: Fraction
    timing: Timing
    frames_estimate: int | None
    height: int
    width: int

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames, uint8 [H, W, 3] RGB, in display order."""
        ...

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


def open_video(
    path: str | os.PathLike[str], *, fps: Fraction | int = 25, deinterlace: bool = False
) -> VideoReader:
    """Opens a video file or a folder of frames.

    Args:
        path: an mp4, mov, avi, mkv or webm file, a folder of png or jpg frames, or one of these.
        fps: of a folder; files know their own.
        deinterlace: make one progressive picture of every interlaced frame.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: not a video, empty, truncated, or a folder without frames.  A frame that cannot
            be decoded raises when it is its turn.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        return FolderReader(path, Fraction(fps))
    if not path.exists():
        link = f"it is a link to {os.readlink(path)}, and there is " if path.is_symlink() else ""
        raise FileNotFoundError(f"{path}: {link}no such file or folder")
    if not path.is_file():
        raise ValueError(f"{path}: neither a file nor a folder; save what it gives as a file first")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty (0 bytes); copy or download it again")
    if is_still(path):
        return FolderReader(path, Fraction(fps))
    return FileReader(path, deinterlace=deinterlace)


class FileReader:
    """A video file; see `VideoReader`.  Nothing stays open between iterations.

    Attributes:
        look: how its frames are shown, see `media.shape`.
        clock: see `media.clock`.
    """

    def __init__(self, path: pathlib.Path, *, deinterlace: bool = False) -> None:
        self.path = path
        self._iterations: list[Iterator[np.ndarray]] = []
        self._said_size = False
        self._packets = look_through(path)
        with opened(path) as container:
            frames = self._decoded(container)
            first, stream = next(frames, None), video_stream(container, path)
            if first is None:
                count = self._packets.count or "this video"
                raise ValueError(
                    f"{path}: not one frame of {count} could be decoded; the file is damaged, or "
                    f"of a kind ({stream.codec_context.name}) that FFmpeg cannot decode: convert it"
                )
            self._look_at(first, stream, deinterlace=deinterlace)
            if first.interlaced_frame:
                sample = [first, *itertools.islice(frames, _SAMPLE)]
                self._count_fields(stream.codec_context.name, sample)
        self.clock = self._packets.clock
        self.timing, skipped = self._judged(first)
        self.fps = self.timing.rate
        self.frames_estimate: int | None = self._expected
        if skipped:
            say(
                f"{path}: its first {skipped} frames need others that were cut off; they are "
                "skipped, as players do"
            )
        if self.clock.joints:
            often = "once" if self.clock.joints == 1 else f"{self.clock.joints} times"
            say(
                f"{path}: its clock starts anew {often}, as in recordings that were joined: the "
                "parts are set one behind the other"
            )
        if self._packets.damaged:
            say(
                f"{path}: {self._packets.damaged} of its {self._packets.count} packets are known "
                "to be damaged; what can be decoded is used, as players do"
            )

    def _look_at(self, first: Any, stream: Any, *, deinterlace: bool) -> None:
        """Notes what the first frame tells of all of them; says what is out of the ordinary."""
        self._colour = colour_of(first, stream.codec_context)
        self.height, self.width = (
            upright(to_rgb(first, self._colour, VideoReformatter()), first)
        ).shape[:2]
        turned = quarter_turned(first)
        order = field_order(first, stream.codec_context)
        if line := say_fields(self.path, order, deinterlace=deinterlace):
            say(line)
        if self._colour.hdr:
            say(
                f"{self.path}: HDR ({self._colour.hdr}), tone-mapped to BT.709: 203 nits become "
                "white, brighter is clipped"
            )
        self._deinterlace = (order or "auto") if deinterlace else None
        self._said_fields = order is not None or deinterlace
        fields = None if deinterlace or turned else order
        self.look = Look(pixel_aspect(stream, first, turned=turned), fields)

    def _count_fields(self, codec: str, sample: list[Any]) -> None:
        """Of a video in which a packet may be one field, notes its pictures instead of its packets.

        FFmpeg tells the two apart only by decoding.
        """
        found, times = self._packets, [frame.pts for frame in sample]
        if codec not in _OF_FIELDS or found.slots is not None:
            return
        if found.timed and None not in times:
            places = np.searchsorted(found.stamps, np.array(times[:-1]))
            if found.clock.joints == 0 and (np.diff(places) <= 1).all():
                return
        with opened(self.path) as container:
            shown = [frame.pts for frame in self._decoded(container)]
        if len(shown) >= found.count:
            return
        timed = None not in shown
        hand = Hand(found.clock)
        stamps = [self._straight(hand, pts) for pts in shown] if timed else [0] * len(shown)
        self._packets = dataclasses.replace(found, stamps=np.sort(stamps), timed=timed)

    def _straight(self, hand: Hand, pts: int) -> int:
        """A frame's time by the one clock of the file, ticks."""
        base = self._packets.base
        return pts + round(hand.shift(pts * base) / base)

    def _judged(self, first: Any) -> tuple[Timing, int]:
        """The timing, and how many frames in front cannot be shown."""
        found, stamps = self._packets, self._packets.stamps
        if found.slots is not None:
            self._expected = found.slots - int(stamps[0])
            rate = found.rates[0] if found.rates else 1 / found.base
            return Timing(rate, origin=int(stamps[0]) / rate), found.skip
        if found.timed and first.pts is not None:
            stamps = stamps[np.searchsorted(stamps, first.pts) :]
        self._expected = max(1, len(stamps))
        skipped = found.skip + len(found.stamps) - len(stamps)
        if not found.timed or not len(stamps):
            return Timing(found.rates[0] if found.rates else Fraction(25)), skipped
        timing = judge(stamps - found.origin, found.base, found.rates, found.last)
        timing.origin += found.origin * found.base
        return timing, skipped

    def __iter__(self) -> Iterator[np.ndarray]:
        iteration = self._pictures()
        self._iterations.append(iteration)
        return iteration

    def _pictures(self) -> Iterator[np.ndarray]:
        reformatter, hand, count = VideoReformatter(), Hand(self.clock), 0
        with opened(self.path) as container:
            frames = self._decoded(container)
            if self._deinterlace:
                frames = deinterlaced(frames, self._deinterlace)
            for frame in self._shown(frames):
                picture = upright(to_rgb(frame, self._colour, reformatter), frame)
                picture = self._sized(picture, count)
                self._say_late_fields(frame, count)
                stamp = None
                if frame.pts is not None:
                    stamp = self._straight(hand, frame.pts) - self._packets.origin
                self.timing.note(count, stamp)
                count += 1
                yield picture
            hides = video_stream(container, self.path).codec_context.name in _WITH_HIDDEN_PICTURES
        if count < self._expected and not hides:
            say(f"{self.path}: {self._expected - count} of its frames could not be shown")

    def _sized(self, picture: np.ndarray, number: int) -> np.ndarray:
        """A picture at the size of the first one; calls over a network change theirs."""
        if picture.shape[:2] == (self.height, self.width):
            return picture
        if not self._said_size:
            self._said_size = True
            say(
                f"{self.path}: frame {number} has {picture.shape[1]}x{picture.shape[0]} pixels, "
                f"the first one {self.width}x{self.height}: all are scaled to the first one's size"
            )
        return boxed(picture, self.height, self.width)

    def _say_late_fields(self, frame: Any, number: int) -> None:
        if frame.interlaced_frame and not self._said_fields:
            self._said_fields = True
            say(
                f"{self.path}: interlaced from frame {number} on, and both fields are taken as one "
                "picture: --deinterlace (config.data.deinterlace) makes clean pictures of them"
            )

    def _decoded(self, container: Any) -> Iterator[Any]:
        """PyAV's frames, from the first that can be decoded to the last.

        Raises:
            ValueError: one in between cannot be decoded.
        """
        stream = video_stream(container, self.path)
        stream.thread_type = "AUTO"
        packets, number, count = container.demux(stream), 0, 0
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                number += is_picture(packet)
                if not is_end(packet) and (not is_picture(packet) or number <= self._packets.skip):
                    continue
                frames = packet.decode()
            except av.error.FFmpegError as error:
                # In front and at the very end a player shows what there is.
                if count and number < self._packets.count:
                    raise self._damaged(count, error) from error
                continue
            yield from frames
            count += len(frames)

    def _shown(self, frames: Iterator[Any]) -> Iterator[Any]:
        """Every frame as often as it is shown: an AVI repeats one by an empty packet."""
        found = self._packets
        if found.slots is None:
            yield from frames
            return
        held, at = None, 0
        for number, frame in enumerate(frames):
            slot = frame.pts if found.in_order else found.stamps[min(number, len(found.stamps) - 1)]
            if held is not None:
                slot = at + 1 if slot is None else max(int(slot), at + 1)
                yield from itertools.repeat(held, slot - at)
            held, at = frame, int(slot or 0)
        yield from itertools.repeat(held, max(1, found.slots - at))

    def _damaged(self, count: int, error: av.error.FFmpegError) -> ValueError:
        return ValueError(
            f"{self.path}: only {count} of {self.frames_estimate} frames could be read; the file "
            f"is damaged ({error.strerror}); copy it again or re-encode the part that plays"
        )

    def close(self) -> None:
        for iteration in self._iterations:
            iteration.close()  # type: ignore[attr-defined]
        self._iterations.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
