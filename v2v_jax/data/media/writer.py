"""Frames into a video file, which is whole or not there."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Self

import av
import av.error
import numpy as np
from absl import logging
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from v2v_jax.data.atomic import Partial
from v2v_jax.data.media.fields import FieldWriter, can_hold_fields
from v2v_jax.data.media.reader import BT709
from v2v_jax.data.media.shape import look_of
from v2v_jax.data.media.sound import kept
from v2v_jax.data.media.timing import Timing

WRITABLE_SUFFIXES = (".mp4", ".mov", ".mkv")


class VideoWriter:
    """Writes an H.264 video that appears under its name only when it is complete.

    Frame rate and frame count are kept exactly, or every frame's own time; colours are BT.709 and
    say so.  Chroma is subsampled (4:2:0, which every player knows) unless a side is odd: 4:2:0 has
    no odd sizes, and the frame size is kept, so those become 4:4:4.

    Args:
        path: of the file.
        fps: frames per second where ``like`` has no times of its own; the mean of those it has.
        height, width: of the frames.
        crf: quality, see x264.
        like: the open video whose frames these become, see `media.reader.VideoReader`: its
            ``timing`` says when each is shown, its ``look`` how; its sound and its date are kept.
            None: at a constant rate, with square pixels, silent.
        audio, location: of ``like``, see `media.sound` and `media.metadata`.

    Raises:
        ValueError: an unknown suffix or an impossible size.
        OSError: the place cannot be written; raised before the first frame.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: Fraction | int,
        height: int,
        width: int,
        *,
        crf: int = 18,
        like: Any = None,
        audio: bool = True,
        location: bool = False,
    ) -> None:
        self.path = pathlib.Path(path)
        if self.path.suffix.lower() not in WRITABLE_SUFFIXES:
            raise ValueError(f"cannot write {self.path}: the name must end in .mp4, .mov or .mkv")
        if self.path.is_dir():
            raise IsADirectoryError(f"cannot write {self.path}: it is a folder")
        if height < 1 or width < 1 or fps <= 0:
            raise ValueError(f"cannot write {width}x{height} pixels at {fps} frames per second")
        self.frames = 0
        self._shape = (height, width, 3)
        self._reformatter = VideoReformatter()
        self._partial = Partial(self.path)
        self._timing = timing = getattr(like, "timing", None) or Timing(Fraction(fps))
        self._held: Any = None
        self._durations: dict[int, int] = {}
        self._container = av.open(os.path.abspath(self._partial.path), "w", options=self._options())
        # Without B-frames every container keeps the times and the durations of frames exactly.
        options = {"crf": str(crf)} | ({"bf": "0"} if timing.base else {})
        pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
        look = look_of(like)
        self._fields = None
        if look.fields and can_hold_fields(height, pix_fmt):
            self._fields = FieldWriter(look.fields, pix_fmt)
            options |= {"flags": "+ildct", "x264-params": f"{look.fields}=1"}
        self._stream = self._container.add_stream("libx264", rate=timing.rate, options=options)
        self._stream.height, self._stream.width = height, width
        self._stream.pix_fmt = pix_fmt
        context = self._stream.codec_context
        context.time_base = timing.tick
        context.color_range = ColorRange.MPEG
        context.colorspace = context.color_primaries = context.color_trc = BT709
        if look.pixel_aspect != 1:
            context.sample_aspect_ratio = look.pixel_aspect
        self._beside = kept(
            like, self._container, self.path.suffix.lower(), audio=audio, location=location
        )

    def write(self, frame: np.ndarray) -> None:
        """Appends one frame.

        Args:
            frame: uint8 [H, W, 3], RGB.

        Raises:
            ValueError: another shape or type than promised.
            OSError: the disk is full, or the place has gone.
        """
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ValueError(
                f"{self.path}: a frame of {frame.dtype} {list(frame.shape)} instead of "
                f"uint8 {list(self._shape)}"
            )
        picture = self._coloured(frame)
        self._put(final=False)
        self._held = picture
        self.frames += 1

    def _coloured(self, frame: np.ndarray) -> Any:
        if self._fields is not None:
            return self._fields.frame(frame)
        return self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"),
            format=self._stream.pix_fmt,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )

    def _options(self) -> dict[str, str]:
        """Of the container."""
        if self.path.suffix.lower() == ".mkv":
            return {}
        # The index in front lets a browser play it and tells a truncated copy at once.
        options = {"movflags": "+faststart"}
        if self._timing.base:
            ticks = str(self._timing.tick.denominator)
            options |= {"video_track_timescale": ticks, "movie_timescale": ticks}
        return options

    def _put(self, *, final: bool) -> None:
        """Encodes the frame before the newest: how long it is shown is known only now."""
        if self._held is None:
            return
        number, picture = self.frames - 1, self._held
        picture.pts, picture.time_base = self._timing.start(number), self._timing.tick
        stop = self._timing.end(number, final=final)
        self._durations[picture.pts] = stop - picture.pts
        self._held = None
        self._mux(picture)
        self._guarded(self._beside.until, stop * self._timing.tick)
        if final:
            self._guarded(self._beside.finish, stop * self._timing.tick)

    def _mux(self, picture: Any) -> None:
        def encode() -> None:
            for packet in self._stream.encode(picture):
                # FFmpeg's encoders lose it, and the last frame's is nowhere else.
                if packet.pts in self._durations:
                    packet.duration = self._durations.pop(packet.pts)
                self._container.mux(packet)

        self._guarded(encode)

    def _guarded(self, step: Callable[..., None], *args: Any) -> None:
        """A step that fails is one error, and leaves nothing."""
        try:
            step(*args)
        except av.error.FFmpegError as error:
            self.abort()
            raise OSError(f"cannot write {self.path}: {error.strerror}") from error

    def close(self) -> None:
        """Finishes the video and puts it under its final name.

        Raises:
            ValueError: no frame was written.
            OSError: the disk is full, or the place has gone.
        """
        if not self.frames:
            self.abort()
            raise ValueError(f"{self.path}: no frame was written")
        self._put(final=True)
        self._mux(None)
        try:
            self._container.close()
            self._partial.commit()
        except (av.error.FFmpegError, OSError) as error:
            self.abort()
            raise OSError(f"cannot write {self.path}: {error.strerror}") from error

    def abort(self) -> None:
        """Removes what was written."""
        self._beside.close()
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            logging.debug("closing the unfinished %s: %s", self.path, error)
        self._partial.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close() if kind is None else self.abort()
