"""VIPER (Richter, Hayder and Koltun 2017) as it is published: zips or the unpacked tree.

    {train,val,test}/img/SSS/SSS_FFFFF.jpg or .png     1920x1080, about 15 fps
    {train,val}/cls/SSS/SSS_FFFFF.png                  palette PNG, the index is the class id
    {train,val}/flow/SSS/SSS_FFFFF.npz                 float16 u, v to the next frame
    {train,val}/flowbw/SSS/SSS_FFFFF.npz               to the previous frame, where it is there

A flow file has the name of the frame it is defined on.  Void ids, NaN, Inf and components of 512
pixels or more are kept apart as unknown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from v2v_jax.data.raw import class_maps
from v2v_jax.data.raw.class_maps import ClassMap
from v2v_jax.data.raw.members import Member, list_members
from v2v_jax.data.raw.reading import (
    Found,
    RawClip,
    RawFrame,
    Skip,
    clips_of,
    group,
    take_one,
    with_second_frames,
)

SEQUENCES = {"train": 77, "val": 47, "test": 60}
"""Numbered from 1."""

RECYCLEGAN_TEST = frozenset((*range(25, 30), *range(40, 44), *range(63, 70), *range(73, 78)))
"""Recycle-GAN's 21 test sequences (sunset, snow, rain and day, night), carved out of train."""

SPLIT_RULES = {
    "recyclegan": "train is 56 of VIPER's 77 training sequences, test the other 21; val is "
    "VIPER's, and its own test frames are called viper_test",
    "official": "as VIPER has them",
}
_FILE = re.compile(r"(img|cls|flow|flowbw)/(\d{3})/\2_(\d{5})\.(jpg|png|npz)$")
_SPLIT = re.compile(r"(?:^|[/_])(train|val|test)(?=[/_])")
_SUFFIX = {"img": ("jpg", "png"), "cls": ("png",), "flow": ("npz",), "flowbw": ("npz",)}


def find(
    raw: str | os.PathLike[str],
    *,
    split_rule: str = "recyclegan",
    splits: Sequence[str] = (),
    without: Sequence[str] = (),
    partial: bool = False,
    class_map: ClassMap | None = None,
) -> Found:
    """Looks through a download of VIPER.

    Args:
        raw: the folder of its zips, of its unpacked tree, or of both.
        split_rule: one of `SPLIT_RULES`.
        splits: only these; none for all.
        without: of "labels" and "flow", what to leave out.
        partial: whether sequences may be missing.
        class_map: instead of the built-in one with all its variants.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: no frames of VIPER, or sequences missing without ``partial``.
    """
    skipped: list[Skip] = []
    files = _files(list_members(raw), skipped)
    frames: dict[tuple[str, str], list[RawFrame]] = {}
    for (kind, split, sequence, number), image in files.items():
        if kind != "img" or not _wanted(name := split_name(split, sequence, split_rule), splits):
            continue
        place = (split, sequence, number)
        labels, forward, backward = (files.get((k, *place)) for k in ("cls", "flow", "flowbw"))
        if "labels" in without:
            labels = None
        if "flow" in without:
            forward = backward = None
        frame = RawFrame(int(number), image, labels, forward, backward)
        frames.setdefault((name, sequence), []).append(frame)
    skipped += _without_image(files)
    clips = [
        with_second_frames(clip, skipped)
        for (split, sequence) in sorted(frames, key=_order)
        for clip in clips_of(split, sequence, frames[split, sequence])
    ]
    _check(clips, raw, split_rule, splits, partial)
    return Found("viper", clips, skipped, class_map or class_maps.load("viper"))


def split_name(split: str, sequence: str, rule: str) -> str:
    """Which of our splits a sequence of VIPER's belongs to."""
    if rule == "official":
        return split
    if split == "train":
        return "test" if int(sequence) in RECYCLEGAN_TEST else "train"
    return {"val": "val", "test": "viper_test"}[split]


def _files(members: list[Member], skipped: list[Skip]) -> dict[tuple, Member]:
    """One file per (kind, split, sequence, frame)."""
    found = []
    for member in members:
        match = _FILE.search(member.path)
        if match is None or match[4] not in _SUFFIX[match[1]]:
            continue
        # Some zips hold the tree without its first folder, which then is in the zip's name.
        split = _SPLIT.search(member.path) or _SPLIT.search(member.file.name)
        if split is None:
            skipped.append(Skip(member.short, "neither train, val nor test is in its path"))
            continue
        found.append(((match[1], split[1], match[2], match[3]), member))
    # PNG before JPEG, which is lossy.
    return take_one(group(found), lambda member: (member.path[-3:] != "png", member.path), skipped)


def _wanted(split: str, splits: Sequence[str]) -> bool:
    return not splits or split in splits


def _without_image(files: dict[tuple, Member]) -> list[Skip]:
    kinds = {"cls": "labels", "flow": "a flow", "flowbw": "a backward flow"}
    return [
        Skip(member.path, f"{kinds[kind]} without its picture")
        for (kind, *place), member in files.items()
        if kind != "img" and ("img", *place) not in files
    ]


def _order(key: tuple[str, str]) -> tuple[int, str]:
    return ["train", "test", "val", "viper_test"].index(key[0]), key[1]


def _check(
    clips: list[RawClip],
    raw: str | os.PathLike[str],
    rule: str,
    splits: Sequence[str],
    partial: bool,
) -> None:
    if not clips:
        what = f" of the splits {', '.join(splits)}" if splits else ""
        raise ValueError(
            f"{raw}: no frames of VIPER{what} here; expected zips or folders with "
            "train/img/001/001_00001.jpg and the like"
        )
    have = {(clip.split, clip.name) for clip in clips}
    started = {split for split, _ in have}
    every = [
        (split_name(split, f"{number:03}", rule), f"{number:03}")
        for split, count in SEQUENCES.items()
        for number in range(1, count + 1)
    ]
    wanted = set(splits) or started
    missing = [name for name in every if name[0] in wanted and name not in have]
    if missing and not partial:
        raise ValueError(
            f"{raw}: {len(missing)} sequences of VIPER are missing, first {'/'.join(missing[0])}; "
            "finish the download, or give --partial to go on without them"
        )
