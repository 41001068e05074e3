"""Recycle-GAN's glued training files: one task per file, three records each."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

from v2v_jax.data.media.resample import Resampler
from v2v_jax.data.prepare import frames
from v2v_jax.data.prepare.work import Job, Outcome, Unit, shards_of, stamp
from v2v_jax.data.raw.formats import decode_image
from v2v_jax.data.raw.members import Member
from v2v_jax.data.raw.reading import Skip, reason_of
from v2v_jax.data.raw.recyclegan import FRAMES, Triplets
from v2v_jax.data.records import format as record_format


def job(found: Triplets, resampler: Resampler, frames_per_shard: int) -> Job:
    """All the work for a download of Recycle-GAN: training files, then test frames."""
    settings = ["recyclegan triplets", dataclasses.astuple(resampler)]
    glued = list(shards_of(_units(found, resampler), frames_per_shard, settings))
    rest = frames.job(found.single, resampler, frames_per_shard, one_size=False)
    counts: dict[str, dict[str, int]] = {}
    for split, _, _ in found.glued:
        row = counts.setdefault(split, {"clips": 0, "frames": 0})
        row["clips"] += 1
        row["frames"] += FRAMES
    return dataclasses.replace(rest, shards=glued + rest.shards, counts=counts | rest.counts)


def cut(resampler: Resampler, clip: str, member: Member) -> list[Outcome]:
    """The three frames of one file, or the reason why not."""
    try:
        image = decode_image(member)
        if image.shape[1] % FRAMES:
            raise ValueError(
                f"{image.shape[1]}x{image.shape[0]} pixels are no {FRAMES} frames side by side"
            )
    except (ValueError, OSError) as error:
        return [Outcome(clip, 0, skipped=(Skip(member.short, reason_of(error, member)),))]
    width = image.shape[1] // FRAMES
    outcomes = []
    for number in range(FRAMES):
        part = image[:, number * width : (number + 1) * width]
        coded = {"image": record_format.encode_image(resampler.image(part))}
        outcomes.append(Outcome(clip, number, record_format.example(clip, number, coded)))
    return outcomes


def _units(found: Triplets, resampler: Resampler) -> Iterator[Unit]:
    for split, clip, member in found.glued:
        task = functools.partial(cut, resampler, clip, member)
        yield Unit(split, FRAMES, [clip, stamp(member)], task)
