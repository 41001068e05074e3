"""The command line on the smallest run there is: networks of 4 features on 16x32 frames."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pytest
from absl.testing import flagsaver
from filelock import FileLock

from v2v_jax import (
    assembly,  # noqa: F401 - flagsaver would undefine the flags of what is imported inside it
    command_line,
    main,
)
from v2v_jax.data.media.writer import VideoWriter

ROOT = Path(__file__).parents[1]
TINY = tuple(
    f"--config.{setting}"
    for setting in (
        "data.size=(16,32)", "data.clips=2", "data.length=8", "image.features=4", "image.blocks=1",
        "fusion.features=4", "discriminator.features=4", "discriminator.layers=1",
        "content.features=4", "content.tap=relu1_2", "history=0", "log_every=1",
        "picture_every=0", "checkpoint_every=100", "evaluate_every=0",
        "evaluate.frames=8", "evaluate.clips=1",
    )
)  # fmt: skip
DEMO = ("--config=configs/demo.py", *TINY)


def start(*arguments: str, prelude: str = "", **environ: str) -> subprocess.Popen:
    """``python -m v2v_jax.main`` as a user starts it; ``prelude`` is Python to run before."""
    program = ["-m", "v2v_jax.main"]
    if prelude:
        module = "import runpy; runpy.run_module('v2v_jax.main', run_name='__main__')"
        program = ["-c", f"{prelude}; {module}"]
    # Compiling is most of a tiny run, and more of it with several devices.
    fast = {"JAX_NUM_CPU_DEVICES": "1"}
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=ROOT, env={**os.environ, **fast, **environ}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen, seconds: float = 240.0) -> tuple[int, str, str]:
    """Exit status, stdout, stderr; a process that hangs is killed."""
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"hangs:\n{process.communicate()[1]}") from None
    return process.returncode, output, errors


def run(*arguments: str, **options: str) -> str:
    """Runs it to its good end; returns stdout and stderr."""
    code, output, errors = finish(start(*arguments, **options))
    assert code == 0, errors
    return output + errors


def call(*arguments: str) -> None:
    """The same in this process, which has JAX loaded already."""
    # absl keeps the values of the last parse, and the config's fields as flags of their own.
    with contextlib.chdir(ROOT), flagsaver.flagsaver(), warnings.catch_warnings():
        # How ml_collections loads a file.
        warnings.filterwarnings("ignore", r"the load_module\(\)", DeprecationWarning)
        argv = ["main", *arguments]
        with mock.patch.object(sys, "argv", argv):  # ml_collections reads it besides
            rest = command_line.parse(argv)
        main.main(rest)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that says why a command cannot be run."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        call(*arguments)
    assert stopped.value.code == 1
    errors = capsys.readouterr().err
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, errors
    assert "Traceback" not in errors
    return lines[0]


def trained(temporary: pytest.TempPathFactory) -> Path:
    """A run of 6 steps, stopped and resumed after 3; one for all of xdist's workers."""
    base = temporary.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with FileLock(folder / "cli.lock"):
        if not (folder / "cli_whole").exists():
            for steps in (3, 6):
                run(*DEMO, f"--workdir={folder}/cli", f"--config.steps={steps}")
            (folder / "cli_whole").touch()
    return folder / "cli"


def write_video(
    path: Path, frames: int, height: int = 16, width: int = 32, fps: Fraction | int = 25
) -> Path:
    """A smooth texture that moves to the left by a pixel per frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.random.default_rng(0).integers(0, 256, (height, width + frames, 3), np.uint8)
    rows = cv2.GaussianBlur(rows, (0, 0), 2.0)
    with VideoWriter(path, fps, height, width) as writer:
        for t in range(frames):
            writer.write(np.ascontiguousarray(rows[:, t : t + width]))
    return path
