"""From a video's colours to the RGB that a player would show on a BT.709 screen.

Which matrix: the one the file names; where it names none, BT.709 from 720 lines up or 1280 columns
wide, else BT.601, as every player assumes.

HDR (PQ, HLG) becomes SDR by this curve, in linear light, per pixel:

1.  Nits.  PQ: SMPTE ST 2084.  HLG: ITU-R BT.2100's inverse OETF and its OOTF for a screen of 1000
    nits (system gamma 1.2).
2.  Divided by 203 nits, the diffuse white of ITU-R BT.2408 (PQ 58 %, HLG 75 %): white becomes 1.
3.  BT.2020's primaries to BT.709's (ITU-R BT.2087), unless the file says that it has those.
4.  Clipped to 0 .. 1, per channel: what is brighter than white is white.
5.  To the power 1/2.4, the inverse of a BT.1886 screen.

SDR that says it has BT.2020's primaries gets BT.709's by steps 3 to 5.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

WHITE_NITS = 203.0
_HLG_NITS, _HLG_GAMMA = 1000.0, 1.2
_UNSPECIFIED = 2
_PRIMARIES_2020 = 9
_TRANSFERS = {16: "PQ", 18: "HLG"}
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
"""ISO/IEC 23091-2's numbers of matrices."""
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_CODES = 4096


@dataclasses.dataclass(frozen=True)
class Colour:
    """How a video's numbers are to be read.

    Attributes:
        matrix: from luma and chroma to RGB; None of a video that is stored as RGB or grey.
        full: whether the numbers use their whole range.
        hdr: "PQ", "HLG" or None.
        wide: whether the primaries are BT.2020's; HDR's are, unless it says otherwise.
        limited_grey: whether it is grey in the limited range, by its own words.
    """

    matrix: Colorspace | None
    full: bool
    hdr: str | None
    wide: bool
    limited_grey: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """For ``VideoReformatter.reformat``."""
        if self.matrix is None:
            return {}
        levels = ColorRange.JPEG if self.full else ColorRange.MPEG
        return {"src_colorspace": self.matrix, "src_color_range": levels}

    @property
    def converts(self) -> bool:
        """Whether there is more to do than to turn luma and chroma into RGB."""
        return self.hdr is not None or self.wide or self.limited_grey


def colour_of(frame: Any, context: Any) -> Colour:
    """By a decoded frame's tags, else by its stream's (the container's), else by its size.

    Args:
        frame: the first one, as PyAV decodes it.
        context: PyAV's codec context of the stream.
    """
    transfer = _tag(frame, context, "color_trc")
    hdr = _TRANSFERS.get(transfer)
    levels = _tag(frame, context, "color_range", unknown=0)
    full = levels == 2 or frame.format.name.startswith("yuvj")
    primaries = _tag(frame, context, "color_primaries")
    wide = primaries == _PRIMARIES_2020 or (hdr is not None and primaries == _UNSPECIFIED)
    if not _has_chroma(frame):
        grey = hdr is None and len(frame.format.components) < 3 and levels == 1
        return Colour(None, full, hdr, wide, grey and not frame.format.has_palette)
    matrix = _MATRICES.get(_tag(frame, context, "colorspace"))
    if matrix is None and hdr:
        matrix = Colorspace.BT2020
    if matrix is None:
        large = frame.height >= 720 or frame.width >= 1280
        matrix = Colorspace.ITU709 if large else Colorspace.ITU601
    return Colour(matrix, full, hdr, wide)


def _tag(frame: Any, context: Any, name: str, unknown: int = _UNSPECIFIED) -> int:
    for bearer in (frame, context):
        value = getattr(bearer, name, None)
        if value is not None and int(value) != unknown:
            return int(value)
    return unknown


def _has_chroma(frame: Any) -> bool:
    form = frame.format
    return not form.is_rgb and not form.has_palette and len(form.components) >= 3


def to_rgb(frame: Any, colour: Colour, reformatter: VideoReformatter) -> np.ndarray:
    """A decoded frame as uint8 [H, W, 3] RGB of BT.709, not yet turned upright."""
    if not colour.converts:
        return reformatter.reformat(frame, format="rgb24", **colour.options).to_ndarray()
    deep = reformatter.reformat(frame, format="rgb48le", **colour.options).to_ndarray()
    if colour.limited_grey:  # FFmpeg takes all grey for full.
        deep = np.clip((deep - 4112.0) * (65535 / 56283), 0, 65535).astype(np.uint16)
    if colour.hdr is None:
        return _narrowed(deep) if colour.wide else np.rint(deep / 257).astype(np.uint8)
    return tone_mapped(deep, colour.hdr, wide=colour.wide)


def _narrowed(deep: np.ndarray) -> np.ndarray:
    """SDR of BT.2020's primaries, uint16 [H, W, 3], with BT.709's, uint8; in a screen's light."""
    light = _light_of("SDR")[deep >> 4]
    shown = cv2.pow(np.clip(cv2.transform(light, _TO_709), 0, 1), 1 / 2.4)
    return np.rint(255 * shown).astype(np.uint8)


def tone_mapped(deep: np.ndarray, hdr: str, *, wide: bool = True) -> np.ndarray:
    """The curve above.

    Args:
        deep: uint16 [H, W, 3] RGB, the whole range of 16 bits.
        hdr: "PQ" or "HLG".
        wide: from BT.2020's primaries.

    Returns:
        uint8 [H, W, 3].
    """
    light = _light_of(hdr)[deep >> 4]
    if hdr == "HLG":
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light *= np.power(luminance, _HLG_GAMMA - 1, dtype=np.float32)[..., None]
        light *= _HLG_NITS / WHITE_NITS
    if wide:
        light = cv2.transform(light, _TO_709)
    shown = cv2.pow(np.clip(light, 0, 1), 1 / 2.4)
    return np.rint(255 * shown).astype(np.uint8)


@functools.cache
def _light_of(hdr: str) -> np.ndarray:
    """float32 [4096]: light by code; SDR's and PQ's in units of white, HLG's of the scene."""
    code = np.arange(_CODES) / (_CODES - 1)
    if hdr == "SDR":
        return (code**2.4).astype(np.float32)
    if hdr == "PQ":
        power = code ** (32 / 2523)
        ratio = np.maximum(power - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * power)
        return (10_000 / WHITE_NITS * ratio ** (8192 / 1305)).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    bright = (np.exp((code - c) / a) + b) / 12
    return np.where(code <= 0.5, code**2 / 3, bright).astype(np.float32)
