"""No check that the truth fails, and none that a planted fault gets past.

The perfect translation of the built-in world passes every verdict; each fault planted in it fails
the verdict that is there for it, and where no truth is known, another one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from evaluation import plants

from v2v_jax.data.world import World
from v2v_jax.evaluation import content, scoring
from v2v_jax.evaluation.judges.features import structure_features
from v2v_jax.evaluation.judges.likeness import train_likeness
from v2v_jax.evaluation.judges.segmenter import train_segmenter
from v2v_jax.evaluation.protocol import find_regions
from v2v_jax.evaluation.reporting.verdicts import CHECKS, meaning_checked, summary, verdicts
from v2v_jax.evaluation.scoring import Judges
from v2v_jax.nets.segmenter import SmallSegmenter

LAST = 12
FAULTS: dict[Callable[[Any], plants.Planted], tuple[str, str]] = {
    # What it fails beside the truth, and on a clip whose truth nobody knows.
    plants.untranslated: ("truth/gain", "like_target_least/output"),
    plants.flipped_sky: ("miou_of_truth", "like_target_least/output"),
    plants.smeared: ("output_over_truth", "output_over_source"),
    plants.blurred: ("spectrum_least", "detail_least/output"),
    plants.slightly_blurred: ("spectrum_least", "detail_least/output"),
    plants.grid: ("detail_most/output", "detail_most/output"),
    plants.wide_grid: ("detail_most/output", "detail_most/output"),
    plants.dither: ("spectrum_most", "detail_most/output"),
    plants.inverted_markings: ("markings/output", "markings/output"),
    plants.grey: ("truth/gain", "like_target_least/output"),
    plants.average: ("truth/gain", "like_target_least/output"),
    plants.frozen: ("flicker", "structure_kept"),
    plants.flickering: ("flicker", "raw_over_output"),
    plants.blind_mask: ("mask_contrast", "mask_contrast"),
}


def drives(domain: str) -> tuple[np.ndarray, np.ndarray]:
    """Frames and labels of training, from all over the world."""
    world = World(domain)
    found = [world.frames(index, 29 * k, 1) for index in range(48) for k in range(2)]
    return tuple(
        np.concatenate([getattr(clip, name) for clip in found]) for name in ("frames", "labels")
    )  # type: ignore[return-value]


@pytest.fixture(scope="module")
def judges() -> Judges:
    """As an evaluation trains them, on fewer frames and steps."""
    game, street = drives("game"), drives("street")
    segmenter = train_segmenter(*street, net=SmallSegmenter(), steps=110)
    alike = train_likeness(game, street, steps=200).counts
    return Judges(structure_features, segmenter.predict, None, alike, content.detail(*street))


@pytest.fixture(scope="module")
def clip() -> Any:
    return plants.clip()


@pytest.fixture(scope="module")
def figures(judges, clip) -> Callable[[Any], dict[str, float]]:
    """What a plant scores, found once."""

    @functools.cache
    def score(plant: Callable[[Any], plants.Planted]) -> dict[str, float]:
        rollout = plant(clip).rollout()
        scored = scoring.score_clip(clip, rollout, find_regions(clip), judges, (1, LAST))
        return dict(scoring.summarise([scored]))

    return score


def judged(values: dict[str, float]) -> dict[str, bool]:
    """Whether each check passed, by its figure."""
    titles = {check.title.format(first=1, last=LAST): check.figure for check in CHECKS}
    return {titles[v.name]: v.passed for v in verdicts(values, last=LAST)}


def without_truth(values: dict[str, float]) -> dict[str, float]:
    """The figures of the same clip if nobody knew its truth (test_nearness)."""
    return {name: value for name, value in values.items() if "truth" not in name}


def test_the_truth_passes_every_check(figures):
    values = figures(plants.perfect)
    found = judged(values)
    assert [figure for figure, passed in found.items() if not passed] == []
    # It is as steady as the source, and needs no mask: these have nothing to look for.
    # Against the source only where no truth is known.
    idle = {"raw_over_output", "mask_contrast", "output_over_source"}
    assert {c.figure for c in CHECKS} - found.keys() == idle
    assert summary(verdicts(values, last=LAST)) == "all checks passed"
    unknown = judged(without_truth(values))
    assert "output_over_source" in unknown
    assert all(unknown.values()) and not [name for name in unknown if "truth" in name]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_fails_the_check_that_is_there_for_it(fault, figures):
    beside, alone = FAULTS[fault]
    assert judged(figures(fault))[beside] is False
    assert judged(without_truth(figures(fault)))[alone] is False


def test_facades_in_the_sky_are_read_as_such(figures):
    found = judged(figures(plants.flipped_sky))
    for figure in ("class_sky/read_right/output", "class_sky/as_building/output"):
        assert found[figure] is False
    # The judge itself: what it makes of the perfect translation is the ceiling.
    values = figures(plants.perfect)
    assert values["class_sky/read_right/truth"] == values["class_sky/read_right/output"] > 0.9
    assert values["class_sky/as_building/truth"] < 0.06


@pytest.mark.parametrize(
    ("plant", "figure", "low", "high"),
    [(plants.muted, "output_over_truth", 0.8, 1.0), (plants.restless, "flicker", 1.5, 2.5)],
)
def test_the_warping_error_is_held_to_the_truths_own(plant, figure, low, high, figures):
    values = figures(plant)
    assert judged(values)[figure] is False
    assert low < values["output_over_truth"] < high
    assert figures(plants.perfect)["output_over_truth"] == 1.0


def test_every_check_fails_something(figures):
    scored = [figures(fault) for fault in FAULTS]
    found = [judged(of) for of in (*scored, *map(without_truth, scored))]
    failed = {figure for of in found for figure, passed in of.items() if not passed}
    assert failed == {check.figure for check in CHECKS}


def test_passing_without_a_look_at_meaning_is_no_praise(figures):
    found = verdicts(without_truth(figures(plants.perfect)), last=LAST)
    moves = [verdict for verdict in found if not verdict.of_meaning]
    assert all(verdict.passed for verdict in moves) and not meaning_checked(moves)
    assert summary(moves) == f"{len(moves)} checks of motion passed, meaning was not checked"
    # It knows a domain by what stands there: notes/meaning.md.
    assert not any(check.figure.startswith("share_target") for check in CHECKS)
