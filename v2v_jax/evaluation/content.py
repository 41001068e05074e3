"""Figures that need no truth: patches of a class against the target's patches of that class.

Sums per clip, so that they pool over clips; every class is that of the source's labels, which a
translation must keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import cv2
import numpy as np

from v2v_jax.ops.classes import CLASSES

ROAD = 0
LARGE, SMALL = 0.05, 0.01
"""Shares of what is labelled: of classes that count by themselves, and of those in a mean."""
MARKED = 25.0
"""Grey levels by which a lane marking is brighter than the road on either side."""
FEWEST = 50
"""Marked pixels in all clips, under which nothing is said of markings."""

Alike = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Frames uint8 [N, H, W, 3], labels [N, H, W] -> int [classes, 2]: cells, and those like the
target's of their class."""
Sums = dict[str, np.ndarray]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def content_sums(videos: Mapping[str, np.ndarray], labels: np.ndarray, alike: Alike | None) -> Sums:
    """One clip's sums, by ``<what>/<video>``.

    Args:
        videos: uint8 [T, H, W, 3], "source" among them.
        labels: train ids [T, H, W].
        alike: the judge of patches; None leaves its figures out.
    """
    labels = np.where((labels < 0) | (labels >= CLASSES), 255, labels).astype(np.uint8)
    marked = (thin_lines(videos["source"]) > MARKED) & (labels == ROAD)
    sums = {}
    for name, video in videos.items():
        sums[f"detail/{name}"] = detail(video, labels)
        sums[f"markings/{name}"] = np.array([marked.sum(), thin_lines(video)[marked].sum()])
        if alike is not None:
            sums[f"like_target/{name}"] = alike(video, labels)
    return sums


def content_figures(
    clips: Sequence[Sums], reference: np.ndarray | None
) -> Iterator[tuple[str, float]]:
    """Yields (name, value) over clips, for every video.

    ``like_target``: the share of patches that look like the target's of their class, a mean over
    classes; ``like_target_least``: of the large class where it is least.  ``detail_least`` and
    ``detail_most``: fine detail over the target's, of the large classes where it is least and most.
    ``markings``: how far lane markings stand out, over the source's; under 0 they are inverted.

    Args:
        clips: of ``content_sums``.
        reference: ``detail`` of the target domain; None leaves it out.
    """
    names = dict.fromkeys(name for clip in clips for name in clip)
    pooled = {name: np.sum([clip[name] for clip in clips if name in clip], 0) for name in names}
    for name, sums in pooled.items():
        what, video = name.split("/")
        if what == "like_target" and sums[:, 0].any():
            share, value = _shares(sums), _means(sums)
            yield name, float(value[share >= SMALL].mean())
            yield f"like_target_least/{video}", float(value[share >= LARGE].min())
        elif what == "markings" and sums[0] >= FEWEST:
            yield name, float(sums[1] / pooled["markings/source"][1])
        elif what == "detail" and reference is not None:
            known = (_shares(sums) >= LARGE) & (_shares(reference) >= SMALL / 10)
            if known.any():
                over = _means(sums)[known] / _means(reference)[known]
                yield f"detail_least/{video}", float(over.min())
                yield f"detail_most/{video}", float(over.max())


def detail(frames: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Fine detail by class, float64 [classes, 2]: pixels, and squared grey levels summed over them.

    What a 3x3 mean takes away, dots of one or two pixels for one; pixels whose 5x5 neighbours are
    all of their class.

    Args:
        frames: uint8 [N, H, W, 3].
        labels: uint8 [N, H, W].
    """
    sums = np.zeros((CLASSES, 2))
    square = np.ones((5, 5), np.uint8)
    for frame, label in zip(frames, labels, strict=True):
        grey = frame.astype(np.float32) @ _LUMA
        energy = np.square(grey - cv2.blur(grey, (3, 3))).ravel()
        inner = cv2.erode(label, square) == cv2.dilate(label, square)
        which = np.where(inner, label, 255).ravel()
        for column, weights in enumerate((None, energy)):
            sums[:, column] += np.bincount(which, weights, 256)[:CLASSES]
    return sums


def thin_lines(frames: np.ndarray) -> np.ndarray:
    """How far a pixel stands out from both sides of a narrow line, float32 [N, H, W], grey levels.

    Over 0 on bright lines, under 0 on dark ones, near 0 in shadows, which are wide.

    Args:
        frames: uint8 [N, H, W, 3].
    """
    side = max(3, frames.shape[1] // 14 * 2 + 1)
    square = np.ones((side, side), np.uint8)
    found = []
    for frame in frames:
        grey = frame.astype(np.float32) @ _LUMA
        bright, dark = (
            cv2.morphologyEx(grey, kind, square) for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)
        )
        found.append(bright - dark)
    return np.stack(found)


def sharpness(frames: np.ndarray) -> float:
    """Mean squared step from a pixel to its neighbours, squared grey levels."""
    grey = frames.astype(np.float32) @ _LUMA
    return float(np.square(np.diff(grey, axis=1)).mean() + np.square(np.diff(grey, axis=2)).mean())


def _shares(sums: np.ndarray) -> np.ndarray:
    return sums[:, 0] / max(sums[:, 0].sum(), 1)


def _means(sums: np.ndarray) -> np.ndarray:
    return sums[:, 1] / np.maximum(sums[:, 0], 1)
