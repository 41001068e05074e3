"""Decoded frames on disk, at training size: a seek per clip would be ten times dearer.

One video is one folder ``<cache_dir>/<key>/`` of ``frames.npy`` (uint8 [N, H, W, 3], flat, read
through a memory map) and ``meta.json``.  The key is a hash of the file's *content* and of the
settings, so a changed file is decoded anew, a moved one is not.  Entries appear by one rename; a
process killed at any moment leaves at most a hidden folder, which the next build removes.  Nothing
is ever evicted: delete the cache folder to be rid of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import itertools
import json
import os
import pathlib
import shutil
import time
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from absl import logging

from v2v_jax.data.atomic import Partial
from v2v_jax.data.media import frame_names
from v2v_jax.data.media.frame_folder import list_frames
from v2v_jax.data.media.reader import VideoReader, open_video
from v2v_jax.data.media.shape import look_of
from v2v_jax.data.media.timing import gaps
from v2v_jax.data.transforms import fit

VERSION = 3  # Of the frames' content: raise it when decoding, cropping or resampling changes.
_REPORT_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class CachedVideo:
    """A video's decoded frames; small and picklable, the frames stay on disk.

    Attributes:
        name: the original file or folder, for messages.
        frames_file: the flat array.
        length: its frames.
        first: where they begin in the array.
        part: whether it is one of several clips of a folder whose numbering has gaps.
    """

    name: str
    frames_file: pathlib.Path
    length: int
    first: int = 0
    part: bool = False

    def read(self, start: int, count: int) -> np.ndarray:
        """Frames start .. start + count - 1, uint8 [count, H, W, 3], memory mapped, read only."""
        start += self.first
        return np.load(self.frames_file, mmap_mode="r")[start : start + count]

    def cut(self, path: pathlib.Path, gap: float = 0) -> list[CachedVideo]:
        """The clips it consists of; itself, unless frames are missing.

        Args:
            path: the original: a folder's numbering may have gaps.
            gap: frames of a video further apart than so many median distances belong to two clips;
                0: whatever their times.
        """
        frames = list_frames(path) if path.is_dir() else []
        starts = frame_names.starts(frames) if frames else [0, *gaps(self._stamps(), gap)]
        if len(starts) < 2:
            return [self]
        return [
            CachedVideo(
                f"{self.name} from {frames[first].name if frames else f'frame {first}'}",
                self.frames_file,
                end - first,
                first,
                True,
            )
            for first, end in itertools.pairwise([*starts, self.length])
        ]

    def _stamps(self) -> list[int]:
        """When its frames are shown, ticks; [] of a constant rate."""
        return json.loads(self.frames_file.with_name("meta.json").read_text())["stamps"]


def cached_video(
    path: pathlib.Path,
    cache_dir: pathlib.Path,
    height: int,
    width: int,
    *,
    deinterlace: bool = False,
) -> CachedVideo:
    """Decodes a video into the cache unless it is there.

    Args:
        path: a video file or a folder of frames.
        cache_dir: made where needed.
        height, width: training size; frames are cropped to its aspect ratio and resampled.
        deinterlace: see `open_video`.

    Raises:
        FileNotFoundError, ValueError: the video cannot be read, see `open_video`.
        OSError: the cache cannot be written, or its disk is full.
    """
    # Opened before hashing: a bad file deserves its own message.
    with open_video(path, deinterlace=deinterlace) as reader:
        entry = cache_dir / content_key(path, height, width, deinterlace=deinterlace)
        if not _is_complete(entry):
            with _only_builder(entry):
                if not _is_complete(entry):
                    _build(reader, entry, height, width)
    meta = json.loads((entry / "meta.json").read_text())
    return CachedVideo(str(path), entry / "frames.npy", meta["frames"])


def content_key(path: pathlib.Path, height: int, width: int, *, deinterlace: bool = False) -> str:
    """What the frames depend on, as 64 hexadecimal digits."""
    how = f"{VERSION} {height}x{width}{' deinterlaced' if deinterlace else ''}"
    digest = hashlib.sha256(f"v2v_jax frames {how}\n".encode())
    for file in list_frames(path) if path.is_dir() else [path]:
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        # Names order the frames of a folder; a video's name means nothing.
        name = os.fsencode(file.name if path.is_dir() else "")
        digest.update(name + f" {content}\n".encode())
    return digest.hexdigest()


def _is_complete(entry: pathlib.Path) -> bool:
    """Whether the entry stands and has the size it was built with; removes a damaged one."""
    try:
        meta = json.loads((entry / "meta.json").read_text())
        if (entry / "frames.npy").stat().st_size == meta["bytes"]:
            return True
    except FileNotFoundError:
        if not entry.exists():
            return False
    except (ValueError, KeyError) as error:
        logging.warning("%s: %s", entry, error)
    logging.warning("%s is damaged and is built anew", entry)
    shutil.rmtree(entry)
    return False


@contextlib.contextmanager
def _only_builder(entry: pathlib.Path) -> Iterator[None]:
    """Makes others wait for the first builder; without file locks they merely build twice."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = (entry.parent / f".{entry.name}.lock").open("wb")
    except OSError as error:
        raise OSError(f"cannot write the frame cache {entry.parent}: {error.strerror}") from error
    with lock:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(reader: VideoReader, entry: pathlib.Path, height: int, width: int) -> None:
    partial = Partial(entry, folder=True)
    try:
        with (partial.path / "frames.npy").open("wb") as file:
            length = _write_frames(file, reader, height, width)
        meta = {
            "source": str(reader.path.absolute()),
            "frames": length,
            "bytes": (partial.path / "frames.npy").stat().st_size,
            "size": [height, width],
            "stamps": reader.timing.stamps,
            "version": VERSION,
        }
        (partial.path / "meta.json").write_text(json.dumps(meta))
        _publish(partial, entry)
    except OSError as error:
        if error.errno is None:  # The reader's own, which names the video.
            raise
        raise OSError(f"cannot write the frame cache {entry.parent}: {error.strerror}") from error
    finally:
        partial.discard()


def _publish(partial: Partial, entry: pathlib.Path) -> None:
    try:
        partial.commit()
    except OSError:
        # Without file locks another process may have built the same entry meanwhile.
        if not _is_complete(entry):
            raise


def _write_frames(file: BinaryIO, reader: VideoReader, height: int, width: int) -> int:
    """Streams the frames behind a .npy header whose length is filled in at the end."""
    begin = _header(file, 0, height, width)
    count, began, reported = 0, time.monotonic(), time.monotonic()
    pixel_aspect = look_of(reader).pixel_aspect
    for frame in reader:
        file.write(fit(frame, height, width, pixel_aspect).data)
        count += 1
        if time.monotonic() - reported > _REPORT_SECONDS:
            reported = time.monotonic()
            _report(reader, count, reported - began)
    _report(reader, count, time.monotonic() - began)
    file.seek(0)
    # NumPy pads headers so that the first axis can grow in place.
    if _header(file, count, height, width) != begin:
        raise RuntimeError(f"{file.name}: the .npy header grew over the frames")
    return count


def _header(file: BinaryIO, count: int, height: int, width: int) -> int:
    description = {"descr": "|u1", "fortran_order": False, "shape": (count, height, width, 3)}
    np.lib.format.write_array_header_1_0(file, description)
    return file.tell()


def _report(reader: VideoReader, count: int, seconds: float) -> None:
    total = f" of {reader.frames_estimate}" if reader.frames_estimate else ""
    rate = count / max(seconds, 1e-9)
    logging.info("decoding %s: %d%s frames, %.0f frames/s", reader.path, count, total, rate)
