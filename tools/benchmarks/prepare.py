"""Throughput of the data path on this machine: ``prepare`` and ``data``.

    .venv/bin/python tools/benchmarks/data.py prepare [--frames=60]
    .venv/bin/python tools/benchmarks/data.py data [--batch_size=1]
    .venv/bin/python tools/benchmarks/data.py data --memory

`prepare` writes VIPER-format frames of 1920x1080 with labels and flow, prepares them at 256x512 and
compares with bare decode + resize + encode of the same files on as many threads, in turns.
`data` prepares two domains, reads batches of clips from them as training does, and compares with
bare JPEG decoding of the same frames on as many threads, in turns.  Both exit with 1 if the ratio
is under its limit of 0.8; with ``--memory``, if 2,000 batches leave the process more than 50 MB
larger than the first 200.  Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import importlib.metadata
import io
import multiprocessing
import os
import pathlib
import platform
import shutil
import statistics
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from v2v_jax.data.pipeline import Batches, make_batches
from v2v_jax.data.records.dataset import RecordSource
from v2v_jax.data.sources import Source
from v2v_jax.data.transforms import Arrays

PREPARE_LIMIT = 0.8
DATA_LIMIT = 0.8
MEMORY_LIMIT = 50e6
WARM_UP = 8
"""Batches until threads and buffers are at work; they are not timed."""
_FULL = (1080, 1920)
_NOISE = 12  # Makes JPEGs of 44 kB at 256x512.
_CORES = os.cpu_count() or 1


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one benchmark; returns the exit status."""
    args = parse(argv)
    packages = ("numpy", "opencv-python-headless", "grain", "array-record", "tensorflow-datasets")
    versions = (f"{name} {importlib.metadata.version(name)}" for name in packages)
    print(f"Python {platform.python_version()}, {', '.join(versions)}; {_CORES} cores")
    before = os.getloadavg()[0]
    status = args.run(args)
    print(f"load of the machine {before:.1f} before, {os.getloadavg()[0]:.1f} after")
    return status


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the flags."""
    parser = argparse.ArgumentParser(description="Throughput of the data path.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    sub = kinds.add_parser("prepare", help="raw VIPER frames -> records")
    sub.add_argument("--frames", type=int, default=60)
    sub.add_argument("--rounds", type=int, default=3)
    sub.add_argument("--workers", type=int, default=_CORES)
    sub.add_argument("--format", choices=("jpg", "png"), default="jpg")
    sub.set_defaults(run=prepare)
    sub = kinds.add_parser("data", help="records -> batches of clips")
    sub.add_argument("--memory", action="store_true", help="2,000 batches: does the process grow?")
    sub.add_argument("--frames", type=int, default=300, help="stored, per domain")
    sub.add_argument(
        "--stored",
        choices=("images", "all"),
        default="images",
        help="all: the first domain's records hold labels and flow too, which are not asked for",
    )
    sub.add_argument("--size", type=int, nargs=2, default=(256, 512), metavar=("H", "W"))
    sub.add_argument("--batch_size", type=int, default=1, help="clips of either domain")
    sub.add_argument("--clip", type=int, default=3, help="K, frames per clip")
    sub.add_argument("--batches", type=int, help="per round 40; with --memory 2,000 in all")
    sub.add_argument("--rounds", type=int, default=60)
    sub.add_argument("--threads", type=int, default=_CORES)
    sub.add_argument("--workers", type=int, default=0, help="processes, each with --threads")
    sub.set_defaults(run=data)
    return parser.parse_args(argv)


def prepare(args: argparse.Namespace) -> int:
    """Frames per second of ``v2v_jax.data.prepare`` and of the bare work, and their ratio."""
    with tempfile.TemporaryDirectory(prefix="v2v_jax_benchmark_") as name:
        folder = pathlib.Path(name)
        _write_viper(folder / "raw", args.frames, args.format)
        ours, bare = [], []
        for _ in range(args.rounds):
            bare.append(_seconds(lambda: _bare(folder, args.workers)))
            ours.append(_seconds(lambda: _prepare(folder, args.workers)))
            shutil.rmtree(folder / "out")
    what = f"{args.frames} frames {_FULL[1]}x{_FULL[0]} {args.format} with labels and flow"
    print(f"{what}, {args.workers} threads, medians of {args.rounds} rounds")
    return _verdict("prepare", ours, bare, {"frames": args.frames}, PREPARE_LIMIT)


def data(args: argparse.Namespace) -> int:
    """The training input: its throughput, or with ``--memory`` whether it grows."""
    height, width = args.size
    print(
        f"batches of {args.batch_size} clip pairs of {args.clip} frames {height}x{width}, "
        f"{args.threads} threads, {args.workers} workers"
    )
    with tempfile.TemporaryDirectory(prefix="v2v_jax_benchmark_") as name:
        sources = write_records(pathlib.Path(name), args)
        return _memory(sources, args) if args.memory else _throughput(sources, args)


def _throughput(sources: list[RecordSource], args: argparse.Namespace) -> int:
    """Clips per second of the pipeline and of bare decoding of the same frames."""
    count = args.batches or 40
    codes = drawn_jpegs(sources, count, args)
    threads = args.threads * max(1, args.workers)
    sizes = [len(code) for batch in codes for code in batch]
    print(f"JPEGs of {np.mean(sizes) / 1e3:.1f} kB on average; medians of {args.rounds} rounds")
    ours, bare = [], []
    for _ in range(args.rounds):
        bare.append(_seconds(lambda: _decode(codes, threads)))
        with contextlib.closing(stream(sources, args)) as batches:
            _take(batches, WARM_UP)
            ours.append(_seconds(lambda: _take(batches, count)))
        _settle()
    clips = 2 * args.batch_size * count
    return _verdict("data", ours, bare, {"clips": clips, "frames": clips * args.clip}, DATA_LIMIT)


def _memory(sources: list[RecordSource], args: argparse.Namespace) -> int:
    """The process's highest resident memory after a tenth of the batches and after all."""
    count, resident = args.batches or 2000, []
    start = time.perf_counter()
    with contextlib.closing(stream(sources, args)) as batches:
        for _ in range(count):
            next(batches)
            resident.append(_resident_bytes())
    first, rest = max(resident[: count // 10]), max(resident[count // 10 :])
    print(
        f"{count} batches in {time.perf_counter() - start:.0f} s: resident {first / 1e6:.1f} MB at "
        f"most in the first {count // 10}, {rest / 1e6:.1f} MB after, {resident[-1] / 1e6:.1f} MB "
        f"at the end; growth {(rest - first) / 1e6:+.1f} MB (limit {MEMORY_LIMIT / 1e6:.0f})"
    )
    return 0 if rest - first <= MEMORY_LIMIT else 1


def _verdict(
    name: str,
    ours: list[tuple[float, float]],
    bare: list[tuple[float, float]],
    done: dict[str, int],
    limit: float,
) -> int:
    """Prints rates and ratios of the rounds' (wall, processor) seconds; the exit status."""
    for title, rounds in ((name, ours), ("bare", bare)):
        wall = statistics.median(seconds for seconds, _ in rounds)
        print(
            f"{title:8}{', '.join(f'{count / wall:.1f} {what}/s' for what, count in done.items())}"
        )
    # Neighbouring rounds meet the same other programs.
    ratios, of_cpu = (
        sorted(b[kind] / o[kind] for o, b in zip(ours, bare, strict=True)) for kind in (0, 1)
    )
    ratio = statistics.median(ratios)
    print(
        f"ratio {ratio:.2f} (limit {limit}; median of {ratios[0]:.2f} to {ratios[-1]:.2f}), of "
        f"this process's processor time {statistics.median(of_cpu):.2f}"
    )
    return 0 if ratio >= limit else 1


def _seconds(run: Callable[[], None]) -> tuple[float, float]:
    """On the clock, and of all threads' processor time."""
    start, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - cpu


def stream(sources: Sequence[Source], args: argparse.Namespace, **changes: Any) -> Batches:
    """The training input."""
    options: dict[str, Any] = {
        "batch_size": args.batch_size,
        "frames": args.clip,
        "threads": args.threads,
        "workers": args.workers,
        "seed": 0,
    }
    return make_batches(sources[0], sources[1], **options | changes)


def _take(batches: Iterable[Any], count: int) -> None:
    for _, _ in zip(range(count), batches, strict=False):
        pass


def _settle() -> None:
    """Waits for the readers of a closed stream: they finish the batches they are at."""
    for thread in threading.enumerate():
        if thread.name.startswith("grain-prefetch"):
            thread.join()


@dataclasses.dataclass
class _Noted:
    """A source that reads nothing and notes which records it is asked for."""

    source: RecordSource
    asked: list[int]
    provides: frozenset[str] = frozenset()
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.lengths, self.names = self.source.lengths, self.source.names

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int, start: int, count: int, *, into: np.ndarray | None = None) -> Arrays:
        """See `Source.read`; the frames are one pixel."""
        first = self.source.clips[index].first + start
        self.asked += range(first, first + count)
        return {"frames": np.zeros((count, 1, 1, 3), np.uint8)}


def drawn_jpegs(
    sources: list[RecordSource], count: int, args: argparse.Namespace
) -> list[list[np.ndarray]]:
    """The JPEGs that ``count`` timed batches are made of, batch by batch, the source's first."""
    noted = [_Noted(source, []) for source in sources]
    with contextlib.closing(stream(noted, args, step=WARM_UP, threads=0, workers=0)) as batches:
        _take(batches, count)
    stored = [_stored_images(source) for source in sources]
    each = args.batch_size * args.clip
    return [
        [
            images[at]
            for images, domain in zip(stored, noted, strict=True)
            for at in domain.asked[number * each : (number + 1) * each]
        ]
        for number in range(count)
    ]


def _stored_images(source: RecordSource) -> list[np.ndarray]:
    """The JPEGs of all records, in order."""
    import tensorflow_datasets as tfds

    builder: Any = tfds.builder_from_directory(str(source.folder))
    coded = {"image": tfds.decode.SkipDecoding()}
    records = builder.as_data_source(source.split, decoders=coded)
    return [np.frombuffer(record["image"], np.uint8) for record in records]


def _decode(codes: list[list[np.ndarray]], threads: int) -> None:
    """What any program has to do: no reading, no checks, no clips, no batches."""

    def decode(batch: list[np.ndarray]) -> None:
        for code in batch:
            cv2.imdecode(code, cv2.IMREAD_COLOR)

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(decode, codes):
            pass


def _resident_bytes() -> int:
    """Of this process and its workers."""
    every = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
    pages = (pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in every)
    return sum(map(int, pages)) * os.sysconf("SC_PAGE_SIZE")


def write_records(folder: pathlib.Path, args: argparse.Namespace) -> list[RecordSource]:
    """Two prepared domains; the second is of images alone, as Cityscapes mostly is."""
    size, stored = tuple(args.size), []
    for seed, with_all in enumerate((args.stored == "all", False)):
        place = folder / str(seed)
        _write_viper(place / "raw", args.frames, "png", size=size, noise=_NOISE, seed=seed)
        without = [] if with_all else ["--without=labels,flow"]
        _prepare(place, args.threads, f"--size={size[0]},{size[1]}", *without)
        source = RecordSource(place / "out", fields=[])
        # Grain's shuffle of 100 windows takes 60 times as long as that of VIPER's 40,000.
        for listed in (source.clips, source.lengths, source.names):
            listed *= 100
        stored.append(source)
    return stored


def _prepare(folder: pathlib.Path, workers: int, *flags: str) -> None:
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


def _write_viper(
    raw: pathlib.Path,
    frames: int,
    kind: str,
    *,
    size: tuple[int, int] = _FULL,
    noise: int = 12,
    seed: int = 0,
) -> None:
    """Street-like pictures: smooth shapes with fine noise, regions of labels, smooth flow."""
    rng, (height, width) = np.random.default_rng(seed), size
    columns = width + 4 * frames
    coarse = rng.integers(0, 256, (height // 36 + 1, columns // 36 + 1, 3), np.uint8)
    base = cv2.resize(coarse, (columns, height), interpolation=cv2.INTER_CUBIC)
    base = cv2.add(base, rng.integers(0, noise, base.shape, np.uint8))
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
