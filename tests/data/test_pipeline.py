from __future__ import annotations

import dataclasses
import itertools
import threading
from typing import Any

import numpy as np
import pytest

from v2v_jax.data.pipeline import make_batches
from v2v_jax.data.sources import SyntheticSource, placed
from v2v_jax.data.transforms import Arrays
from v2v_jax.data.world.world import World


@dataclasses.dataclass(frozen=True)
class Numbered:
    """Pixels tell the domain, the video and the frame; flow tells which pair and direction."""

    domain: int
    lengths: list[int]
    provides: frozenset[str] = frozenset({"flow", "forward_flow", "labels"})
    size: tuple[int, int] | None = None

    @property
    def names(self) -> list[str]:
        return [f"video {index}" for index in range(len(self))]

    def __len__(self) -> int:
        return len(self.lengths)

    def read(self, index: int, start: int, count: int, *, into: np.ndarray | None = None) -> Arrays:
        assert start >= 0 and start + count <= self.lengths[index]
        numbers = np.arange(start, start + count)
        frames = np.zeros((count, 2, 4, 3), np.uint8)
        frames[..., 0], frames[..., 1] = self.domain, index
        frames[..., 2] = numbers[:, None, None]
        flow = np.zeros((count - 1, 2, 4, 2), np.float32)
        flow[..., 0] = numbers[1:, None, None]
        known = {"flow": flow, "forward_flow": flow + 0.5, "labels": frames[..., 2]}
        return {"frames": placed(frames, into)} | {name: known[name] for name in self.provides}


SOURCE, TARGET = Numbered(0, [9, 30, 5]), Numbered(1, [12, 4, 4, 8])


def take(count: int, *, first: Numbered = SOURCE, second: Numbered = TARGET, **changes: Any):
    settings: dict[str, Any] = {"batch_size": 4, "frames": 3, "seed": 1} | changes
    batches = make_batches(first, second, **settings)
    try:
        return list(itertools.islice(batches, count))
    finally:
        batches.close()


def assert_equal(a: dict[str, Arrays], b: dict[str, Arrays]) -> None:
    assert a.keys() == b.keys()
    for domain in a:
        assert a[domain].keys() == b[domain].keys()
        for name in a[domain]:
            assert a[domain][name].dtype == b[domain][name].dtype
            np.testing.assert_array_equal(a[domain][name], b[domain][name])


def test_shapes_types_and_domains():
    (batch,) = take(1, use_given_flow=True, labels=True)
    for index, domain in enumerate(("source", "target")):
        clip = batch[domain]
        assert {name: (array.shape, array.dtype) for name, array in clip.items()} == {
            "frames": ((4, 3, 2, 4, 3), np.uint8),
            "flow": ((4, 2, 2, 4, 2), np.float32),
            "labels": ((4, 3, 2, 4), np.int32),
        }
        assert (clip["frames"][..., 0] == index).all()
        assert all(array.flags.c_contiguous and array.flags.writeable for array in clip.values())
    assert set(take(1)[0]["source"]) == {"frames"}


@pytest.mark.parametrize("threads", [0, 2])
def test_resuming_at_a_step_is_going_on(threads):
    whole = take(30, threads=threads)
    for step in (1, 7, 29):
        for a, b in zip(whole[step:], take(30 - step, step=step, threads=2), strict=True):
            assert_equal(a, b)


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_prepare_the_same_batches(workers):
    """Also from the middle of the stream, and as one process of two."""
    world = World("game", "train", 3, 16, 32, clips=2, length=6)
    sources = {"first": SyntheticSource(world), "second": SyntheticSource(world)}
    settings = {"batch_size": 2, "step": 3, "process_index": 1, "process_count": 2, **sources}
    for a, b in zip(take(3, **settings), take(3, workers=workers, **settings), strict=True):
        assert_equal(a, b)


@dataclasses.dataclass(frozen=True)
class Mapped(Numbered):
    """Its frames are views that nobody may write to, as those of a memory-mapped video are."""

    def read(self, index: int, start: int, count: int, *, into: np.ndarray | None = None) -> Arrays:
        known = super().read(index, start, count, into=into)
        known["frames"].flags.writeable = into is not None
        return known


