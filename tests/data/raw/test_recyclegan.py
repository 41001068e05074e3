"""Recycle-GAN's glued triplets and single test frames."""

from __future__ import annotations

import numpy as np
import pytest
from data import raw_trees

from v2v_jax.data.prepare.__main__ import main
from v2v_jax.data.raw import recyclegan
from v2v_jax.data.records.dataset import RecordSource

SIDE = 24


def files(train: int = 5) -> raw_trees.Files:
    made: raw_trees.Files = {}
    for domain in "AB":
        for number in range(train):
            parts = [raw_trees.texture(number, SIDE, SIDE, shift=4 * at) for at in range(3)]
            made[f"faces/train{domain}/{number}.png"] = raw_trees.picture(np.hstack(parts), "png")
        for number in (1, 2, 9, 10, 11):
            image = raw_trees.texture(100, SIDE, SIDE, shift=number)
            made[f"faces/test{domain}/obama_{number}.png"] = raw_trees.picture(image, "png")
    return made


@pytest.mark.parametrize("write", [raw_trees.write_tree, raw_trees.write_zips])
def test_raw_to_records(tmp_path, write, capsys):
    root = write(files(12), tmp_path / "raw")
    main(["recyclegan", f"--raw={root}", f"--out={tmp_path}/out", "--size=16,16",
          "--frames_per_shard=10"])  # fmt: skip
    train = RecordSource(tmp_path / "out", "trainA")
    assert train.lengths == [3] * 12 and train.provides == frozenset()
    assert [clip.name for clip in train.clips] == [str(number) for number in range(12)]
    for index in (0, 10):
        frames = train.read(index, 0, 3)["frames"].astype(int)
        whole = [raw_trees.texture(index, SIDE, SIDE, shift=4 * at) for at in range(3)]
        for at in range(3):
            # Area averages over 1.5 pixels keep the mean of an edge's half.
            assert abs(frames[at, :, :8].mean() - whole[at][:, :12].mean()) < 2
    test = RecordSource(tmp_path / "out", "testB")
    assert [(clip.name, clip.number, clip.frames) for clip in test.clips] == [
        ("obama", 1, 2), ("obama", 9, 3),
    ]  # fmt: skip
    assert "trainA" in capsys.readouterr().out


def test_what_is_no_triplet_is_skipped_by_name(tmp_path, capsys):
    made = files(3)
    made["faces/trainA/1.png"] = raw_trees.picture(raw_trees.texture(0, SIDE, 50), "png")
    root = raw_trees.write_tree(made, tmp_path / "raw")
    main(["recyclegan", f"--raw={root}", f"--out={tmp_path}/out", "--size=16,16",
          "--splits=trainA"])  # fmt: skip
    assert [clip.name for clip in RecordSource(tmp_path / "out", "trainA").clips] == ["0", "2"]
    assert "faces/trainA/1.png: 50x24 pixels are no 3 frames" in capsys.readouterr().out


def test_bad_input(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no pictures in trainA, trainB, testA or testB"):
        recyclegan.find(tmp_path / "empty")
    root = raw_trees.write_tree(
        {name: data for name, data in files().items() if "trainB" not in name}, tmp_path / "raw"
    )
    with pytest.raises(ValueError, match="no pictures of trainB here"):
        recyclegan.find(root, splits=["trainB"])
    with pytest.raises(ValueError, match="no split 'train'; Recycle-GAN has trainA"):
        recyclegan.find(root, splits=["train"])
