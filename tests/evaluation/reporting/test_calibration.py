"""No check that the truth fails, and none that a planted fault gets past.

The perfect translation of the built-in world passes every verdict; each fault planted in it fails
the verdict that is there for it, and where no truth is known, another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from evaluation import plants

from v2v_jax.data.world import World
from v2v_jax.evaluation import content, scoring
from v2v_jax.evaluation.judges.domain_classifier import train_domain_classifier
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
    segmenter = train_segmenter(*street, net=SmallSegmenter(), steps=100)
    alike = train_likeness(game, street, steps=150).counts
    return Judges(structure_features, segmenter.predict, None, alike, content.detail(*street))


@pytest.fixture(scope="module")
def clip() -> Any:
    return plants.clip()


def figures(clip: Any, planted: plants.Planted, judges: Judges) -> dict[str, float]:
    score = scoring.score_clip(clip, planted.rollout(), find_regions(clip), judges, (1, LAST))
    return dict(scoring.summarise([score]))


def judged(clip: Any, planted: plants.Planted, judges: Judges) -> dict[str, bool]:
    """Whether each check passed, by its figure."""
    found = verdicts(figures(clip, planted, judges), last=LAST)
    titles = {check.title.format(first=1, last=LAST): check.figure for check in CHECKS}
    return {titles[verdict.name]: verdict.passed for verdict in found}


def without_truth(clip: Any) -> Any:
    return {name: value for name, value in clip.items() if name != "truth"}


def test_the_truth_passes_every_check(clip, judges):
    found = judged(clip, plants.perfect(clip), judges)
    assert [figure for figure, passed in found.items() if not passed] == []
    # It is as steady as the source, and needs no mask: these have nothing to look for.
    assert {c.figure for c in CHECKS} - found.keys() == {"raw_over_output", "mask_contrast"}
    unknown = judged(without_truth(clip), plants.perfect(clip), judges)
    assert all(unknown.values()) and "truth/gain" not in unknown
    values = figures(clip, plants.perfect(clip), judges)
    assert summary(verdicts(values, last=LAST)) == "all checks passed"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_fails_the_check_that_is_there_for_it(fault, clip, judges):
    beside, alone = FAULTS[fault]
    planted = fault(clip)
    assert judged(clip, planted, judges)[beside] is False
    assert judged(without_truth(clip), planted, judges)[alone] is False


def test_every_check_fails_something(clip, judges):
    failed = set()
    for fault in FAULTS:
        failed |= {f for f, passed in judged(clip, fault(clip), judges).items() if not passed}
    assert failed == {check.figure for check in CHECKS}


def test_a_classifier_of_whole_frames_is_no_check(clip, judges):
    """Why ``share_target`` has no verdict: it takes houses in the sky for the street's."""
    classifier = train_domain_classifier(drives("game")[0], drives("street")[0], steps=150)
    shares = {
        fault.__name__: classifier.share_target(fault(clip).output)
        for fault in (plants.perfect, plants.flipped_sky)
    }
    assert shares["flipped_sky"] > shares["perfect"]
    assert not any(check.figure.startswith("share_target") for check in CHECKS)


def test_passing_without_a_look_at_meaning_is_no_praise(clip):
    found = verdicts(figures(without_truth(clip), plants.perfect(clip), Judges()), last=LAST)
    assert all(verdict.passed for verdict in found)
    moves = [verdict for verdict in found if not verdict.of_meaning]
    assert not meaning_checked(moves)
    assert "all checks passed" not in summary(moves) and "meaning was not checked" in summary(moves)
