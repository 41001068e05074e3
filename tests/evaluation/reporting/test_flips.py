"""The flip matrix says what became of every class."""

from __future__ import annotations

import numpy as np
import pytest

from v2v_jax.evaluation import metrics
from v2v_jax.evaluation.reporting import flips

SKY, BUILDING, VEGETATION, ROAD = 10, 2, 8, 0


def counts():
    """Sky: half right, a quarter building, a quarter nothing known; road: all right."""
    labels = np.array([[SKY] * 8 + [ROAD] * 4 + [255] * 2])
    read = np.array([[SKY] * 4 + [BUILDING] * 2 + [255] * 2 + [ROAD] * 4 + [SKY] * 2])
    return metrics.confusion(labels, read)


def test_shares_are_of_the_labelled_pixels():
    shares = flips.flip_shares(counts())
    assert shares[SKY, SKY] == 0.5 and shares[SKY, BUILDING] == 0.25
    assert shares[ROAD, ROAD] == 1.0
    assert np.nansum(shares[SKY]) == 0.75
    assert np.isnan(shares[VEGETATION]).all()


def test_flipped_adds_up_the_classes_read():
    assert flips.flipped(counts(), "sky", ("building", "vegetation")) == 0.25
    assert flips.flipped(counts(), "road", ("sky",)) == 0.0
    assert np.isnan(flips.flipped(counts(), "person", ("sky",)))


def test_rows_leave_out_what_never_occurs():
    rows = flips.flip_rows(counts())
    assert [row["class"] for row in rows] == ["road", "sky"]
    assert list(rows[1]) == ["class", "road", "building", "sky"]
    assert rows[1]["building"] == pytest.approx(25.0)
