"""A part of every n-th frame, and no frame lost."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tools import crop_video


@pytest.fixture
def video(tmp_path):
    """Five frames of 20x30, the number in green, the column in red."""
    folder = tmp_path / "drive"
    folder.mkdir()
    for number in range(5):
        frame = np.zeros((20, 30, 3), np.uint8)
        frame[..., 1], frame[..., 2] = number * 10, np.arange(30)
        cv2.imwrite(str(folder / f"{number:05d}.png"), frame)
    return folder


def test_every_second_frame_of_both_starts(video, tmp_path):
    asked = [str(video), str(tmp_path / "out"), "--rows=4,18", "--columns=3,27", "--every=2"]
    crop_video.main(asked)
    numbers = {}
    for folder in sorted((tmp_path / "out").iterdir()):
        frames = [cv2.imread(str(path)) for path in sorted(folder.iterdir())]
        assert {frame.shape for frame in frames} == {(14, 24, 3)}
        assert all((frame[0, :, 2] == np.arange(3, 27)).all() for frame in frames)
        numbers[folder.name] = [int(frame[0, 0, 1]) // 10 for frame in frames]
    assert numbers == {"drive_0": [0, 2, 4], "drive_1": [1, 3]}


@pytest.mark.parametrize("wrong", ["--rows=4,21", "--rows=5,5", "--every=0"])
def test_a_part_that_is_not_there_is_one_line(video, tmp_path, capsys, wrong):
    asked = [str(video), str(tmp_path / "out"), "--rows=4,18", "--columns=3,27", wrong]
    with pytest.raises(SystemExit):
        crop_video.main(asked)
    assert wrong.split("=")[1].split(",")[-1] in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()
