"""Distances to the truth: hand-computed values, and parity with OpenCV and SciPy."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from scipy import ndimage

from v2v_jax.data.world import World
from v2v_jax.evaluation import truth as t

SHAPE = (3, 24, 32, 3)


def noise(seed: int = 0, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def waves(frequency: float, amplitude: float = 60.0, shape=(2, 64, 64, 3)) -> np.ndarray:
    """Vertical stripes of so many cycles per pixel."""
    wave = 128 + amplitude * np.cos(2 * np.pi * frequency * np.arange(shape[2]))
    return np.broadcast_to(np.rint(wave)[:, None], shape).astype(np.uint8)


def test_equal_videos_have_no_distance():
    found = t.compare(noise(), noise()).distance()
    assert found == (math.inf, pytest.approx(1.0), 0.0, 0.0)


def test_a_constant_shift_has_the_distances_computed_by_hand():
    found = t.compare(np.full(SHAPE, 100, np.uint8), np.full(SHAPE, 110, np.uint8)).distance()
    assert found.l1 == pytest.approx(10)
    assert found.psnr == pytest.approx(20 * math.log10(255 / 10))
    assert found.ssim == pytest.approx((2 * 100 * 110 + 6.5025) / (100**2 + 110**2 + 6.5025))


def test_channels_and_frames_count_alike():
    video = np.zeros(SHAPE, np.uint8)
    video[0, ..., 0] = 30
    found = t.compare(video, np.zeros(SHAPE, np.uint8)).distance()
    assert found.l1 == pytest.approx(30 / 3 / 3)
    assert found.psnr == pytest.approx(10 * math.log10(255**2 / (900 / 9)))


def test_classes_and_frames_are_told_apart_and_unlabelled_pixels_count_in_the_whole():
    truth, labels = np.full(SHAPE, 50, np.uint8), np.zeros(SHAPE[:3], np.uint8)
    labels[:, :, 8:16], labels[:, :, 16:] = 10, t.UNLABELLED
    video = truth.copy()
    video[:, :, 8:16] += 8
    video[1:, :, 16:] += 20
    found = t.compare(video, truth, labels)
    by_class = found.by_class()
    assert sorted(by_class) == [0, 10]
    assert by_class[0].l1 == 0 and by_class[0].psnr == math.inf and by_class[0].delta_e == 0
    assert by_class[10].l1 == pytest.approx(8)
    assert found.distance(slice(0, 1)).l1 == pytest.approx(8 / 4)
    assert found.distance(slice(1, 3)).l1 == pytest.approx(8 / 4 + 20 / 2)
    # Windows at the border of a class see its neighbour, so SSIM alone differs between frames.
    first = found.by_class(slice(0, 1))[10]
    assert first._replace(ssim=0) == pytest.approx(by_class[10]._replace(ssim=0))
    assert first.ssim > by_class[10].ssim
    absent = found.distance(label=3)
    assert all(math.isnan(value) for value in absent)


def test_the_similarity_of_a_class_is_that_of_its_own_pixels():
    truth = noise()
    video, labels = truth.copy(), np.zeros(SHAPE[:3], np.uint8)
    video[:, :, :10] = noise(1)[:, :, :10]
    labels[:, :, 16:] = 1
    found = t.compare(video, truth, labels).by_class()
    assert found[1].ssim == pytest.approx(1.0) and found[0].ssim < 0.7


def test_several_clips_pool_their_pixels():
    truth = np.zeros(SHAPE, np.uint8)
    short = t.compare(np.full((1, *SHAPE[1:]), 40, np.uint8), truth[:1])
    both = t.Comparison.clips([short, t.compare(truth, truth)])
    assert both.distance().l1 == pytest.approx(10) and len(both.pixels) == 4


def test_similarity_agrees_with_scipy():
    """Wang et al.'s index out of SciPy's Gaussian filter, cut where its window sticks out."""
    first, second = (picture[0] @ [0.299, 0.587, 0.114] for picture in (noise(2), noise(3)))
    second = 0.6 * first + 0.4 * second

    def blur(picture):
        return ndimage.gaussian_filter(picture, 1.5, truncate=5 / 1.5)[5:-5, 5:-5]

    a, b = blur(first), blur(second)
    variance = blur(first**2) - a**2 + blur(second**2) - b**2
    covariance = blur(first * second) - a * b
    expected = (2 * a * b + 6.5025) * (2 * covariance + 58.5225)
    expected /= (a**2 + b**2 + 6.5025) * (variance + 58.5225)
    found = t.structural_similarity(first, second)
    assert found.shape == (14, 22) and found.mean() < 0.9
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize(
    "rgb, lab",
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.2408, 80.0925, 67.2032)),
        ((0, 0, 255), (32.2970, 79.1875, -107.8602)),
        ((119, 119, 119), (50.0344, 0, 0)),
    ],
)
def test_colours_have_their_published_places(rgb, lab):
    np.testing.assert_allclose(t.cielab(np.array(rgb, np.uint8)), lab, atol=0.02)


def test_colour_difference_agrees_with_opencv():
    one, other = noise(4), noise(5)
    lab = [
        cv2.cvtColor(v.reshape(-1, 1, 3) / np.float32(255), cv2.COLOR_RGB2LAB)[:, 0]
        for v in (one, other)
    ]
    expected = np.linalg.norm(lab[0] - lab[1], axis=-1).mean()
    assert t.compare(one, other).distance().delta_e == pytest.approx(expected, rel=2e-3)


def test_gain_is_nothing_for_the_source_all_for_the_truth_and_less_than_nothing_beyond():
    truth, source = np.full(SHAPE, 90, np.uint8), np.full(SHAPE, 50, np.uint8)
    assert t.gain(source, truth, source) == 0 and t.gain(truth, truth, source) == 1
    assert t.gain(np.full(SHAPE, 80, np.uint8), truth, source) == pytest.approx(0.75)
    assert t.gain(np.full(SHAPE, 150, np.uint8), truth, source) == pytest.approx(-0.5)
    half = source.copy()
    half[:, :, :16] = 90
    left = np.zeros(SHAPE[:3], bool)
    left[:, :, :16] = True
    assert t.gain(half, truth, source) == pytest.approx(0.5)
    assert t.gain(half, truth, source, left) == 1 and t.gain(half, truth, source, ~left) == 0
    assert math.isnan(t.gain(half, truth, truth))
    assert math.isnan(t.gain(half, truth, source, np.zeros_like(left)))


def test_differences_do_not_wrap():
    black, white = np.zeros(SHAPE, np.uint8), np.full(SHAPE, 255, np.uint8)
    assert t.compare(black, white).distance().l1 == 255 == t.compare(white, black).distance().l1
    assert t.gain(black, white, np.full(SHAPE, 155, np.uint8)) == pytest.approx(-1.55)


@pytest.mark.parametrize(
    "band, frequency", list(enumerate((6 / 64, 13 / 64, 19 / 64, 26 / 64, 0.5)))
)
@pytest.mark.parametrize("tapered", [False, True])
def test_what_is_added_at_one_frequency_shows_in_its_band_alone(band, frequency, tapered):
    truth = np.rint(128 + 20 * np.random.default_rng(0).standard_normal((2, 64, 64, 1)))
    truth = np.repeat(truth, 3, -1).astype(np.uint8)
    added = (truth.astype(int) + waves(frequency) - 128).clip(0, 255).astype(np.uint8)
    ratio = t.spectral_ratio(added, truth, tapered=tapered)
    assert ratio[band] > 3
    np.testing.assert_allclose(np.delete(ratio, band), 1, atol=0.25)


def test_half_the_amplitude_is_a_quarter_of_the_energy_and_a_mean_is_none():
    half = np.random.default_rng(0).integers(-30, 31, SHAPE)
    one, double = (90 + half).astype(np.uint8), (128 + 2 * half).astype(np.uint8)
    for tapered in (False, True):  # A taper spreads what is left of a mean over the bands.
        np.testing.assert_allclose(t.spectral_ratio(one, double, tapered=tapered), 0.25)
    flat = np.full((1, 16, 16, 3), 7, np.uint8)
    assert np.isnan(t.spectral_ratio(flat, flat)).all()


@pytest.mark.parametrize("tapered, floor", [(False, 0.6), (True, 0.1)])
def test_spectra_see_blur_and_a_grid_in_a_picture(tapered, floor):
    frames = World("street", height=64, width=128).frames(0, 0, 2).frames
    np.testing.assert_allclose(t.spectral_ratio(frames, frames, tapered=tapered), 1)
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.0) for frame in frames])
    ratio = t.spectral_ratio(blurred, frames, tapered=tapered)
    assert ratio[0] < 0.9 and (ratio[2:] < floor).all()
    # What the border's edge leaks, and why there is a taper.
    assert tapered or (ratio[2:] > 0.1).all()
    grid = (blurred.astype(int) + 12 * (np.arange(128) % 2)[:, None]).clip(0, 255).astype(np.uint8)
    ratio = t.spectral_ratio(grid, frames, tapered=tapered)
    assert ratio[4] > 1.5 and ratio[3] < floor


def test_the_perfect_translation_gains_all_and_a_mended_sky_the_skys_share():
    game = World("game", "test", height=32, width=64)
    source, truth = (world.frames(0, 4, 3) for world in (game, game.perfect("street")))
    assert t.gain(truth.frames, truth.frames, source.frames) == 1
    distance = t.compare(source.frames, truth.frames, source.labels)
    assert distance.distance().l1 > 10
    assert sorted(distance.by_class()) == np.unique(source.labels).tolist()
    # Sky of the right grey, and everything else as it was: a gain, and all of it the sky's.
    mended, sky = source.frames.copy(), source.labels == 10
    mended[sky] = truth.frames[sky]
    share = np.abs(source.frames.astype(int) - truth.frames)[sky].sum()
    share /= np.abs(source.frames.astype(int) - truth.frames).sum()
    assert t.gain(mended, truth.frames, source.frames) == pytest.approx(share)
    assert t.gain(mended, truth.frames, source.frames, ~sky) == 0


def test_bad_videos_are_one_clear_line():
    good = noise()
    with pytest.raises(ValueError, match="uint8"):
        t.compare(good / np.float32(255), good)
    with pytest.raises(ValueError, match="differ in shape"):
        t.compare(good[:2], good)
    with pytest.raises(ValueError, match="SSIM needs 11x11"):
        t.compare(good[:, :8], good[:, :8])
    with pytest.raises(ValueError, match="labels"):
        t.compare(good, good, np.zeros(SHAPE[:3], np.int32))
    with pytest.raises(ValueError, match="where"):
        t.gain(good, good, good, np.ones((1, 2, 3), bool))
    with pytest.raises(ValueError, match="truth must be"):
        t.spectral_ratio(good, good[0])