@pytest.mark.parametrize("use_given_flow", [False, True])
def test_decoding_in_place_is_the_same_stream(use_given_flow):
    """A source that tells its size gets the batch's own memory to decode into."""
    given = {"use_given_flow": use_given_flow, "labels": True, "temporal_flip": 0.5}
    told = [dataclasses.replace(domain, size=(2, 4)) for domain in (SOURCE, TARGET)]
    for a, b in zip(take(6, **given), take(6, first=told[0], second=told[1], **given), strict=True):
        assert_equal(a, b)


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("flip", [0, 1])
def test_batches_are_no_views_of_their_source(batch_size, flip):
    for batch in take(3, first=Mapped(0, [9]), batch_size=batch_size, temporal_flip=flip):
        for clip in batch.values():
            frames = clip["frames"]
            assert frames.flags.c_contiguous and frames.flags.writeable
            assert type(frames) is np.ndarray


@dataclasses.dataclass(frozen=True)
class Placed(Numbered):
    """Pixels tell their row and column, labels and flow too."""

    def read(self, index: int, start: int, count: int, *, into: np.ndarray | None = None) -> Arrays:
        place = np.moveaxis(np.mgrid[:6, :9], 0, -1)[None].repeat(count, 0)
        frames = np.concatenate([place, place[..., :1]], axis=-1).astype(np.uint8)
        flow = place[1:].astype(np.float32)
        known = {"labels": frames[..., 0], "flow": flow, "forward_flow": flow}
        return known | {"frames": placed(frames, into)}


def test_a_clip_is_cropped_at_one_place():
    domain = Placed(0, [8, 8])
    both = {"first": domain, "second": domain, "use_given_flow": True, "labels": True}
    batches = take(40, size=(4, 6), **both)
    corners = set()
    for batch in batches:
        clip = batch["source"]
        assert clip["frames"].shape == (4, 3, 4, 6, 3)
        for row in range(4):
            top, left, _ = clip["frames"][row, 0, 0, 0]
            wanted = np.moveaxis(np.mgrid[top : top + 4, left : left + 6], 0, -1)
            np.testing.assert_array_equal(clip["frames"][row, ..., :2], wanted[None].repeat(3, 0))
            np.testing.assert_array_equal(clip["flow"][row], wanted[None].repeat(2, 0))
            np.testing.assert_array_equal(clip["labels"][row, 0], wanted[..., 0])
            corners.add((top, left))
    assert corners == {(top, left) for top in range(3) for left in range(4)}
    # The crop does not move the clips in time.
    for a, b in zip(take(40), take(40, size=(1, 2)), strict=True):
        np.testing.assert_array_equal(a["source"]["frames"][:, :, :1, :2], b["source"]["frames"])
    with pytest.raises(ValueError, match="part of 8x6 was asked of frames of 6x9"):
        take(1, size=(8, 6), **both)


def test_another_seed_gives_another_stream_and_the_domains_are_unglued():
    one, other = take(20), take(20, seed=2)
    assert any((a["source"]["frames"] != b["source"]["frames"]).any()
               for a, b in zip(one, other, strict=True))  # fmt: skip
    twins = take(20, first=Numbered(0, [30] * 5), second=Numbered(0, [30] * 5))
    same = [np.mean(b["source"]["frames"] == b["target"]["frames"]) == 1 for b in twins]
    assert not any(same)
    # Nor may one domain's stream come back as the other's under a neighbouring seed.
    next_twins = take(20, first=Numbered(0, [30] * 5), second=Numbered(0, [30] * 5), seed=2)
    assert any((a["target"]["frames"] != b["source"]["frames"]).any()
               for a, b in zip(twins, next_twins, strict=True))  # fmt: skip


@pytest.mark.parametrize("processes", [2, 4])
def test_the_global_batch_does_not_depend_on_the_number_of_processes(processes):
    whole = take(12, use_given_flow=True, labels=True)
    parts = [
        take(7, step=5, use_given_flow=True, labels=True, process_index=p, process_count=processes)
        for p in range(processes)
    ]
    for batch, rows in zip(whole[5:], zip(*parts, strict=True), strict=True):
        joined = {
            domain: {
                name: np.concatenate([row[domain][name] for row in rows]) for name in batch[domain]
            }
            for domain in batch
        }
        assert_equal(joined, batch)


