"""What a raw download holds, clip by clip, and reading it at full resolution."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterable

import cv2
import numpy as np

from v2v_jax.data.raw import class_maps
from v2v_jax.data.raw.class_maps import ClassMap
from v2v_jax.data.raw.formats import decode_flow, decode_image, decode_labels, flow_valid
from v2v_jax.data.raw.members import Member
from v2v_jax.data.transforms import Arrays


@dataclasses.dataclass(frozen=True, slots=True)
class RawFrame:
    """One frame and what belongs to it.

    Attributes:
        number: its number in the clip, as its file says.
        image: the picture.
        labels: class ids.
        forward: flow to the next frame.
        backward: flow to the previous frame.
    """

    number: int
    image: Member
    labels: Member | None = None
    forward: Member | None = None
    backward: Member | None = None

    @property
    def members(self) -> list[Member]:
        """All of its files."""
        every = (self.image, self.labels, self.forward, self.backward)
        return [member for member in every if member is not None]


@dataclasses.dataclass(frozen=True)
class RawClip:
    """Frames with consecutive numbers."""

    split: str
    name: str
    frames: tuple[RawFrame, ...]


@dataclasses.dataclass(frozen=True)
class Skip:
    """Something that was found and is left out."""

    what: str
    why: str


@dataclasses.dataclass(frozen=True)
class Found:
    """The outcome of looking through a download.

    Attributes:
        kind: "viper", "cityscapes", ...
        clips: in the order of splits and names.
        skipped: what is left out already because of its name or its company.
        class_map: of the labels; None where there are none.
    """

    kind: str
    clips: list[RawClip]
    skipped: list[Skip]
    class_map: ClassMap | None = None

    def count(self, split: str) -> dict[str, int]:
        """How many clips, frames, labels and flows a split has."""
        frames = [f for clip in self.clips if clip.split == split for f in clip.frames]
        return {
            "clips": sum(clip.split == split for clip in self.clips),
            "frames": len(frames),
            "labels": sum(frame.labels is not None for frame in frames),
            "forward": sum(frame.forward is not None for frame in frames),
            "backward": sum(frame.backward is not None for frame in frames),
        }

    @property
    def splits(self) -> list[str]:
        """Names of the splits, in order."""
        return list(dict.fromkeys(clip.split for clip in self.clips))


def clips_of(split: str, name: str, frames: Iterable[RawFrame]) -> list[RawClip]:
    """Cuts the frames of one sequence wherever a number is missing."""
    ordered = sorted(frames, key=lambda frame: frame.number)
    # Consecutive numbers minus their rank are equal.
    runs = itertools.groupby(enumerate(ordered), key=lambda pair: pair[1].number - pair[0])
    return [RawClip(split, name, tuple(frame for _, frame in run)) for _, run in runs]


def with_second_frames(clip: RawClip, skipped: list[Skip]) -> RawClip:
    """Takes away the flows at a clip's ends that lead to no frame; VIPER has some."""
    frames = list(clip.frames)
    for at, kind in ((-1, "forward"), (0, "backward")):
        if (flow := getattr(frames[at], kind)) is not None:
            skipped.append(Skip(flow.path, f"a {kind} flow without its second frame"))
            frames[at] = dataclasses.replace(frames[at], **{kind: None})
    return dataclasses.replace(clip, frames=tuple(frames))


def reason_of(error: Exception, member: Member) -> str:
    """An error's message without the file's name, which is said elsewhere."""
    return str(error).removeprefix(f"{member.where}: ")


def take_one(
    groups: dict[tuple, list[Member]], rank: Callable[[Member], object], skipped: list[Skip]
) -> dict[tuple, Member]:
    """One member of each group, the first by rank; the others are named as skipped."""
    chosen = {}
    for key, members in groups.items():
        first, *others = sorted(members, key=rank)  # type: ignore[arg-type]
        chosen[key] = first
        skipped += [Skip(other.short, f"the same as {first.short}") for other in others]
    return chosen


