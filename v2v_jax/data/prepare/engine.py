"""Does the work: tasks on all cores, records in order, shards that survive a kill.

The work folder is a hidden sibling of the data set.  ``shards/<key>.array_record`` and, written
after it, ``shards/<key>.json`` are one finished shard; the key says everything they depend on, so
that the next run takes them over whatever else has changed, and nothing else is ever trusted.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any

import cv2

from v2v_jax.data.atomic import shortened
from v2v_jax.data.prepare.progress import Progress
from v2v_jax.data.prepare.work import Job, Outcome, Shard, Task
from v2v_jax.data.raw.reading import Skip
from v2v_jax.data.records import format as record_format

_LONGEST_NAME = 255 - len("..unfinished")


@dataclasses.dataclass(frozen=True)
class Done:
    """A finished shard.

    Attributes:
        split: its own.
        file: its records; None if it has none.
        bytes: of its records, not of the file.
        records: clip, frame number and the letters of its optional features, in order.
        skipped: what was left out.
    """

    split: str
    file: pathlib.Path | None
    bytes: int
    records: list[tuple[str, int, str]]
    skipped: list[Skip]


@contextlib.contextmanager
def work_folder(out: pathlib.Path) -> Iterator[pathlib.Path]:
    """The hidden folder beside ``out`` that keeps finished shards, for one process at a time.

    Raises:
        OSError: it cannot be written, or another process is at work.
    """
    work = work_folder_name(out)
    try:
        (work / "shards").mkdir(parents=True, exist_ok=True)
        lock = os.open(work / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise OSError(f"cannot write {out}: {error.strerror or error}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(f"{out}: another process is preparing it; wait for that one") from None
        except OSError:
            pass  # Some network file systems know no locks.
        yield work
    finally:
        os.close(lock)


def work_folder_name(out: pathlib.Path) -> pathlib.Path:
    """Where unfinished work for ``out`` is kept."""
    name = out.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = f"{shortened(name, 200)}.{zlib.crc32(os.fsencode(name)):08x}"
    return out.parent / f".{name}.unfinished"


def run(job: Job, work: pathlib.Path, workers: int) -> list[Done]:
    """Makes every shard that is not there yet.

    Args:
        job: the work.
        work: of `work_folder`.
        workers: threads; decoding, resampling and encoding all run outside Python's lock.

    Returns:
        All shards, in order.

    Raises:
        OSError: the disk is full, or the place has gone.
    """
    done = {shard.key: finished(shard, work) for shard in job.shards}
    todo = [shard for shard in job.shards if done[shard.key] is None]
    progress = Progress(job.frames, sum(shard.frames for shard in todo))
    record_format.example_class()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # The tasks are the parallel ones.
    pool = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="prepare")
    try:
        writer: _ShardWriter | None = None
        for shard, last, outcomes in _in_order(pool, todo, 3 * workers):
            writer = writer or _ShardWriter(shard, work)
            for outcome in outcomes:
                writer.add(outcome)
            progress.add(outcomes)
            if last:
                done[shard.key] = writer.finish()
                writer = None
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(threads)
    return [entry for shard in job.shards if (entry := done[shard.key]) is not None]


def finished(shard: Shard, work: pathlib.Path) -> Done | None:
    """The shard an earlier run has made; None if there is none, or not all of it."""
    journal = work / "shards" / f"{shard.key}.json"
    try:
        note = json.loads(journal.read_text())
        file = None if note["file_bytes"] is None else journal.with_suffix(".array_record")
        if file is not None and file.stat().st_size != note["file_bytes"]:
            return None
        records = [(clip, number, has) for clip, number, has in note["records"]]
        return Done(shard.split, file, note["bytes"], records, [Skip(*s) for s in note["skipped"]])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _in_order(
    pool: concurrent.futures.Executor, shards: list[Shard], ahead: int
) -> Iterator[tuple[Shard, bool, list[Outcome]]]:
    """(shard, whether this is its last, outcomes), with a bounded number of tasks under way."""
    waiting: collections.deque[tuple[Shard, bool, Any]] = collections.deque()
    for shard, last, task in _tasks(shards):
        waiting.append((shard, last, pool.submit(task)))
        if len(waiting) > ahead:
            first, last, future = waiting.popleft()
            yield first, last, future.result()
    while waiting:
        first, last, future = waiting.popleft()
        yield first, last, future.result()


def _tasks(shards: list[Shard]) -> Iterator[tuple[Shard, bool, Task]]:
    for shard in shards:
        held: Task | None = None
        for task in shard.tasks():
            if held is not None:
                yield shard, False, held
            held = task
        yield shard, True, held or (lambda: [])


class _ShardWriter:
    """Writes one shard; only `finish` makes it count."""

    def __init__(self, shard: Shard, work: pathlib.Path) -> None:
        self._shard = shard
        self._file = work / "shards" / f"{shard.key}.array_record"
        self._partial = self._file.with_suffix(".partial")
        self._writer: Any = None
        self._bytes = 0
        self._records: list[tuple[str, int, str]] = []
        self._skipped: list[Skip] = []
        self._void = False

    def add(self, outcome: Outcome) -> None:
        """Appends a frame, or notes why it is not there."""
        self._skipped += outcome.skipped
        self._void |= outcome.void
        if outcome.record is None or self._void:
            return
        with _writing(self._file):
            if self._writer is None:
                self._writer = _array_record_writer(self._partial)
            self._writer.write(outcome.record)
        self._bytes += len(outcome.record)
        self._records.append((outcome.clip, outcome.number, outcome.has))

    def finish(self) -> Done:
        """Puts the file under its name, then its journal."""
        if self._void:
            self._records, self._bytes = [], 0
        with _writing(self._file):
            if self._writer is not None:
                self._writer.close()
            if self._records:
                os.replace(self._partial, self._file)
            else:
                self._partial.unlink(missing_ok=True)
            note = {
                "file_bytes": self._file.stat().st_size if self._records else None,
                "bytes": self._bytes,
                "records": self._records,
                "skipped": [dataclasses.astuple(skip) for skip in self._skipped],
            }
            self._partial.write_text(json.dumps(note))
            os.replace(self._partial, self._file.with_suffix(".json"))
        file = self._file if self._records else None
        return Done(self._shard.split, file, self._bytes, self._records, self._skipped)


def _array_record_writer(path: pathlib.Path) -> Any:
    from array_record.python import array_record_module  # pyright: ignore

    # One record per group: any of them is read without its neighbours.  JPEG, PNG and zlib are
    # packed already: Zstandard saved 1.3 % and took as long to write a record as decoding a frame.
    return array_record_module.ArrayRecordWriter(str(path), "group_size:1,uncompressed")


@contextlib.contextmanager
def _writing(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # The latter is ArrayRecord's.
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise OSError(
            f"cannot write {path.parent}: {reason}; make room and start the same command again, "
            "it goes on where it stopped"
        ) from error
