"""Prepared data sets, read clip by clip at random; see `prepare` and `records.format`.

The folder is a TFDS data set (``tfds.builder_from_directory``).  Its ``metadata.json`` says where
every clip lies: ``index`` maps a split to ``[name, first frame's number, frames, runs]``, in the
order of the records; ``runs`` gives for ``labels``, ``forward_flow`` and ``backward_flow`` the
ranges ``[start, stop]`` of the clip's frames that have them.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from v2v_jax.data.raw.class_maps import ClassMap
from v2v_jax.data.records import format as record_format
from v2v_jax.data.transforms import Arrays

# What `read` calls the stored features, and what it needs for each.
_FIELDS = {"labels": "labels", "flow": "backward_flow", "forward_flow": "forward_flow"}


@dataclasses.dataclass(frozen=True)
class Clip:
    """One clip of a prepared data set.

    Attributes:
        split, name: its own.
        number: of its first frame, as the download numbered it.
        first: its first record in the split.
        frames: how many.
        runs: per stored feature, the ranges (start, stop) of frames that have it.
    """

    split: str
    name: str
    number: int
    first: int
    frames: int
    runs: dict[str, list[list[int]]]

    def has(self, feature: str) -> bool:
        """Whether any frame has ``labels``, ``forward_flow`` or ``backward_flow``."""
        return bool(self.runs.get(feature))


class RecordSource:
    """The clips of one split of a prepared data set; see `sources.Source`.

    Small and picklable: files are opened where it is read, in any thread or process.

    Args:
        folder: what ``prepare`` wrote, with ``@split`` behind it for another than ``split``
            ("prepared/viper@test").
        split: "train" and the like.
        fields: of "labels", "flow" and "forward_flow", which to read; None for all there are.
            Frames alone are four times cheaper.
        class_map: of the labels, instead of the one stored with them.

    Attributes:
        clips: what is where.
        size: height and width of all frames.
        parts: the clips that are not all of what has their name: frames are missing between them.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: not a prepared data set, no such split, or fields it does not have.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        split: str = "train",
        *,
        fields: Sequence[str] | None = None,
        class_map: ClassMap | None = None,
    ) -> None:
        name, _, behind = str(folder).rpartition("@")
        if name and not pathlib.Path(folder).exists():
            folder, split = name, behind
        self.folder, self.split = pathlib.Path(folder), split
        metadata, self._records = _open(self.folder, split)
        self.clips = _clips(metadata["index"], split)
        self.size: tuple[int, int] = tuple(metadata["size"])
        if (count := sum(clip.frames for clip in self.clips)) != len(self._records):
            raise ValueError(
                f"{folder}: {len(self._records)} records of {split}, but {count} in"
                " its index; prepare the data set again"
            )
        self._map = class_map or _stored_map(metadata)
        self.lengths = [clip.frames for clip in self.clips]
        self.names = [f"{folder} {split} {clip.name} from {clip.number}" for clip in self.clips]
        counts = collections.Counter(clip.name for clip in self.clips)
        self.parts = frozenset(n for n, clip in enumerate(self.clips) if counts[clip.name] > 1)
        self.provides = self._fields(fields)
        record_format.example_class()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        record_format.example_class()  # Here, before threads need it.

    def _fields(self, wanted: Sequence[str] | None) -> frozenset[str]:
        has = frozenset(
            name for name, stored in _FIELDS.items() if any(c.has(stored) for c in self.clips)
        )
        if wanted is None:
            return has
        if lacking := sorted(set(wanted) - has):
            raise ValueError(
                f"{self.folder}: {self.split} has no {lacking[0]}; it has {sorted(has) or 'frames'}"
            )
        return frozenset(wanted)

    def __len__(self) -> int:
        return len(self.clips)

    def read(self, index: int, start: int, count: int, *, into: np.ndarray | None = None) -> Arrays:
        """See `Source.read`.

        Args:
            index, start, count: which frames of which clip.
            into: u8[count, H, W, 3] that the frames are decoded into, instead of a new array.

        Returns:
            ``frames`` u8[count, H, W, 3]; of `provides`, ``labels`` u8[count, H, W] (train ids,
            255 for void and for frames without labels), ``flow`` (backward) and ``forward_flow``
            f32[count-1, H, W, 2] with 0 where ``flow_valid`` and ``forward_flow_valid``
            bool[count-1, H, W] are False, as for frames without flow.

        Raises:
            ValueError: frames the clip does not have.
            OSError: a record that is damaged or gone.
        """
        clip = self.clips[index]
        if start < 0 or count < 1 or start + count > clip.frames:
            raise ValueError(f"{self.names[index]}: no frames {start} to {start + count - 1}")
        records = self._load(clip, range(clip.first + start, clip.first + start + count))
        frames = np.empty((count, *self.size, 3), np.uint8) if into is None else into
        for row, (at, record) in enumerate(records):
            frames[row] = self._decode(clip, at, "image", record)
        arrays: Arrays = {"frames": frames}
        if "labels" in self.provides:
            labels = [self._decode(clip, at, "labels", record) for at, record in records]
            arrays["labels"] = self._map.apply(np.stack(labels))
        # Backward flow lives on the second frame of a pair, forward flow on the first.
        for name, pairs in (("flow", records[1:]), ("forward_flow", records[:-1])):
            if name in self.provides:
                arrays |= self._flows(clip, name, pairs)
        return arrays

    def _flows(self, clip: Clip, name: str, records: list[tuple[int, dict[str, bytes]]]) -> Arrays:
        flow = np.zeros((len(records), *self.size, 2), np.float32)
        valid = np.zeros((len(records), *self.size), bool)
        for row, (at, record) in enumerate(records):
            flow[row], valid[row] = self._decode(clip, at, _FIELDS[name], record)
        return {name: flow, f"{name}_valid": valid}

    def _load(self, clip: Clip, positions: range) -> list[tuple[int, dict[str, bytes]]]:
        """(record, its undecoded features) for every position; each is where it should be."""
        names = ["image", *(_FIELDS[name] for name in self.provides)]
        loaded = []
        try:
            for at in positions:
                # One by one: for many, ArrayRecord's Python side starts a pool of threads, which
                # takes as long as decoding a frame.
                name, number, coded = record_format.parse(self._records[at], names)
                if (name, number) != (clip.name, clip.number + at - clip.first):
                    raise ValueError(f"it holds frame {number} of {name!r}")
                loaded.append((at, coded))
        except Exception as error:  # ArrayRecord raises whatever its C++ side makes of a file.
            raise self._unreadable(clip, positions, "record", error) from error
        return loaded

    def _decode(self, clip: Clip, at: int, feature: str, record: dict[str, bytes]) -> Any:
        decoders = {"image": record_format.decode_image, "labels": record_format.decode_labels}
        try:
            return decoders.get(feature, record_format.decode_flow)(record[feature], self.size)
        except Exception as error:
            raise self._unreadable(clip, range(at, at + 1), feature, error) from error

    def _unreadable(self, clip: Clip, positions: range, what: str, error: Exception) -> OSError:
        """Says which record an error is about."""
        many = f" to {positions[-1]}" if len(positions) > 1 else ""
        return OSError(
            f"{self.folder}: {what} {positions[0]}{many} of {self.split} ({clip.name}) cannot be "
            f"read ({_short(error)}); prepare the data set again"
        )


