"""What there is to do: tasks that make records, gathered into shards."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from v2v_jax.data.raw.members import Member
from v2v_jax.data.raw.reading import Skip
from v2v_jax.data.records import format as record_format


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one frame.

    Attributes:
        clip, number: which one.
        record: its tf.train.Example; None if it is skipped.
        has: the letters of its optional features, see `records.format.OPTIONAL`.
        skipped: what of it is left out, and why.
        void: nothing of this shard can be trusted, leave all of it out.
    """

    clip: str
    number: int
    record: bytes | None = None
    has: str = ""
    skipped: tuple[Skip, ...] = ()
    void: bool = False


Task = Callable[[], list[Outcome]]
"""Runs in any thread; bad input is an outcome, not an error."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """The work of one ArrayRecord file.

    Attributes:
        split: its own.
        key: everything its content depends on, as 32 hexadecimal digits.
        frames: how many are expected.
        tasks: makes its tasks anew.
    """

    split: str
    key: str
    frames: int
    tasks: Callable[[], Iterable[Task]]


@dataclasses.dataclass(frozen=True)
class Job:
    """A whole preparation.

    Attributes:
        kind: name of the data set.
        height, width: of its frames.
        optional: the optional features all of its frames get.
        about: noted in the metadata: where the labels' meaning and the settings are kept.
        shards: in order.
        skipped: known before anything is read.
        counts: per split, what of which kind was found.
    """

    kind: str
    height: int
    width: int
    optional: list[str]
    about: dict[str, Any]
    shards: list[Shard]
    skipped: list[Skip]
    counts: dict[str, dict[str, int]]

    @property
    def key(self) -> str:
        """Everything the finished data set depends on."""
        shards = [(shard.split, shard.key) for shard in self.shards]
        skipped = [dataclasses.astuple(skip) for skip in self.skipped]
        return digest([self.kind, self.optional, self.about, shards, skipped])

    @property
    def frames(self) -> int:
        """How many are expected."""
        return sum(shard.frames for shard in self.shards)


@dataclasses.dataclass(frozen=True)
class Unit:
    """A task, and what its records depend on.

    Attributes:
        split: its own.
        frames: how many it yields.
        stamp: of its files and its place.
        task: the work.
    """

    split: str
    frames: int
    stamp: list[Any]
    task: Task


def shards_of(units: Iterable[Unit], frames_per_shard: int, settings: Any) -> Iterator[Shard]:
    """Gathers units in their order; a shard ends when it is full or its split ends."""
    gathered: list[Unit] = []
    for unit in units:
        if gathered and (
            unit.split != gathered[0].split
            or sum(u.frames for u in gathered) + unit.frames > frames_per_shard
        ):
            yield _shard(gathered, settings)
            gathered = []
        gathered.append(unit)
    if gathered:
        yield _shard(gathered, settings)


def _shard(units: list[Unit], settings: Any) -> Shard:
    key = digest([record_format.VERSION, settings, [unit.stamp for unit in units]])
    tasks = [unit.task for unit in units]
    return Shard(units[0].split, key, sum(u.frames for u in units), lambda: iter(tasks))


def stamp(member: Member | None) -> list[Any] | None:
    """What a file is recognised by: its name, size and checksum or time."""
    return None if member is None else [member.path, member.size, member.stamp]


def digest(value: Any) -> str:
    """32 hexadecimal digits of anything JSON can hold."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
