"""Plain videos and folders of frames: one shard per video, since frames come in their order."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from v2v_jax.data.media import timing
from v2v_jax.data.media.frame_folder import list_frames, pictures
from v2v_jax.data.media.frame_names import clip_numbers, starts, without_doubles
from v2v_jax.data.media.inputs import list_inputs
from v2v_jax.data.media.reader import open_video
from v2v_jax.data.media.resample import Resampler
from v2v_jax.data.media.shape import look_of
from v2v_jax.data.prepare.work import Job, Outcome, Shard, Task, digest
from v2v_jax.data.raw.reading import Skip
from v2v_jax.data.records import format as record_format


def job(pattern: str, resampler: Resampler) -> Job:
    """All the work for the videos a pattern stands for; see `media.inputs.list_inputs`.

    A video that cannot be read to its end is skipped whole: what a decoder shows of a damaged one
    before it gives up is not to be trusted.

    Raises:
        FileNotFoundError, ValueError: nothing matches.
    """
    paths = list_inputs(pattern)
    names = _names(paths)
    shards, skipped, clips = [], [], 0
    for name, path in zip(names, paths, strict=True):
        try:
            with open_video(path) as reader:
                frames = reader.frames_estimate or 1
                pauses = timing.gaps(reader.timing.foreseen)
        except (ValueError, OSError) as error:
            skipped.append(Skip(name, _reason(error, path)))
            continue
        listed = list_frames(path) if path.is_dir() else []
        gaps = starts(listed)[1:] or pauses
        settings = [record_format.VERSION, "videos", dataclasses.astuple(resampler), name]
        key = digest([*settings, _stamp(path), *([gaps] if gaps else [])])
        tasks = functools.partial(_tasks, resampler, name, path, clip_numbers(listed))
        shards.append(Shard("train", key, frames, tasks))
        clips += 1 + len(gaps)
        skipped += _doubles(name, path)
    about = {"fit": resampler.fit, "raw_size": None, "class_map": None}
    counts = {"train": {"clips": clips, "frames": sum(shard.frames for shard in shards)}}
    size = (resampler.height, resampler.width)
    return Job("videos", *size, [], about, shards, skipped, counts)


def _tasks(
    resampler: Resampler, name: str, path: pathlib.Path, numbers: list[int]
) -> Iterable[Task]:
    """``numbers`` of a folder's frames, which jump where frames are missing; [] of a file."""
    pauses = 0
    try:
        with open_video(path) as reader:
            aspect = look_of(reader).pixel_aspect
            for at, frame in enumerate(reader):
                pauses += reader.timing.is_after_gap(at)
                number = numbers[at] if numbers else at + pauses
                yield functools.partial(_record, resampler, name, number, frame, aspect)
    except (ValueError, OSError) as error:
        skip = Skip(name, _reason(error, path))
        yield lambda: [Outcome(name, 0, skipped=(skip,), void=True)]


def _record(
    resampler: Resampler, name: str, number: int, frame: np.ndarray, aspect: Fraction
) -> list[Outcome]:
    coded = {"image": record_format.encode_image(resampler.image(frame, aspect))}
    return [Outcome(name, number, record_format.example(name, number, coded))]


def _doubles(name: str, path: pathlib.Path) -> list[Skip]:
    doubles = without_doubles(pictures(path))[1] if path.is_dir() else []
    return [Skip(f"{name}/{left.name}", f"the same as {taken.name}") for left, taken in doubles]


def _names(paths: list[pathlib.Path]) -> list[str]:
    """File names, with as many folders in front as it takes to tell them apart."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _stamp(path: pathlib.Path) -> list:
    files = list_frames(path) if path.is_dir() else [path]
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _reason(error: Exception, path: pathlib.Path) -> str:
    return str(error).removeprefix(f"{path}: ")
