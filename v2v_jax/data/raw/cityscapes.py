"""Cityscapes' sequences (Cordts et al. 2016) as they are published: zips or the unpacked tree.

    leftImg8bit_sequence/{split}/{city}/{city}_{seq:06}_{frame:06}_leftImg8bit.png   2048x1024
    gtFine/{split}/{city}/{city}_{seq:06}_{frame:06}_gtFine_labelIds.png

Snippets of 30 frames, of which the one at position 19 has labels.  In some cities the frame number
runs on through the whole drive, so a snippet is recognised by its labelled frame.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence

from v2v_jax.data.raw import class_maps
from v2v_jax.data.raw.class_maps import ClassMap
from v2v_jax.data.raw.members import list_members
from v2v_jax.data.raw.reading import Found, RawClip, RawFrame, Skip, clips_of, group, take_one

SNIPPETS = {"train": 2975, "val": 500, "test": 1525}
FRAMES, LABELLED = 30, 19
_FILE = re.compile(
    r"(leftImg8bit_sequence|gtFine)/(train|val|test)/([^/]+)/\3_(\d{6})_(\d{6})"
    r"_(leftImg8bit|gtFine_labelIds)\.png$"
)


def find(
    raw: str | os.PathLike[str],
    *,
    splits: Sequence[str] = (),
    cities: int = 0,
    without: Sequence[str] = (),
    partial: bool = False,
    class_map: ClassMap | None = None,
) -> Found:
    """Looks through a download of the sequences and of gtFine.

    Args:
        raw: the folder of the zips, of the unpacked trees, or of both.
        splits: only these; none for all.
        cities: only the first so many of every split, in alphabetical order; 0 for all.
        without: "labels" leaves them out.
        partial: whether snippets may be missing.
        class_map: instead of Cityscapes' own table.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: no sequences, or snippets missing without ``partial``.
    """
    skipped: list[Skip] = []
    matches = [(m, match) for m in list_members(raw) if (match := _FILE.search(m.path))]
    chosen = _chosen_cities({(x[2], x[3]) for _, x in matches}, splits, cities)
    pairs = [(x.groups()[1:], m) for m, x in matches if (x[2], x[3]) in chosen]
    files = take_one(group(pairs), lambda member: member.where, skipped)
    frames: dict[tuple[str, str, str], list[RawFrame]] = {}
    for (split, city, sequence, number, kind), image in files.items():
        if kind == "leftImg8bit":
            labels = files.get((split, city, sequence, number, "gtFine_labelIds"))
            frame = RawFrame(int(number), image, labels)
            frames.setdefault((split, city, sequence), []).append(frame)
        elif (split, city, sequence, number, "leftImg8bit") not in files:
            skipped.append(Skip(image.path, "labels without their picture"))
    clips = [
        RawClip(split, f"{city}_{sequence}_{snippet[0].number:06}", snippet)
        for split, city, sequence in sorted(frames, key=_order)
        for clip in clips_of(split, "", frames[split, city, sequence])
        for snippet in snippets(clip.frames)
    ]
    _check(clips, raw, splits, cities, partial)
    if "labels" in without:
        clips = [_unlabelled(clip) for clip in clips]
    return Found("cityscapes", clips, skipped, class_map or class_maps.load("cityscapes"))


def snippets(frames: tuple[RawFrame, ...]) -> list[tuple[RawFrame, ...]]:
    """Cuts consecutive frames into snippets of 30 around the labelled ones.

    Between them, and where there are no labels, every 30 frames are one.
    """
    edges, taken = [], 0
    for at, frame in enumerate(frames):
        if frame.labels is not None and at >= taken:
            first = max(taken, at - LABELLED)
            taken = min(len(frames), at - LABELLED + FRAMES)
            edges += [first, taken]
    cuts = sorted({0, *edges, len(frames)})
    pieces = []
    for first, stop in itertools.pairwise(cuts):
        starts = range(first, stop, FRAMES)
        pieces += [frames[start : min(stop, start + FRAMES)] for start in starts]
    return pieces


def _chosen_cities(
    present: set[tuple[str, str]], splits: Sequence[str], cities: int
) -> set[tuple[str, str]]:
    chosen: set[tuple[str, str]] = set()
    for split in splits or SNIPPETS:
        names = sorted(city for part, city in present if part == split)
        chosen |= {(split, city) for city in names[: cities or None]}
    return chosen


def _order(key: tuple[str, str, str]) -> tuple[int, str, str]:
    return list(SNIPPETS).index(key[0]), *key[1:]


def _unlabelled(clip: RawClip) -> RawClip:
    frames = tuple(RawFrame(frame.number, frame.image) for frame in clip.frames)
    return RawClip(clip.split, clip.name, frames)


def _check(
    clips: list[RawClip],
    raw: str | os.PathLike[str],
    splits: Sequence[str],
    cities: int,
    partial: bool,
) -> None:
    if not clips:
        what = f" of the splits {', '.join(splits)}" if splits else ""
        raise ValueError(
            f"{raw}: no sequences of Cityscapes{what} here; expected zips or folders with "
            "leftImg8bit_sequence/train/aachen/aachen_000000_000000_leftImg8bit.png and the like"
        )
    if partial:
        return
    short = [clip for clip in clips if len(clip.frames) != FRAMES]
    if short:
        raise ValueError(
            f"{raw}: {len(short)} snippets are incomplete, first "
            f"{short[0].split}/{short[0].name} with {len(short[0].frames)} of {FRAMES} frames; "
            "finish the download, or give --partial"
        )
    for split in splits or {clip.split for clip in clips}:
        count = sum(clip.split == split for clip in clips)
        if count != SNIPPETS[split] and not cities:
            raise ValueError(
                f"{raw}: {count} of the {SNIPPETS[split]} snippets of {split} are here; finish the "
                "download, or give --partial or --cities"
            )
