"""Raw download -> prepare -> reader, and what the reader says about damage."""

from __future__ import annotations

import json
import pathlib
import pickle
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from data import raw_trees

from v2v_jax.data.prepare.__main__ import main
from v2v_jax.data.raw import class_maps
from v2v_jax.data.records.dataset import RecordSource

SIZE = (16, 32)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """VIPER: one training clip of 7 frames and one of 4, a test clip of 3."""
    folder = tmp_path_factory.mktemp("records")
    files = raw_trees.viper({"train/001": 7, "train/002": 4, "train/025": 3}, backward=True)
    raw_trees.write_zips(files, folder / "raw", parts=2)
    main(
        ["viper", f"--raw={folder}/raw", f"--out={folder}/viper", "--size=16,32", "--partial",
         "--frames_per_shard=3"]
    )  # fmt: skip
    return folder / "viper"


def test_it_is_a_source(prepared):
    source = RecordSource(prepared)
    assert len(source) == 2 and source.lengths == [7, 4]
    assert source.names == [f"{prepared} train 001 from 1", f"{prepared} train 002 from 1"]
    assert source.provides == {"labels", "flow", "forward_flow"}
    assert RecordSource(prepared, "test").lengths == [3]
    assert RecordSource(f"{prepared}@test").lengths == [3]


def test_every_frame_is_the_downloads(prepared):
    """Over shard borders, which lie after every third frame."""
    source = RecordSource(prepared)
    for index, (name, length) in enumerate([(1, 7), (2, 4)]):
        clip = source.read(index, 0, length)
        for at in range(length):
            raw = raw_trees.texture(name, *raw_trees.VIPER_SIZE, shift=at + 1)
            expected = cv2.resize(raw, SIZE[::-1], interpolation=cv2.INTER_AREA).astype(int)
            error = np.abs(clip["frames"][at] - expected)
            # JPEG only; a wrong frame differs by far more.
            assert error.mean() < 4
            single = source.read(index, at, 1)
            np.testing.assert_array_equal(single["frames"][0], clip["frames"][at])


def test_frames_can_be_decoded_into_a_given_array(prepared):
    source = RecordSource(prepared)
    rows = np.zeros((2, 3, *SIZE, 3), np.uint8)
    given = source.read(0, 2, 3, into=rows[1, ::-1])
    assert np.shares_memory(given["frames"], rows) and not rows[0].any()
    for name, array in source.read(0, 2, 3).items():
        np.testing.assert_array_equal(given[name], array)


def test_flow_of_a_window_is_that_of_its_pairs(prepared):
    source = RecordSource(prepared)
    clip = source.read(0, 2, 4)
    assert clip["flow"].shape == clip["forward_flow"].shape == (3, *SIZE, 2)
    ratio = np.array([32 / 48, 16 / 27])
    for at in range(3):
        number = at + 3  # Of the pair's first frame; files count from 1.
        u, v = (float(x[5, 5]) for x in raw_trees.viper_flow(number))
        expected = np.array([u, v]) * ratio
        forward, backward = clip["forward_flow"][at], clip["flow"][at]
        np.testing.assert_allclose(forward[5, 5], expected, rtol=2e-3)
        np.testing.assert_allclose(backward[5, 5], -expected, rtol=2e-3)
    valid = clip["flow_valid"]
    # The NaN, the Inf and the 512 of the first row touch one or two pixels each.
    assert not valid[:, 0, 0].any() and not valid[:, 0, 13].any() and not valid[:, 0, 26].any()
    assert valid[:, 2:].all() and valid.mean() > 0.97
    assert (clip["flow"][~valid] == 0).all()
    np.testing.assert_array_equal(valid, clip["forward_flow_valid"])


def test_labels_are_train_ids_by_index_not_colour(prepared):
    table = np.array(class_maps.load("viper").table, np.uint8)
    labels = RecordSource(prepared).read(0, 0, 7)["labels"]
    assert labels.dtype == np.uint8
    rows, columns = ((np.arange(n) + 0.5) * m / n for n, m in zip(SIZE, (27, 48), strict=True))
    for at in range(7):
        ids = raw_trees.viper_labels(at + 1)[np.ix_(rows.astype(int), columns.astype(int))]
        np.testing.assert_array_equal(labels[at], table[ids])
    narrow = RecordSource(prepared, class_map=class_maps.load("viper", []))
    assert set(np.unique(labels)) - set(np.unique(narrow.read(0, 0, 7)["labels"])) == {5, 16, 18}


def test_only_the_fields_asked_for_are_read(prepared):
    source = RecordSource(prepared, fields=["labels"])
    assert source.provides == {"labels"}
    assert set(source.read(0, 0, 2)) == {"frames", "labels"}
    assert set(RecordSource(prepared, fields=[]).read(0, 0, 2)) == {"frames"}
    with pytest.raises(ValueError, match=r"viper: train has no depth; it has \['flow'"):
        RecordSource(prepared, fields=["depth"])


def test_it_crosses_to_another_process(prepared):
    source = RecordSource(prepared)
    before = source.read(0, 1, 3)
    again = pickle.dumps(source)
    assert len(again) < 10_000, "records stay on disk"
    after = pickle.loads(again).read(0, 1, 3)
    assert set(before) == set(after)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


