"""Throughput of preparing: raw VIPER frames -> records.

    .venv/bin/python tools/benchmarks/prepare.py [--frames=60]

Writes VIPER-format frames of 1920x1080 with labels and flow, prepares them at 256x512 and compares
with bare decode + resize + encode of the same files on as many threads, in turns.  Exits with 1 if
the ratio is under its limit of 0.8.  Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import io
import pathlib
import shutil
import sys
import tempfile
import zlib
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from tools.benchmarks.timing import (
    CORES,
    Seconds,
    clocked,
    interleaved,
    on_this_machine,
    timed,
    verdict,
)

LIMIT = 0.8
_FULL = (1080, 1920)
_NOISE = 12  # Makes JPEGs of 44 kB at 256x512.


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = _parse(argv)
    with on_this_machine():
        return _compare(args)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Throughput of preparing VIPER frames.")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=CORES)
    parser.add_argument("--format", choices=("jpg", "png"), default="jpg")
    return parser.parse_args(argv)


def _compare(args: argparse.Namespace) -> int:
    """Frames per second of ``v2v_jax.data.prepare`` and of the bare work, and their ratio."""
    with tempfile.TemporaryDirectory(prefix="v2v_jax_benchmark_") as name:
        folder = pathlib.Path(name)
        write_viper(folder / "raw", args.frames, args.format)

        def ours() -> Seconds:
            spent = timed(lambda: prepare(folder, args.workers))[1]
            shutil.rmtree(folder / "out")
            return spent

        runs = {"bare": clocked(lambda: _bare(folder, args.workers)), "prepare": ours}
        spent = interleaved(runs, args.rounds)
    what = f"{args.frames} frames {_FULL[1]}x{_FULL[0]} {args.format} with labels and flow"
    print(f"{what}, {args.workers} threads, medians of {args.rounds} rounds")
    return verdict("prepare", spent, {"frames": args.frames}, LIMIT)


def prepare(folder: pathlib.Path, workers: int, *flags: str) -> None:
    """Runs ``v2v_jax.data.prepare`` from ``folder``/raw to ``folder``/out, quietly."""
    from v2v_jax.data.prepare.__main__ import main as run

    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        run(["viper", f"--raw={folder}/raw", f"--out={folder}/out", "--partial",
             f"--workers={workers}", *flags])  # fmt: skip


def _bare(folder: pathlib.Path, workers: int) -> None:
    """What any program has to do: no checks, no masks of unknown flow, no index, no resuming."""
    (folder / "bare").mkdir()
    cv2.setNumThreads(1)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        images = sorted((folder / "raw").glob("train/img/*/*"))
        for _ in pool.map(lambda image: _bare_frame(image, folder), images):
            pass
    shutil.rmtree(folder / "bare")


def _bare_frame(path: pathlib.Path, folder: pathlib.Path) -> None:
    stem, size = f"{path.parent.name}/{path.stem}", (512, 256)
    base = folder / "raw" / "train"
    image = cv2.imread(str(path))
    assert image is not None
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    code = [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()]
    labels = np.asarray(Image.open(base / f"cls/{stem}.png"))
    labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    code.append(cv2.imencode(".png", labels)[1].tobytes())
    with np.load(base / f"flow/{stem}.npz") as flow:
        parts = [flow[name].astype(np.float32) for name in "uv"]
    parts = [cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in parts]
    code.append(zlib.compress(np.stack(parts, -1).astype(np.float16).tobytes(), 1))
    (folder / "bare" / path.stem).write_bytes(b"".join(code))


def write_viper(
    raw: pathlib.Path,
    frames: int,
    kind: str,
    *,
    size: tuple[int, int] = _FULL,
    seed: int = 0,
) -> None:
    """Street-like pictures: smooth shapes with fine noise, regions of labels, smooth flow."""
    rng, (height, width) = np.random.default_rng(seed), size
    columns = width + 4 * frames
    coarse = rng.integers(0, 256, (height // 36 + 1, columns // 36 + 1, 3), np.uint8)
    base = cv2.resize(coarse, (columns, height), interpolation=cv2.INTER_CUBIC)
    base = cv2.add(base, rng.integers(0, _NOISE, base.shape, np.uint8))
    ids = cv2.resize(rng.integers(0, 32, (20, 40), np.uint8), (width, height), interpolation=0)
    field = cv2.resize(rng.normal(0, 8, (9, 16, 2)), (width, height)).astype(np.float16)
    field += rng.normal(0, 0.02, field.shape).astype(np.float16)
    field[: height // 27, : width // 10] = np.nan
    flow = io.BytesIO()  # One for all: packing it takes longer than anything measured here.
    np.savez_compressed(flow, u=field[..., 0], v=field[..., 1])
    for sub in ("img", "cls", "flow"):
        (raw / "train" / sub / "001").mkdir(parents=True)
    for number in range(1, frames + 1):
        stem = f"001/001_{number:05}"
        image = base[:, 4 * number : 4 * number + width]
        cv2.imwrite(str(raw / f"train/img/{stem}.{kind}"), image)
        labels = Image.fromarray(np.roll(ids, number, 1)).convert("P")
        labels.save(raw / f"train/cls/{stem}.png")
        (raw / f"train/flow/{stem}.npz").write_bytes(flow.getvalue())


if __name__ == "__main__":
    sys.exit(main())
