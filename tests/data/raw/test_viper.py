"""Finding and reading VIPER and its class map."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from data import raw_trees

from v2v_jax.data.raw import class_maps, viper
from v2v_jax.data.raw.reading import RawSource


def found(tmp_path, sequences, **options):
    root = raw_trees.write_tree(raw_trees.viper(sequences, backward=True), tmp_path / "raw")
    return viper.find(root, partial=True, **options)


def names(what):
    return [(clip.split, clip.name, len(clip.frames)) for clip in what.clips]


def test_recyclegans_split_and_the_official_one(tmp_path):
    sequences = {"train/024": 2, "train/025": 3, "val/025": 2, "test/060": 2}
    assert names(found(tmp_path, sequences)) == [
        ("train", "024", 2), ("test", "025", 3), ("val", "025", 2), ("viper_test", "060", 2),
    ]  # fmt: skip
    assert names(found(tmp_path, sequences, split_rule="official")) == [
        ("train", "024", 2), ("train", "025", 3), ("test", "060", 2), ("val", "025", 2),
    ]  # fmt: skip
    assert names(found(tmp_path, sequences, splits=["val"])) == [("val", "025", 2)]


def test_the_split_has_56_and_21_sequences():
    split = [viper.split_name("train", f"{number:03}", "recyclegan") for number in range(1, 78)]
    assert (split.count("train"), split.count("test")) == (56, 21)


@pytest.mark.parametrize(
    "layout", ["tree", "zips", "zips without the first folder", "one zip", "zips of Windows"]
)
def test_zips_and_trees_hold_the_same(tmp_path, layout):
    files = raw_trees.viper({"train/001": 4, "val/002": 3}, "jpg")
    expected = viper.find(raw_trees.write_tree(files, tmp_path / "expected"), partial=True)
    root = tmp_path / "raw"
    if layout == "tree":
        raw_trees.write_tree(files, root / "some" / "VIPER")
    elif layout == "zips":
        raw_trees.write_zips(files, root, parts=3)
    elif layout == "zips of Windows":
        folders = {name.rpartition("/")[0].replace("/", "\\") + "\\": b"" for name in files}
        names_there = {name.replace("/", "\\"): data for name, data in files.items()}
        raw_trees.write_zip(folders | names_there, root / "VIPER.ZIP")
    elif layout == "one zip":
        joined = {f"x/{name}": data for name, data in files.items()}
        raw_trees.write_zips(joined, root)
        assert len(list(root.iterdir())) == 2
    else:
        for split in ("train", "val"):
            own = {n: d for n, d in files.items() if n.startswith(split)}
            for archive in raw_trees.write_zips(own, tmp_path / split).iterdir():
                kind = archive.name.split("_")[1]
                inner = {n[len(split) + 1 :]: d for n, d in own.items() if f"/{kind}/" in n}
                raw_trees.write_zip(inner, root / f"{split}_{kind}_00-77_0_jpg.zip")
    got = viper.find(root, partial=True)
    assert names(got) == names(expected)
    for split in ("train", "val"):
        assert got.count(split) == expected.count(split)
        ours, theirs = RawSource(got, split).read(0, 0, 3), RawSource(expected, split).read(0, 0, 3)
        for name in theirs:
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_full_resolution_is_what_the_files_hold(tmp_path):
    source = RawSource(found(tmp_path, {"train/001": 4}), "train")
    assert source.provides == {"labels", "flow", "forward_flow"} and source.lengths == [4]
    clip = pickle.loads(pickle.dumps(source)).read(0, 1, 3)
    table = np.array(class_maps.load("viper").table)
    for at in range(3):
        image = raw_trees.texture(1, *raw_trees.VIPER_SIZE, shift=at + 2)
        np.testing.assert_array_equal(clip["frames"][at], image)
        np.testing.assert_array_equal(clip["labels"][at], table[raw_trees.viper_labels(at + 2)])
    for at in range(2):
        u, v = raw_trees.viper_flow(at + 2)
        valid = np.ones(u.shape, bool)
        valid[0, [0, 20, 40]] = False
        np.testing.assert_array_equal(clip["forward_flow_valid"][at], valid)
        np.testing.assert_array_equal(clip["flow_valid"][at], valid)
        for axis, component in enumerate((u, v)):
            expected = np.where(valid, component, 0).astype(np.float32)
            np.testing.assert_array_equal(clip["forward_flow"][at, ..., axis], expected)
            np.testing.assert_array_equal(clip["flow"][at, ..., axis], -expected)


def test_a_missing_number_ends_a_clip_and_its_flow(tmp_path):
    files = raw_trees.viper({"train/001": 6})
    del files["train/img/001/001_00003.png"]
    what = viper.find(raw_trees.write_tree(files, tmp_path / "raw"), partial=True)
    numbers = [[frame.number for frame in clip.frames] for clip in what.clips]
    assert numbers == [[1, 2], [4, 5, 6]]
    flows = [[f.forward is not None for f in clip.frames] for clip in what.clips]
    assert flows == [[True, False], [True, True, False]]
    reasons = sorted((skip.what, skip.why) for skip in what.skipped)
    second = "a forward flow without its second frame"
    assert reasons == [
        ("train/cls/001/001_00003.png", "labels without its picture"),
        ("train/flow/001/001_00002.npz", second),
        ("train/flow/001/001_00003.npz", "a flow without its picture"),
        ("train/flow/001/001_00006.npz", second),
    ]


def test_png_wins_over_jpg(tmp_path):
    files = raw_trees.viper({"train/001": 2}, "jpg") | raw_trees.viper({"train/001": 2}, "png")
    what = viper.find(raw_trees.write_tree(files, tmp_path / "raw"), partial=True)
    assert [frame.image.path[-3:] for frame in what.clips[0].frames] == ["png", "png"]
    assert [s.what for s in what.skipped if "the same as" in s.why] == [
        "train/img/001/001_00001.jpg", "train/img/001/001_00002.jpg",
    ]  # fmt: skip


def test_labels_and_flow_can_be_left_out(tmp_path):
    count = found(tmp_path, {"train/001": 3}, without=["flow"]).count("train")
    assert (count["labels"], count["forward"], count["backward"]) == (3, 0, 0)
    count = found(tmp_path, {"train/001": 3}, without=["labels"]).count("train")
    assert (count["labels"], count["forward"], count["backward"]) == (0, 2, 2)


def test_half_a_download_is_refused(tmp_path):
    root = raw_trees.write_tree(raw_trees.viper({"train/001": 2, "val/001": 2}), tmp_path / "raw")
    # 55 of train, 21 of test, 46 of val: test is there as soon as train is.
    with pytest.raises(ValueError, match=r"101 sequences of VIPER are missing, first train/002"):
        viper.find(root)
    with pytest.raises(ValueError, match=r"46 sequences of VIPER are missing, first val/002"):
        viper.find(root, splits=["val"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no frames of VIPER here; expected zips or folders"):
        viper.find(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        viper.find(tmp_path / "none")


def test_a_truncated_zip_is_named(tmp_path):
    root = raw_trees.write_zips(raw_trees.viper({"train/001": 3}), tmp_path / "raw")
    zipped = root / "train_img_0.zip"
    zipped.write_bytes(zipped.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"train_img_0\.zip: not a complete zip"):
        viper.find(root, partial=True)


def test_the_class_map_and_its_variants():
    full = class_maps.load("viper")
    assert full.known == tuple(range(32)) and full.variants == ("bicycle", "pole", "train")
    agreed = {3: 0, 4: 1, 9: 2, 11: 4, 13: 6, 14: 7, 7: 8, 8: 8, 6: 9, 2: 10, 20: 11, 24: 13,
              27: 14, 26: 15, 23: 17}  # fmt: skip
    variants = {"bicycle": (22, 18), "train": (29, 16), "pole": (10, 5)}
    for chosen in ([], ["bicycle"], ["train", "pole"], list(variants)):
        table = class_maps.load("viper", chosen).table
        expected = agreed | dict(variants[name] for name in chosen)
        assert {i: t for i, t in enumerate(table) if t != 255} == expected
    assert full.table[25] == 255, "van"


def test_a_class_map_is_a_file(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("id,name,train_id,variant\n3,road,0,\n25,van,13,van\n")
    assert class_maps.load(str(path)).table[25] == 13
    assert class_maps.load(str(path), []).table[25] == 255
    assert class_maps.load(str(path)).unknown(np.array([[3, 25, 7]], np.uint8)) == [7]
    with pytest.raises(ValueError, match=r"has no variant 'bus'; it has \['van'\]"):
        class_maps.load(str(path), ["bus"])
    with pytest.raises(FileNotFoundError, match=r"no class map 'kitti': give a \.csv"):
        class_maps.load("kitti")
    for text in ("a,b\n1,2\n", "id,name,train_id,variant\n3,road,999,\n", "", "id,name,train_id,"
                 "variant\n3,a,0,\n3,b,1,\n"):  # fmt: skip
        path.write_text(text)
        with pytest.raises(ValueError, match=r"mine\.csv: not a class map"):
            class_maps.load(str(path))
