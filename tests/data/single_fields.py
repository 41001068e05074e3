"""H.264 of single fields, as camcorders write it (AVCHD), which no encoder at hand does."""

from __future__ import annotations

import pathlib
from fractions import Fraction
from typing import Any

import av
import numpy as np

_RATE = 90_000
_LINES = 32  # Of a frame, per row of macroblocks in each of its fields.


class Bits:
    """A raw byte sequence in the making."""

    def __init__(self) -> None:
        self.bits: list[int] = []

    def put(self, width: int, value: int) -> None:
        self.bits += [value >> at & 1 for at in range(width - 1, -1, -1)]

    def golomb(self, *values: int) -> None:
        for value in values:
            width = (value + 1).bit_length()
            self.put(2 * width - 1, value + 1)

    def align(self) -> None:
        self.bits += [0] * (-len(self.bits) % 8)

    def unit(self, kind: int) -> bytes:
        """Ended, with emulation prevention, behind a start code."""
        self.put(1, 1)
        self.align()
        out, zeros = bytearray([kind]), 0
        for byte in np.packbits(np.array(self.bits, np.uint8)).tobytes():
            if zeros >= 2 and byte <= 3:
                out.append(3)
                zeros = 0
            out.append(byte)
            zeros = 0 if byte else zeros + 1
        return b"\0\0\0\1" + bytes(out)


def _parameters(height: int, width: int) -> bytes:
    """Main profile, 25 frames of two fields per second."""
    sequence = Bits()
    for value in (77, 0, 30):
        sequence.put(8, value)
    sequence.golomb(0, 0, 0, 4, 1)
    sequence.put(1, 0)
    sequence.golomb(width // 16 - 1, height // _LINES - 1)
    sequence.put(4, 0b0010)  # Fields; not mixed within a frame; 8x8 inference; no cropping.
    sequence.put(6, 0b100001)  # Usability: nothing but timing.
    sequence.put(32, 1)
    sequence.put(32, 50)
    sequence.put(5, 0b10000)
    picture = Bits()
    picture.golomb(0, 0)
    picture.put(2, 0)
    picture.golomb(0, 0, 0)
    picture.put(3, 0)
    picture.golomb(0, 0, 0)
    picture.put(3, 0)
    return sequence.unit(0x67) + picture.unit(0x68)


def _field(planes: list[np.ndarray], *, bottom: bool, number: int) -> bytes:
    """One field of a frame, every macroblock in plain samples."""
    bits = Bits()
    bits.golomb(0, 7, 0)
    bits.put(4, 0)
    bits.put(2, 0b10 | bottom)
    if not bottom:
        bits.golomb(number % 2)
    bits.put(8, bottom)
    bits.put(1 if bottom else 2, 0)
    bits.golomb(0)
    rows, columns = planes[0].shape
    for row in range(rows // _LINES):
        for column in range(columns // 16):
            bits.golomb(25)
            bits.align()
            for plane, side in zip(planes, (16, 8, 8), strict=True):
                part = plane[bottom::2][row * side :, column * side :][:side, :side]
                bits.bits += np.unpackbits(np.ascontiguousarray(part)).tolist()
    return bits.unit(0x61 if bottom else 0x65)


def fields(pictures: list[np.ndarray]) -> list[bytes]:
    """Pictures uint8 [H, W, 3], sides multiples of 32 and 16, as access units of one field each."""
    head, units = _parameters(*pictures[0].shape[:2]), []
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        flat, (rows, columns) = frame.to_ndarray(), picture.shape[:2]
        chroma = flat[rows:].reshape(2, rows // 2, columns // 2)
        planes = [flat[:rows], chroma[0], chroma[1]]
        for bottom in (False, True):
            unit = b"\0\0\0\1\x09\x10" + (b"" if bottom else head)
            units.append(unit + _field(planes, bottom=bottom, number=number))
    return units


def write_fields(path: pathlib.Path, pictures: list[np.ndarray], *, together: bool) -> None:
    """Writes them at 25 frames per second.

    Args:
        path: of a video file, or ``.h264`` for the bare stream.
        pictures: see `fields`.
        together: both fields of a frame in one packet, else in one each.
    """
    units = fields(pictures)
    bare = path.with_suffix(".h264")
    bare.write_bytes(b"".join(units))
    if path == bare:
        return
    with av.open(str(bare)) as source, av.open(str(path), "w") as result:
        stream: Any = result.add_stream_from_template(source.streams.video[0])
        step = 2 if together else 1
        for at in range(0, len(units), step):
            packet = av.Packet(b"".join(units[at : at + step]))
            packet.time_base, packet.duration = Fraction(1, _RATE), step * _RATE // 50
            packet.pts = packet.dts = at * _RATE // 50
            packet.is_keyframe = at % 2 == 0
            packet.stream = stream
            result.mux(packet)
