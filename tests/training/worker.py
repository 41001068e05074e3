"""A training process of its own, for tests that kill it, limit it, or run two of it.

``python worker.py '{"workdir": ..., "steps": ...}'``: see ``OPTIONS``.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OPTIONS = {
    "workdir": "", "steps": 4, "checkpoint_every": 1000, "clips": 4, "sleep": 0.0, "poisoned": [],
    "nonfinite_limit": 10, "port": 0, "processes": 1, "process": 0, "devices": 1,
    "warm_up": 0,
}  # fmt: skip


def start(script: Path = Path(__file__), **options) -> subprocess.Popen:
    """Starts a worker; ``communicate()`` gives its output, stderr included."""
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(options.get("devices", 1)),
    }
    return subprocess.Popen(
        [sys.executable, str(script), json.dumps(options)],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


HOLDER = """
import sys, time
from v2v_jax.training.ownership import owned
with owned(sys.argv[1]):
    print("owned", flush=True)
    time.sleep(300)
"""


@contextlib.contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen]:
    """Another process, which owns ``folder``."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "1"}
    command = [sys.executable, "-c", HOLDER, str(folder)]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "owned\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen, seconds: float = 300.0) -> tuple[int, str]:
    """Exit status and output; a worker that hangs is killed."""
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        raise AssertionError(f"the worker hangs:\n{output}") from None
    return process.returncode, output


def run(seconds: float = 300.0, **options) -> str:
    """Runs one worker to its end; it must succeed."""
    code, output = finish(start(**options), seconds)
    assert code == 0, output
    return output


def wait_for(condition, process: subprocess.Popen, seconds: float = 300.0) -> None:
    """Polls until ``condition()``; fails when the worker ends before, and kills a slow one."""
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"the worker ended or is too slow:\n{process.communicate()[0]}")
        time.sleep(0.005)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def logged(workdir: Path) -> list[dict]:
    """The complete lines of metrics.jsonl."""
    path = Path(workdir) / "metrics.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def main() -> None:
    o = {**OPTIONS, **json.loads(sys.argv[1])}
    from absl import logging

    from v2v_jax.training import parallel

    logging.set_verbosity(logging.INFO)
    if o["processes"] > 1:
        parallel.initialize_distributed(f"127.0.0.1:{o['port']}", o["processes"], o["process"])

    from training.toy_method import FROZEN, ToyMethod, batches

    from v2v_jax.methods.imitation import Imitation
    from v2v_jax.training.loop import train
    from v2v_jax.training.optimizers import make_falling, make_optimizers

    share = o["clips"] // o["processes"]
    rows = slice(o["process"] * share, (o["process"] + 1) * share)

    def stream(step):
        for batch in batches(step, clips=o["clips"], rows=rows, poisoned=o["poisoned"]):
            time.sleep(o["sleep"])
            yield batch

    class Warmed(ToyMethod):
        warm_up = "raw"

    method: Any = Warmed()
    before: Any = Imitation(method)
    warm_up = {
        "method": before, "frozen": {}, "batches": stream, "steps": o["warm_up"], "name": "warm-up",
        "optimizers": make_falling(before.players, learning_rate=1e-2, steps=max(o["warm_up"], 1)),
        "log_every": 1, "picture_every": 0, "ema_decay": 0.0,
    }  # fmt: skip
    train(
        method=method, optimizers=make_optimizers(method.players, learning_rate=1e-2),
        frozen=FROZEN, batches=stream, steps=o["steps"], workdir=o["workdir"], log_every=1,
        picture_every=0 if o["sleep"] else 3, checkpoint_every=o["checkpoint_every"],
        nonfinite_limit=o["nonfinite_limit"], warm_up=warm_up if o["warm_up"] else None,
    )  # fmt: skip


if __name__ == "__main__":
    main()
