"""What a segmenter of the target domain reads where each class of the source stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from v2v_jax.evaluation.classes import CLASSES
from v2v_jax.evaluation.metrics import segmentation_scores

FLIPS = {"sky": ("building",)}
"""Class -> what it must not be read as: the flips that this project is about."""


def reading_figures(counts: Mapping[str, np.ndarray]) -> Iterator[tuple[str, float]]:
    """Yields (name, value) of every class of whole clips, in 0..1.

    ``class_sky/iou/output`` of classes that are labelled or read; ``class_sky/read_right/output``,
    the share of a labelled class's pixels that are read as that class, and of those in ``FLIPS``
    ``class_sky/as_building/output``.

    Args:
        counts: by video, of ``metrics.confusion``, added up over clips.
    """
    for video, pooled in counts.items():
        total = pooled.sum(axis=1)
        for index, iou in enumerate(segmentation_scores(pooled).iou):
            name = f"class_{CLASSES[index].replace(' ', '_')}"
            if np.isfinite(iou):
                yield f"{name}/iou/{video}", float(iou)
            if not total[index]:
                continue
            read = {"read_right": CLASSES[index]}
            read |= {f"as_{other}": other for other in FLIPS.get(CLASSES[index], ())}
            for what, other in read.items():
                share = pooled[index, CLASSES.index(other)] / total[index]
                yield f"{name}/{what}/{video}", float(share)
