"""Several processes meet, and say whom they wait for, before JAX connects them.

JAX's own wait is silent, and at its limit ends the process from within C++.  So they meet on the
coordinator's port first: process 0 listens there, the others tell it their number and hear who is
missing; once all are there, it leaves the port to JAX's service.  Every message is a line of JSON.
"""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import logging

EVERY = 30.0
"""Seconds between two lines about who is missing."""
_PULSE, _SILENCE = 1.0, 10.0
"""Seconds between two messages of process 0, and after how many without one it is gone."""


class NotTogether(RuntimeError):
    """The processes did not come together."""


def meet(coordinator: str, count: int, number: int, limit: float) -> None:
    """Returns in every process as soon as all of them have called it.

    Args:
        coordinator: "host:port" of process 0.
        count: how many processes there are.
        number: this one's.
        limit: after how many seconds to give up.

    Raises:
        NotTogether: one was missing for too long, or they contradict each other.
    """
    host, _, port = coordinator.rpartition(":")
    patience = _Patience(coordinator, count, limit)
    if number == 0:
        _host(int(port), count, patience)
    else:
        _visit((host.strip("[]"), int(port)), count, number, patience)


class _Patience:
    """Says every 30 s whom this process waits for, and ends it."""

    def __init__(self, where: str, count: int, limit: float):
        self.where = where
        self.why = ""
        self._count = count
        self._limit = limit
        self._start = self._said = time.monotonic()

    def wait_for(self, missing: Sequence[int]) -> None:
        """Called every second or so; raises NotTogether after the limit."""
        now = time.monotonic()
        who = f"{_listed(missing)} of {self._count} at {self.where}"
        why = f" ({self.why})" if self.why else ""
        if now - self._start >= self._limit:
            raise NotTogether(
                f"waited {self._limit:.0f} s in vain for {who}{why}: start all processes with the "
                "same --coordinator and --num_processes, or wait longer with --join_timeout"
            )
        if now - self._said >= EVERY:
            self._said = now
            waited = f"{now - self._start:.0f} of {self._limit:.0f} s"
            logging.info("waiting for %s%s, %s", who, why, waited)


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8])) + (", …" if len(numbers) > 8 else "")
    return f"process{'es' if len(numbers) > 1 else ''} {shown}"


def _host(port: int, count: int, patience: _Patience) -> None:
    """Process 0's part."""
    present: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as cleanup:
        listener = cleanup.enter_context(_listening(port, patience.where))
        try:
            while missing := [n for n in range(1, count) if n not in present]:
                patience.wait_for(missing)
                _tell(present, {"missing": missing})
                if newcomer := _newcomer(listener):
                    said, guest = newcomer
                    cleanup.enter_context(guest)
                    _admit(said, guest, count, present)
        except NotTogether as error:
            _tell(present, {"failed": str(error)})
            raise
        _tell(present, {"missing": []})
        # Who closes first keeps the port for a minute: let that be the others.
        for guest in present.values():
            with contextlib.suppress(OSError):
                guest.settimeout(_SILENCE)
                guest.recv(1)


def _listening(port: int, where: str) -> socket.socket:
    try:
        if socket.has_dualstack_ipv6():
            listener = socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128
            )
        else:
            listener = socket.create_server(("", port), backlog=128)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        what = "another program of this host has that port" if taken else str(error)
        raise NotTogether(f"--coordinator={where}: {what}: give another one") from error
    listener.settimeout(_PULSE)
    return listener


def _newcomer(listener: socket.socket) -> tuple[Mapping[str, Any], socket.socket] | None:
    """Who says what it must say; None if nobody comes, or somebody else."""
    try:
        guest, _ = listener.accept()
    except OSError:
        return None
    with contextlib.suppress(OSError, ValueError):
        guest.settimeout(_PULSE)
        said = json.loads(guest.recv(200))
        if isinstance(said, dict) and said.keys() == {"process", "of"}:
            guest.setblocking(False)
            return said, guest
    guest.close()
    return None


def _admit(
    said: Mapping[str, Any], guest: socket.socket, count: int, present: dict[int, socket.socket]
) -> None:
    """Counts a newcomer in; raises NotTogether where it contradicts the others."""
    number = said["process"]
    problem = ""
    if said["of"] != count:
        problem = f"--num_processes={said['of']} in process {number}, {count} in process 0"
    elif number in present or number not in range(1, count):
        problem = f"--process_id={number} in two of them"
    present[-1 if problem else number] = guest  # It, too, is to hear of the problem.
    if problem:
        raise NotTogether(f"the processes contradict each other: {problem}")


def _tell(present: dict[int, socket.socket], message: Mapping[str, Any]) -> None:
    """Sends a line to all, and forgets those that are gone."""
    line = json.dumps(message).encode() + b"\n"
    for number, guest in list(present.items()):
        try:
            guest.sendall(line)
            gone = guest.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            gone = False
        except OSError:
            gone = True
        if gone:
            present.pop(number).close()


def _visit(address: tuple[str, int], count: int, number: int, patience: _Patience) -> None:
    """Any other process's part."""
    while True:
        patience.wait_for([0])
        try:
            with socket.create_connection(address, timeout=_SILENCE) as door:
                door.sendall(json.dumps({"process": number, "of": count}).encode())
                patience.why = ""
                for message in _lines(door):
                    if failed := message.get("failed"):
                        raise NotTogether(failed)
                    if not (missing := message["missing"]):
                        return
                    patience.wait_for(missing)
            patience.why = "it hung up"
        except (OSError, ValueError, KeyError) as error:
            patience.why = getattr(error, "strerror", None) or str(error) or "it is silent"
        time.sleep(_PULSE)


def _lines(door: socket.socket) -> Iterator[dict[str, Any]]:
    with door.makefile("rb") as file:
        for line in file:
            message = json.loads(line)
            if not isinstance(message, dict):
                raise ValueError("another program answers")
            yield message
