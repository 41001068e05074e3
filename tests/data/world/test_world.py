"""The synthetic driving world keeps its promises: exact flow, labels, masks, and purity."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import pytest

from v2v_jax.data.world.scene import FOCAL, HORIZON
from v2v_jax.data.world.world import DOMAINS, SPLITS, SyntheticClip, World

GROUND_IDS, CAR, SKY, BUILDING, VEGETATION = (0, 1, 9), 13, 10, 2, 8


@functools.cache
def clip(domain: str, index: int = 1, start: int = 20, count: int = 6) -> SyntheticClip:
    return World(domain).frames(index, start, count)


def grid(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows], -1).astype(np.float32)


def sample(picture: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Bilinear, clamped at the border."""
    return cv2.remap(
        picture.astype(np.float32),
        at[..., 0],
        at[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def nearest(picture: np.ndarray, at: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    x, y = np.rint(at).astype(int).transpose(2, 0, 1)
    return picture[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]


def inside(at: np.ndarray) -> np.ndarray:
    height, width = at.shape[:2]
    return np.all((at >= 0) & (at <= (width - 1, height - 1)), axis=-1)


def pairs(c: SyntheticClip):
    """Per pair: t, where frame t's pixels lay in frame t-1, and its visible and unshaded pixels."""
    for t in range(1, len(c.frames)):
        at = grid(*c.labels.shape[1:]) + c.backward[t - 1]
        yield t, at, ~c.occluded[t - 1], ~c.shaded[t - 1]


def assert_same(a: SyntheticClip, b: SyntheticClip) -> None:
    for name, one, other in zip(a._fields, a, b, strict=True):
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_clip_is_a_function_of_its_name_and_a_frame_of_its_number(domain):
    world = World(domain, height=32, width=64, length=60)
    for index in (0, 5):
        whole = world.frames(index)
        assert_same(whole, World(domain, height=32, width=64, length=60).frames(index))
        for start, count in ((0, 1), (5, 3), (57, 3)):
            stop = start + count
            part = SyntheticClip(
                whole.frames[start:stop],
                whole.labels[start:stop],
                *(field[start : stop - 1] for field in whole[2:]),
            )
            assert_same(world.frames(index, start, count), part)


def test_a_frame_does_not_depend_on_the_length_of_its_clip():
    long, short = World("street", length=500), World("street", length=12)
    assert_same(long.frames(2, 8, 3), short.frames(2, 8, 3))


def test_clips_splits_domains_and_seeds_differ():
    worlds = [World(domain, split) for domain in DOMAINS for split in SPLITS]
    worlds.append(World(DOMAINS[0], seed=1))
    pictures = [world.frames(index, 3, 1).labels for world in worlds for index in (0, 1)]
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert (one != other).mean() > 0.02


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("index", [0, 3])
def test_backward_flow_reproduces_the_frame(domain, index):
    c = clip(domain, index)
    cars = []
    for t, at, visible, unshaded in pairs(c):
        error = np.abs(sample(c.frames[t - 1], at) - c.frames[t])
        kept = visible & unshaded
        assert kept.mean() > 0.5
        assert np.median(error[kept]) <= 2
        assert error[kept].mean() <= 4
        cars.append(error[kept & (c.labels[t] == CAR)])
        still = np.abs(c.frames[t - 1].astype(float) - c.frames[t])
        assert still[kept].mean() > 1.2 * error[kept].mean(), "the flow explains no motion"
    assert np.median(np.concatenate(cars)) <= 3


@pytest.mark.parametrize("domain", DOMAINS)
def test_forward_flow_inverts_backward_flow(domain):
    c = clip(domain)
    for t, at, visible, unshaded in pairs(c):
        loop = np.linalg.norm(c.backward[t - 1] + sample(c.forward[t - 1], at), axis=-1)
        assert np.quantile(loop[visible & unshaded], 0.98) < 0.1


@pytest.mark.parametrize("domain", DOMAINS)
def test_labels_follow_the_flow(domain):
    c = clip(domain)
    for t, at, visible, unshaded in pairs(c):
        # A border between road and sidewalk runs through pixels: any of the four around will do.
        around = [np.floor(at) + shift for shift in ((0, 0), (0, 1), (1, 0), (1, 1))]
        same = np.any([nearest(c.labels[t - 1], tap) == c.labels[t] for tap in around], axis=0)
        exact = nearest(c.labels[t - 1], at) == c.labels[t]
        things = ~np.isin(c.labels[t], GROUND_IDS)
        assert same[visible & unshaded].mean() >= 0.995
        assert exact[visible & unshaded & things].all()
        assert exact[visible].mean() >= 0.98


@pytest.mark.parametrize("domain", DOMAINS)
def test_ground_is_occluded_where_something_else_stood_there(domain):
    """The ground is one plane, so the labels alone say what of it was hidden."""
    behind_cars = 0
    for c in (clip(domain, index) for index in range(4)):
        for t, at, visible, _ in pairs(c):
            ground = np.isin(c.labels[t], GROUND_IDS)
            before = nearest(c.labels[t - 1], at)
            expected = inside(at) & np.isin(before, GROUND_IDS)
            np.testing.assert_array_equal(visible[ground], expected[ground])
            behind_cars += (ground & ~visible & inside(at) & (before == CAR)).sum()
    assert behind_cars > 20


@pytest.mark.parametrize("domain", DOMAINS)
def test_what_lay_out_of_frame_is_occluded(domain):
    outside = 0
    for _, at, visible, _ in pairs(clip(domain)):
        assert not visible[~inside(at)].any()
        assert visible[inside(at)].mean() > 0.9
        outside += (~inside(at)).sum()
    assert outside > 0


def test_sky_moves_by_the_cameras_rotation_alone():
    c = clip("game")
    height, width = c.labels.shape[1:]
    intrinsic = np.array(
        [[FOCAL * width, 0, (width - 1) / 2], [0, FOCAL * width, (height - 1) / 2], [0, 0, 1]]
    )
    for t, at, _, _ in pairs(c):
        sky = c.labels[t] == SKY
        found, _ = cv2.findHomography(grid(height, width)[sky].astype(float), at[sky].astype(float))
        rotation = np.linalg.inv(intrinsic) @ found @ intrinsic
        rotation /= np.cbrt(np.linalg.det(rotation))
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=2e-3)
        mapped = cv2.perspectiveTransform(grid(height, width)[sky][None], found)[0]
        np.testing.assert_allclose(mapped, at[sky], atol=0.01)


def project(points: np.ndarray, pose, camera_height: float, height: int, width: int) -> np.ndarray:
    """Ground points (X, Z) to pixels, by yaw, then pitch."""
    x, z, yaw, wobble = pose
    focal = FOCAL * width
    pitch = np.arctan((0.5 - HORIZON) * height / focal) + wobble
    across, along = points[:, 0] - x, points[:, 1] - z
    right = np.cos(yaw) * across - np.sin(yaw) * along
    forward = np.sin(yaw) * across + np.cos(yaw) * along
    depth = np.cos(pitch) * forward + np.sin(pitch) * camera_height
    down = np.cos(pitch) * camera_height - np.sin(pitch) * forward
    u, v = focal * right / depth + (width - 1) / 2, focal * down / depth + (height - 1) / 2
    return np.stack([u, v], -1).astype(np.float32)


@pytest.mark.parametrize("domain, camera_height", [("game", 1.25), ("street", 1.5)])
def test_the_road_expands_as_the_plane_it_is(domain, camera_height):
    world, start = World(domain), 20
    c = clip(domain, 1, start)
    drive = world._painter(1, start, start).scene.drive
    height, width = c.labels.shape[1:]
    for t in range(1, len(c.frames)):
        z = drive.along(start + t)
        points = np.stack(np.meshgrid(np.linspace(-3, 5, 25), np.linspace(z + 3, z + 15, 25)), -1)
        points = points.reshape(-1, 2)
        now, before = (
            project(points, drive.pose(start + t - k), camera_height, height, width) for k in (0, 1)
        )
        road = sample((c.labels[t] == 0).astype(np.uint8), now[None])[0] == 1
        road &= ((now >= 0) & (now <= (width - 1, height - 1))).all(-1)
        assert road.sum() > 100
        flow = sample(c.backward[t - 1], now[None])[0]
        np.testing.assert_allclose(flow[road], (before - now)[road], atol=0.02)


@pytest.mark.parametrize("domain, camera_height", [("game", 1.25), ("street", 1.5)])
def test_road_sidewalk_and_verge_are_labelled_by_their_distance_from_the_axis(
    domain, camera_height
):
    seen = dict.fromkeys(GROUND_IDS, 0)
    for index in range(4):
        frame = World(domain).frames(index, 20, 1)
        scene = World(domain)._painter(index, 20, 20).scene
        height, width = frame.labels[0].shape
        x, z = np.meshgrid(np.arange(-14, 14, 0.25), scene.drive.along(20) + np.arange(4, 14, 0.25))
        points = np.stack([x, z], -1).reshape(-1, 2)
        at = project(points, scene.drive.pose(20), camera_height, height, width)
        away = np.abs(points[:, 1:] - scene.crossings).min(1) > 7
        shown = away & np.all((at >= 0) & (at <= (width - 1, height - 1)), axis=-1)
        labels = nearest(frame.labels[0], at[shown][None])[0]
        aside = np.abs(points[shown, 0])
        # A pixel is up to 0.8 m wide here.
        for label, (low, high) in {0: (0, 5.2), 1: (6.8, 8.4), 9: (10, 14)}.items():
            found = labels[(aside > low) & (aside < high)]
            found = found[np.isin(found, GROUND_IDS)]
            assert (found == label).all()
            seen[label] += len(found)
    assert min(seen[0], seen[1]) > 5 and (domain == "street" or seen[9] > 20)


def test_domains_differ_in_classes_and_colour():
    shares, saturation = {}, {}
    for domain in DOMAINS:
        world = World(domain, height=32, width=64)
        clips = [world.frames(index, start, 1) for index in range(12) for start in (0, 60)]
        labels = np.stack([c.labels for c in clips])
        shares[domain] = {label: (labels == label).mean() for label in range(19)}
        colours = np.stack([c.frames for c in clips]).reshape(len(clips), -1, 3).astype(float)
        saturation[domain] = (colours.max(-1) - colours.min(-1)).mean(1)
        assert set(np.unique(labels)) <= {0, 1, 2, 5, 7, 8, 9, 10, 11, 13}
    assert 0.33 < shares["game"][SKY] < 0.47
    assert shares["street"][SKY] < 0.12
    built = {domain: shares[domain][BUILDING] + shares[domain][VEGETATION] for domain in DOMAINS}
    assert built["street"] > 2.5 * built["game"]
    assert abs(shares["game"][0] - shares["street"][0]) < 0.15, "the road's layout is shared"
    assert saturation["game"].min() > 1.5 * saturation["street"].max()


@pytest.mark.parametrize("height, width", [(8, 8), (33, 71), (96, 40), (20, 200)])
def test_any_size(height, width):
    for domain in DOMAINS:
        c = World(domain, height=height, width=width).frames(0, 4, 3)
        assert c.frames.shape == (3, height, width, 3) and c.frames.dtype == np.uint8
        assert c.labels.shape == (3, height, width) and c.labels.dtype == np.uint8
        for flow in (c.backward, c.forward):
            assert flow.shape == (2, height, width, 2) and flow.dtype == np.float32
            assert np.isfinite(flow).all()
        for mask in (c.occluded, c.shaded):
            assert mask.shape == (2, height, width) and mask.dtype == bool


def test_a_single_frame_has_no_flow():
    c = World("game", height=16, width=32).frames(0, 2, 1)
    assert c.backward.shape == c.forward.shape == (0, 16, 32, 2)
    assert c.occluded.shape == c.shaded.shape == (0, 16, 32)


def test_bad_requests_say_what_is_wrong():
    world = World("game", clips=3, length=10)
    assert len(world) == 3
    for index in (-1, 3):
        with pytest.raises(IndexError, match=r"0\.\.2"):
            world.frames(index)
    for start, count in ((-1, 2), (0, 0), (8, 3), (10, None)):
        with pytest.raises(ValueError, match="clip of 10 frames"):
            world.frames(0, start, count)
    with pytest.raises(ValueError, match="game, street"):
        World("games")
    with pytest.raises(ValueError, match="train, val, test"):
        World("game", "dev")
    with pytest.raises(ValueError, match="width"):
        World("game", width=4)
    with pytest.raises(ValueError, match="seed"):
        World("game", seed=-1)
