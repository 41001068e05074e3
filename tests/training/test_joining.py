"""Processes that come together, and those that wait for one that does not."""

import json
import re
import socket
import threading
import time

import pytest
from training import worker

from v2v_jax.training import joining
from v2v_jax.training.joining import NotTogether, meet


def start(port, count, numbers, limit=20.0):
    """Threads that meet; returns what became of each: "" or the error."""
    results: dict[int, str] = {}

    def one(number):
        try:
            meet(f"localhost:{port}", count, number, limit)
            results[number] = ""
        except NotTogether as error:
            results[number] = str(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    return threads, results


def finish(threads):
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_all_go_when_all_are_there(order):
    port = worker.free_port()
    first, results = start(port, 3, order[:2])
    time.sleep(1.5)
    assert not results
    last, rest = start(port, 3, order[2:])
    finish(first + last)
    assert results | rest == {0: "", 1: "", 2: ""}
    # JAX's service takes the port at once.
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_all_say_who_is_missing_and_end(monkeypatch, caplog):
    monkeypatch.setattr(joining, "EVERY", 1.0)
    port = worker.free_port()
    begin = time.monotonic()
    with caplog.at_level("INFO", logger="absl"):
        threads, results = start(port, 4, (0, 2), limit=4.0)
        finish(threads)
    assert 3.5 < time.monotonic() - begin < 9
    said = [record.getMessage() for record in caplog.records]
    lines = [
        line for line in said if f"waiting for processes 1, 3 of 4 at localhost:{port}" in line
    ]
    assert len(lines) >= 4
    assert re.search(r", [123] of 4 s$", lines[0])
    for text in results.values():
        assert f"4 s in vain for processes 1, 3 of 4 at localhost:{port}" in text
        assert "--join_timeout" in text and "\n" not in text
    assert results.keys() == {0, 2}


def test_a_guest_says_why_process_0_does_not_answer():
    for place, why in (
        (f"localhost:{worker.free_port()}", "Connection refused"),
        ("no-such-host.invalid:1234", "Name or service not known|Temporary failure"),
    ):
        with pytest.raises(NotTogether, match=rf"process 0 of 2 at {place} \(.*({why})"):
            meet(place, 2, 1, 1.0)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"process": 1, "of": 3}, "--num_processes=3 in process 1, 2 in process 0"),
        ({"process": 0, "of": 2}, "--process_id=0 in two of them"),
    ],
)
def test_contradictions_end_all(said, problem):
    port = worker.free_port()
    threads, results = start(port, 2, (0,))
    answer = talk(port, json.dumps(said).encode())
    finish(threads)
    assert problem in results[0] and problem in answer


def talk(port, words):
    for _ in range(50):
        try:
            with socket.create_connection(("localhost", port), timeout=5) as door:
                door.sendall(words)
                received = b""
                while part := door.recv(1000):
                    received += part
                return received.decode()
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise AssertionError("nobody listens")


def test_strangers_and_guests_that_leave_are_forgotten():
    port = worker.free_port()
    threads, results = start(port, 2, (0,))
    talk(port, b"GET / HTTP/1.1\r\n\r\n")
    with socket.create_connection(("localhost", port)) as door:
        door.sendall(b'{"process": 1, "of": 2, "more": 1}')
    guests, later = start(port, 2, (1,))
    finish(threads + guests)
    assert results | later == {0: "", 1: ""}


def test_a_taken_port_is_one_clear_error():
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(NotTogether, match=f"--coordinator=localhost:{port}: another program"):
            meet(f"localhost:{port}", 2, 0, 5.0)
