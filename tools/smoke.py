"""The job on what is installed: a video in, three steps, translate, evaluate; for `make smoke`.

    .venv-smoke/bin/python tools/smoke.py

Runs in an empty folder, so that it is the installed package that works and no checkout.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

TINY = [
    f"--config.{setting}"
    for setting in (
        "data.size=(16,32)", "image.features=4", "image.blocks=1", "fusion.features=4",
        "discriminator.features=4", "discriminator.layers=1", "content.features=4",
        "content.tap=relu1_2", "history=0", "log_every=1", "picture_every=0", "steps=3",
        "checkpoint_every=100", "evaluate_every=0", "evaluate.frames=8", "evaluate.clips=1",
        "evaluate.probes=False",
    )
]  # fmt: skip
FAST = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
DRAW = """
from v2v_jax.data.media.writer import VideoWriter
from v2v_jax.data.world import World
for name in ("game", "street"):
    frames = World(name, "test", height=24, width=40, clips=1, length=12).frames(0).frames
    with VideoWriter(f"{name}.mp4", 15, *frames.shape[1:3]) as writer:
        for frame in frames:
            writer.write(frame)
"""
COUNT = """
from v2v_jax.data.media.reader import open_video
with open_video("out.mp4") as video:
    found = video.height, video.width, video.fps, len(list(video))
assert found == (24, 40, 15, 12), found
"""


def main() -> None:
    """Runs the steps; stops at the first that fails."""
    begin = time.monotonic()
    names = ("jax", "flax", "numpy", "av", "opencv-python-headless")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    with tempfile.TemporaryDirectory() as folder:
        python(folder, "-c", DRAW)
        videos = ["--config.data.source=game.mp4", "--config.data.target=street.mp4"]
        command = ["-m", "v2v_jax.main", "--workdir=run"]
        python(folder, *command, "--config=demo", "--config.data.kind=videos", *videos, *TINY)
        python(folder, *command, "--mode=translate", "--input=game.mp4", "--output=out.mp4")
        python(folder, "-c", COUNT)
        python(folder, *command, "--mode=evaluate")
        if not (Path(folder) / "run" / "report.html").is_file():
            raise SystemExit("error: evaluate wrote no report.html")
    seconds = time.monotonic() - begin
    print(f"smoke: Python {platform.python_version()} with {versions}: good, {seconds:.0f} s")


def python(folder: str, *arguments: str) -> None:
    """Runs this Python in ``folder``; shows what it said if it fails, or warns of versions."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environ | FAST, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    if done.returncode or "has not been tested with" in said:
        raise SystemExit(f"{said}\nerror: {' '.join(arguments)[:200]} ended with {done.returncode}")


if __name__ == "__main__":
    main()
