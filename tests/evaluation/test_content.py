"""What needs no truth: patches of a class, fine detail, lane markings; hand-computed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from v2v_jax.evaluation import content

ROAD, SKY, CAR = 0, 10, 13
SHAPE = (2, 28, 40)


def flat(value: int = 100) -> np.ndarray:
    return np.full((*SHAPE, 3), value, np.uint8)


def road(line: int) -> np.ndarray:
    """A road with a vertical line, two pixels wide, so much brighter."""
    video = flat().astype(int)
    video[:, :, 10:12] += line
    return video.astype(np.uint8)


def figures(videos, labels, alike=None, reference=None):
    return dict(content.content_figures([content.content_sums(videos, labels, alike)], reference))


def test_lines_stand_out_shadows_do_not():
    lines = content.thin_lines(road(40))
    assert lines[:, :, 10:12] == pytest.approx(40) and not lines[:, :, :8].any()
    assert content.thin_lines(road(-40))[:, :, 10:12] == pytest.approx(-40)
    shadow = flat()
    shadow[:, :, 20:] = 60
    assert not content.thin_lines(shadow).any()


def test_markings_are_over_the_sources_and_negative_where_inverted():
    labels = np.zeros(SHAPE, np.uint8)
    found = figures({"source": road(60), "output": road(30), "raw": road(-60)}, labels)
    assert found["markings/source"] == 1
    assert found["markings/output"] == pytest.approx(0.5)
    assert found["markings/raw"] == pytest.approx(-1)
    # Lines elsewhere are none of the road's, and of too few nothing is said.
    assert not figures({"source": road(60), "output": road(60)}, labels + SKY)
    assert not figures({"source": road(10), "output": road(60)}, labels)


def test_detail_is_what_a_small_mean_takes_away():
    labels = np.full(SHAPE, SKY, np.uint8)
    board = flat()
    board[:, ::2, ::2] = 109  # By hand: the mean of nine is 101, 102 or, between four dots, 104.
    sums = content.detail(board, labels)
    assert sums[SKY, 0] == math.prod(SHAPE) and not np.delete(sums, SKY, 0).any()
    middle = np.mean(np.square([109 - 101, 100 - 102, 100 - 102, 100 - 104]))
    assert sums[SKY, 1] / sums[SKY, 0] == pytest.approx(middle, rel=0.05)
    assert not content.detail(flat(), labels)[:, 1].any()


def test_detail_leaves_out_where_classes_meet():
    labels = np.full(SHAPE, SKY, np.uint8)
    labels[:, :, 20:] = ROAD
    video = flat()
    video[:, :, 20:] = 200
    sums = content.detail(video, labels)
    assert not sums[:, 1].any() and sums[SKY, 0] == 2 * 28 * 18 == sums[ROAD, 0]


def test_detail_is_compared_class_by_class():
    rng = np.random.default_rng(0)
    labels = np.full(SHAPE, SKY, np.uint8)
    labels[:, 14:] = ROAD
    noise = rng.normal(0, 4, (*SHAPE, 1))

    def noisy(sky: float, road: float) -> np.ndarray:
        strength = np.where(labels == SKY, sky, road)[..., None]
        return np.rint(128 + strength * noise).repeat(3, -1).astype(np.uint8)

    reference = content.detail(noisy(1, 2), labels)
    found = figures({"source": noisy(1, 2), "output": noisy(3, 1)}, labels, None, reference)
    assert found["detail_least/source"] == found["detail_most/source"] == 1
    assert found["detail_most/output"] == pytest.approx(9, rel=0.1)
    assert found["detail_least/output"] == pytest.approx(1 / 4, rel=0.1)
    # A class that the target hardly shows is no measure.
    reference[ROAD] = 0
    found = figures({"source": noisy(1, 2), "output": noisy(1, 0)}, labels, None, reference)
    assert found["detail_least/output"] == 1


def test_shares_are_a_mean_over_classes_and_the_least_of_a_large_one():
    def alike(frames, labels):
        counts = np.zeros((19, 2), int)
        counts[ROAD], counts[SKY], counts[CAR] = (60, 60), (38, 19), (2, 0)
        return counts

    videos, labels = {"source": flat()}, np.zeros(SHAPE, np.uint8)
    found = figures(videos, labels, alike)
    assert found["like_target/source"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert found["like_target_least/source"] == 0.5
    one = content.content_sums(videos, labels, alike)
    other = content.content_sums(videos, labels, lambda *_: np.array([[100, 0]] * 19))
    both = dict(content.content_figures([one, other], None))
    assert both["like_target_least/source"] == 0


def test_sharpness_is_the_mean_squared_step():
    assert content.sharpness(flat()) == 0
    stripes = flat(0)
    stripes[:, :, ::2] = 10
    assert content.sharpness(stripes) == pytest.approx(100)


def test_labels_beyond_the_classes_count_nowhere():
    labels = np.full(SHAPE, 255, np.int32)
    labels[0] = -1
    sums = content.content_sums({"source": road(60)}, labels, None)
    assert not sums["detail/source"].any() and not sums["markings/source"].any()
