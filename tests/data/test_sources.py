from __future__ import annotations

import pathlib
import pickle

import numpy as np
import pytest
from data.moving_pictures import encode_at
from PIL import Image

from v2v_jax.data.media.frame_folder import FolderWriter
from v2v_jax.data.media.writer import VideoWriter
from v2v_jax.data.pipeline import make_batches
from v2v_jax.data.prepare.__main__ import main as prepare_main
from v2v_jax.data.records.dataset import RecordSource
from v2v_jax.data.sources import SyntheticSource, VideoSource
from v2v_jax.data.world import world as world_module
from v2v_jax.data.world.world import World


def film(path: pathlib.Path, count: int, height: int = 48, width: int = 64) -> None:
    with FolderWriter(path) if path.suffix == "" else VideoWriter(path, 25, height, width) as out:
        for index in range(count):
            out.write(np.full((height, width, 3), 10 * index, np.uint8))


def test_a_video_source_reads_any_mix_at_one_size(tmp_path):
    videos = tmp_path / "videos"
    film(videos / "clip10.mp4", 5, 40, 90)
    film(videos / "clip9", 4)
    film(videos / "clip2.mkv", 7)
    source = VideoSource(videos, 16, 32, tmp_path / "cache")
    assert len(source) == 3 and source.lengths == [7, 4, 5]
    assert [pathlib.Path(name).name for name in source.names] == [
        "clip2.mkv",
        "clip9",
        "clip10.mp4",
    ]
    assert source.provides == frozenset()
    for index, length in enumerate(source.lengths):
        clip = source.read(index, 1, length - 1)
        assert set(clip) == {"frames"}
        assert clip["frames"].shape == (length - 1, 16, 32, 3) and clip["frames"].dtype == np.uint8
        means = clip["frames"].mean((1, 2, 3))
        np.testing.assert_allclose(means, 10 * np.arange(1, length), atol=3)
    again = pickle.dumps(source)
    assert len(again) < 5000, "frames stay on disk"
    np.testing.assert_array_equal(
        pickle.loads(again).read(1, 0, 4)["frames"], source.read(1, 0, 4)["frames"]
    )


def test_a_gap_in_the_times_of_a_video_begins_a_new_clip(tmp_path):
    """A recorder of screens wrote two bursts with three seconds of stillness between them."""
    stamps = [40 * i for i in range(6)] + [3200 + 40 * i for i in range(4)]
    encode_at(tmp_path / "a.mp4", stamps)
    source = VideoSource(tmp_path / "a.mp4", 16, 32, tmp_path / "cache", gap=4.0)
    assert source.lengths == [6, 4] and source.parts == {0, 1}
    assert source.names[1] == f"{tmp_path / 'a.mp4'} from frame 6"
    whole = VideoSource(tmp_path / "a.mp4", 16, 32, tmp_path / "cache", gap=0)
    assert whole.lengths == [10]
    np.testing.assert_array_equal(source.read(1, 0, 4)["frames"], whole.read(0, 6, 4)["frames"])
    same = VideoSource(tmp_path / "a.mp4", 16, 32, tmp_path / "cache", gap=100)
    assert same.lengths == [10]
    batches = make_batches(source, source, batch_size=1, frames=5, seed=0, threads=0)
    for _ in range(4):  # The second burst is too short.
        frames = next(batches)["source"]["frames"][0]
        starts = [
            np.array_equal(frames[0], whole.read(0, s, 1)["frames"][0])
            or np.array_equal(frames[-1], whole.read(0, s, 1)["frames"][0])
            for s in (0, 1)
        ]
        assert any(starts)
    batches.close()


def test_a_video_source_crops_and_does_not_squeeze(tmp_path):
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:8] = 255  # Outside the central 2 : 1 part, rows 8..39.
    with FolderWriter(tmp_path / "a") as writer:
        writer.write(frame)
    source = VideoSource(tmp_path / "a", 32, 64, tmp_path / "cache")
    assert source.read(0, 0, 1)["frames"].max() == 0


