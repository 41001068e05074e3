"""Rank correlation against cases worked by hand, and what its interval must do."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from v2v_jax.evaluation.ranking import correlation, ranks, spearman


def test_ranks_of_equal_values_are_shared():
    assert ranks(np.array([30.0, 10, 20, 20, 5])).tolist() == [5, 2, 3.5, 3.5, 1]
    assert ranks(np.array([7.0, 7, 7])).tolist() == [2, 2, 2]


def test_spearman_by_hand():
    # Without ties, 1 - 6 sum d^2 / (n (n^2 - 1)): d = 0, 1, -1, 1, -1, so 1 - 24 / 120.
    first, second = np.array([1.0, 2, 3, 4, 5]), np.array([1.0, 3, 2, 5, 4])
    assert spearman(first, second) == pytest.approx(0.8)
    # With ties: ranks 1, 2.5, 2.5, 4 against 1 .. 4, centred products 4.5, squares 4.5 and 5.
    tied = spearman(np.array([1.0, 2, 2, 3]), np.array([1.0, 2, 3, 4]))
    assert tied == pytest.approx(4.5 / math.sqrt(4.5 * 5))


def test_spearman_asks_for_order_alone():
    values = np.random.default_rng(0).normal(size=20)
    assert spearman(values, np.exp(3 * values)) == pytest.approx(1)
    assert spearman(values, -(values**3)) == pytest.approx(-1)


def test_undefined_correlations_are_nan():
    assert math.isnan(spearman(np.ones(5), np.arange(5.0)))
    assert math.isnan(spearman(np.arange(2.0), np.arange(2.0)))
    assert math.isnan(correlation([1, 1, 1], [1, 2, 3]).low)


def test_pairs_that_are_not_finite_are_left_out():
    found = correlation([1, 2, math.nan, 3, 4], [1, 2, 0, 3, math.inf])
    assert found.count == 3 and found.rho == pytest.approx(1)


def test_the_interval_covers_the_samples_of_three_groups():
    """Of three groups there are 27 draws, which can all be listed."""
    first, second = np.array([1.0, 2, 3, 4, 5, 6]), np.array([2.0, 1, 3, 6, 4, 5])
    groups = [0, 0, 1, 1, 2, 2]
    every = []
    for drawn in itertools.product(range(3), repeat=3):
        places = np.concatenate([np.flatnonzero(np.equal(groups, group)) for group in drawn])
        every.append(spearman(first[places], second[places]))
    found = correlation(first, second, groups, draws=3000, level=0.8)
    assert found.rho == pytest.approx(spearman(first, second))
    low, high = np.quantile(every, [0.1, 0.9])
    assert (found.low, found.high) == pytest.approx((low, high))


def test_copies_in_one_group_add_no_certainty():
    rng = np.random.default_rng(1)
    first = rng.normal(size=12)
    second = first + rng.normal(size=12)
    alone = correlation(first, second)
    copied = [np.repeat(x, 5) for x in (first, second)]
    grouped = correlation(*copied, np.repeat(np.arange(12), 5))
    fooled = correlation(*copied)
    assert grouped.high - grouped.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert fooled.high - fooled.low < 0.7 * (alone.high - alone.low)


def test_intervals_repeat_with_their_seed():
    first, second = np.random.default_rng(2).normal(size=(2, 15))
    assert correlation(first, second, seed=3) == correlation(first, second, seed=3)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="one of each per run"):
        correlation([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match=r"two \[N\]"):
        spearman(np.ones((2, 2)), np.ones((2, 2)))
