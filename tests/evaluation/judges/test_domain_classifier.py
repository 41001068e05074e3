"""The domain classifier learns what it should in a few steps, repeatably."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation.judges.painted import COLD, WARM, layout, painted

from v2v_jax.evaluation.judges import domain_classifier, fitting


@pytest.fixture(scope="module")
def domains() -> tuple[np.ndarray, np.ndarray]:
    return painted(layout(0, 20), WARM, 1), painted(layout(1, 20), COLD, 2)


def test_the_domain_classifier_tells_unseen_frames_apart(domains):
    probe = domain_classifier.train_domain_classifier(*domains, steps=40, seed=0)
    assert probe.accuracy == 1.0
    unseen = layout(7, 6)
    assert probe.share_target(painted(unseen, COLD, 8)) == 1.0
    assert probe.share_target(painted(unseen, WARM, 8)) == 0.0
    mixed = np.concatenate([painted(unseen, WARM, 8)[:3], painted(unseen, COLD, 8)[:1]])
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


def test_any_number_of_frames_is_looked_at(domains, monkeypatch):
    probe = domain_classifier.train_domain_classifier(*domains, steps=2, seed=0)
    whole = probe.logits(domains[0])
    monkeypatch.setattr(fitting, "BATCH", 7)
    np.testing.assert_allclose(probe.logits(domains[0]), whole, atol=1e-5)


def test_domains_that_cannot_train_are_named(domains):
    source, target = domains
    with pytest.raises(ValueError, match="frame sizes differ"):
        domain_classifier.train_domain_classifier(source, target[:, :16])
    with pytest.raises(ValueError, match="1 frames are too few"):
        domain_classifier.train_domain_classifier(source[:1], target)