def test_every_epoch_visits_every_video_as_often_as_its_length_earns():
    source = Numbered(0, [9, 30, 6])  # 3, 10 and 2 windows of K = 3: an epoch of 15 clips.
    batches = take(6, first=source, batch_size=15)
    orders, starts = [], []
    for batch in batches:
        frames = batch["source"]["frames"]
        orders.append(frames[:, 0, 0, 0, 1])
        assert np.bincount(orders[-1]).tolist() == [3, 10, 2]
        starts.append(frames[:, :, 0, 0, 2].min(1)[orders[-1] == 1])
        edges = np.arange(11) * 28 // 10
        assert sorted(np.searchsorted(edges, starts[-1], "right")) == list(range(1, 11))
    assert len({tuple(order) for order in orders}) > 1, "reshuffled"
    assert len({tuple(sorted(start)) for start in starts}) > 1, "starts are drawn anew"


def test_starts_are_uniform_over_a_long_video():
    batches = take(60, first=Numbered(0, [40]), batch_size=13)
    starts = np.concatenate([b["source"]["frames"][:, :, 0, 0, 2].min(1) for b in batches])
    counts = np.bincount(starts, minlength=38)
    assert len(counts) == 38 and counts.min() > 5 and counts.max() < 45  # 780 / 38 = 20.5.


def test_the_flip_takes_the_whole_clip_and_the_flow_of_the_other_direction():
    directions = []
    for batch in take(40, use_given_flow=True, labels=True):
        for clip, flow, labels in zip(
            *(batch["source"][name] for name in ("frames", "flow", "labels")), strict=True
        ):
            numbers = clip[:, 0, 0, 2].astype(int)
            np.testing.assert_array_equal(labels[:, 0, 0], numbers)
            step = np.diff(numbers)
            assert abs(step[0]) == 1 and (step == step[0]).all()
            directions.append(step[0])
            # Pair (t, t + 1) has backward flow t + 1 and forward flow t + 1.5.
            pairs = np.maximum(numbers[1:], numbers[:-1])
            np.testing.assert_array_equal(flow[:, 0, 0, 0], pairs + (0.5 if step[0] < 0 else 0))
    assert 0.35 < np.mean(np.array(directions) < 0) < 0.65
    for probability, sign in ((0.0, 1), (1.0, -1)):
        for batch in take(5, temporal_flip=probability):
            assert (np.diff(batch["target"]["frames"][..., 0, 0, 2].astype(int)) == sign).all()


def difference(current: np.ndarray, previous: np.ndarray) -> np.ndarray:
    """A host flow that tells which frames it was given, in which order."""
    both = np.stack([current[..., 2], previous[..., 2]], -1)
    return both.astype(np.float32)


def test_flow_is_estimated_after_the_flip_for_every_pair():
    for batch in take(10, second=Numbered(1, [12, 8]), flow=difference, stride=2):
        for clip in batch.values():
            numbers = clip["frames"][..., 2].astype(np.float32)
            np.testing.assert_array_equal(clip["flow"][..., 0], numbers[:, 1:])
            np.testing.assert_array_equal(clip["flow"][..., 1], numbers[:, :-1])
            assert (np.abs(np.diff(numbers, axis=1)) == 2).all()


def test_the_direction_the_data_lack_is_estimated():
    """VIPER knows the flow to the next frame only: exact for clips played backwards."""
    directions = set()
    for batch in take(20, first=FORTH, use_given_flow=True, flow=difference):
        for clip, flow in zip(*(batch["source"][k] for k in ("frames", "flow")), strict=True):
            numbers = clip[:, 0, 0, 2].astype(np.float32)
            backwards = numbers[0] > numbers[1]
            directions.add(backwards)
            wanted = numbers[:-1] + 0.5 if backwards else numbers[1:]
            np.testing.assert_array_equal(flow[:, 0, 0, 0], wanted)
    assert directions == {True, False}


@dataclasses.dataclass(frozen=True)
class Patchy(Numbered):
    """The left half of every flow is unknown."""

    def read(self, index: int, start: int, count: int, *, into: np.ndarray | None = None) -> Arrays:
        known = super().read(index, start, count, into=into)
        valid = np.arange(4)[None, None] >= 2
        valid = np.broadcast_to(valid, known["flow"].shape[:3])
        return known | {"flow_valid": valid, "forward_flow_valid": valid}


