"""The judge of patches knows what they should show, and how often a domain shows it is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation.judges.painted import COLD, WARM, layout, painted

from v2v_jax.evaluation.judges import likeness


def frames(seed: int, palette, rare: int | None = None, count: int = 24):
    """Pictures of blocks and their labels; of class ``rare`` there is little."""
    labels = layout(seed, count)
    if rare is not None:
        hidden = (labels == rare) & (np.arange(count) % 6 != 0)[:, None, None]
        labels = np.where(hidden, (rare + 1) % 3, labels).astype(np.uint8)
    return painted(labels, palette, seed), labels


@pytest.fixture(scope="module")
def judge():
    """Of warm pictures that seldom show class 0 and cold ones that seldom show class 1."""
    return likeness.train_likeness(frames(0, WARM, 0), frames(1, COLD, 1), steps=120, classes=3)


def shares(counts: np.ndarray) -> np.ndarray:
    return counts[:, 1] / counts[:, 0]


def test_patches_are_alike_whatever_a_domain_mostly_shows(judge):
    labels = layout(7, 8)
    assert shares(judge.counts(painted(labels, COLD, 8), labels)).min() > 0.9
    assert shares(judge.counts(painted(labels, WARM, 8), labels)).max() < 0.1


def test_a_look_on_the_wrong_content_is_not_alike(judge):
    labels = layout(7, 8)
    swapped = np.array([1, 0, 2], np.uint8)[labels]
    counts = judge.counts(painted(swapped, COLD, 8), labels)
    assert shares(counts)[:2].max() < 0.1 and shares(counts)[2] > 0.9


def test_cells_of_two_classes_or_none_count_nowhere(judge):
    labels = layout(7, 2)
    pure = likeness.pure_cells(labels)
    assert pure.shape == (2, 8, 16) and np.array_equal(pure, labels[:, ::4, ::4])
    mixed = labels.copy()
    mixed[0, 0, 0], mixed[0, 4:8] = (labels[0, 0, 0] + 1) % 3, 255
    cells = likeness.pure_cells(mixed)
    assert cells[0, 0, 0] == 255 and (cells[0, 1] == 255).all()
    assert np.array_equal(cells[1], pure[1])
    counts = judge.counts(painted(labels, COLD), mixed)
    assert counts[:, 0].sum() == pure.size - 17


def test_the_same_seed_gives_the_same_judge():
    first, again = (
        likeness.train_likeness(frames(0, WARM), frames(1, COLD), steps=3, seed=4).counts(
            *frames(2, COLD)
        )
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
