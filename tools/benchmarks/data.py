"""Throughput of the training input: records -> batches of clips.

    .venv/bin/python tools/benchmarks/data.py [--batch_size=1]
    .venv/bin/python tools/benchmarks/data.py --memory

Prepares two domains, reads batches of clips from them as training does, and compares with bare JPEG
decoding of the same frames on as many threads, in turns.  Exits with 1 if the ratio is under its
limit of 0.8; with ``--memory``, if 2,000 batches leave the process more than 50 MB larger than the
first 200.  Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import sys
import tempfile
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from tools.benchmarks.prepare import prepare, write_viper
from tools.benchmarks.timing import (
    CORES,
    Seconds,
    clocked,
    interleaved,
    on_this_machine,
    timed,
    verdict,
)
from v2v_jax.data.pipeline import Batches, make_batches
from v2v_jax.data.records.dataset import RecordSource
from v2v_jax.data.sources import Source
from v2v_jax.data.transforms import Arrays

DATA_LIMIT = 0.8
MEMORY_LIMIT = 50e6
WARM_UP = 8
"""Batches until threads and buffers are at work; they are not timed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = parse(argv)
    with on_this_machine():
        return _measure(args)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the flags."""
    parser = argparse.ArgumentParser(description="Throughput of the training input.")
    add = parser.add_argument
    add("--memory", action="store_true", help="2,000 batches: does the process grow?")
    add("--frames", type=int, default=300, help="stored, per domain")
    add(
        "--stored",
        choices=("images", "all"),
        default="images",
        help="all: the first domain's records hold labels and flow too, which are not asked for",
    )
    add("--size", type=int, nargs=2, default=(256, 512), metavar=("H", "W"))
    add("--batch_size", type=int, default=1, help="clips of either domain")
    add("--clip", type=int, default=3, help="K, frames per clip")
    add("--batches", type=int, help="per round 40; with --memory 2,000 in all")
    add("--rounds", type=int, default=60)
    add("--threads", type=int, default=CORES)
    add("--workers", type=int, default=0, help="processes, each with --threads")
    return parser.parse_args(argv)


def _measure(args: argparse.Namespace) -> int:
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

    def ours() -> Seconds:
        with contextlib.closing(stream(sources, args)) as batches:
            _take(batches, WARM_UP)
            spent = timed(lambda: _take(batches, count))[1]
        _settle()
        return spent

    runs = {"bare": clocked(lambda: _decode(codes, threads)), "data": ours}
    clips = 2 * args.batch_size * count
    done = {"clips": clips, "frames": clips * args.clip}
    return verdict("data", interleaved(runs, args.rounds), done, DATA_LIMIT)


def _memory(sources: list[RecordSource], args: argparse.Namespace) -> int:
    """The process's highest resident memory after a tenth of the batches and after all."""
    count = args.batches or 2000
    resident, spent = timed(lambda: _resident_after_each(sources, count, args))
    first, rest = max(resident[: count // 10]), max(resident[count // 10 :])
    print(
        f"{count} batches in {spent.wall:.0f} s: resident {first / 1e6:.1f} MB at "
        f"most in the first {count // 10}, {rest / 1e6:.1f} MB after, {resident[-1] / 1e6:.1f} MB "
        f"at the end; growth {(rest - first) / 1e6:+.1f} MB (limit {MEMORY_LIMIT / 1e6:.0f})"
    )
    return 0 if rest - first <= MEMORY_LIMIT else 1


def _resident_after_each(
    sources: list[RecordSource], count: int, args: argparse.Namespace
) -> list[int]:
    resident = []
    with contextlib.closing(stream(sources, args)) as batches:
        for _ in range(count):
            next(batches)
            resident.append(_resident_bytes())
    return resident


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
        write_viper(place / "raw", args.frames, "png", size=size, seed=seed)
        without = [] if with_all else ["--without=labels,flow"]
        prepare(place, args.threads, f"--size={size[0]},{size[1]}", *without)
        source = RecordSource(place / "out", fields=[])
        # Grain's shuffle of 100 windows takes 60 times as long as that of VIPER's 40,000.
        for listed in (source.clips, source.lengths, source.names):
            listed *= 100
        stored.append(source)
    return stored


if __name__ == "__main__":
    sys.exit(main())
