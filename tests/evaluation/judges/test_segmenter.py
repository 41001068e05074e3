"""The segmenter learns layouts in a few steps, and nothing from unlabelled pixels."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from evaluation.judges.painted import WARM, layout, painted

from v2v_jax.evaluation.judges import segmenter
from v2v_jax.nets.segmenter import SmallSegmenter


def test_the_segmenter_labels_unseen_layouts():
    labels = layout(0, 12)
    ignored = labels.copy()
    ignored[:, :4] = 255
    probe = segmenter.train_segmenter(
        painted(labels, WARM), ignored, net=SmallSegmenter(), steps=60, seed=0
    )
    unseen = layout(5, 2)
    predicted = probe.predict(painted(unseen, WARM, 9))
    assert predicted.shape == unseen.shape and predicted.dtype == np.uint8
    assert np.mean(predicted == unseen) > 0.8
    assert 0.5 < probe.miou <= 1.0


def test_unlabelled_pixels_teach_the_segmenter_nothing():
    logits = np.random.default_rng(0).normal(size=(1, 4, 4, 3)).astype(np.float32)
    labels = np.zeros((1, 4, 4), np.uint8)
    labels[:, 2:] = 255
    loss = jax.jit(segmenter._pixel_loss)
    whole = loss(logits, labels)
    assert float(whole) == pytest.approx(float(loss(logits[:, :2], labels[:, :2])))
    assert float(loss(logits, np.full_like(labels, 255))) == 0.0


def test_labels_that_do_not_fit_the_frames_are_named():
    source = painted(layout(0, 20), WARM, 1)
    with pytest.raises(ValueError, match=r"frames \(20, 32, 64, 3\) and labels \(19, 32, 64\)"):
        segmenter.train_segmenter(source, layout(0, 19), net=SmallSegmenter())
