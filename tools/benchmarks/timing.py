"""Times programs against each other: in turns, by medians, with the machine's load beside them.

Neighbouring runs meet the same other programs, so what is compared takes turns: every round runs
all of them once, in the order given.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")
CORES = os.cpu_count() or 1
_PACKAGES = ("numpy", "opencv-python-headless", "grain", "array-record", "tensorflow-datasets")


class Seconds(NamedTuple):
    """What one run took.

    Attributes:
        wall: on the clock.
        cpu: of the processor, over all threads of this process.
    """

    wall: float
    cpu: float


def timed(run: Callable[[], T]) -> tuple[T, Seconds]:
    """What ``run`` returns, and what it took."""
    start, cpu = time.perf_counter(), time.process_time()
    result = run()
    return result, Seconds(time.perf_counter() - start, time.process_time() - cpu)


def clocked(run: Callable[[], object]) -> Callable[[], Seconds]:
    """``run`` as `interleaved` takes it, all of it on the clock."""
    return lambda: timed(run)[1]


def interleaved(
    runs: Mapping[str, Callable[[], Seconds]], rounds: int, *, warm_up: int = 0
) -> dict[str, list[Seconds]]:
    """Runs everything ``warm_up + rounds`` times, in turns.

    Args:
        runs: name -> one run to completion that says what it took; what it does before and after
            is not counted (see `clocked`).
        rounds: how many are kept.
        warm_up: rounds before them that are thrown away, for programs that compile or allocate.

    Returns:
        Name -> ``rounds`` times, in order: the i-th of every name are neighbours.
    """
    spent: dict[str, list[Seconds]] = {name: [] for name in runs}
    for _ in range(warm_up + rounds):
        for name, run in runs.items():
            spent[name].append(run())
    return {name: kept[warm_up:] for name, kept in spent.items()}


def median(rounds: Sequence[Seconds]) -> float:
    """Of the clock, in seconds; ``rounds`` is not empty."""
    return statistics.median(spent.wall for spent in rounds)


def fastest(rounds: Sequence[Seconds]) -> float:
    """Of the clock, in seconds; ``rounds`` is not empty."""
    return min(spent.wall for spent in rounds)


class Ratios(NamedTuple):
    """The spread of one round's ratio over the rounds."""

    median: float
    least: float
    most: float


def ratios(above: Sequence[float], below: Sequence[float]) -> Ratios:
    """Every round's ``above / below``: under changing load steadier than a ratio of medians.

    Args:
        above, below: of the same rounds in the same order, as many of either; not empty.

    Raises:
        ValueError: their numbers differ.
    """
    each = [a / b for a, b in zip(above, below, strict=True)]
    return Ratios(statistics.median(each), min(each), max(each))


def verdict(
    name: str,
    spent: Mapping[str, Sequence[Seconds]],
    done: Mapping[str, int],
    limit: float,
) -> int:
    """Prints rates of ``name`` and of the bare work, and how much of the bare rate is reached.

    Args:
        name: the key of the measured rounds; those of the bare work are under ``bare``.
        spent: see `interleaved`.
        done: what one round does: unit -> how many.
        limit: of the ratio.

    Returns:
        The exit status: 1 if the ratio is under its limit.
    """
    for title in (name, "bare"):
        wall = median(spent[title])
        print(
            f"{title:8}{', '.join(f'{count / wall:.1f} {what}/s' for what, count in done.items())}"
        )
    wall, cpu = (
        ratios([b[kind] for b in spent["bare"]], [o[kind] for o in spent[name]]) for kind in (0, 1)
    )
    print(
        f"ratio {wall.median:.2f} (limit {limit}; median of {wall.least:.2f} to {wall.most:.2f}), "
        f"of this process's processor time {cpu.median:.2f}"
    )
    return 0 if wall.median >= limit else 1


@contextlib.contextmanager
def on_this_machine() -> Iterator[None]:
    """Prints the data path's versions before, and the machine's load before and after."""
    versions = (f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    print(f"Python {platform.python_version()}, {', '.join(versions)}; {CORES} cores")
    before = os.getloadavg()[0]
    yield
    print(f"load of the machine {before:.1f} before, {os.getloadavg()[0]:.1f} after")
