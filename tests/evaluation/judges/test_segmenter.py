"""Probes: they learn what they should in a few steps, repeatably, and see structure only."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from v2v_jax.evaluation.judges import domain_classifier, features, fitting, segmenter
from v2v_jax.evaluation.metrics import structure_agreement
from v2v_jax.nets.segmenter import SmallSegmenter

SIZE = (32, 64)


def _layout(seed: int, count: int = 1) -> np.ndarray:
    """uint8 [N, H, W], three classes in blocks of 8 pixels."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 3, (count, SIZE[0] // 8, SIZE[1] // 8))
    return blocks.repeat(8, 1).repeat(8, 2).astype(np.uint8)


def _painted(labels: np.ndarray, palette: list[list[int]], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 4, (*labels.shape, 3))
    return np.clip(np.array(palette)[labels] + noise, 0, 255).astype(np.uint8)


WARM = [[150, 90, 40], [210, 170, 90], [90, 50, 30]]
COLD = [[40, 90, 150], [90, 170, 210], [30, 50, 90]]


@pytest.fixture(scope="module")
def domains() -> tuple[np.ndarray, np.ndarray]:
    return _painted(_layout(0, 20), WARM, 1), _painted(_layout(1, 20), COLD, 2)


def test_the_domain_classifier_tells_unseen_frames_apart(domains):
    probe = domain_classifier.train_domain_classifier(*domains, steps=40, seed=0)
    assert probe.accuracy == 1.0
    unseen = _layout(7, 6)
    assert probe.share_target(_painted(unseen, COLD, 8)) == 1.0
    assert probe.share_target(_painted(unseen, WARM, 8)) == 0.0
    mixed = np.concatenate([_painted(unseen, WARM, 8)[:3], _painted(unseen, COLD, 8)[:1]])
    assert probe.share_target(mixed) == 0.25


def test_domains_that_do_not_differ_cannot_be_told_apart(domains):
    source = domains[0]
    probe = domain_classifier.train_domain_classifier(source, source, steps=5, seed=0)
    assert probe.accuracy == pytest.approx(0.5)


def test_the_same_seed_gives_the_same_probe_and_another_another(domains):
    first, again, other = (
        domain_classifier.train_domain_classifier(*domains, steps=4, seed=seed).logits(domains[0])
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_the_segmenter_labels_unseen_layouts():
    labels = _layout(0, 12)
    ignored = labels.copy()
    ignored[:, :4] = 255
    probe = segmenter.train_segmenter(
        _painted(labels, WARM), ignored, net=SmallSegmenter(), steps=60, seed=0
    )
    unseen = _layout(5, 2)
    predicted = probe.predict(_painted(unseen, WARM, 9))
    assert predicted.shape == unseen.shape and predicted.dtype == np.uint8
    assert np.mean(predicted == unseen) > 0.8
    assert 0.5 < probe.miou <= 1.0


def test_unlabelled_pixels_teach_the_segmenter_nothing():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 4, 3)))
    labels = jnp.zeros((1, 4, 4), jnp.uint8).at[:, 2:].set(255)
    whole = segmenter._pixel_loss(logits, labels)
    assert float(whole) == pytest.approx(float(segmenter._pixel_loss(logits[:, :2], labels[:, :2])))
    assert float(segmenter._pixel_loss(logits, jnp.full_like(labels, 255))) == 0.0


def test_any_number_of_frames_is_looked_at(domains, monkeypatch):
    probe = domain_classifier.train_domain_classifier(*domains, steps=2, seed=0)
    whole = probe.logits(domains[0])
    monkeypatch.setattr(fitting, "BATCH", 7)
    np.testing.assert_allclose(probe.logits(domains[0]), whole, atol=1e-5)


def test_inputs_that_cannot_train_are_named(domains):
    source, target = domains
    with pytest.raises(ValueError, match="frame sizes differ"):
        domain_classifier.train_domain_classifier(source, target[:, :16])
    with pytest.raises(ValueError, match="1 frames are too few"):
        domain_classifier.train_domain_classifier(source[:1], target)
    with pytest.raises(ValueError, match=r"frames \(20, 32, 64, 3\) and labels \(19, 32, 64\)"):
        segmenter.train_segmenter(source, _layout(0, 19), net=SmallSegmenter())


def _agreement(first: np.ndarray, second: np.ndarray) -> float:
    look = features.structure_features
    return float(structure_agreement(look(first), look(second)).mean())


def test_structure_survives_a_change_of_colour_and_not_of_layout():
    layout = _layout(0, 4)
    warm, cold = _painted(layout, WARM, 1), _painted(layout, COLD, 2)
    other = _painted(_layout(1, 4), WARM, 3)
    assert _agreement(warm, warm) == pytest.approx(1.0)
    assert _agreement(warm, cold) > 0.85
    assert _agreement(warm, other) < 0.5
    shifted = np.roll(cold, 4, axis=2)
    assert _agreement(warm, shifted) < 0.5


def test_structure_is_compared_at_one_height():
    tall = _painted(_layout(0), WARM).repeat(8, 1).repeat(8, 2)
    assert features.structure_features(tall).shape == (1, 64, 128, 1)
    assert features.structure_features(tall[:, ::8, ::8]).shape == (1, 32, 64, 1)
