"""Files of a raw download, whether they lie in a folder or inside a zip: nothing is unpacked."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Iterator

_STORED, _DEFLATED = 0, 8
_UTF8 = 0x800


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One file of the download; small and picklable, read from any thread.

    Attributes:
        path: its name inside the download, with forward slashes ("train/img/001/001_00010.jpg").
        file: the file itself, or the zip that holds it.
        size: bytes.
        stamp: changes with the content: the zip's CRC-32, or the file's modification time.
        packed: where it lies inside a zip; None for a plain file.
    """

    path: str
    file: pathlib.Path
    size: int
    stamp: int
    packed: Packed | None = None

    @property
    def checked(self) -> bool:
        """Whether `read` compares a checksum."""
        return self.packed is not None

    @property
    def where(self) -> str:
        """What messages call it."""
        return str(self.file) if self.packed is None else f"{self.file}:{self.path}"

    @property
    def short(self) -> str:
        """The same without the folder of the downloads."""
        return self.path if self.packed is None else f"{self.file.name}:{self.path}"

    def read(self) -> bytes:
        """The content.

        Raises:
            ValueError: damaged inside its zip.
            OSError: gone, or unreadable.
        """
        if self.packed is None:
            return self.file.read_bytes()
        return self.packed.read(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Packed:
    """Where a member lies in its zip, as the zip's directory says.

    Reading it so, and not through `zipfile`, needs no lock and no open file, so threads do not
    wait for each other and a member crosses to another process.
    """

    name: str
    offset: int
    bytes: int
    method: int

    def read(self, member: Member) -> bytes:
        """The unpacked content, its length and CRC-32 compared with the zip's directory."""
        with member.file.open("rb") as file:
            inside = 0 <= self.offset <= os.fstat(file.fileno()).st_size - self.bytes
            file.seek(self.offset if inside else 0)
            header = file.read(30)
            if not inside or len(header) < 30 or header[:4] != b"PK\3\4":
                raise ValueError(f"{member.where}: the zip is damaged here; download it again")
            flags, length, extra = struct.unpack("<6xH18xHH", header)
            name = file.read(length).decode("utf-8" if flags & _UTF8 else "cp437", "replace")
            if name != self.name:
                raise ValueError(f"{member.where}: called {name!r} inside the zip; it is damaged")
            file.seek(extra, os.SEEK_CUR)
            data = file.read(self.bytes)
        try:
            if self.method == _DEFLATED:
                data = zlib.decompress(data, -zlib.MAX_WBITS)
        except zlib.error as error:
            raise ValueError(f"{member.where}: damaged inside the zip ({error})") from error
        if len(data) != member.size or zlib.crc32(data) != member.stamp:
            raise ValueError(f"{member.where}: damaged inside the zip (its checksum differs)")
        return data


def list_members(raw: str | os.PathLike[str]) -> list[Member]:
    """Every file below a folder, zips looked into, in the order of their names.

    Args:
        raw: a folder of zips, of unpacked files or of both, or one zip.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: a zip that is no complete zip.
        OSError: a folder that cannot be read.
    """
    root = pathlib.Path(raw)
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such folder; give the downloads' folder as --raw")
    if root.is_file():
        return sorted(_zip_members(root, ""), key=lambda member: member.path)
    members: list[Member] = []
    for file in _files(root):
        relative = file.relative_to(root).as_posix()
        if file.suffix.lower() == ".zip":
            members += _zip_members(file, relative.removesuffix(file.name))
        else:
            stat = file.stat()
            members.append(Member(relative, file, stat.st_size, stat.st_mtime_ns))
    return sorted(members, key=lambda member: (member.path, str(member.file)))


def _files(root: pathlib.Path) -> Iterator[pathlib.Path]:
    def stop(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(root, onerror=stop, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        # macOS and some downloaders leave hidden companions of every file.
        yield from (pathlib.Path(folder, name) for name in sorted(names) if name[0] != ".")


def _zip_members(file: pathlib.Path, folder: str) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise ValueError(
            f"{file}: not a complete zip ({error}); finish or repeat its download, or move it "
            "out of --raw"
        ) from error
    for entry in entries:
        path = entry.filename.replace("\\", "/")  # Some zips of Windows keep its separator.
        name = path.rpartition("/")[2]
        if not name or name.startswith(".") or path.startswith("__MACOSX/"):
            continue
        if entry.compress_type not in (_STORED, _DEFLATED) or entry.flag_bits & 1:
            raise ValueError(
                f"{file}: {entry.filename} is encrypted or packed in an unusual way; unpack this "
                "zip next to it and move it away"
            )
        packed = Packed(
            entry.orig_filename, entry.header_offset, entry.compress_size, entry.compress_type
        )
        yield Member(folder + path, file, entry.file_size, entry.CRC, packed)
