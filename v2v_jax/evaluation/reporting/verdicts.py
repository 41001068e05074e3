"""Figures against named thresholds.

The thresholds are the project's own (issue "the paper's method runs end to end"): together they
tell a steady translation from the first frame carried along, which no single one does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from v2v_jax.evaluation.reporting.rows import text_tables


class Verdict(NamedTuple):
    """One figure against its threshold."""

    name: str
    value: float
    threshold: float
    at_least: bool
    """True: the value must not be under the threshold; False: not above it."""
    meaning: str
    """One sentence: what the figure shows when it fails."""

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


CHECKS = (
    (
        "raw_over_output",
        "raw's warping error / output's",
        1.5,
        True,
        "the output is hardly steadier than single frames",
    ),
    (
        "output_over_source",
        "output's warping error / source's",
        1.0,
        True,
        "SMEARING: steadier than the source itself, so the output copies its past",
    ),
    (
        "mask_new",
        "mask in newly visible regions",
        0.5,
        False,
        "the mask copies where there is nothing to copy",
    ),
    (
        "mask_contrast",
        "mask elsewhere - mask in newly visible regions",
        0.25,
        True,
        "the mask does not look at what is new",
    ),
    (
        "structure_kept",
        "structure agreement, frame {last} / frame {first}",
        0.9,
        True,
        "the source's layout is lost on the way",
    ),
    (
        "miou_kept",
        "mIoU of output against raw, frame {last} / frame {first}",
        0.9,
        True,
        "what the image generator shows is lost on the way",
    ),
    (
        "share_target/output",
        "share of outputs that look like the target domain",
        0.8,
        True,
        "the generator is close to the identity",
    ),
)
"""Figure, title, threshold, whether the figure must be at least it, and what failing means."""


def verdicts(values: Mapping[str, float], *, first: int = 1, last: int = 60) -> list[Verdict]:
    """The thresholds that ``values`` (from ``scoring.evaluate``) has figures for.

    The segmenter's mIoU is compared with its mIoU on the raw frames of the same distance, which
    have no memory: which classes are in view changes mIoU by 20 % for a perfect translation.

    Args:
        values: figures by name.
        first, last: the frame distances that "does not decay" compares.
    """
    figures = dict(values)
    figures["mask_contrast"] = values["mask_agree"] - values["mask_new"]
    structure, output, raw = (
        _kept(values, name, first, last) for name in ("structure/output", "miou/output", "miou/raw")
    )
    if structure is not None:
        figures["structure_kept"] = structure
    if output is not None and raw is not None:
        figures["miou_kept"] = output / raw if raw > 0 else math.nan
    return [
        Verdict(title.format(first=first, last=last), figures[key], threshold, at_least, meaning)
        for key, title, threshold, at_least, meaning in CHECKS
        if key in figures
    ]


def _kept(values: Mapping[str, float], name: str, first: int, last: int) -> float | None:
    """What is left of a figure at the last distance, as a share of the first; None if unknown."""
    start, end = values.get(f"at_{first}/{name}"), values.get(f"at_{last}/{name}")
    if start is None or end is None:
        return None
    return end / start if start > 0 else math.nan


def format_figures(values: Mapping[str, float]) -> str:
    """Everything for a terminal: tables, then one line per verdict, failures in capitals."""
    return "\n\n".join([*text_tables(values), "\n".join(v.line() for v in verdicts(values))])