class RawSource:
    """A download's clips at full resolution, for evaluation; see `sources.Source`.

    Nothing is cropped, resampled or cached: flow stays in pixels of the full frame.  Frames are
    read strictly, so a damaged one is an error here, where `prepare` names and skips it.

    Args:
        found: of `viper.find` or `cityscapes.find`.
        split: one of its splits.
        class_map: of the labels, instead of the download's own.

    Raises:
        ValueError: no such split.
    """

    def __init__(self, found: Found, split: str, class_map: ClassMap | None = None) -> None:
        self._clips = [clip for clip in found.clips if clip.split == split]
        if not self._clips:
            raise ValueError(f"no frames of the split {split!r}; found: {found.splits}")
        self._map = class_map or found.class_map or class_maps.load(found.kind)
        self.size: tuple[int, int] | None = None
        self.lengths = [len(clip.frames) for clip in self._clips]
        self.names = [
            f"{found.kind} {split} {clip.name} from frame {clip.frames[0].number}"
            for clip in self._clips
        ]
        counts = found.count(split)
        kinds = {"labels": "labels", "backward": "flow", "forward": "forward_flow"}
        self.provides = frozenset(name for kind, name in kinds.items() if counts[kind])

    def __len__(self) -> int:
        return len(self._clips)

    def read(self, index: int, start: int, count: int, *, into: np.ndarray | None = None) -> Arrays:
        """See `Source.read`.

        Returns:
            ``frames`` u8[count, H, W, 3]; where the split has them, ``labels`` u8[count, H, W]
            (train ids, 255 for void and for frames without labels), ``flow`` and ``forward_flow``
            f32[count-1, H, W, 2] with 0 where ``flow_valid`` and ``forward_flow_valid``
            bool[count-1, H, W] are False, as for frames without flow.

        Raises:
            ValueError: a damaged file, or sizes that differ.
        """
        frames = self._clips[index].frames[start : start + count]
        images = _same_size([decode_image(f.image) for f in frames], frames)
        clip = {"frames": np.stack(images, out=into)}
        size = clip["frames"].shape[1:3]
        if "labels" in self.provides:
            clip["labels"] = np.stack([self._labels(f.labels, size) for f in frames])
        if "flow" in self.provides:
            clip |= _flows("flow", [f.backward for f in frames[1:]], size)
        if "forward_flow" in self.provides:
            clip |= _flows("forward_flow", [f.forward for f in frames[:-1]], size)
        return clip

    def _labels(self, member: Member | None, size: tuple[int, ...]) -> np.ndarray:
        if member is None:
            return np.full(size, class_maps.VOID, np.uint8)
        return self._map.apply(read_labels(member, size, self._map))


def read_labels(member: Member, size: tuple[int, ...], class_map: ClassMap) -> np.ndarray:
    """Class ids uint8 [H, W] of the picture's size, every id known to the map.

    Raises:
        ValueError: otherwise, or damaged.
    """
    labels = decode_labels(member)
    if labels.shape != size:
        raise ValueError(f"{member.where}: {_by(labels.shape)} labels of a {_by(size)} picture")
    if unknown := class_map.unknown(labels):
        raise ValueError(
            f"{member.where}: class id {unknown[0]} is not in the map {class_map.name!r}"
        )
    return labels


def read_flow(member: Member, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u, v (float32 [H, W], NaN where unknown) and valid (bool [H, W]), of the picture's size.

    Raises:
        ValueError: another size, or damaged.
    """
    u, v = decode_flow(member)
    if u.shape != size:
        raise ValueError(f"{member.where}: {_by(u.shape)} flow of a {_by(size)} picture")
    valid = flow_valid(u, v)
    if cv2.countNonZero(valid.view(np.uint8)) < valid.size:
        unknown = ~valid
        u[unknown] = v[unknown] = np.nan
    return u, v, valid


def _flows(name: str, members: list[Member | None], size: tuple[int, ...]) -> Arrays:
    flow = np.zeros((len(members), *size, 2), np.float32)
    valid = np.zeros((len(members), *size), bool)
    for at, member in enumerate(members):
        if member is not None:
            u, v, valid[at] = read_flow(member, size)
            flow[at, ..., 0], flow[at, ..., 1] = (np.where(valid[at], x, 0) for x in (u, v))
    return {name: flow, f"{name}_valid": valid}


def _same_size(images: list[np.ndarray], frames: tuple[RawFrame, ...]) -> list[np.ndarray]:
    for image, frame in zip(images, frames, strict=True):
        if image.shape != images[0].shape:
            raise ValueError(
                f"{frame.image.where}: {_by(image.shape)} pixels, the clip has "
                f"{_by(images[0].shape)}"
            )
    return images


def _by(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def group(pairs: Iterable[tuple[tuple, Member]]) -> dict[tuple, list[Member]]:
    """Members by key."""
    groups: dict[tuple, list[Member]] = collections.defaultdict(list)
    for key, member in pairs:
        groups[key].append(member)
    return groups
