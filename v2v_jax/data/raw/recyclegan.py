"""Recycle-GAN's faces and flowers (Bansal et al. 2018) as they are published: zips or trees.

    trainA/*.png  trainB/*.png     three consecutive frames side by side
    testA/*.png   testB/*.png      single frames

A training file is a clip of three frames of its own.  Test files are clips wherever the numbers in
their names run on.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence

from v2v_jax.data.raw.members import Member, list_members
from v2v_jax.data.raw.reading import Found, RawClip, RawFrame, Skip, clips_of, group

SPLITS = ("trainA", "trainB", "testA", "testB")
FRAMES = 3
_FILE = re.compile(r"(?:^|/)(trainA|trainB|testA|testB)/(.+)\.(?:png|jpg|jpeg)$", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+)(?!.*\d)")


@dataclasses.dataclass(frozen=True)
class Triplets:
    """A download of Recycle-GAN.

    Attributes:
        glued: (split, clip's name, file) of every training file.
        single: the test frames.
    """

    glued: list[tuple[str, str, Member]]
    single: Found


def find(raw: str | os.PathLike[str], *, splits: Sequence[str] = ()) -> Triplets:
    """Looks through a download.

    Args:
        raw: the folder with trainA and the like, or its zip.
        splits: only these; none for all.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: none of the folders is there, or an unknown split.
    """
    if unknown := sorted(set(splits) - set(SPLITS)):
        raise ValueError(f"no split {unknown[0]!r}; Recycle-GAN has {', '.join(SPLITS)}")
    found: dict[str, list[tuple[str, Member]]] = {split: [] for split in SPLITS}
    for member in list_members(raw):
        if match := _FILE.search(member.path):
            split = next(name for name in SPLITS if name.lower() == match[1].lower())
            found[split].append((match[2], member))
    wanted = splits or SPLITS
    if missing := [split for split in splits if not found[split]]:
        raise ValueError(f"{raw}: no pictures of {missing[0]} here")
    glued = [
        (s, *pair)
        for s in wanted
        if s.startswith("train")
        for pair in sorted(found[s], key=_by_number)
    ]
    clips = [clip for s in wanted if s.startswith("test") for clip in _sequences(s, found[s])]
    if not glued and not clips:
        raise ValueError(
            f"{raw}: no pictures in trainA, trainB, testA or testB; give the folder that has them"
        )
    return Triplets(glued, Found("recyclegan", clips, []))


def _by_number(pair: tuple[str, Member]) -> tuple:
    match = _NUMBER.search(pair[0])
    return (pair[0][: match.start()], int(match[1]), pair[0]) if match else (pair[0], -1, pair[0])


def _sequences(split: str, files: list[tuple[str, Member]]) -> list[RawClip]:
    """Files whose names differ only in their last number, cut where the numbers do not run on."""
    numbered, skipped = [], []
    for name, member in files:
        match = _NUMBER.search(name)
        if match is None:
            numbered.append(((name, 0), member))
        else:
            stem = f"{name[: match.start()]}{name[match.end() :]}".strip("_-./") or split
            numbered.append(((stem, int(match[1])), member))
    frames: dict[str, list[RawFrame]] = {}
    for (stem, number), members in sorted(group(numbered).items()):
        skipped += [Skip(other.short, "another file has its number") for other in members[1:]]
        frames.setdefault(stem, []).append(RawFrame(number, members[0]))
    return [clip for stem in frames for clip in clips_of(split, stem, frames[stem])]
