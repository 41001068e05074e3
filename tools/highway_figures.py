"""Figures of a simulator-to-highway translation that needs no labels (pretrained/sim2highway).

    python tools/highway_figures.py WORKDIR SIM.mp4 HIGHWAY_TRAIN HIGHWAY_HELD_OUT OUT.json

Regions (sky, road, vegetation, dry ground) come from rules of colour and position, written by hand
for these videos and looked at on 20 frames: of the source, and of the highway, never of a
translation.  The judge knows no position: one Gaussian per region over colour and texture at three
scales, fitted to the highway's training frames.  It stands where a segmenter trained on Cityscapes
should, whose weights could not be had.  HIGHWAY_*: frame folders of tools/crop_video.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np

from v2v_jax import Translator
from v2v_jax.data.media.reader import open_video
from v2v_jax.data.transforms import fit
from v2v_jax.evaluation import metrics
from v2v_jax.evaluation.judges.features import structure_features
from v2v_jax.evaluation.protocol import EvaluationClip, find_regions
from v2v_jax.flow.dis import Dis

CLASSES = ("sky", "road", "vegetation", "ground")
NONE = len(CLASSES)
SIZE = (64, 128)


def main(workdir: Path, sim: Path, train: Path, held_out: Path, out: Path) -> None:
    """Translates the whole video at the training size and writes the figures."""
    source = read([sim])
    translated = Translator.load(workdir)(source)
    np.save(out.with_suffix(".npy"), translated)
    figures = steadiness(source, translated) | agreement(source, translated, train, held_out)
    out.write_text(json.dumps(figures, indent=1) + "\n")
    print(out.read_text())


def read(videos: list[Path], every: int = 1) -> np.ndarray:
    """Every n-th frame of all, uint8 [T, 64, 128, 3]."""
    frames = []
    for video in videos:
        with open_video(video) as reader:
            frames += [fit(frame, *SIZE) for at, frame in enumerate(reader) if at % every == 0]
    return np.stack(frames)


def steadiness(source: np.ndarray, output: np.ndarray) -> dict[str, float]:
    """Warping errors over the whole video, and structure agreement by distance from its start."""
    regions = find_regions(EvaluationClip(name="whole", frames=source), Dis(scale=2.0))
    error = {
        name: metrics.warping_error(video, regions.flow, regions.valid)
        for name, video in {"source": source, "output": output}.items()
    }
    agree = metrics.structure_agreement(structure_features(output), structure_features(source))
    found = {f"warping_error/{name}": value.mean for name, value in error.items()}
    found["output_over_source"] = error["output"].mean / error["source"].mean
    for name, value in error.items():
        found[f"warping_error/{name}/last_200"] = float(np.nanmean(value.pairs[-200:]))
    for at in (1, 10, 60, 500, 990):
        found[f"structure/{at}"] = float(agree[max(at - 2, 1) : at + 3].mean())
    return found | {"contrast/source": _contrast(source), "contrast/output": _contrast(output)}


def agreement(
    source: np.ndarray, output: np.ndarray, train: Path, held_out: Path
) -> dict[str, float]:
    """What the judge reads, and how far the regions' colours are from the highway's."""
    real, unseen = (read(sorted(folder.iterdir())[:1], 3) for folder in (train, held_out))
    known = np.stack([highway_regions(frame) for frame in real])
    judge = Judge(real, known)
    theirs = np.stack([highway_regions(frame) for frame in unseen])
    mine = np.stack([sim_regions(frame) for frame in source])
    videos = {"highway": (unseen, theirs), "source": (source, mine), "output": (output, mine)}
    found = {}
    colours = {}
    for name, (frames, regions) in videos.items():
        seen = judge(frames[:: max(len(frames) // 100, 1)])
        part = regions[:: max(len(frames) // 100, 1)]
        for number, label in enumerate(CLASSES):
            here = seen[part == number]
            for other, word in enumerate(CLASSES):
                found[f"read/{name}/{label}_as_{word}"] = float((here == other).mean())
            colours[name, label] = _lab(frames)[regions == number]
            found[f"share/{name}/{label}"] = float((regions == number).mean())
    for label in CLASSES:
        want = colours["highway", label]
        for name in ("source", "output"):
            have = colours[name, label]
            found[f"delta_e/{name}/{label}"] = float(np.linalg.norm(have.mean(0) - want.mean(0)))
            found[f"spread/{name}/{label}"] = float(have[:, 0].std() / want[:, 0].std())
    return found


class Judge:
    """One Gaussian per region over ``features``, all regions equally likely."""

    def __init__(self, frames: np.ndarray, regions: np.ndarray) -> None:
        known = np.stack([features(frame) for frame in frames])
        self._parts = []
        for number in range(len(CLASSES)):
            found = known[regions == number]
            spread = np.cov(found.T) + 1e-2 * np.eye(found.shape[1])
            self._parts.append((found.mean(0), np.linalg.inv(spread), np.linalg.slogdet(spread)[1]))

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """The likeliest region of every pixel, int [N, H, W]."""
        return np.stack([self._read(features(frame)) for frame in frames])

    def _read(self, known: np.ndarray) -> np.ndarray:
        scores = []
        for mean, inverse, size in self._parts:
            away = known - mean
            scores.append(-np.einsum("hwi,ij,hwj->hw", away, inverse, away) - size)
        return np.argmax(scores, axis=0)


def features(frame: np.ndarray) -> np.ndarray:
    """Colour at three scales and fine contrast at two, float [H, W, 11]; no position."""
    lab = _lab(frame)
    blurred = [cv2.GaussianBlur(lab, (0, 0), sigma) for sigma in (1.0, 3.0)]
    contrast = [
        np.log1p(cv2.GaussianBlur(np.abs(lab - soft)[..., 0], (0, 0), 2.0))[..., None]
        for soft in blurred
    ]
    return np.concatenate([lab, *blurred, *contrast], axis=-1)


def sim_regions(frame: np.ndarray) -> np.ndarray:
    """Regions of a frame of Udacity's simulator, track 1; int [H, W], ``NONE`` elsewhere."""
    hue, grey, value, row = _tones(frame)
    red, green, blue = (frame[..., i].astype(int) for i in range(3))
    sky = _from_above((blue > red + 8) & (blue >= green - 2) & (value > 85) & (row < 0.5))
    road = (row > 0.4) & (grey < 75) & (value > 45) & (abs(red - blue) < 60)
    road = _before_the_car(road & ~sky)
    leaves = (hue > 60) & (hue < 170) & (value < 150) & (grey > 40)
    vegetation = (row < 0.62) & (leaves | (value < 70))
    ground = (row > 0.25) & (hue > 18) & (hue < 65) & (grey > 60) & (value > 70)
    return _first([sky, road, vegetation, ground], row < 0.86)


