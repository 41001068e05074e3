from __future__ import annotations

import pathlib

import numpy as np
import pytest
from PIL import Image

from v2v_jax.data.media import frame_names
from v2v_jax.data.media.inputs import VIDEO_SUFFIXES, list_inputs


def test_what_patterns_stand_for(tmp_path):
    videos, frames = tmp_path / "videos", tmp_path / "frames"
    videos.mkdir()
    for name in ("clip10.mp4", "clip2.MOV", "odd[1].mkv", ".hidden.mp4", "notes.txt"):
        (videos / name).write_bytes(b"x")
    for scene in ("b", "a"):
        (frames / scene).mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(frames / scene / "0.png")

    def names(pattern: pathlib.Path) -> list[str]:
        return [path.name for path in list_inputs(pattern)]

    assert names(videos) == ["clip2.MOV", "clip10.mp4", "odd[1].mkv"]
    assert names(videos / "clip*") == ["clip2.MOV", "clip10.mp4"]
    assert names(tmp_path / "**" / "*.mp4") == ["clip10.mp4"]
    assert names(videos / "odd[1].mkv") == ["odd[1].mkv"]
    assert names(frames) == ["a", "b"]
    assert names(frames / "*") == ["a", "b"]
    assert names(frames / "a") == ["a"]
    with pytest.raises(FileNotFoundError, match=r"no video matches .*none\*\.mp4.*looked for"):
        list_inputs(videos / "none*.mp4")
    with pytest.raises(FileNotFoundError, match="no video matches"):
        (tmp_path / "empty").mkdir()
        list_inputs(tmp_path / "empty")
    with pytest.raises(ValueError, match="give the folder of frames itself"):
        list_inputs(frames / "a" / "*.png")
    with pytest.raises(ValueError, match=r"notes\.txt, which is neither"):
        list_inputs(videos / "*")


def picture(path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)


