"""Finished shards -> a data set under its final name, in one rename."""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import pathlib
import shutil
from typing import Any

from v2v_jax.data.prepare.engine import Done
from v2v_jax.data.prepare.work import Job
from v2v_jax.data.raw.reading import Skip
from v2v_jax.data.records import format as record_format

NOTE = "preparation.json"
_FILTERS = {
    "image": f"area average (bilinear where enlarged), JPEG quality {record_format.JPEG_QUALITY}",
    "labels": "nearest pixel, PNG",
    "flow": "area average of valid pixels, u and v scaled by the ratios of width and height; "
    "NaN where any contributing pixel is unknown; zlib float16",
}


def publish(job: Job, done: list[Done], work: pathlib.Path, out: pathlib.Path) -> dict[str, Any]:
    """Writes the metadata, gives the shards their names and the folder its own.

    Nothing in it depends on time, place or the number of runs and workers.

    Returns:
        The summary that also stands in ``preparation.json``.

    Raises:
        ValueError: not one frame could be used.
        OSError: the disk is full, or the place has gone.
    """
    shards: dict[str, list[Done]] = collections.defaultdict(list)
    for entry in done:
        if entry.file is not None:
            shards[entry.split].append(entry)
    unusable = [skip for entry in done for skip in entry.skipped]
    skipped = [*job.skipped, *unusable]
    if not shards:
        first = (unusable or skipped or [None])[0]
        why = f", first {first.what}: {first.why}" if first else ""
        raise ValueError(f"not one frame of {job.kind} could be used{why}")
    index = {split: clip_index(entries) for split, entries in shards.items()}
    summary = {"key": job.key, "splits": _counts(index), "skipped": [_pair(s) for s in skipped]}
    final = work / "final"
    try:
        shutil.rmtree(final, ignore_errors=True)
        final.mkdir()
        _write_info(job, shards, index, final)
        for split, entries in shards.items():
            for number, entry in enumerate(entries):
                name = f"{job.kind}-{split}.array_record-{number:05}-of-{len(entries):05}"
                _link(entry.file, final / name)  # type: ignore[arg-type]
        (final / NOTE).write_text(json.dumps(summary, indent=1) + "\n")
        os.replace(final, out)
    except OSError as error:
        raise OSError(f"cannot write {out}: {error.strerror or error}") from error
    shutil.rmtree(work, ignore_errors=True)
    return summary


def prepared_key(out: pathlib.Path) -> str | None:
    """The key of the data set that stands there; None if there is none."""
    try:
        return json.loads((out / NOTE).read_text())["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def clip_index(entries: list[Done]) -> list[list[Any]]:
    """``[name, first number, frames, runs]`` per clip; see `records.dataset`.

    A frame that was skipped ends a clip, so the frames of a clip are always neighbours in time.
    """
    clips: list[list[Any]] = []
    before: tuple[str, int] | None = None
    for name, number, has in (record for entry in entries for record in entry.records):
        if before != (name, number - 1):
            clips.append([name, number, 0, {}])
        _, _, at, runs = clips[-1]
        for feature, letter in record_format.OPTIONAL.items():
            if letter in has:
                ranges = runs.setdefault(feature, [])
                if not ranges or ranges[-1][1] != at:
                    ranges.append([at, at])
                ranges[-1][1] = at + 1
        clips[-1][2] += 1
        before = (name, number)
    return clips


def _counts(index: dict[str, list[list[Any]]]) -> dict[str, dict[str, int]]:
    return {
        split: {
            "clips": len(clips),
            "frames": sum(clip[2] for clip in clips),
            **{
                feature: sum(b - a for clip in clips for a, b in clip[3].get(feature, []))
                for feature in record_format.OPTIONAL
            },
        }
        for split, clips in index.items()
    }


def _write_info(
    job: Job, shards: dict[str, list[Done]], index: dict[str, Any], final: pathlib.Path
) -> None:
    """TFDS's own files: dataset_info.json, features.json, metadata.json."""
    import tensorflow_datasets as tfds
    from etils import epath
    from tensorflow_datasets.core import dataset_info, file_adapters, naming

    identity = dataset_info.DatasetIdentity(
        name=job.kind,
        version=tfds.core.Version(record_format.VERSION),
        data_dir=str(final),
        module_name="",
    )
    metadata = {"size": [job.height, job.width], "filters": _FILTERS, **job.about, "index": index}
    info = dataset_info.DatasetInfo(
        builder=identity,
        description=f"{job.kind}, one record per frame, made by v2v_jax.data.prepare.",
        features=record_format.features(job.height, job.width, job.optional),
        disable_shuffling=True,
        metadata=tfds.core.MetadataDict(metadata),
    )
    info.set_file_format(file_adapters.FileFormat.ARRAY_RECORD)
    splits = [
        tfds.core.SplitInfo(
            name=split,
            shard_lengths=[len(entry.records) for entry in entries],
            num_bytes=sum(entry.bytes for entry in entries),
            filename_template=naming.ShardedFileTemplate(
                data_dir=epath.Path(final),
                dataset_name=job.kind,
                split=split,
                filetype_suffix="array_record",
            ),
        )
        for split, entries in shards.items()
    ]
    info.set_splits(tfds.core.SplitDict(splits))
    info.write_to_directory(final)


def _link(file: pathlib.Path, final: pathlib.Path) -> None:
    try:
        os.link(file, final)  # The shard keeps its old name as well, in case of a kill.
    except OSError:
        shutil.copyfile(file, final)


def _pair(skip: Skip) -> list[str]:
    return list(dataclasses.astuple(skip))
