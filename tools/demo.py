"""The whole job on the built-in driving world: train, translate a held-out clip, evaluate, report.

The report shows what these minutes made beside what a longer run made, the shipped model, and the
perfect translation.

    make demo        (or: python tools/demo.py --workdir=runs/demo)

Every step is a command that a user would type, and is printed before it runs.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = "configs/demo.py:motion"
SHIPPED = "pretrained/game2street"
FASTER = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Huge pages for a step's temporary memory, which XLA:CPU asks for anew every time: a quarter of
the step's time otherwise (docs/benchmarks.md)."""


def main() -> None:
    """Runs the four steps; stops at the first that fails."""
    parser = argparse.ArgumentParser(description="Train, translate, evaluate, report.")
    parser.add_argument("--workdir", type=os.path.expanduser, default="runs/demo")
    parser.add_argument("overrides", nargs="*", help="--config.field=value, handed on")
    arguments, overrides = parser.parse_known_args()
    overrides = [*overrides, *arguments.overrides]
    workdir = ROOT / arguments.workdir
    begin = time.monotonic()
    run("--mode=train", f"--config={CONFIG}", f"--workdir={workdir}", *overrides)
    clip = workdir / "game.mp4"
    write_clip(clip)
    translated = workdir / "street.mp4"
    run(
        "--mode=translate",
        f"--workdir={workdir}",
        f"--input={clip}",
        f"--output={translated}",
        "--side_by_side",
    )
    run("--mode=evaluate", f"--workdir={workdir}", f"--beside={SHIPPED}")
    print(f"\ndone in {(time.monotonic() - begin) / 60:.1f} minutes")
    for path in (workdir / "report.html", translated):
        print(f"  {path.relative_to(ROOT)}")


def run(*arguments: str) -> None:
    """Runs ``python -m v2v_jax.main`` with these arguments."""
    command = ["-m", "v2v_jax.main", *arguments]
    settings = " ".join(f"{name}={value}" for name, value in FASTER.items())
    print(f"\n$ {settings} python {shlex.join(command)}", flush=True)
    environment = FASTER | os.environ
    result = subprocess.run([sys.executable, *command], cwd=ROOT, check=False, env=environment)
    if result.returncode:
        raise SystemExit(result.returncode)


def write_clip(path: Path) -> None:
    """A drive through the game that training has not seen, as an ordinary video."""
    from v2v_jax.data.media.writer import VideoWriter
    from v2v_jax.data.world.world import World

    world = World("game", "test", height=64, width=128, clips=1, length=90)
    frames = world.frames(0).frames
    with VideoWriter(path, 15, *frames.shape[1:3]) as writer:
        for frame in frames:
            writer.write(frame)


if __name__ == "__main__":
    main()
