"""The pictures, labels and flow of raw downloads, decoded strictly: a doubtful file is an error."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import av
import av.error
import cv2
import numpy as np
from PIL import Image

from v2v_jax.data.raw.members import Member

_PNG = b"\x89PNG\r\n\x1a\n"
UNKNOWN_FLOW = 512.0
"""VIPER's own export takes components of this many pixels or more for invalid."""


def decode_image(member: Member) -> np.ndarray:
    """A png or jpg as uint8 [H, W, 3] RGB.

    A PNG's checksums are compared.  A JPEG has none: its end must be there, and outside a zip,
    which has a checksum of its own, a strict second decoder must have nothing to complain about.
    A loose JPEG in which only the value of a coefficient has changed cannot be told from another.

    Raises:
        ValueError: no such picture, or damaged.
        OSError: it cannot be read at all.
    """
    data = member.read()
    if data.startswith(_PNG):
        _check_png(data, member)
    elif data.startswith(b"\xff\xd8"):
        _check_jpeg(data, member)
    else:
        raise ValueError(f"{member.where}: neither a png nor a jpg")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:  # A header that promises an absurd size.
        raise ValueError(f"{member.where}: cannot be decoded ({error.err})") from error
    if image is None:
        raise ValueError(f"{member.where}: cannot be decoded")
    return image


def decode_labels(member: Member) -> np.ndarray:
    """An 8 bit PNG of class ids, uint8 [H, W]: a palette is read by index, never by colour.

    Raises:
        ValueError: damaged, or a picture of colours.
    """
    data = member.read()
    _check_png(data, member)
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode not in ("P", "L"):
                raise ValueError(f"{member.where}: {image.mode} pixels where class ids should be")
            return np.asarray(image)
    # Pillow reports bad PNGs as SyntaxError.
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{member.where}: not a label image ({error})") from error


def decode_flow(member: Member) -> tuple[np.ndarray, np.ndarray]:
    """A VIPER flow npz: (u, v), float32 [H, W] each; NaN, Inf and huge values as they stand.

    Raises:
        ValueError: damaged, or not two float arrays ``u`` and ``v`` of one shape.
    """
    data = member.read()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # Whole members: only then does zipfile compare the checksum.
            u, v = (_array(archive.read(f"{name}.npy")) for name in "uv")
    except (
        *(zipfile.BadZipFile, zlib.error, KeyError, RuntimeError, ValueError, EOFError, OSError),
        *(struct.error, OverflowError, SyntaxError, TypeError),
    ) as error:
        raise ValueError(f"{member.where}: not a flow npz with u and v ({error})") from error
    if u.ndim != 2 or u.shape != v.shape or u.dtype.kind != "f" or v.dtype.kind != "f":
        raise ValueError(
            f"{member.where}: u is {u.dtype} {list(u.shape)}, v {v.dtype} {list(v.shape)}; "
            "two float arrays [H, W] are needed"
        )
    return _float32(u), _float32(v)


def flow_valid(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Bool [H, W]: neither NaN nor Inf, both components under 512 pixels."""
    # inRange includes its limits; one pass where numpy's abs and comparison take two each.
    most = float(np.nextafter(np.float32(UNKNOWN_FLOW), np.float32(0)))
    known = [cv2.inRange(part, -most, most) for part in (u, v)]  # type: ignore[call-overload]
    return cv2.bitwise_and(*known).astype(bool)


def _array(data: bytes) -> np.ndarray:
    """What ``read_array`` gives, without its copy in small pieces."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    flat = np.frombuffer(data, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


def _float32(array: np.ndarray) -> np.ndarray:
    return np.array(array, np.float32, order="C")  # A copy: the npz is read only.


def _check_png(data: bytes, member: Member) -> None:
    """Every chunk's checksum, and an end: decoders overlook both."""
    position, kind = len(_PNG), b""
    view = memoryview(data)
    while data.startswith(_PNG) and position + 12 <= len(data):
        length = int.from_bytes(view[position : position + 4], "big")
        end = position + 8 + length
        if end + 4 > len(data):
            break
        kind = bytes(view[position + 4 : position + 8])
        if zlib.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise ValueError(f"{member.where}: damaged (a checksum of the PNG differs)")
        if kind == b"IEND":
            return
        position = end + 4
    reason = "truncated" if data.startswith(_PNG) else "not a PNG"
    raise ValueError(f"{member.where}: {reason}")


def _check_jpeg(data: bytes, member: Member) -> None:
    # Some writers pad with zeros; a truncated copy ends with anything but the end marker.
    if not data[-64:].rstrip(b"\0").endswith(b"\xff\xd9"):
        raise ValueError(f"{member.where}: truncated (the JPEG has no end)")
    if member.checked:
        return
    try:
        decoder = av.CodecContext.create("mjpeg", "r")
        # All of the entropy coding, an eighth of the picture.
        decoder.options = {"err_detect": "explode+bitstream+buffer", "lowres": "3"}
        decoder.thread_count = 1
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]  # type: ignore
    except av.error.FFmpegError as error:
        raise ValueError(f"{member.where}: damaged ({error.strerror})") from error
    if len(frames) != 1:
        raise ValueError(f"{member.where}: damaged (no picture in the JPEG)")
