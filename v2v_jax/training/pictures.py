"""Arrays to pictures: flow as colours, contact sheets, animated clips.  NumPy, OpenCV, Pillow."""

from __future__ import annotations

import io
from collections.abc import Mapping

import cv2
import numpy as np
from PIL import Image

ROWS = ("source", "raw", "warped", "mask", "output", "flow")
"""The order of a contact sheet's rows; other names follow."""

# Hue changes faster to the eye between red and yellow than between green and cyan: the classic
# wheel of the Middlebury benchmark spends 55 steps on the circle accordingly.
HUE_STEPS = np.array([0, 15, 21, 25, 36, 49, 55]) / 55.0
HUES = np.array(
    [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]], np.float64
)


def flow_to_color(flow: np.ndarray, max_magnitude: float | None = None) -> np.ndarray:
    """Direction as hue, length as saturation: white does not move.

    Args:
        flow: float [H, W, 2], pixels (dx, dy).
        max_magnitude: the length in pixels of full saturation, longer vectors turn darker; None:
            the longest finite vector of this flow.

    Returns:
        uint8 [H, W, 3] RGB; not finite is black.  Right is red, down yellow, left cyan-blue, up
        violet.
    """
    dx, dy = np.asarray(flow, np.float64)[..., 0], np.asarray(flow, np.float64)[..., 1]
    finite = np.isfinite(dx) & np.isfinite(dy)
    dx, dy = np.where(finite, dx, 0.0), np.where(finite, dy, 0.0)
    length = np.hypot(dx, dy)
    if max_magnitude is None:
        max_magnitude = float(length.max(initial=0.0))
    length = length / max(max_magnitude, 1e-9)
    angle = np.arctan2(dy, dx) / (2 * np.pi) % 1.0
    hue = np.stack([np.interp(angle, HUE_STEPS, HUES[:, c]) for c in range(3)], axis=-1)
    saturation = np.minimum(length, 1.0)[..., None]
    color = (1.0 - saturation * (1.0 - hue)) * np.where(length > 1.0 + 1e-6, 0.75, 1.0)[..., None]
    return np.where(finite[..., None], np.rint(255 * color), 0).astype(np.uint8)


def to_uint8(picture: np.ndarray, max_magnitude: float | None = None) -> np.ndarray:
    """One named picture of ``Aux.pictures`` -> frames to look at.

    Args:
        picture: float [T, H, W, C]: C = 3 an image in [-1, 1], 1 a mask in [0, 1], 2 a flow.
        max_magnitude: for a flow; None: its longest vector.

    Returns:
        uint8 [T, H, W, 3] RGB; not finite is black.

    Raises:
        ValueError: another number of channels.
    """
    picture = np.asarray(picture, np.float32)
    channels = picture.shape[-1]
    if channels == 2:
        if max_magnitude is None:
            max_magnitude = longest(picture)
        return np.stack([flow_to_color(frame, max_magnitude) for frame in picture])
    if channels not in (1, 3):
        raise ValueError(f"a picture has 1, 2 or 3 channels, not {channels}")
    scaled = picture * 255.0 if channels == 1 else picture * 127.5 + 127.5
    pixels = np.clip(np.rint(np.nan_to_num(scaled, nan=0.0)), 0, 255).astype(np.uint8)
    return np.broadcast_to(pixels, (*picture.shape[:-1], 3)).copy()


def longest(flow: np.ndarray) -> float:
    """The length in pixels of the longest finite vector; 0 if there is none."""
    lengths = np.hypot(flow[..., 0], flow[..., 1])
    return float(lengths[np.isfinite(lengths)].max(initial=0.0))


def _order(name: str) -> tuple[str, int, str]:
    group, _, last = name.rpartition("/")
    return group, ROWS.index(last) if last in ROWS else len(ROWS), last


def _captioned(frames: np.ndarray, caption: str) -> np.ndarray:
    """Frames side by side, small ones enlarged, under a line of text."""
    scale = max(1, round(192 / frames.shape[2]))
    row = np.concatenate(list(frames.repeat(scale, axis=1).repeat(scale, axis=2)), axis=1)
    bar = np.zeros((16, row.shape[1], 3), np.uint8)
    cv2.putText(
        bar, caption, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA
    )
    return np.concatenate([bar, row])


def contact_sheet(pictures: Mapping[str, np.ndarray]) -> np.ndarray:
    """One row per picture (source, raw, warped, mask, output, flow, ...), time from left to right.

    Args:
        pictures: name (with an optional group, ``to_target/raw``) -> float [T, H, W, C], as
            ``Aux.pictures``; T may differ, H and W may not.

    Returns:
        uint8 [rows, columns, 3] RGB.
    """
    rows = []
    for name in sorted(pictures, key=_order):
        picture = np.asarray(pictures[name])
        longest_vector = f" (longest: {longest(picture):.1f} px)" if picture.shape[-1] == 2 else ""
        rows.append(_captioned(to_uint8(picture), name + longest_vector))
    width = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0))) for r in rows])


def side_by_side(pictures: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The clip to animate: every source left of its output; None where there is no such pair.

    Returns:
        uint8 [T, H, W * 2, 3] for one pair; pairs of further groups stand below.
    """
    rows = []
    for name in sorted(pictures, key=_order):
        group, _, last = name.rpartition("/")
        output = f"{group}/output" if group else "output"
        if last == "source" and output in pictures:
            pair = [to_uint8(pictures[name]), to_uint8(pictures[output])]
            rows.append(np.concatenate(pair, axis=2))
    return np.concatenate(rows, axis=1) if rows else None


def gif_bytes(frames: np.ndarray, fps: float = 8.0) -> bytes:
    """An animated GIF that loops for ever.

    Args:
        frames: uint8 [T, H, W, 3] RGB.
        fps: frames per second; GIF stores hundredths of a second, viewers show at most 50.
    """
    images = [Image.fromarray(frame) for frame in frames]
    stream = io.BytesIO()
    images[0].save(
        stream, format="GIF", save_all=True, append_images=images[1:],
        duration=max(20, round(1000 / fps)), loop=0,
    )  # fmt: skip
    return stream.getvalue()


def png_bytes(image: np.ndarray) -> bytes:
    """uint8 [H, W, 3] RGB as PNG."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG")
    return stream.getvalue()
