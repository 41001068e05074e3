"""Whether a file ends before its own structure says it does: the only meaning of "truncated"."""

from __future__ import annotations

import pathlib
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from v2v_jax.data.media.packets import Packets

_SEGMENT = b"\x18\x53\x80\x67"


def promised_frames(
    path: pathlib.Path, container: Any, stream: Any, packets: Packets, seconds: Fraction | None
) -> int | None:
    """How many frames a truncated file was to have; None: it is whole.

    ``seconds``: when the pictures end by the container's words; None where it has none.

    A file is truncated whose boxes, chunks or segment end behind its last byte.  Other kinds
    (transport and program streams, Flash) can end anywhere.
    """
    name, size = container.format.name, path.stat().st_size
    if "mp4" in name:
        return _of_mp4(path, stream, size, packets)
    if name == "avi":
        have = packets.slots or 0
        ends = _end_of_riff(path) > size
        return stream.frames if ends and stream.frames > have else None
    if "matroska" in name and _end_of_segment(path) > size:
        return _of_matroska(packets, seconds)
    return None


def _of_mp4(path: pathlib.Path, stream: Any, size: int, packets: Packets) -> int | None:
    # The index is the better witness than the count, which includes what an edit list hides.
    # PyAV before 15 has none.
    entries = getattr(stream, "index_entries", ()) if stream.frames else ()
    shown = [entry for entry in entries if not entry.is_discard]
    if shown:
        return len(shown) if any(entry.pos + entry.size > size for entry in shown) else None
    if _end_of_boxes(path) <= size:
        return None
    rate = packets.rates[0] if packets.rates else Fraction(25)
    return stream.frames or round((stream.duration or 0) * packets.base * rate)


def _of_matroska(packets: Packets, seconds: Fraction | None) -> int | None:
    if seconds is None or not packets.count:
        return packets.count + 1
    rate = packets.rates[0] if packets.rates else Fraction(25)
    # What is cut off may be an index, or the last bytes of the sound.
    have = packets.stamps[-1].item() * packets.base + 1 / rate
    return round(seconds * rate) if have < seconds - Fraction(1, 2) / rate else None


def _end_of_riff(path: pathlib.Path) -> int:
    """Where the last RIFF chunk of an AVI ends; a large file has several."""
    at = 0
    with path.open("rb") as file:
        while (head := _read(file, at, 8))[:4] == b"RIFF":
            at += 8 + int.from_bytes(head[4:], "little")
    return at


def _end_of_boxes(path: pathlib.Path) -> int:
    """Where the last box of an mp4 ends."""
    at, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while at < size:
            head = _read(file, at, 16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length < 8:  # To the end of the file; or no boxes any more.
                return at
            at += length
    return at


def _end_of_segment(path: pathlib.Path) -> int:
    """Where a matroska file's segment ends; 0 of one that was written live and says nothing."""
    with path.open("rb") as file:
        head = _read(file, 0, 4096)
    at = head.find(_SEGMENT)
    if at < 0 or at + 4 >= len(head):
        return 0
    begin = at + 4
    width = 9 - head[begin].bit_length()
    number = int.from_bytes(head[begin : begin + width], "big") & ((1 << 7 * width) - 1)
    return 0 if number == (1 << 7 * width) - 1 else begin + width + number


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
