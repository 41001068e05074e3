from __future__ import annotations

import pathlib

import numpy as np
import pytest
from PIL import Image

from v2v_jax.data.media.inputs import list_inputs


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
