"""FID, KID and matched crops against float64 references that are written another way."""

from __future__ import annotations

import math

import numpy as np
import pytest

from v2v_jax.evaluation.distribution import (
    Matches,
    crop_features,
    crop_labels,
    fid,
    kid,
    matched_crops,
    matched_kid,
)


def sets(dimensions: int = 5, shift: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(dimensions, dimensions))
    return rng.normal(size=(40, dimensions)) @ mix, rng.normal(size=(30, dimensions)) + shift


def reference_fid(first: np.ndarray, second: np.ndarray) -> float:
    """With the eigenvalues of the product of the covariances, which is not symmetric."""
    covariances = []
    for x in (first, second):
        centred = x - x.sum(0) / len(x)
        covariances.append(centred.T @ centred / (len(x) - 1))
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1]).astype(np.complex128)
    gap = first.sum(0) / len(first) - second.sum(0) / len(second)
    trace = sum(np.trace(c) for c in covariances) - 2 * np.sqrt(eigenvalues).real.sum()
    return float(np.sum(gap**2) + trace)


def reference_kid(first: np.ndarray, second: np.ndarray) -> float:
    """Pair by pair."""

    def mean(a: np.ndarray, b: np.ndarray, same: bool) -> float:
        return float(
            np.mean(
                [
                    (np.sum(x * y) / len(x) + 1) ** 3
                    for i, x in enumerate(a)
                    for j, y in enumerate(b)
                    if not (same and i == j)
                ]
            )
        )

    within = mean(first, first, True) + mean(second, second, True)
    return within - 2 * mean(first, second, False)


@pytest.mark.parametrize("dimensions", [1, 5])
def test_fid_and_kid_are_the_references(dimensions):
    pair = sets(dimensions)
    assert fid(*pair) == pytest.approx(reference_fid(*pair), rel=1e-9)
    assert kid(*pair) == pytest.approx(reference_kid(*pair), rel=1e-9)


def test_fid_of_one_dimension_is_known():
    # (m1 - m2)^2 + (s1 - s2)^2; standard deviations over N - 1.
    first, second = np.array([[0.0], [2]]), np.array([[10.0], [16]])
    wanted = (1 - 13) ** 2 + (math.sqrt(2) - math.sqrt(18)) ** 2
    assert fid(first, second) == pytest.approx(wanted)


def test_fid_of_fewer_vectors_than_dimensions():
    """Covariances without full rank, as those of few crops in many channels are."""
    first, second = (np.random.default_rng(k).normal(k, size=(6, 20)) for k in range(2))
    assert fid(first, first) == pytest.approx(0, abs=1e-6)
    assert fid(first, second) == pytest.approx(fid(second, first))


def test_kid_is_unbiased():
    """Of two samples of one distribution it is 0 in the mean, and not above."""
    rng = np.random.default_rng(1)
    found = [kid(*rng.normal(size=(2, 20, 3))) for _ in range(400)]
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(len(found))
    near, far = sets(shift=0.5), sets(shift=2)
    assert kid(*far) > kid(*near)


def test_float32_features_are_computed_in_float64():
    pair = [(30 + x).astype(np.float32) for x in sets()]
    exact = [x.astype(np.float64) for x in pair]
    assert fid(*pair) == pytest.approx(reference_fid(*exact), rel=1e-9)
    assert kid(*pair) == pytest.approx(reference_kid(*exact), rel=1e-9)


def test_crops_and_their_labels_come_in_one_order():
    """Labels as features: a crop's mean is that of its labels, whatever is cut at the border."""
    labels = np.random.default_rng(2).integers(0, 19, (3, 10, 13))
    found = crop_features(labels[..., None], 4)
    assert found.shape == (3 * 2 * 3, 1)
    assert np.allclose(found[:, 0], crop_labels(labels, 4).mean(1))
    # The crop in row 1, column 2 of frame 1.
    assert np.array_equal(crop_labels(labels, 4)[6 + 3 + 2], labels[1, 4:8, 8:12].ravel())


def reference_matches(labels: np.ndarray, references: np.ndarray, least: float) -> Matches:
    crops, found = [], []
    for k, crop in enumerate(labels):
        alike = [np.mean((crop == other) & (crop != 255)) for other in references]
        if max(alike) >= least:
            crops.append(k)
            found.append(int(np.argmax(alike)))
    return Matches(np.array(crops), np.array(found))


def test_matches_are_the_reference():
    rng = np.random.default_rng(3)
    labels, references = rng.choice([0, 1, 10, 255], (25, 8)), rng.choice([0, 1, 10, 255], (9, 8))
    found = matched_crops(labels, references, 0.5)
    wanted = reference_matches(labels, references, 0.5)
    assert 2 < len(found.crops) < 25
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_unlabelled_crops_match_nothing():
    nothing = np.full((2, 4), 255)
    assert not len(matched_crops(nothing, nothing).crops)
    assert not len(matched_crops(nothing - 256, nothing - 256).crops)


def test_matching_takes_away_what_the_domains_show():
    """Same look by class, other shares of the classes: KID is far from 0, of matched crops not."""
    rng = np.random.default_rng(4)

    def domain(sky: float) -> tuple[np.ndarray, np.ndarray]:
        classes = (rng.random(300) < sky).astype(int)
        looks = np.where(classes[:, None] == 1, 3.0, -1.0) + 0.1 * rng.normal(size=(300, 4))
        return looks, np.repeat(classes[:, None], 4, 1)

    (first, first_labels), (second, second_labels) = domain(0.1), domain(0.7)
    matches = matched_crops(first_labels, second_labels)
    assert len(matches.crops) == 300
    apart, alike = kid(first, second), matched_kid(first, second, matches)
    assert apart > 10 and abs(alike) < 0.1 * apart
    assert matched_kid(first + 0.5, second, matches) > 10 * abs(alike)


def test_too_little_is_refused_or_nan():
    one = np.zeros((1, 3))
    for distance in (fid, kid):
        with pytest.raises(ValueError, match="at least 2"):
            distance(one, np.zeros((4, 3)))
        with pytest.raises(ValueError, match="needs features"):
            distance(np.zeros((4, 2)), np.zeros((4, 3)))
    assert math.isnan(matched_kid(one, one, Matches(np.array([0]), np.array([0]))))
    with pytest.raises(ValueError, match="no crop of side 9"):
        crop_labels(np.zeros((1, 8, 20), int), 9)
    with pytest.raises(ValueError, match="no crops"):
        matched_crops(np.zeros((0, 4)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match="needs"):
        matched_crops(np.zeros((2, 4)), np.zeros((3, 9)))