def test_unknown_flow_points_out_of_the_frame():
    for batch in take(4, first=Patchy(0, [9, 30]), use_given_flow=True):
        flow = batch["source"]["flow"]
        assert (flow[..., :2, :] >= 1e5).all() and (np.abs(flow[..., 2:, :]) < 100).all()


def test_the_synthetic_world_goes_through_with_its_flow():
    worlds = [World(d, height=16, width=32, clips=2, length=5) for d in ("game", "street")]
    source, target = map(SyntheticSource, worlds)
    batches = make_batches(source, target, batch_size=2, frames=3, seed=0, use_given_flow=True)
    batch = next(batches)
    batches.close()
    assert batch["target"]["flow"].shape == (2, 2, 16, 32, 2)
    assert np.abs(batch["target"]["flow"]).max() > 0.1


def test_closing_stops_the_threads():
    before = threading.active_count()
    batches = make_batches(SOURCE, TARGET, batch_size=4, frames=3, seed=0, threads=3)
    next(batches)
    assert threading.active_count() > before
    batches.close()
    for thread in threading.enumerate():
        if thread.name.startswith("grain-prefetch"):
            thread.join(timeout=10)
    assert not [t for t in threading.enumerate() if t.name.startswith("grain-prefetch")]


NOTHING = dataclasses.replace(SOURCE, provides=frozenset())
FORTH = dataclasses.replace(SOURCE, provides=frozenset({"forward_flow"}))
BACK = dataclasses.replace(SOURCE, provides=frozenset({"flow"}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 3, "process_count": 2}, "3 clips cannot be divided among 2 processes"),
        ({"frames": 6}, r"video 2: only 5 frames, but a clip needs K = 6 frames: leave it out"),
        ({"frames": 5, "stride": 2}, r"video 2: only 5 frames, .* at stride 2, that is 9"),
        ({"frames": 31}, r"video 0: only 9 frames \(and 2 more videos\)"),
        ({"use_given_flow": True, "stride": 2}, "needs stride 1"),
        ({"use_given_flow": True, "first": NOTHING}, "no backward flow is known for video 0"),
        ({"use_given_flow": True, "first": FORTH}, "no backward flow .* temporal flip of 1"),
        ({"use_given_flow": True, "first": BACK}, "no forward flow .* temporal flip of 0"),
        ({"labels": True, "first": NOTHING, "second": NOTHING}, "neither domain has any"),
        ({"temporal_flip": 1.5}, "probability"),
        ({"seed": -1}, "must not be negative"),
        ({"workers": -1}, "must not be negative"),
        ({"frames": 0}, "at least 1"),
    ],
)
def test_bad_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message) as error:
        take(1, **changes)
    assert "\n" not in str(error.value)


def test_labels_come_from_the_domain_that_has_them():
    (batch,) = take(1, labels=True, second=dataclasses.replace(TARGET, provides=frozenset()))
    assert "labels" in batch["source"]


def test_flow_of_one_domain_is_neither_read_nor_estimated_for_the_other():
    """What it gets besides is the same stream, bit for bit."""
    pairs: list[int] = []

    def estimate(current, previous):
        pairs.append(int(current[0, 0, 0]))
        return np.zeros((2, 4, 2), np.float32)

    for options in ({"flow": estimate}, {"use_given_flow": True}):
        options |= {"threads": 0, "labels": True}
        whole = take(5, **options)
        pairs.clear()
        part = take(5, flow_of=("source",), **options)
        assert set(pairs) <= {SOURCE.domain}
        for ours, all_of_it in zip(part, whole, strict=True):
            assert all_of_it["target"].pop("flow").shape == (4, 2, 2, 4, 2)
            assert_equal(ours, all_of_it)
    # Nor must it be known, where nobody asks for it.
    (batch,) = take(1, use_given_flow=True, flow_of=("source",), second=NOTHING)
    assert batch["target"].keys() == {"frames"}
    (batch,) = take(1, use_given_flow=True, flow_of=(), stride=2, second=NOTHING)
    assert batch["source"].keys() == {"frames"}
    with pytest.raises(ValueError, match="no backward flow is known for video 0"):
        take(1, use_given_flow=True, flow_of=("source",), first=NOTHING)
