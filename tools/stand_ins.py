"""What stands in for the truth: do measures that need none order runs as ``truth/gain`` does?

    python tools/stand_ins.py --output=runs/stand_ins --seed=7 runs/demo runs/other@120

Every run (a workdir, or ``workdir@step``) translates the same held-out clips of the built-in
world; ``measures.csv`` holds a row of figures for each, and goes on where a killed call stopped;
``correlations.md`` is the table of docs/stand_ins.md.  Checkpoints of one workdir count as settings
that differ in steps; the intervals draw whole runs.
"""

from __future__ import annotations

import argparse
import csv
import functools
import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import v2v_jax
from configs import demo
from v2v_jax.assembly import pretrained
from v2v_jax.assembly.data import source
from v2v_jax.assembly.scoring import evaluation_clips, judges
from v2v_jax.command_line import one_line_errors
from v2v_jax.evaluation import distribution, ranking, scoring
from v2v_jax.evaluation.metrics import structure_agreement
from v2v_jax.evaluation.protocol import EvaluationClip, Rollout, find_regions
from v2v_jax.evaluation.scoring import ClipScores, Judges
from v2v_jax.nets.vgg import Vgg16
from v2v_jax.training.checkpoints import saved_steps
from v2v_jax.weights import from_torch

TRUTH = "truth/gain"
TAPS = {"conv1_2": 1, "conv2_2": 2, "conv3_3": 4, "conv4_3": 8, "conv5_3": 16}
"""Taps before the ReLU -> pixels per cell."""
CROP = 16
"""Side of the crops of FID and KID, pixels; a quarter of the demo's frames."""
EVERY = 4
"""Of so many frames one is looked at by the networks."""
RANDOM_WIDTH = 16
REFERENCES = 64
"""Frames of the target domain that FID and KID compare with."""
DISTANCES = (1, 10)
"""Frame distances of the figures named ``at_...``."""
EXTREMES = {"(source)": "frames", "(truth)": "truth"}
"""Rows that are no run and count in no correlation: what doing nothing and perfection score."""
OWN = ("output_over_source", "raw_over_output", "colour_distance", "mask", "mask_agree", "mask_new")
"""Figures of the evaluation, not named after a video, that need no truth."""
Features = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Frames uint8 [N, H, W, 3] -> maps [N, h, w, C] by tap."""


class References(NamedTuple):
    """Frames of the target domain as the networks see them."""

    features: dict[str, Features]
    """By name of the network."""
    crops: dict[str, np.ndarray]
    """``<network>/<tap>`` -> [M, C], as the network gives them; see ``scaled``."""
    labels: np.ndarray
    """[M, CROP^2]."""


class Setting(NamedTuple):
    """One trained network: a run's folder and a step of it."""

    workdir: str
    step: int | None

    @classmethod
    def parse(cls, text: str) -> Setting:
        """Reads ``workdir`` or ``workdir@step``."""
        workdir, at, step = text.rpartition("@")
        return cls(workdir, int(step)) if at and step.isdigit() else cls(text, None)

    def __str__(self) -> str:
        return self.workdir if self.step is None else f"{self.workdir}@{self.step}"


def extractor(weights: str) -> Features:
    """VGG-16 up to ``TAPS``: "vgg16", trained, from the cache, or "random", narrow."""
    taps = tuple(TAPS)
    trained = weights == pretrained.FEATURES
    net: Any = Vgg16(tap=taps, features=64 if trained else RANDOM_WIDTH)
    frame = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    if trained:
        params = pretrained.load("content", "vgg16", pretrained.fetched(), from_torch)
        params = {name: params[name] for name in pretrained.abstract(net, frame)}
    else:
        params = pretrained.random(net, frame)
    run: Any = jax.jit(net.apply)

    def features(frames: np.ndarray) -> dict[str, np.ndarray]:
        parts = [run({"params": params}, jnp.asarray(frame / 127.5 - 1, jnp.float32)[None])
                 for frame in frames]  # fmt: skip
        return {tap: np.concatenate([p[k] for p in parts]) for k, tap in enumerate(taps)}

    return features