def highway_regions(frame: np.ndarray) -> np.ndarray:
    """The same of Udacity's highway, cropped as pretrained/sim2highway's card says."""
    hue, grey, value, row = _tones(frame)
    red, green, blue = (frame[..., i].astype(int) for i in range(3))
    sky = _from_above((blue > red + 12) & (blue >= green) & (value > 110) & (row < 0.5))
    road = (row > 0.4) & (grey < 95) & (value > 25) & (value < 125) & (abs(red - blue) < 35)
    road = _before_the_car(road & ~sky)
    vegetation = (row < 0.5) & (value < 95) & (blue <= red + 12)
    ground = (row > 0.2) & (row < 0.55) & (hue > 15) & (hue < 60) & (grey > 35) & (value > 95)
    return _first([sky, road, vegetation, ground], row < 0.9)


def _tones(frame: np.ndarray) -> tuple[np.ndarray, ...]:
    """Hue in degrees, saturation, value, and the row as a share of the height."""
    hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV).astype(int)
    row = np.repeat(np.arange(len(frame))[:, None] / len(frame), frame.shape[1], axis=1)
    return hsv[..., 0] * 2, hsv[..., 1], hsv[..., 2], row


def _from_above(mask: np.ndarray) -> np.ndarray:
    """The parts that reach the top row."""
    parts = cv2.connectedComponents(mask.astype(np.uint8))[1]
    return np.isin(parts, np.setdiff1d(parts[0], 0))


def _before_the_car(mask: np.ndarray) -> np.ndarray:
    """The part that fills most of the middle of the lower frame."""
    height, width = mask.shape
    whole = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3)))
    parts = cv2.connectedComponents(whole)[1]
    near = parts[int(0.7 * height) : int(0.85 * height), int(0.3 * width) : int(0.7 * width)]
    counts = np.bincount(near.ravel(), minlength=2)
    counts[0] = 0
    return (parts == counts.argmax()) & (counts.max() > 0)


def _first(masks: list[np.ndarray], seen: np.ndarray) -> np.ndarray:
    """The first mask that holds a pixel."""
    return np.where(seen, np.select(masks, range(len(masks)), NONE), NONE)


def _lab(frames: np.ndarray) -> np.ndarray:
    """CIELAB, float32 of the same shape."""
    flat = frames.reshape(-1, *frames.shape[-2:]).astype(np.float32) / 255
    return cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).reshape(frames.shape)


def _contrast(video: np.ndarray) -> float:
    """Standard deviation within frames, in grey levels."""
    return float(video.std(axis=(1, 2), dtype=np.float64).mean())


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:6]))
