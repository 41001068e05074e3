from __future__ import annotations

import pathlib
import random

import numpy as np
import pytest
from PIL import Image

from v2v_jax.data.media import frame_names
from v2v_jax.data.media.frame_folder import list_frames
from v2v_jax.data.media.frame_names import clip_numbers, in_order, starts, without_doubles
from v2v_jax.data.media.reader import open_video

ORDERS = {
    "zero padding of all kinds": ["0.png", "1.png", "02.png", "3.png", "010.png", "11.png"],
    "decimal seconds": ["12.0.png", "12.25.png", "12.5.png", "12.75.png", "13.0.png", "13.125.png"],
    "whole seconds among them": ["12.png", "12.5.png", "13.png", "13.25.png"],
    "the unpadded 10th frame of a shot": ["s1.8.png", "s1.9.png", "s1.10.png", "s1.11.png"],
    "padded frames of shots": ["s1.0009.png", "s1.0010.png", "s2.0001.png"],
    "negative": ["-10.png", "-9.png", "-1.png", "0.png", "1.png"],
    "negative with a name": ["t_-2.png", "t_-1.png", "t_0.png", "t_1.png"],
    "a hyphen is no sign": ["frame-1.png", "frame-2.png", "frame-10.png"],
    "dates": ["2019-05-01_2.png", "2019-05-01_10.png", "2019-11-01_1.png"],
    "nanoseconds": [f"{1550000000000000000 + 33366700 * n}.png" for n in range(4)],
    "very long": ["9" * 60 + ".png", "1" + "0" * 60 + ".png"],
    "capitals": ["IMG_9.PNG", "img_10.png", "IMG_11.PNG"],
}


def paths(names: list[str]) -> list[pathlib.Path]:
    return [pathlib.Path("folder") / name for name in names]


@pytest.mark.parametrize("names", ORDERS.values(), ids=ORDERS)
def test_frames_sort_by_their_numbers(names):
    shuffled = paths(names)
    random.Random(0).shuffle(shuffled)
    assert [path.name for path in in_order(shuffled)] == names


GAPS = {
    "none": ([f"{n:03}.png" for n in range(9)], []),
    "one": ([f"{n:06}.png" for n in (0, 1, 2, 500, 501, 502)], [3]),
    "one frame is missing": ([f"f{n}.png" for n in (7, 8, 9, 11, 12)], [3]),
    "every tenth is kept": ([f"{n}.png" for n in (0, 10, 20, 30, 50, 60)], [4]),
    "below zero": ([f"{n}.png" for n in (-3, -2, -1, 0, 1, 4)], [5]),
    "seconds": ([f"{t}.png" for t in (12.0, 12.25, 12.5, 12.75, 13.0, 13.125)], []),
    "a pause": ([f"{t}.png" for t in (0.0, 0.04, 0.09, 0.12, 0.17, 2.1, 2.14)], [5]),
    "nanoseconds": (
        [f"{1550000000000000000 + 33366700 * n + n % 3}.png" for n in (0, 1, 2, 3, 9, 10)], [4]
    ),
    "seconds and milliseconds": (
        [f"07-59_{n:03}.png" for n in (900, 933, 967)] + [f"08-00_{n:03}.png" for n in (0, 33)], []
    ),
    "another sequence": ([f"a_{n:04}.png" for n in range(4)] + ["b_0000.png", "b_0001.png"], [4]),
    "numbers run on through the names": (["a1.png", "a2.png", "b3.png", "b4.png"], []),
    "a number behind that counts nothing": (
        [f"aachen_000000_{n:06}_leftImg8bit.png" for n in (0, 1, 2, 3, 19, 20)], [4]
    ),
    "another sequence, and a number behind": (
        [f"a_00000{s}_{n:03}_v2.png" for s in (0, 1) for n in (0, 1, 2)], [3]
    ),
    "nothing is missing in front of a number": ([f"f{n:03}_v2.png" for n in range(5)], []),
    "no numbers": (["apple.png", "pear.png", "plum.png"], []),
    "one picture": (["x.png"], []),
    "none at all": ([], []),
}  # fmt: skip


@pytest.mark.parametrize(("names", "gaps"), GAPS.values(), ids=GAPS)
def test_a_gap_in_the_numbers_begins_a_clip(names, gaps):
    frames = paths(names)
    assert in_order(frames) == frames
    assert starts(frames) == ([0] if names else []) + gaps


def test_numbers_of_clips_say_how_much_is_missing():
    assert clip_numbers(paths([f"{n}.png" for n in (5, 6, 7, 500, 501)])) == [0, 1, 2, 495, 496]
    assert clip_numbers(paths(["a.png", "b.png"])) == [0, 1]
    assert clip_numbers([]) == []


def save(folder: pathlib.Path, name: str, grey: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), grey, np.uint8)).save(folder / name)


def test_of_two_pictures_of_one_name_the_png_is_read(tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(
        frame_names.logging, "warning", lambda form, *args: said.append(form % args)
    )
    for number in (1, 2):
        save(tmp_path, f"{number}.png", 10 * number)
        save(tmp_path, f"{number}.JPG", 200)
    save(tmp_path, "3.jpeg", 30)
    assert [path.name for path in list_frames(tmp_path)] == ["1.png", "2.png", "3.jpeg"]
    kept, doubles = without_doubles(sorted(tmp_path.iterdir()))
    assert len(kept) == 3 and [left.name for left, _ in doubles] == ["1.JPG", "2.JPG"]
    for _ in range(2):  # Said once.
        with open_video(tmp_path) as reader:
            assert [int(frame.mean()) // 9 for frame in reader] == [1, 2, 3]
    assert len(said) == 1 and "2 pictures are there twice" in said[0] and "1.JPG" in said[0]


def test_a_folder_is_no_picture_whatever_its_name(tmp_path):
    save(tmp_path, "0.png")
    save(tmp_path / "1.png", "0.png")
    assert [path.name for path in list_frames(tmp_path)] == ["0.png"]


def test_a_gap_is_said(tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(
        frame_names.logging, "warning", lambda form, *args: said.append(form % args)
    )
    for number in (0, 1, 2, 7, 8):
        save(tmp_path / "frames", f"{number:04}.png")
    with open_video(tmp_path / "frames") as reader:
        assert len(list(reader)) == 5
    assert len(said) == 1 and "1 gap in the numbering" in said[0]
    assert "between 0002.png and 0007.png" in said[0]
