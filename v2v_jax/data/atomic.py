"""Files and folders that appear under their final name only when they are complete."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import uuid


class Partial:
    """A hidden sibling of ``final`` that becomes ``final`` in one rename.

    The owner holds a file lock on it for as long as it lives.  What a killed process left behind
    is therefore recognised by its lock being free, and is removed by the next writer of the same
    name, whatever process, user or time that is.

    Attributes:
        final: the name to stand at the end.
        path: the hidden name, with the suffix of ``final`` so that writers choose the right format.

    Raises:
        OSError: the parent folder cannot be written.
    """

    def __init__(self, final: pathlib.Path, *, folder: bool = False) -> None:
        self.final = final
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            _sweep(final)
            self.path, self._lock = _create(final, folder)
        except OSError as error:
            raise OSError(f"cannot write {final}: {error.strerror or error}") from error

    def commit(self) -> None:
        """Puts the finished file or folder under its final name."""
        os.replace(self.path, self.final)
        self._release()

    def discard(self) -> None:
        """Removes the unfinished file or folder; harmless after `commit`."""
        if self._lock is not None:
            _remove(self.path)
            self._release()

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _create(final: pathlib.Path, folder: bool) -> tuple[pathlib.Path, int | None]:
    while True:
        path = final.parent / f"{_prefix(final)}{uuid.uuid4().hex[:8]}{_ending(final)}"
        if folder:
            path.mkdir()
            lock = os.open(path, os.O_RDONLY)
        else:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        with contextlib.suppress(OSError):  # Some network file systems know no locks.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A sweeper may have taken it for a leftover before it was locked.
        if path.exists():
            return path, lock
        os.close(lock)


def _prefix(final: pathlib.Path) -> str:
    return f".{shortened(final.stem, 100)}."


def _ending(final: pathlib.Path) -> str:
    """What is so long is no format's suffix, but the rest of a name behind a full stop."""
    return f".partial{final.suffix if len(final.suffix) < 16 else ''}"


def shortened(name: str, most: int) -> str:
    """The beginning of a name, at most so many bytes: file systems count those, not letters."""
    return name.encode("utf-8", "surrogateescape")[:most].decode("utf-8", "ignore")


def _sweep(final: pathlib.Path) -> None:
    """Removes what dead writers of the same name left."""
    prefix, ending = _prefix(final), _ending(final)
    for path in final.parent.iterdir():
        middle = path.name.removeprefix(prefix).removesuffix(ending)
        if f"{prefix}{middle}{ending}" != path.name or len(middle) != 8:
            continue
        with contextlib.suppress(OSError):  # A living owner's lock, or another sweeper's work.
            lock = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(path)
            finally:
                os.close(lock)


def _remove(path: pathlib.Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
