"""Videos being read: files through PyAV and folders of frames, as a player would show them."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol, Self

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from v2v_jax.data.media.frame_folder import (
    FolderReader,
)

# Not all metadata are UTF-8; PyAV 19 takes any and has no such argument.
_ANY_METADATA: Any = {"metadata_errors": "replace"} if av.__version__.split(".")[0] < "19" else {}
BT709 = 1  # ISO/IEC 23091-2's number for primaries, transfer and matrix alike.


class VideoReader(Protocol):
    """An open video: its properties and, by iteration, its frames.

    Every iteration starts at the first frame and holds a handful of frames at most.

    Attributes:
        path: the file or folder.
        fps: mean frames per second, exact.
        frames_estimate: what the container promises, for progress; None where it says nothing.
        height, width: of the frames as they come out, rotation already applied.
    """

    path: pathlib.Path
    fps: Fraction
    frames_estimate: int | None
    height: int
    width: int

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames, uint8 [H, W, 3] RGB, in display order."""
        ...

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


def open_video(path: str | os.PathLike[str], *, fps: Fraction | int = 25) -> VideoReader:
    """Opens a video file or a folder of frames.

    Args:
        path: an mp4, mov, avi, mkv or webm file, or a folder of png or jpg frames.
        fps: of a folder; files know their own.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: not a video, empty, truncated, or a folder without frames.  A video that turns
            out shorter than its container promises raises at the end of the iteration.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        return FolderReader(path, Fraction(fps))
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty (0 bytes); copy or download it again")
    return FileReader(path)


class FileReader:
    """A video file; see `VideoReader`.  Nothing stays open between iterations."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._iterations: list[Iterator[np.ndarray]] = []
        with _opened(path) as container:
            stream = _video_stream(container, path)
            self.fps = Fraction(stream.average_rate or stream.guessed_rate or 25)
            self._promised = _promised_frames(stream, path)
            self._seconds = _promised_seconds(container, stream)
            self.frames_estimate = self._promised
            if self._promised is None and self._seconds is not None:
                self.frames_estimate = round(self._seconds * self.fps)
            try:
                first = _upright(next(container.decode(stream)), VideoReformatter())
            except (StopIteration, av.error.FFmpegError) as error:
                raise ValueError(
                    f"{path}: not one frame of {self.frames_estimate or 'this video'} could be "
                    "decoded; the file is truncated or damaged"
                ) from error
        self.height, self.width = first.shape[:2]

    def __iter__(self) -> Iterator[np.ndarray]:
        iteration = self._decode()
        self._iterations.append(iteration)
        return iteration

    def _decode(self) -> Iterator[np.ndarray]:
        reformatter, count, end = VideoReformatter(), 0, 0.0
        with _opened(self.path) as container:
            stream = _video_stream(container, self.path)
            stream.thread_type = "AUTO"
            try:
                for frame in container.decode(stream):
                    picture = _upright(frame, reformatter)
                    if picture.shape[:2] != (self.height, self.width):
                        raise ValueError(
                            f"{self.path}: frame {count} has {picture.shape[1]}x{picture.shape[0]} "
                            f"pixels, the first one {self.width}x{self.height}; re-encode the "
                            "video at one size"
                        )
                    count, end = count + 1, _end(frame, self.fps, end)
                    yield picture
            except av.error.FFmpegError as error:
                raise self._shorter(count, f"damaged ({error.strerror})") from error
        if self._promised is not None and count < self._promised:
            raise self._shorter(count, "truncated or damaged")
        # Times are rounded to milliseconds and the last frame may have no duration.
        if self._seconds is not None and end < self._seconds - max(0.2, 2 / self.fps):
            raise self._shorter(count, "truncated or damaged")

    def _shorter(self, count: int, state: str) -> ValueError:
        promised = "" if self.frames_estimate is None else f" of {self.frames_estimate}"
        return ValueError(
            f"{self.path}: only {count}{promised} frames could be read; the file is {state}; "
            "copy it again or re-encode the part that plays"
        )

    def close(self) -> None:
        for iteration in self._iterations:
            iteration.close()  # type: ignore[attr-defined]
        self._iterations.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened(path: pathlib.Path) -> Any:
    try:
        return av.open(str(path), **_ANY_METADATA)
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise OSError(f"{path}: cannot be opened ({error.strerror})") from error
        raise ValueError(
            f"{path}: not a video that can be read ({error.strerror}); an unfinished or truncated "
            "recording, or another kind of file under this name"
        ) from error


def _video_stream(container: Any, path: pathlib.Path) -> Any:
    stream = container.streams.best("video")
    if stream is None or stream.codec_context is None:
        raise ValueError(f"{path}: no video stream that can be decoded in this file")
    return stream


def _promised_frames(stream: Any, path: pathlib.Path) -> int | None:
    """How many frames the container's own count or index promises.

    The index is the better witness: a trimmed mp4 still counts the frames its edit list hides.

    Raises:
        ValueError: the index points behind the end of the file.
    """
    if not stream.frames:
        return None
    if "mp4" not in stream.container.format.name:
        return stream.frames
    size = path.stat().st_size
    shown = [entry for entry in stream.index_entries if not entry.is_discard]
    whole = sum(entry.pos + entry.size <= size for entry in shown)
    if whole < len(shown):
        raise ValueError(
            f"{path}: truncated, only {whole} of {len(shown)} frames could be read; copy it again "
            "or re-encode the part that plays"
        )
    return len(shown)


def _promised_seconds(container: Any, stream: Any) -> float | None:
    """When the video ends, in containers that count no frames (mkv, webm, fragmented mp4)."""
    if stream.frames:
        return None
    if (text := stream.metadata.get("DURATION")) and text.count(":") == 2:
        hours, minutes, seconds = (float(part) for part in text.split(":"))
        return 3600 * hours + 60 * minutes + seconds
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # The container's own duration may be that of a longer sound track.
    if "matroska" in container.format.name and len(container.streams) == 1 and container.duration:
        return container.duration / 1e6
    return None


def _end(frame: Any, fps: Fraction, end: float) -> float:
    if frame.time is None:
        return end + float(1 / fps)
    duration = float(frame.duration * frame.time_base) if frame.duration else 0.0
    return max(end, frame.time + max(duration, float(1 / fps)))


def _upright(frame: Any, reformatter: VideoReformatter) -> np.ndarray:
    """The frame as RGB, turned and mirrored as its display matrix asks."""
    picture = reformatter.reformat(frame, format="rgb24").to_ndarray()
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return picture
    # Row vectors, (x, y) -> (a x + c y, b x + d y), 16.16 fixed point, third column unused.
    a, b, _, c, d = np.frombuffer(data, "<i4")[:5].tolist()
    across, down = a, d
    if abs(b) > abs(a):
        picture, across, down = picture.swapaxes(0, 1), c, b
    return np.ascontiguousarray(picture[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])
