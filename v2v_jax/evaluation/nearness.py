"""How near translated clips are to their truth: sums per clip, figures over many.

All figures pool pixels over clips, and are not means of clips' figures.  Names: ``truth/l1/output``
over whole clips, ``at_10/truth/l1/output`` ten frames from the start, ``class_sky/truth/l1/output``
of one class of the source's labels, all clips and frames.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from v2v_jax.evaluation.classes import CLASSES
from v2v_jax.evaluation.truth import BANDS, UNLABELLED, Comparison, compare, spectral_energy

PSNR_CAP = 100.0
"""Decibels: what equal videos score, whose PSNR is infinite and no JSON."""
GAINS = {"output": "truth/gain", "raw": "truth/gain_raw"}
"""1 - L1(video, truth) / L1(source, truth): 0 is doing nothing, 1 is perfect."""
SPECTRA = tuple(f"truth/spectrum_{low:g}_{high:g}" for low, high in itertools.pairwise(BANDS))
"""Spectral energy over the truth's by band, cycles per pixel, under a taper."""


class Nearness(NamedTuple):
    """One clip's sums."""

    comparisons: dict[str, Comparison]
    """By video: source, raw, output."""
    energy: dict[str, np.ndarray]
    """Spectral energy, float64 [5], by video, the truth's too."""
    windows: dict[str, slice]
    """The frames of ``at_<distance>/``."""


def nearness(
    videos: Mapping[str, np.ndarray],
    truth: np.ndarray,
    labels: np.ndarray | None,
    windows: Mapping[str, slice],
) -> Nearness:
    """Compares a clip's videos with its truth.

    Args:
        videos: uint8 [T, H, W, 3] each, "source" among them.
        truth: the perfect translation, of the same shape.
        labels: train ids [T, H, W], or None.
        windows: prefix of a name, as ``at_10/`` -> its frames.
    """
    if labels is not None:
        labels = np.where((labels < 0) | (labels > UNLABELLED), UNLABELLED, labels).astype(np.uint8)
    return Nearness(
        {name: compare(video, truth, labels) for name, video in videos.items()},
        {
            name: spectral_energy(video, tapered=True)
            for name, video in {**videos, "truth": truth}.items()
        },
        dict(windows),
    )


def nearness_figures(clips: Sequence[Nearness]) -> Iterator[tuple[str, float]]:
    """Yields (name, value) pooled over clips; nothing where no clip has a truth."""
    if not clips:
        return
    for prefix in dict.fromkeys(["", *(name for clip in clips for name in clip.windows)]):
        parts = [clip for clip in clips if not prefix or prefix in clip.windows]
        yield from _distances(
            prefix,
            {
                video: Comparison.clips(
                    [clip.comparisons[video].part(_frames(clip, prefix)) for clip in parts]
                )
                for video in parts[0].comparisons
            },
        )
    pooled = {v: Comparison.clips([c.comparisons[v] for c in clips]) for v in clips[0].comparisons}
    for label in pooled["source"].by_class():
        if label < len(CLASSES):
            yield from _distances(f"class_{CLASSES[label].replace(' ', '_')}/", pooled, label)
    yield from _spectra(clips)


def _frames(clip: Nearness, prefix: str) -> slice:
    return clip.windows[prefix] if prefix else slice(None)


def _distances(
    prefix: str, pooled: Mapping[str, Comparison], label: int | None = None
) -> Iterator[tuple[str, float]]:
    found = {video: sums.distance(label=label) for video, sums in pooled.items()}
    for video, distance in found.items():
        values = distance._replace(psnr=min(distance.psnr, PSNR_CAP))._asdict()
        yield from ((f"{prefix}truth/{name}/{video}", value) for name, value in values.items())
    undone = found["source"].l1
    for video, name in GAINS.items():
        yield prefix + name, 1 - found[video].l1 / undone if undone > 0 else math.nan


def _spectra(clips: Sequence[Nearness]) -> Iterator[tuple[str, float]]:
    total = {name: np.sum([clip.energy[name] for clip in clips], 0) for name in clips[0].energy}
    wanted = total.pop("truth")
    for video, energy in total.items():
        for name, value, of in zip(SPECTRA, energy, wanted, strict=True):
            yield f"{name}/{video}", float(value / of) if of > 0 else math.nan