def test_one_bad_video_among_good_ones_is_an_error(tmp_path):
    film(tmp_path / "a.mp4", 3)
    (tmp_path / "b.mp4").write_text("not a video")
    with pytest.raises(ValueError, match=r"b\.mp4: not a video"):
        VideoSource(tmp_path / "*.mp4", 16, 32, tmp_path / "cache")
    with pytest.raises(FileNotFoundError, match="no video matches"):
        VideoSource(tmp_path / "*.webm", 16, 32, tmp_path / "cache")


def test_the_synthetic_source_hands_on_everything_exact():
    world = World("street", height=16, width=32, clips=2, length=6)
    source = SyntheticSource(world)
    assert len(source) == 2 and source.lengths == [6, 6] and len(source.names) == 2
    assert source.provides == {"flow", "forward_flow", "labels"}
    clip, exact = source.read(1, 2, 3), world.frames(1, 2, 3)
    assert set(clip) == {"frames", "labels", "flow", "forward_flow"}
    for name, array in [
        ("frames", exact.frames),
        ("labels", exact.labels),
        ("flow", exact.backward),
        ("forward_flow", exact.forward),
    ]:
        np.testing.assert_array_equal(clip[name], array)


def test_the_synthetic_source_renders_no_flow_that_nobody_wants(monkeypatch):
    clip = World("street", height=16, width=32, clips=2, length=6).frames(1, 2, 3)
    monkeypatch.setattr(world_module, "_follow", None)
    source = SyntheticSource(World("street", height=16, width=32, clips=2, length=6), flow=False)
    assert source.provides == {"labels"}
    known = source.read(1, 2, 3)
    assert known.keys() == {"frames", "labels"}
    np.testing.assert_array_equal(known["frames"], clip.frames)
    np.testing.assert_array_equal(known["labels"], clip.labels)


def test_the_recordings_next_to_the_checkout(shared, tmp_path):
    source = VideoSource(shared / "data" / "real" / "highway_c*.mp4", 32, 64, tmp_path)
    assert source.lengths == [221]
    frames = np.asarray(source.read(0, 100, 3)["frames"])
    assert 60 < frames.mean() < 200 and frames.std() > 20
    steps = np.abs(np.diff(frames.astype(int), axis=0)).mean()
    assert 0 < steps < 20, "neighbouring frames of one shot"


def gappy(folder: pathlib.Path, numbers: list[int]) -> None:
    folder.mkdir()
    for number in numbers:
        frame = np.full((16, 32, 3), 5 * number, np.uint8)
        Image.fromarray(frame).save(folder / f"{number:04}.png")


def test_a_gap_in_a_folders_numbers_begins_a_clip(tmp_path):
    gappy(tmp_path / "a", [0, 1, 2, 3, 20, 21, 22, 40])
    film(tmp_path / "b", 5, 16, 32)
    source = VideoSource(tmp_path, 16, 32, tmp_path / "cache")
    assert source.lengths == [4, 3, 1, 5] and source.parts == {0, 1, 2}
    assert source.names[1].endswith("a from 0020.png")
    frames = source.read(1, 1, 2)["frames"]
    np.testing.assert_array_equal(frames[:, 0, 0, 0], [105, 110])
    # No batch holds frames of both sides of a gap; what is too short for a clip is left out.
    batches = make_batches(source, source, batch_size=2, frames=3, seed=0, threads=0)
    for _ in range(20):
        values = next(batches)["source"]["frames"][:, :, 0, 0, 0].astype(int)
        steps = np.abs(np.diff(values, axis=1))
        assert steps.max() <= 10 and values.max() <= 110
    batches.close()
    with pytest.raises(ValueError, match=r"b: only 5 frames, but a clip"):
        make_batches(source, source, batch_size=1, frames=6, seed=0)


def test_prepared_clips_between_gaps_may_be_short_too(tmp_path):
    gappy(tmp_path / "raw", [0, 1, 2, 3, 20, 40, 41, 42])
    prepare_main(["videos", f"--raw={tmp_path}/raw", f"--out={tmp_path}/out", "--size=16,32"])
    source = RecordSource(tmp_path / "out")
    assert source.lengths == [4, 1, 3] and source.parts == {0, 1, 2}
    assert [clip.number for clip in source.clips] == [0, 20, 40]
    make_batches(source, source, batch_size=1, frames=3, seed=0, threads=0).close()
