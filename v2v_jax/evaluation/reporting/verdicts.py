"""Figures against named thresholds.

Every one is calibrated (tests/evaluation/reporting/test_calibration.py): the perfect translation
of the built-in world passes all, and each way to fail that was planted in it fails one.  Some need
no truth, and judge real video as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from v2v_jax.evaluation.nearness import SPECTRA
from v2v_jax.evaluation.reporting.rows import text_tables

STEADIER = 0.8
"""Warping error over the source's, and in the tables over the truth's, under which an output copies
its past; between that and ``AS_STEADY`` it may show too little contrast as well."""
AS_STEADY = (1.0, 1.5)
"""Warping error over the truth's, where it is known: the perfect translation has 1."""
NOTHING = 0.01
"""A mean mask that carries nothing: there is no contrast to look for."""


class Verdict(NamedTuple):
    """One figure against its threshold."""

    name: str
    value: float
    threshold: float
    at_least: bool
    """True: the value must not be under the threshold; False: not above it."""
    meaning: str
    """One sentence: what the figure shows when it fails."""
    of_meaning: bool = False
    """Whether it asks what the output shows, and not only how it moves."""

    @property
    def passed(self) -> bool:
        """A figure that is not a number has not passed."""
        if math.isnan(self.value):
            return False
        return self.value >= self.threshold if self.at_least else self.value <= self.threshold

    def line(self) -> str:
        """One line for a terminal: ok or FAILURE, figure, threshold, and why it matters."""
        sign = ">=" if self.at_least else "<="
        text = f"{self.name} = {self.value:.3g} ({sign} {self.threshold:g})"
        return f"ok       {text}" if self.passed else f"FAILURE  {text}: {self.meaning}"


class Check(NamedTuple):
    """A verdict to be: ``figure`` is held against ``threshold``."""

    figure: str
    title: str
    threshold: float
    at_least: bool
    meaning: str
    of_meaning: bool = False


CHECKS = (
    Check(
        "truth/gain",
        "nearer to the truth than the source: 1 - L1 / source's",
        0.15,
        True,
        "the output is about as far from the perfect translation as the source is, or farther",
        True,
    ),
    Check(
        "like_target_least/output",
        "patches that look like the target's of their class, least of a large class",
        0.4,
        True,
        "the generator is close to the identity, or a class has the look of another",
        True,
    ),
    Check(
        "miou_of_truth",
        "mIoU / the truth's",
        0.9,
        True,
        "a segmenter of the target reads less in the output than in the perfect translation",
        True,
    ),
    Check(
        "class_sky/read_right/output",
        "sky read as sky",
        0.8,
        True,
        "the sky has lost the look of a sky, or has become something else",
        True,
    ),
    Check(
        "class_sky/as_building/output",
        "sky read as building",
        0.08,
        False,
        "the sky is becoming facades",
        True,
    ),
    Check(
        "markings/output",
        "how far lane markings stand out / the source's",
        0.3,
        True,
        "lane markings are gone, or inverted where this is under 0",
        True,
    ),
    Check(
        "detail_least/output",
        "fine detail / the target's, least of a large class",
        0.35,
        True,
        "BLUR: smoother than the target's frames are",
    ),
    Check(
        "detail_most/output",
        "fine detail / the target's, most of a large class",
        3.0,
        False,
        "a grid, noise or texture where the target's frames are smooth",
    ),
    Check(
        "spectrum_least",
        "spectral energy / the truth's, least band",
        0.6,
        True,
        "BLUR: details that the perfect translation has are lost",
    ),
    Check(
        "spectrum_most",
        "spectral energy / the truth's, most band",
        1.5,
        False,
        "a grid or noise: more detail than the perfect translation has",
    ),
    Check(
        "raw_over_output",
        "raw's warping error / output's",
        1.5,
        True,
        "the output is hardly steadier than single frames",
    ),
    Check(
        "output_over_source",
        "output's warping error / source's",
        STEADIER,
        True,
        "SMEARING: steadier than the source itself, so the output copies its past",
    ),
    Check(
        "output_over_truth",
        "output's warping error / the truth's",
        AS_STEADY[0],
        True,
        "SMEARING or blur: steadier than the perfect translation",
    ),
    Check(
        "flicker",
        "output's warping error / the truth's, at most",
        AS_STEADY[1],
        False,
        "it flickers, or does not move as the source does",
    ),
    Check(
        "mask_new",
        "mask in newly visible regions",
        0.5,
        False,
        "the mask copies where there is nothing to copy",
    ),
    Check(
        "mask_contrast",
        "mask elsewhere - mask in newly visible regions",
        0.25,
        True,
        "the mask does not look at what is new",
    ),
    Check(
        "structure_kept",
        "structure agreement, frame {last} / frame {first}",
        0.9,
        True,
        "the source's layout is lost on the way",
    ),
    Check(
        "miou_kept",
        "mIoU of output against raw, frame {last} / frame {first}",
        0.9,
        True,
        "what the image generator shows is lost on the way",
    ),
)


