"""Finding, preparing and reading Cityscapes' sequences."""

from __future__ import annotations

import numpy as np
import pytest
from data import raw_trees

from v2v_jax.data.prepare.__main__ import main
from v2v_jax.data.raw import cityscapes
from v2v_jax.data.raw.reading import RawSource
from v2v_jax.data.records.dataset import RecordSource

CITY = {"val/frankfurt_000000": 0, "val/munster_000002": 0, "train/hanover_000000": 145}
# Cityscapes' own table: id -> train id.
TRAIN_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11,
             25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}  # fmt: skip


def test_snippets_of_30_with_labels_at_19(tmp_path):
    root = raw_trees.write_zips(raw_trees.cityscapes(CITY), tmp_path / "raw")
    found = cityscapes.find(root, partial=True)
    assert [(clip.split, clip.name) for clip in found.clips] == [
        ("train", "hanover_000000_000145"),
        ("val", "frankfurt_000000_000000"),
        ("val", "munster_000002_000000"),
    ]
    for clip in found.clips:
        assert len(clip.frames) == 30
        assert [at for at, frame in enumerate(clip.frames) if frame.labels] == [19]
    assert not found.skipped, "pictures of colours and polygons are none of our business"


def test_snippets_that_run_on_are_told_apart_by_their_labels(tmp_path):
    files = raw_trees.cityscapes({"train/hamburg_000000": 10})
    files |= raw_trees.cityscapes({"train/hamburg_000000": 40})
    files |= raw_trees.cityscapes({"train/hamburg_000000": 75}, frames=25)
    found = cityscapes.find(raw_trees.write_tree(files, tmp_path / "raw"), partial=True)
    first_and_length = [(clip.frames[0].number, len(clip.frames)) for clip in found.clips]
    assert first_and_length == [(10, 30), (40, 30), (75, 25)]
    unlabelled = {name: data for name, data in files.items() if "labelIds" not in name}
    found = cityscapes.find(raw_trees.write_tree(unlabelled, tmp_path / "bare"), partial=True)
    assert [clip.frames[0].number for clip in found.clips] == [10, 40, 75]


def test_subsets(tmp_path):
    root = raw_trees.write_tree(raw_trees.cityscapes(CITY, frames=20), tmp_path / "raw")
    found = cityscapes.find(root, splits=["val"], cities=1, partial=True)
    assert [clip.name for clip in found.clips] == ["frankfurt_000000_000000"]
    found = cityscapes.find(root, without=["labels"], partial=True)
    assert found.count("val")["labels"] == 0 and found.count("val")["frames"] == 40


def test_half_a_download_is_refused(tmp_path):
    whole = raw_trees.write_tree(raw_trees.cityscapes(CITY), tmp_path / "whole")
    with pytest.raises(ValueError, match="2 of the 500 snippets of val are here; finish"):
        cityscapes.find(whole, splits=["val"])
    assert len(cityscapes.find(whole, splits=["val"], cities=1).clips) == 1
    short = raw_trees.write_tree(raw_trees.cityscapes(CITY, frames=29), tmp_path / "short")
    with pytest.raises(ValueError, match=r"3 snippets are incomplete, first train/hanover.* 29 of"):
        cityscapes.find(short)
    with pytest.raises(ValueError, match="no sequences of Cityscapes of the splits test here"):
        cityscapes.find(whole, splits=["test"])


def test_raw_to_records(tmp_path):
    root = raw_trees.write_zips(raw_trees.cityscapes(CITY), tmp_path / "raw")
    main(
        ["cityscapes", f"--raw={root}", f"--out={tmp_path}/out", "--size=12,24", "--partial",
         "--splits=val"]
    )  # fmt: skip
    source = RecordSource(tmp_path / "out", "val")
    assert source.lengths == [30, 30] and source.provides == {"labels"}
    labels = source.read(1, 0, 30)["labels"]
    assert (np.delete(labels, 19, 0) == 255).all()
    raw = raw_trees.city_labels(0)[1::2, 1::2]  # The nearest of pixel 0 is 0.5 -> pixel 1.
    table = np.array([TRAIN_IDS.get(i, 255) for i in range(34)])
    np.testing.assert_array_equal(labels[19], table[raw])
    assert source.clips[1].runs == {"labels": [[19, 20]]}
    full = RawSource(cityscapes.find(root, partial=True), "val").read(1, 18, 2)
    assert full["frames"].shape == (2, *raw_trees.CITY_SIZE, 3)
    np.testing.assert_array_equal(full["labels"][1], table[raw_trees.city_labels(0)])
    assert (full["labels"][0] == 255).all()
