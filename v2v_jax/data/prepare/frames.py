"""Downloads of single frames (VIPER, Cityscapes): one task per frame."""

from __future__ import annotations

import collections
import dataclasses
import functools
import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from v2v_jax.data.media.resample import Resampler
from v2v_jax.data.prepare.work import Job, Outcome, Unit, shards_of, stamp
from v2v_jax.data.raw.class_maps import VOID, ClassMap
from v2v_jax.data.raw.formats import decode_image
from v2v_jax.data.raw.reading import Found, RawFrame, Skip, read_flow, read_labels, reason_of
from v2v_jax.data.records import format as record_format

_FLOWS = {"forward_flow": "forward", "backward_flow": "backward"}


@dataclasses.dataclass(frozen=True)
class FrameWork:
    """How a frame becomes a record.

    Attributes:
        resampler: to the size wanted.
        optional: features every record gets.
        class_map: which class ids there are.
        raw_size: height and width all pictures must have; None for any.
    """

    resampler: Resampler
    optional: list[str]
    class_map: ClassMap | None
    raw_size: tuple[int, int] | None

    def __call__(self, clip: str, frame: RawFrame) -> list[Outcome]:
        """The frame's only outcome."""
        try:
            image = decode_image(frame.image)
            size = image.shape[:2]
            if self.raw_size not in (None, size):
                raise ValueError(
                    f"{size[1]}x{size[0]} pixels, not {self.raw_size[1]}x{self.raw_size[0]}"
                )
        except (ValueError, OSError) as error:
            skip = Skip(frame.image.short, reason_of(error, frame.image))
            return [Outcome(clip, frame.number, skipped=(skip,))]
        skipped: list[Skip] = []
        coded = {"image": record_format.encode_image(self.resampler.image(image))}
        has = "".join(self._add(name, coded, frame, size, skipped) for name in self.optional)
        record = record_format.example(clip, frame.number, coded)
        return [Outcome(clip, frame.number, record, has, tuple(skipped))]

    def _add(
        self,
        name: str,
        coded: dict[str, bytes],
        frame: RawFrame,
        size: tuple[int, int],
        skipped: list[Skip],
    ) -> str:
        """Adds an optional feature, unknown where it is missing or damaged; its letter if not."""
        member = frame.labels if name == "labels" else getattr(frame, _FLOWS[name])
        if member is not None:
            try:
                if name == "labels":
                    assert self.class_map is not None
                    labels = read_labels(member, size, self.class_map)
                    coded[name] = record_format.encode_labels(self.resampler.labels(labels))
                else:
                    u, v, _ = read_flow(member, size)
                    coded[name] = record_format.encode_flow(self.resampler.flow(u, v))
                return record_format.OPTIONAL[name]
            except (ValueError, OSError) as error:
                skipped.append(Skip(member.short, reason_of(error, member)))
        coded[name] = _unknown(name, self.resampler.height, self.resampler.width)
        return ""


@functools.cache
def _unknown(name: str, height: int, width: int) -> bytes:
    if name == "labels":
        return record_format.encode_labels(np.full((height, width), VOID, np.uint8))
    return record_format.encode_flow(np.full((height, width, 2), np.nan, np.float16))


def job(found: Found, resampler: Resampler, frames_per_shard: int, *, one_size: bool) -> Job:
    """All the work for a download of single frames.

    Args:
        found: what it holds.
        resampler: to the size wanted.
        frames_per_shard: how many frames one file gets.
        one_size: whether pictures of another size than most are skipped.
    """
    frames = [frame for clip in found.clips for frame in clip.frames]
    there = {
        "labels": any(frame.labels for frame in frames),
        "forward_flow": any(frame.forward for frame in frames),
        "backward_flow": any(frame.backward for frame in frames),
    }
    optional = [name for name, present in there.items() if present]
    class_map = found.class_map if there["labels"] else None
    raw_size = _usual_size(frames) if one_size else None
    work = FrameWork(resampler, optional, class_map, raw_size)
    known = list(class_map.known) if class_map else []
    settings = [found.kind, dataclasses.astuple(resampler), optional, raw_size, known]
    about = {
        "fit": resampler.fit,
        "raw_size": raw_size,
        "class_map": None if class_map is None else dataclasses.asdict(class_map),
    }
    shards = shards_of(_units(found, work), frames_per_shard, settings)
    counts = {split: found.count(split) for split in found.splits}
    size = (resampler.height, resampler.width)
    return Job(found.kind, *size, optional, about, list(shards), found.skipped, counts)


def _units(found: Found, work: FrameWork) -> Iterator[Unit]:
    for clip in found.clips:
        for frame in clip.frames:
            files = (frame.image, frame.labels, frame.forward, frame.backward)
            yield Unit(
                clip.split,
                1,
                [clip.name, frame.number, *map(stamp, files)],
                functools.partial(work, clip.name, frame),
            )


def _usual_size(frames: list[RawFrame], samples: int = 9) -> tuple[int, int] | None:
    """Height and width of most of a few pictures; None if none can be opened."""
    sizes: collections.Counter[tuple[int, int]] = collections.Counter()
    for frame in frames[:: max(1, len(frames) // samples)]:
        try:
            with Image.open(io.BytesIO(frame.image.read())) as image:
                sizes[image.height, image.width] += 1
        except (ValueError, OSError, SyntaxError):
            continue  # It is named when its turn comes.
    return sizes.most_common(1)[0][0] if sizes else None