def verdicts(values: Mapping[str, float], *, first: int = 1, last: int = 60) -> list[Verdict]:
    """The thresholds that ``values`` (from ``scoring.evaluate``) has figures for.

    The segmenter's mIoU is compared with its mIoU on the raw frames of the same distance, which
    have no memory: which classes are in view changes mIoU by 20 % for a perfect translation.

    Args:
        values: figures by name.
        first, last: the frame distances that "does not decay" compares.
    """
    figures = dict(values) | _derived(values, first, last)
    softer = _softness(values)
    return [
        Verdict(
            check.title.format(first=first, last=last),
            figures[check.figure],
            check.threshold * (softer if check.figure == "output_over_source" else 1),
            *check[3:],
        )
        for check in CHECKS
        if check.figure in figures and check.figure not in _idle(values)
    ]


def meaning_checked(found: Sequence[Verdict]) -> bool:
    """Whether any verdict asks what the output shows: without, passing all says little."""
    return any(verdict.of_meaning for verdict in found)


def summary(found: Sequence[Verdict]) -> str:
    """What all verdicts come to, in a few words."""
    failed = sum(not verdict.passed for verdict in found)
    if failed:
        return f"{failed} of {len(found)} checks failed"
    if meaning_checked(found):
        return "all checks passed"
    return f"{len(found)} checks of motion passed, meaning was not checked"


def _derived(values: Mapping[str, float], first: int, last: int) -> dict[str, float]:
    """Figures that only verdicts need."""
    found = {"mask_contrast": values["mask_agree"] - values["mask_new"]}
    structure, output, raw = (
        _kept(values, name, first, last) for name in ("structure/output", "miou/output", "miou/raw")
    )
    if structure is not None:
        found["structure_kept"] = structure
    if output is not None and raw is not None:
        found["miou_kept"] = output / raw if raw > 0 else math.nan
    if values.get("miou/truth", 0) > 0:
        found["miou_of_truth"] = values["miou/output"] / values["miou/truth"]
    if "output_over_truth" in values:
        found["flicker"] = values["output_over_truth"]
        bands = [values[f"{name}/output"] for name in SPECTRA]
        found |= {"spectrum_least": min(bands), "spectrum_most": max(bands)}
    return found


def _softness(values: Mapping[str, float]) -> float:
    """The output's sharpness over the source's, 0.5 to 1: what shows less, moves less.

    The perfect translation of game to street has two thirds, and errs 0.62 times as much.
    """
    output, source = (values.get(f"sharpness/{video}", 1.0) for video in ("output", "source"))
    return min(max(output / source, 0.5), 1.0) if source > 0 else 1.0


def _idle(values: Mapping[str, float]) -> set[str]:
    """Checks with nothing to look for: raw frames as steady as the source, a mask that is 0.

    And what only stands in for the truth, where the truth is known.
    """
    idle = set()
    if max(values.get(f"warping_error/{v}", math.inf) for v in ("raw", "output")) <= 1.5 * (
        values.get("warping_error/source", 0)
    ):
        idle.add("raw_over_output")
    if values["mask_agree"] < NOTHING:
        idle.add("mask_contrast")
    # The truth may be steadier than the source: where it is known, it is the measure.
    if "output_over_truth" in values:
        idle.add("output_over_source")
    return idle


def _kept(values: Mapping[str, float], name: str, first: int, last: int) -> float | None:
    """What is left of a figure at the last distance, as a share of the first; None if unknown."""
    start, end = values.get(f"at_{first}/{name}"), values.get(f"at_{last}/{name}")
    if start is None or end is None:
        return None
    return end / start if start > 0 else math.nan


def format_figures(values: Mapping[str, float]) -> str:
    """Everything for a terminal: tables, then one line per verdict, failures in capitals."""
    found = verdicts(values)
    lines = "\n".join(verdict.line() for verdict in found)
    return "\n\n".join([*text_tables(values), lines, *([summary(found)] if found else [])])