def references(config: Any, workdir: Path, names: Sequence[str]) -> References:
    """Evenly spread training frames of the target domain, through every network."""
    videos = source(config, "target", workdir)
    picked = np.linspace(0, sum(videos.lengths) - 1, REFERENCES).astype(int)
    ends = np.cumsum(videos.lengths)
    found = []
    for place in picked:
        index = int(np.searchsorted(ends, place, side="right"))
        found.append(videos.read(index, int(place - (ends[index] - videos.lengths[index])), 1))
    frames, labels = (np.concatenate([f[name] for f in found]) for name in ("frames", "labels"))
    features = {name: extractor(name) for name in names}
    crops = {
        f"{name}/{tap}": distribution.crop_features(maps, CROP // TAPS[tap])
        for name, net in features.items()
        for tap, maps in net(frames).items()
    }
    return References(features, crops, distribution.crop_labels(labels, CROP))


def measures(
    setting: Setting, clips: Sequence[EvaluationClip], judged: Judges, beside: References
) -> dict[str, float]:
    """All figures of one setting, ``TRUTH`` first.

    Args:
        setting: what to load, or a name of ``EXTREMES``.
        clips: held-out clips with truth and labels, of 2 frames at least.
        judged: trained judges of the target.
        beside: of ``references``.
    """
    if setting.workdir in EXTREMES:
        scores = [extreme(clip, EXTREMES[setting.workdir], judged) for clip in clips]
        return figures_of(clips, scores, beside)
    translator = v2v_jax.Translator.load(setting.workdir, step=setting.step)
    params = translator.params
    scores = [
        scoring.evaluate_clip(
            translator.method, params["generator"], params["frozen"], clip,
            flow_for_method=translator.host_flow, judges=judged, distances=DISTANCES,
        )
        for clip in clips
    ]  # fmt: skip
    return figures_of(clips, scores, beside)


def extreme(clip: EvaluationClip, video: str, judged: Judges) -> ClipScores:
    """The scores of ``video`` ("frames" or "truth") of a clip, as if a method had made it."""
    made = np.asarray(dict(clip)[video])
    rollout = Rollout(made, made, np.zeros(made.shape[:3], np.float32))
    return scoring.score_clip(clip, rollout, find_regions(clip), judged, DISTANCES)


def figures_of(
    clips: Sequence[EvaluationClip], scores: Sequence[ClipScores], beside: References
) -> dict[str, float]:
    """``TRUTH`` and every measure that needs none, of translated clips."""
    figures = dict(scoring.summarise(scores))
    return {
        TRUTH: figures[TRUTH],
        **plain_measures(figures),
        **deep_measures(clips, scores, beside),
    }


def plain_measures(figures: Mapping[str, float]) -> dict[str, float]:
    """What the evaluation has already and no truth is needed for; and distances from 1 of ratios.

    A ratio of warping errors or of details is best near 1, which no rank can say: ``|log ...|``.
    """
    kept = {
        name: value
        for name, value in figures.items()
        if name in OWN
        or (name.endswith("/output") and "truth" not in name and "class_" not in name)
    }
    for name in ("output_over_source", "detail_least/output", "detail_most/output"):
        if figures.get(name, 0) > 0:
            kept[f"|log {name}|"] = abs(math.log(figures[name]))
    return kept


def deep_measures(
    clips: Sequence[EvaluationClip], scores: Sequence[ClipScores], beside: References
) -> dict[str, float]:
    """Content distance, FID, KID and KID of matched crops, by network and tap."""
    part = slice(EVERY - 1, None, EVERY)
    frames = np.concatenate([clip["frames"][part] for clip in clips])
    output = np.concatenate([score.rollout.output[part] for score in scores])
    labels = np.concatenate([clip.get("labels", np.empty(0))[part] for clip in clips])
    matches = distribution.matched_crops(distribution.crop_labels(labels, CROP), beside.labels)
    found = {}
    for name, net in beside.features.items():
        maps, sources = net(output), net(frames)
        for tap, values in maps.items():
            what, wanted = f"{name}/{tap}", beside.crops[f"{name}/{tap}"]
            crops = distribution.crop_features(values, CROP // TAPS[tap])
            crops, wanted = scaled(crops, wanted)
            agreement = structure_agreement(values, sources[tap])
            found[f"content_distance/{what}"] = float(np.mean(2 * (1 - agreement)))
            found[f"fid/{what}"] = distribution.fid(crops, wanted)
            found[f"kid/{what}"] = distribution.kid(crops, wanted)
            found[f"matched_kid/{what}"] = distribution.matched_kid(crops, wanted, matches)
    return found


def scaled(crops: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both [N, C] and [M, C] with the deviations of ``wanted`` as the unit of each channel.

    Trained maps reach hundreds in a few channels, which alone would decide KID's cubic kernel.
    """
    centre, unit = wanted.mean(0), wanted.std(0)
    unit = np.where(unit > 1e-6 * np.abs(centre), unit, 1)
    return (crops - centre) / unit, (wanted - centre) / unit


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Correlations of every measure with ``TRUTH``, Markdown, the strongest first.

    Over all settings, intervals by drawing whole runs; and over distinct runs, of each its last
    setting.  Beside them what ``EXTREMES`` score, and ``decisions``, where they were measured.

    Args:
        rows: of ``measures.csv``, with ``run`` and ``step``.
    """
    ends = {row["run"]: row for row in rows if row["run"] in EXTREMES}
    rows = [row for row in rows if row["run"] not in EXTREMES]
    last = list({row["run"]: row for row in sorted(rows, key=lambda row: row["step"])}.values())
    lines = []
    for name in [key for key in rows[0] if key not in ("run", "step", TRUTH)]:
        found = [
            ranking.correlation(
                [row[TRUTH] for row in part],
                [row.get(name, math.nan) for row in part],
                [row["run"] for row in part],
            )
            for part in (rows, last)
        ]
        lines.append((name, *found))
    lines.sort(key=lambda line: -abs(line[1].rho) if math.isfinite(line[1].rho) else 1)
    head = [
        "measure",
        f"ρ over {len(rows)} settings [95 %]",
        f"ρ over {len(last)} runs [95 %]",
        *(name[1:-1] for name in ends),
        *(["truth beats", "right about nothing"] if len(ends) == len(EXTREMES) else []),
    ]
    text = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, every, runs in lines:
        cells = [f"`{name}`", _text(every), _text(runs)]
        cells += [f"{row.get(name, math.nan):.3g}" for row in ends.values()]
        if len(ends) == len(EXTREMES):
            cells += [f"{share:.0%}" for share in decisions(name, every.rho, rows, ends)]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text) + "\n"


def decisions(
    name: str, rho: float, rows: Sequence[Mapping[str, Any]], ends: Mapping[str, Mapping[str, Any]]
) -> tuple[float, float]:
    """What a measure would decide, better being where its correlation with ``TRUTH`` points.

    Args:
        name: of the measure.
        rho: its correlation, of which the sign alone is asked.
        rows: of settings.
        ends: rows of ``EXTREMES``.

    Returns:
        Share of the settings that the perfect translation is better than; and of the settings
        that are better than the source by this measure just where they are by the truth.  NaN
        where ``rho`` is, or a figure of an extreme.
    """
    source, truth = (float(ends[end].get(name, math.nan)) for end in EXTREMES)
    if not math.isfinite(rho + source + truth):
        return math.nan, math.nan
    pairs = [(row[TRUTH], row.get(name, math.nan)) for row in rows]
    known = [(gain, math.copysign(1, rho) * value) for gain, value in pairs if value == value]
    source, truth = (math.copysign(1, rho) * value for value in (source, truth))
    beats = float(np.mean([truth > value for _, value in known]))
    return beats, float(np.mean([(value > source) == (gain > 0) for gain, value in known]))


def _text(found: ranking.Correlation) -> str:
    if math.isnan(found.rho):
        return "–"
    return f"{found.rho:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of ``measures.csv``; [] where there is none."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            {k: v if k == "run" else int(v) if k == "step" else float(v) for k, v in row.items()}
            for row in csv.DictReader(file)
        ]


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """All rows, whole; a figure that a row lacks is ``nan``."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="nan", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    unfinished.replace(path)


def latest(setting: Setting) -> Setting:
    """The setting with its step; of a workdir without one, the newest checkpoint's."""
    if setting.step is not None:
        return setting
    if setting.workdir in EXTREMES:
        return setting._replace(step=0)
    steps = saved_steps(Path(setting.workdir) / "checkpoints")
    if not steps:
        raise FileNotFoundError(f"{setting.workdir} holds no checkpoint: give a run's workdir")
    return setting._replace(step=steps[-1])


def measure_all(
    settings: Sequence[Setting], folder: Path, measure: Callable[[Setting], dict[str, float]]
) -> list[dict[str, Any]]:
    """Rows of all settings; those that ``measures.csv`` has are not measured again."""
    path = folder / "measures.csv"
    rows = read(path)
    for setting in map(latest, settings):
        known = {"run": setting.workdir, "step": setting.step}
        if any(row["run"] == known["run"] and row["step"] == known["step"] for row in rows):
            continue
        rows.append(known | measure(setting))
        write(path, rows)
        logging.info("%s: %s %.3f", setting, TRUTH, rows[-1][TRUTH])
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Measures what is not measured yet, and writes and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("settings", nargs="+", metavar="WORKDIR[@STEP]")
    parser.add_argument("--output", type=Path, required=True, help="folder")
    parser.add_argument("--seed", type=int, default=7, help="of the world; 0 is what runs train on")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--frames", type=int, default=16, help="per clip, 10 at least")
    asked = parser.parse_args(argv)
    asked.output.mkdir(parents=True, exist_ok=True)
    config = demo.get_config()
    config.seed, config.evaluate.clips, config.evaluate.frames = (
        asked.seed, asked.clips, asked.frames,
    )  # fmt: skip

    @functools.cache
    def tools() -> tuple[Sequence[EvaluationClip], Judges, References]:
        """Costs minutes, so not where everything was measured before."""
        beside = references(config, asked.output, ("vgg16", "random"))
        judged = judges(config, ("source", "target"), asked.output)
        return evaluation_clips(config, "source", asked.output), judged, beside

    settings = [Setting.parse(text) for text in asked.settings]
    rows = measure_all(settings, asked.output, lambda setting: measures(setting, *tools()))
    text = table(rows)
    (asked.output / "correlations.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with one_line_errors():
        main()