def film(path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


@pytest.fixture
def said(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(
        frame_names.logging, "warning", lambda form, *args: lines.append(form % args)
    )
    return lines


def test_pictures_beside_videos_are_covers(tmp_path, said):
    for name in ("holiday", "walk"):
        film(tmp_path / "films" / f"{name}.mp4")
        picture(tmp_path / "films" / f"{name}.jpg")
    found = [tmp_path / "films" / name for name in ("holiday.mp4", "walk.mp4")]
    assert list_inputs(tmp_path / "films") == found
    assert len(said) == 1 and "without 2 pictures" in said[0]
    assert list_inputs(tmp_path / "films" / "*") == found
    assert len(said) == 2 and "2 pictures, which are left out" in said[1]
    # The same folder among others is no folder of frames either.
    assert list_inputs(tmp_path / "f*") == found
    for scene in "ab":
        picture(tmp_path / "scenes" / scene / "0.png")
    picture(tmp_path / "scenes" / "cover.jpg")
    assert [path.name for path in list_inputs(tmp_path / "scenes")] == ["a", "b"]
    assert len(said) == 3 and "cover.jpg" in said[2]
    # Frames with something in a folder below them are frames.
    for number in range(3):
        picture(tmp_path / "frames" / f"{number}.png")
    picture(tmp_path / "frames" / "masks" / "0.png")
    assert list_inputs(tmp_path / "frames") == [tmp_path / "frames"]
    assert len(said) == 3


def test_names_with_the_characters_of_globs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "clips [2019]" / "take [1] a.mp4")
    film(tmp_path / "clips [2019]" / "take 2.mp4")
    film(tmp_path / "clips 2" / "no.mp4")

    def names(pattern: str) -> list[str]:
        return [path.as_posix() for path in list_inputs(pattern)]

    both = ["clips [2019]/take 2.mp4", "clips [2019]/take [1] a.mp4"]
    assert names("clips [2019]/*.mp4") == both
    assert names("clips [2019]") == both
    assert names(f"{tmp_path}/clips [2019]/take [1]*.mp4") == [f"{tmp_path}/{both[1]}"]
    assert names("*/take [1] a.mp4") == [both[1]]
    assert names("clips [[]2019]/take [12].mp4") == [both[0]]
    assert names("clips ?/*.mp4") == ["clips 2/no.mp4"]
    assert names("**/*.mp4") == ["clips 2/no.mp4", *both]


def test_suffixes_of_cameras_and_recorders(tmp_path):
    names = [f"{number}{suffix}" for number, suffix in enumerate(VIDEO_SUFFIXES)]
    names += [f"{100 + number}{suffix.upper()}" for number, suffix in enumerate(VIDEO_SUFFIXES)]
    for name in (*names, ".hidden.mts"):
        film(tmp_path / name)
    assert {".mts", ".m2ts", ".ts", ".mpg", ".3gp", ".flv", ".wmv", ".gif"} <= set(VIDEO_SUFFIXES)
    assert [path.name for path in list_inputs(tmp_path)] == names
    assert [path.name for path in list_inputs(tmp_path / "*")] == names


def test_names_that_differ_in_case_or_in_how_accents_are_stored(tmp_path, said):
    film(tmp_path / "card" / "GX01.MP4")
    film(tmp_path / "mac" / "cafe\u0301.mp4")
    assert list_inputs(tmp_path / "card" / "*.mp4") == [tmp_path / "card" / "GX01.MP4"]
    assert "nothing is called '*.mp4'" in said[0] and "'GX01.MP4', spelt otherwise" in said[0]
    for pattern in ("caf\u00e9.mp4", "caf[\u00e9]*.mp4"):
        assert list_inputs(tmp_path / "mac" / pattern) == [tmp_path / "mac" / "cafe\u0301.mp4"]
    # Only where nothing is called so, and never by a guess between two.
    film(tmp_path / "card" / "a.mp4")
    assert list_inputs(tmp_path / "card" / "*.mp4") == [tmp_path / "card" / "a.mp4"]
    film(tmp_path / "card" / "A.mp4")
    with pytest.raises(FileNotFoundError, match="no video matches"):
        list_inputs(tmp_path / "card" / "A.Mp4")


def test_folders_of_pictures_beside_videos_are_said(tmp_path, said):
    film(tmp_path / "a.mp4")
    picture(tmp_path / "thumbs" / "a.jpg")
    assert list_inputs(tmp_path) == [tmp_path / "a.mp4", tmp_path / "thumbs"]
    assert len(said) == 1 and "read as videos, too (1: thumbs); a pattern such as" in said[0]
    assert list_inputs(tmp_path / "*.mp4") == [tmp_path / "a.mp4"] and len(said) == 1


def test_what_lies_deeper_is_named_with_its_pattern(tmp_path, said):
    film(tmp_path / "films" / "a" / "b" / "1.MP4")
    with pytest.raises(FileNotFoundError, match=r"give \S+/films/\*\*/\* with their suffix"):
        list_inputs(tmp_path / "films")
    for drive in "ab":
        picture(tmp_path / "kitti" / drive / "image_02" / "0.png")
    with pytest.raises(FileNotFoundError, match=r"further below: give \S+/kitti/\*/image_02$"):
        list_inputs(tmp_path / "kitti")
    assert len(list_inputs(tmp_path / "kitti" / "*" / "image_02")) == 2
    assert len(list_inputs(tmp_path / "films" / "**" / "*.mp4")) == 1


def test_a_link_to_nothing_is_an_input(tmp_path, said):
    (tmp_path / "a.mp4").symlink_to(tmp_path / "elsewhere.mp4")
    assert list_inputs(tmp_path / "a.mp4") == [tmp_path / "a.mp4"] == list_inputs(tmp_path)
    assert not said


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    film(tmp_path / "a.mp4")
    assert list_inputs("~/*.mp4") == list_inputs("~/a.mp4") == [tmp_path / "a.mp4"]
