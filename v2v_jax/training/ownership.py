"""One owner per workdir: who trains in a folder holds its lock, and is named to whom it refuses.

The lock is the kernel's, on ``<workdir>/owner.lock``: it ends with its process, however that dies,
and works across the hosts of most network file systems.  What the file says besides (pid, host,
start) is for those it refuses, and decides where the kernel cannot: file systems without locks,
and a record of another host, whose lock may be known to that host alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import functools
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

from v2v_jax.training.checkpoints import barrier

NAME = "owner.lock"
_LONGEST = 2000
"""Bytes of a lock's file, and of the refusal that process 0 tells the others."""
_held: dict[Path, int] = {}
"""How often this process has asked for each folder that it owns."""


class InUse(OSError):
    """Another command owns the workdir."""


@dataclasses.dataclass(frozen=True)
class Owner:
    """Who holds a lock: ``born`` tells a process from a later one of the same pid."""

    pid: int
    host: str
    since: str
    born: str = ""

    @classmethod
    def me(cls) -> Owner:
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        return cls(os.getpid(), socket.gethostname(), now, _born(os.getpid()))

    @property
    def here(self) -> bool:
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether its process runs; only known of a process of this host."""
        return bool(born := _born(self.pid)) and born == self.born

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host} since {self.since}"


@contextlib.contextmanager
def owned(workdir: str | Path, take_over: bool = False) -> Iterator[None]:
    """A context in which this command alone may write ``workdir``, which is made if need be.

    A process may ask again for what it holds.  With several processes, all call it: process 0
    holds the lock, and where it is refused all of them are.

    Args:
        workdir: the run's folder.
        take_over: whether a lock that another host's process left is no obstacle; one that the
            kernel says is held is, in any case.

    Raises:
        InUse: another command owns it; says which, and what to do.
        OSError: it cannot be written.
    """
    folder = Path(workdir).absolute()
    with contextlib.ExitStack() as cleanup:
        if not _held.get(folder):
            _together(lambda: cleanup.enter_context(_locked(folder, take_over)))
        _held[folder] = _held.get(folder, 0) + 1
        try:
            yield
        finally:
            _held[folder] -= 1


def one_owner(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a function whose keyword argument ``workdir`` it must own while it runs."""

    @functools.wraps(command)
    def owning(*, workdir: str | Path, **arguments: Any) -> Any:
        with owned(workdir):
            return command(workdir=workdir, **arguments)

    return owning


def _together(take: Callable[[], object]) -> None:
    """Lets process 0 ``take``; what it is refused by is raised in all processes."""
    refusal: OSError | None = None
    if jax.process_index() == 0:
        try:
            take()
        except OSError as error:
            refusal = error
    if jax.process_count() > 1:
        told = np.frombuffer(str(refusal or "").encode()[:_LONGEST].ljust(_LONGEST), np.uint8)
        barrier("owner")
        told = np.asarray(multihost_utils.broadcast_one_to_all(told))
        if (text := told.tobytes().decode(errors="ignore").strip()) and refusal is None:
            refusal = InUse(text)
    if refusal is not None:
        raise refusal


@contextlib.contextmanager
def _locked(folder: Path, take_over: bool) -> Iterator[None]:
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _open_locked(folder, take_over)
    except InUse:
        raise
    except OSError as error:
        raise OSError(f"--workdir={folder} cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        # Unlinked before it is unlocked: who opened it in between finds that it has no name.
        (folder / NAME).unlink(missing_ok=True)
        os.ftruncate(descriptor, 0)
        os.close(descriptor)
        for path in made:  # A command that came to nothing leaves nothing.
            with contextlib.suppress(OSError):
                path.rmdir()


def _open_locked(folder: Path, take_over: bool) -> int:
    """The locked, signed file's descriptor."""
    path = folder / NAME
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, folder, take_over)
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(dataclasses.asdict(Owner.me())).encode(), 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # Its owner removed it just now.


def _lock(descriptor: int, folder: Path, take_over: bool) -> None:
    kernel_knows = True
    try:
        # Not flock: a worker process forked from a killed one would go on holding it.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise InUse(_refusal(folder, _read(descriptor, patience=1.0))) from None
        if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL):
            raise
        kernel_knows = False
    left = _read(descriptor)
    if left is None:
        return
    if not left.here and not take_over:
        raise InUse(
            f"{_refusal(folder, left)}; if that job is dead, which cannot be seen from here, "
            "give --take_over as well"
        )
    if left.here and not kernel_knows and left.alive:
        raise InUse(_refusal(folder, left))
    logging.info("%s: its last owner, %s, left without a word", folder, left)


def _refusal(folder: Path, owner: Owner | None) -> str:
    who = "another command" if owner is None else str(owner)
    return f"--workdir={folder} is in use by {who}: wait for it, stop it, or give another --workdir"


def _read(descriptor: int, patience: float = 0.0) -> Owner | None:
    """What the lock's file says; it may take its owner a moment to sign."""
    # By no second descriptor: to close that one would give up the lock.
    deadline = time.monotonic() + patience
    while True:
        try:
            return Owner(**json.loads(os.pread(descriptor, _LONGEST, 0)))
        except (ValueError, TypeError):
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.05)


def _born(pid: int) -> str:
    """When a process of this host started, in ticks since the boot; "" if there is none."""
    try:
        # The name, in parentheses, may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
