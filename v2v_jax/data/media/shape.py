"""What a player needs to show a frame as it was meant: the shape of its pixels, its fields."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Self

import numpy as np
from absl import logging

from v2v_jax.data.media.packets import exact
from v2v_jax.data.transforms import crop_to_aspect, fit

_SURELY_WRONG = 10


@dataclasses.dataclass(frozen=True)
class Look:
    """How frames are shown.

    Attributes:
        pixel_aspect: width : height of a pixel, of frames turned upright.
        fields: "tff" or "bff": every frame holds two fields, and which comes first; None: one
            picture.
    """

    pixel_aspect: Fraction = Fraction(1)
    fields: str | None = None


def look_of(video: Any) -> Look:
    """Of an open video; folders of frames have square pixels."""
    return getattr(video, "look", None) or Look()


def pixel_aspect(stream: Any, frame: Any, *, turned: bool) -> Fraction:
    """Of a PyAV stream's pixels; 1 where nothing sensible is said.

    Args:
        stream: the container's word counts before the coded one, as in players.
        frame: the first one decoded, in case only that knows.
        turned: by a quarter.
    """
    for bearer in (stream, stream.codec_context, frame):
        found = getattr(bearer, "sample_aspect_ratio", None)
        if found and found.numerator > 0 and found.denominator > 0:
            ratio = exact(found)
            if not 1 / _SURELY_WRONG <= ratio <= _SURELY_WRONG:
                return Fraction(1)
            return 1 / ratio if turned else ratio
    return Fraction(1)


class Fitted:
    """An open video whose frames are brought to one size as training does it.

    Pixels are made square, the largest centred part with the new aspect ratio is kept, nothing is
    squeezed.

    Args:
        video: see `media.reader.VideoReader`.
        size: height, width.
    """

    def __init__(self, video: Any, size: tuple[int, int]) -> None:
        self._video = video
        self.height, self.width = size
        self.look = Look()
        self._pixel_aspect = look_of(video).pixel_aspect
        if problem := left_out(video.height, video.width, size, self._pixel_aspect):
            logging.warning("%s: %s", video.path, problem)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._video, name)

    def __iter__(self) -> Iterator[np.ndarray]:
        for frame in self._video:
            yield fit(frame, self.height, self.width, self._pixel_aspect)

    def __enter__(self) -> Self:
        self._video.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._video.__exit__(*error)


def boxed(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture uint8 [H, W, 3] at another size, whole and with black bars, as players show it."""
    rows, columns = picture.shape[:2]
    scale = min(Fraction(height, rows), Fraction(width, columns))
    rows, columns = max(1, round(rows * scale)), max(1, round(columns * scale))
    box = np.zeros((height, width, 3), np.uint8)
    top, left = (height - rows) // 2, (width - columns) // 2
    box[top : top + rows, left : left + columns] = fit(picture, rows, columns)
    return box


def left_out(
    rows: int, columns: int, size: tuple[int, int], pixel_aspect: Fraction = Fraction(1)
) -> str | None:
    """What fitting frames of rows x columns to ``size`` does not show; None: less than 1 %."""
    part = crop_to_aspect(np.empty((rows, columns, 0)), *size, pixel_aspect)
    kept_rows, kept_columns = part.shape[:2]
    if 100 * (columns - kept_columns) > columns:
        what = f"{columns - kept_columns} of {columns} columns"
    elif 100 * (rows - kept_rows) > rows:
        what = f"{rows - kept_rows} of {rows} rows"
    else:
        return None
    return (
        f"--size={size[0]},{size[1]} has another aspect ratio: {what} are left out at the edges, "
        "as in training"
    )


def say_fields(path: pathlib.Path, order: str | None, *, deinterlace: bool) -> str | None:
    """One line on a video's fields; None where there is nothing to say."""
    if order is None:
        if deinterlace:
            return f"{path}: says it is progressive: --deinterlace leaves it as it is"
        return None
    which = "top" if order == "tff" else "bottom"
    if deinterlace:
        return f"{path}: interlaced ({which} field first), deinterlaced by bwdif"
    return (
        f"{path}: interlaced ({which} field first), and both fields are taken as one picture: "
        "--deinterlace (config.data.deinterlace in training) makes clean pictures of them"
    )