def read_metadata(folder: pathlib.Path) -> dict[str, Any]:
    """What ``prepare`` noted about a data set.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: not a prepared data set.
    """
    return _builder(folder)[1]


def _builder(folder: pathlib.Path) -> tuple[Any, dict[str, Any]]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; write it with v2v_jax.data.prepare")
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(str(folder))
        metadata = dict(builder.info.metadata or {})
        if not {"index", "size", "class_map"} <= metadata.keys():
            raise ValueError("its metadata lacks the index of clips")
    except Exception as error:  # TFDS's own kinds of a missing or unreadable file.
        raise ValueError(
            f"{folder}: not a data set of v2v_jax.data.prepare ({_short(error)})"
        ) from error
    return builder, metadata


def _open(folder: pathlib.Path, split: str) -> tuple[dict[str, Any], Any]:
    """The metadata, and the records of a split as they are stored."""
    import tensorflow_datasets as tfds

    builder, metadata = _builder(folder)
    if split not in metadata["index"]:
        raise ValueError(f"{folder}: no split {split!r}; it has {sorted(metadata['index'])}")
    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    try:
        return metadata, builder.as_data_source(split, deserialize_method=raw)
    except Exception as error:
        raise OSError(f"{folder}: {split} cannot be read ({_short(error)})") from error


def _clips(index: dict[str, Any], split: str) -> list[Clip]:
    entries = index[split]
    firsts = itertools.accumulate((frames for _, _, frames, _ in entries), initial=0)
    return [
        Clip(split, name, number, first, frames, runs)
        for (name, number, frames, runs), first in zip(entries, firsts, strict=False)
    ]


def _stored_map(metadata: dict[str, Any]) -> ClassMap:
    stored = metadata["class_map"]
    if stored is None:
        return ClassMap("none", (), (), tuple(range(256)))
    name, variants, known, table = (stored[k] for k in ("name", "variants", "known", "table"))
    return ClassMap(name, tuple(variants), tuple(known), tuple(table))


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
