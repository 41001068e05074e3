"""Frames into a video file, which is whole or not there."""

from __future__ import annotations

import os
import pathlib
from fractions import Fraction
from typing import Any, Self

import av
import av.error
import numpy as np
from absl import logging
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from v2v_jax.data.atomic import Partial
from v2v_jax.data.media.reader import BT709

WRITABLE_SUFFIXES = (".mp4", ".mov", ".mkv")


class VideoWriter:
    """Writes an H.264 video that appears under its name only when it is complete.

    Frame rate and frame count are kept exactly, colours are BT.709 and say so.  Chroma is
    subsampled (4:2:0, which every player knows) unless a side is odd: 4:2:0 has no odd sizes,
    and the frame size is kept, so those become 4:4:4.

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
        # The index in front lets a browser play it and tells a truncated copy at once.
        options = {} if self.path.suffix.lower() == ".mkv" else {"movflags": "+faststart"}
        self._container = av.open(os.path.abspath(self._partial.path), "w", options=options)
        self._stream = self._container.add_stream(
            "libx264", rate=Fraction(fps), options={"crf": str(crf)}
        )
        self._stream.height, self._stream.width = height, width
        self._stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
        context = self._stream.codec_context
        context.color_range = ColorRange.MPEG
        context.colorspace = context.color_primaries = context.color_trc = BT709

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
        picture = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"),
            format=self._stream.pix_fmt,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        picture.pts, picture.time_base = self.frames, 1 / self._stream.codec_context.framerate
        self._mux(picture)
        self.frames += 1

    def _mux(self, picture: Any) -> None:
        try:
            self._container.mux(self._stream.encode(picture))
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
        self._mux(None)
        try:
            self._container.close()
            self._partial.commit()
        except (av.error.FFmpegError, OSError) as error:
            self.abort()
            raise OSError(f"cannot write {self.path}: {error.strerror}") from error

    def abort(self) -> None:
        """Removes what was written."""
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            logging.debug("closing the unfinished %s: %s", self.path, error)
        self._partial.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close() if kind is None else self.abort()
