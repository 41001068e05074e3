"""Folders of numbered pictures as videos."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Self

import cv2
import numpy as np
from PIL import Image, ImageOps

from v2v_jax.data.atomic import Partial
from v2v_jax.data.media import frame_names
from v2v_jax.data.media.timing import Timing

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
_JPEG_QUALITY = 95
# Pillow reports bad PNGs as SyntaxError.
_NO_PICTURE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def list_frames(folder: pathlib.Path) -> list[pathlib.Path]:
    """The pictures of a folder in the order of their numbers, hidden ones left out.

    Of several with one name (``7.jpg`` and ``7.png``) one is taken; see ``media.frame_names``.
    """
    return frame_names.in_order(frame_names.without_doubles(pictures(folder))[0])


def pictures(folder: pathlib.Path) -> list[pathlib.Path]:
    """All pictures of a folder that are not hidden, in no order."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.is_dir()]
    found = (folder / name for name in names if not name.startswith("."))
    return [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES]


def natural_key(path: pathlib.Path) -> tuple:
    """Sorts numbers inside names by value."""
    pieces = re.split(r"([0-9]+)", path.name)
    return [int(p) if p.isdecimal() else p.lower() for p in pieces], path.name  # type: ignore


def read_image(path: pathlib.Path) -> np.ndarray:
    """One picture as uint8 RGB, whatever it is stored as.

    Grey and palette pictures are spread to three channels, 16 bit keep their upper byte, alpha is
    dropped, a camera's orientation tag is honoured.

    Raises:
        ValueError: the file is no picture, or damaged (also a checksum inside a PNG).
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):  # 16 bit grey: Pillow's own conversion would clip it.
                grey = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=-1)
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except _NO_PICTURE as error:
        reason = str(error).split(":")[0].split(" '")[0]
        raise ValueError(
            f"{path}: not a picture that can be read ({reason}); replace or remove it"
        ) from error


def is_still(path: pathlib.Path) -> bool:
    """Whether a file is one picture that does not move, by its name and its content."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return False
    try:
        with Image.open(path) as image:
            return not getattr(image, "is_animated", False)
    except _NO_PICTURE:
        return False


class FolderReader:
    """The pictures of one folder, decoded one at a time; see `media.reader.VideoReader`.

    A single picture is a folder of one.

    Raises:
        ValueError: no pictures, or the first one cannot be read.
    """

    def __init__(self, path: pathlib.Path, fps: Fraction) -> None:
        self.path = path
        self.fps = fps
        self.timing = Timing(fps)
        self._frames = list_frames(path) if path.is_dir() else [path]
        if not self._frames:
            raise ValueError(f"{path}: no frames in this folder (looked for png, jpg, jpeg)")
        if path.is_dir():
            _say_what_is_odd(path, self._frames)
        self.frames_estimate: int | None = len(self._frames)
        self.height, self.width = read_image(self._frames[0]).shape[:2]

    def __iter__(self) -> Iterator[np.ndarray]:
        for path in self._frames:
            frame = read_image(path)
            if frame.shape[:2] != (self.height, self.width):
                raise ValueError(
                    f"{path}: {frame.shape[1]}x{frame.shape[0]} pixels, but the folder's first "
                    f"frame has {self.width}x{self.height}; a video's frames must have one size"
                )
            yield frame

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_empty(folder: pathlib.Path) -> None:
    """Raises a FileExistsError where frames cannot be put because something is there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(
            f"{folder} exists and is not an empty folder: remove it or choose another output"
        )


def _say_what_is_odd(path: pathlib.Path, frames: list[pathlib.Path]) -> None:
    """Doubles that are left out, and gaps in the numbering."""
    if doubles := frame_names.without_doubles(pictures(path))[1]:
        left_out, taken = min(doubles)
        frame_names.say(
            f"{path}: {len(doubles)} pictures are there twice and count once; of "
            f"{left_out.name} and {taken.name} the latter is read"
        )
    if gaps := frame_names.starts(frames)[1:]:
        before, after = (frames[gaps[0] + by].name for by in (-1, 0))
        frame_names.say(
            f"{path}: {len(gaps)} {'gap' if len(gaps) == 1 else 'gaps'} in the numbering of the "
            f"frames, the first between {before} and {after}: training and prepare begin a new "
            "clip there, translating goes on as if nothing were missing"
        )


class FolderWriter:
    """Writes 000000.png, 000001.png, … into a folder that appears only when it is complete.

    Args:
        path: the folder.
        pattern: names of the frames, with one ``%d`` or ``%06d`` for the number, which counts from
            0, and the suffix of a kind of picture.

    Raises:
        FileExistsError: the folder exists and is not empty.
        OSError: it cannot be written; raised before the first frame.
    """

    def __init__(self, path: str | os.PathLike[str], pattern: str = "%06d.png") -> None:
        final = pathlib.Path(path)
        check_empty(final)
        self._partial = Partial(final, folder=True)
        self._pattern = pattern
        self.frames = 0

    def write(self, frame: np.ndarray) -> None:
        """Appends one frame, uint8 [H, W, 3] RGB."""
        name = self._pattern % self.frames
        kind = pathlib.Path(name).suffix.lower()
        options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if kind != ".png" else []
        _, code = cv2.imencode(kind, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)
        try:
            (self._partial.path / name).write_bytes(code.tobytes())
        except OSError as error:
            self.abort()
            raise OSError(f"cannot write {self._partial.final}: {error.strerror}") from error
        self.frames += 1

    def close(self) -> None:
        """Puts the folder under its final name.

        Raises:
            ValueError: no frame was written.
        """
        if not self.frames:
            self.abort()
            raise ValueError(f"{self._partial.final}: no frame was written")
        self._partial.commit()

    def abort(self) -> None:
        """Removes what was written."""
        self._partial.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close() if kind is None else self.abort()