_IMPORTS = """
import pickle, sys, threading
late = []
class Finder:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is not threading.main_thread():
            late.append(name)
sys.meta_path.insert(0, Finder())
def read(source):
    thread = threading.Thread(target=lambda: source.read(0, 0, 3))
    thread.start()
    thread.join()
if sys.argv[1] == "prepare":
    from v2v_jax.data.prepare.__main__ import main
    main(sys.argv[2:])
elif sys.argv[1] == "construct":
    from v2v_jax.data.records.dataset import RecordSource
    read(RecordSource(sys.argv[2]))
else:
    read(pickle.load(open(sys.argv[2], "rb")))
print("late:", sorted(name for name in late if not name.startswith("PIL")))
"""


def test_no_thread_imports_tfds_for_the_first_time(prepared, tmp_path):
    """Two that do can wait for each other for ever: TFDS and Python both lock imports."""
    (tmp_path / "source").write_bytes(pickle.dumps(RecordSource(prepared)))
    raw = f"--raw={prepared.parent}/raw"
    for arguments in (
        ["prepare", "viper", raw, f"--out={tmp_path}/out", "--size=16,32", "--partial"],
        ["construct", str(prepared)],
        ["unpickle", str(tmp_path / "source")],
    ):
        command = [sys.executable, "-c", _IMPORTS, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.stdout.splitlines()[-1] == "late: []", (arguments, done.stdout, done.stderr)


def test_tfds_reads_it_without_us_and_without_tensorflow(prepared):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(prepared))
    assert builder.info.splits["train"].num_examples == 11
    records = builder.as_data_source("train")
    for at, (clip, frame) in {0: (b"001", 1), 6: (b"001", 7), 7: (b"002", 1)}.items():
        assert (records[at]["clip"], records[at]["frame"]) == (clip, frame)
    source = RecordSource(prepared).read(0, 2, 1)
    np.testing.assert_array_equal(records[2]["image"], source["frames"][0])
    assert records[2]["labels"].shape == (*SIZE, 1)
    flow = records[2]["forward_flow"]
    assert flow.dtype == np.float16 and np.isnan(flow[0, 0]).all() and not np.isnan(flow[5]).any()
    assert np.isnan(records[6]["forward_flow"]).all(), "the last frame's flow leads nowhere"
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("start, count", [(0, 8), (-1, 2), (6, 2), (0, 0)])
def test_a_window_outside_the_clip_is_named(prepared, start, count):
    with pytest.raises(ValueError, match="train 001 from 1: no frames"):
        RecordSource(prepared).read(0, start, count)


def test_what_is_no_data_set_is_named(prepared, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none: no such folder; write it with"):
        RecordSource(tmp_path / "none")
    with pytest.raises(ValueError, match=r"not a data set of v2v_jax\.data\.prepare"):
        RecordSource(tmp_path)
    with pytest.raises(ValueError, match=r"no split 'dev'; it has \['test', 'train'\]"):
        RecordSource(f"{prepared}@dev")


def damaged(prepared: pathlib.Path, folder: pathlib.Path) -> tuple[pathlib.Path, list]:
    shutil.copytree(prepared, folder / "copy")
    return folder / "copy", sorted((folder / "copy").glob("viper-train.array_record*"))


def test_a_flipped_bit_is_never_a_wrong_frame(prepared, tmp_path):
    folder, shards = damaged(prepared, tmp_path)
    expected = RecordSource(folder).read(0, 0, 3)
    whole = shards[0].read_bytes()
    rng, errors = np.random.default_rng(0), 0
    used = len(whole.rstrip(b"\0"))
    for position in rng.integers(0, used, 60):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << rng.integers(8)
        shards[0].write_bytes(flipped)
        try:
            clip = RecordSource(folder).read(0, 0, 3)
        except (OSError, ValueError) as error:
            assert str(folder) in str(error)
            errors += 1
            continue
        for name in expected:
            np.testing.assert_array_equal(clip[name], expected[name])
    assert errors > 5


def test_a_truncated_or_missing_shard_is_named(prepared, tmp_path):
    folder, shards = damaged(prepared, tmp_path)
    shards[1].write_bytes(shards[1].read_bytes()[:1000])
    with pytest.raises(OSError, match="copy"):
        RecordSource(folder).read(0, 0, 7)
    shards[1].unlink()
    with pytest.raises(OSError, match="copy"):
        RecordSource(folder).read(0, 0, 7)


def test_swapped_shards_and_a_foreign_index_are_noticed(prepared, tmp_path):
    folder, shards = damaged(prepared, tmp_path)
    shards[0].rename(folder / "kept")
    shards[1].rename(shards[0])
    (folder / "kept").rename(shards[1])
    with pytest.raises(OSError, match=r"record 0 to 1 of train \(001\) cannot be read \(it holds"):
        RecordSource(folder).read(0, 0, 2)
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["index"]["train"].pop()
    (folder / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="11 records of train, but 7 in its index"):
        RecordSource(folder)
