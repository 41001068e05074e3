"""The paper's tables in one command: rows trained and scored for several seeds, resumable."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

import v2v_jax
from v2v_jax.assembly import table_scores
from v2v_jax.assembly.choice import Config
from v2v_jax.assembly.modes import training
from v2v_jax.assembly.scoring import evaluation_clips, judges
from v2v_jax.assembly.table_scores import PAIRED, PERFECT, SOURCE, TARGET
from v2v_jax.assembly.upper_bound import trained_on_pairs
from v2v_jax.evaluation import metrics, scoring
from v2v_jax.evaluation.protocol import EvaluationClip, Rollout, find_regions
from v2v_jax.evaluation.reporting import bars, tables
from v2v_jax.evaluation.reporting.whole_files import write_whole
from v2v_jax.evaluation.scoring import Judges
from v2v_jax.evaluation.session import reachable_distances
from v2v_jax.training import loop

ORACLES = {
    SOURCE: "Source, untranslated",
    TARGET: "Oracle: target frames",
    PAIRED: "Trained on pairs (upper bound: it uses the truth)",
    PERFECT: "Perfect translation",
}
"""Rows that no method trains; the tables they stand in."""
ORACLE_TABLES = {SOURCE: (1, 2), TARGET: (1,), PAIRED: (1, 2, 3, 6), PERFECT: (1, 2, 3, 6)}


def make_tables(config: Config, workdir: Path) -> None:
    """Trains and scores what is not there yet; writes ``tables.{md,csv,svg}`` after every score.

    ``workdir/<row>/<seed>`` is an ordinary run, with ``scores.json`` beside its checkpoints.  A
    signal saves and returns; the same command goes on, in the middle of a run too.

    Args:
        config: of configs/tables.py: order, rows, seeds, only, claims, matrices.
        workdir: of the whole table.

    Raises:
        ValueError: rows that do not exist, or scores that were made with another configuration.
    """
    _check(config)
    list(table_scores.read_all(config, workdir))  # What is no score of it is refused at once.
    for seed in config.seeds:
        judge = _Judge(config, seed, workdir)
        for name in _needed(config, config.only or config.order):
            path = table_scores.path_of(workdir, name, seed)
            if path.exists():
                continue
            run, folder = run_config(config, name, seed, workdir), path.parent
            logging.info("%s, seed %d: %s", name, seed, folder)
            state = loop.train(**training(run, folder))
            if int(state.step) < run.steps:
                return
            score = judge.score(folder) if config.rows[name].tables else {}
            table_scores.write(config, workdir, name, seed, score)
            jax.clear_caches()  # Every row has its own programs; nobody needs them again.
            write_tables(config, workdir)
        found = {TARGET: judge.oracle, PERFECT: judge.ceiling, PAIRED: judge.paired}
        for name in table_scores.oracles(config):
            if not table_scores.path_of(workdir, name, seed).exists():
                table_scores.write(config, workdir, name, seed, found[name]())
    print(write_tables(config, workdir))


def run_config(config: Config, name: str, seed: int, workdir: Path) -> Config:
    """The configuration of one row's run, which knows where the runs it needs lie."""
    row = config.rows[name]
    run = row.run.copy_and_resolve_references()
    run.seed = seed
    needs = {field: str(workdir / other / str(seed)) for field, other in row.needs}
    run.update_from_flattened_dict(needs)
    return run


def write_tables(config: Config, workdir: Path) -> str:
    """Writes the tables of all scores under ``workdir``; returns the Markdown."""
    results = list(table_scores.read_all(config, workdir))
    titles = {name: config.rows[name].title for name in config.order} | ORACLES
    shown = {name: tuple(config.rows[name].tables) for name in config.order} | ORACLE_TABLES
    titles = {name: title for name, title in titles.items() if shown[name]}
    text = tables.markdown(results, titles, shown, config.claims, config.matrices)
    made = {
        "md": text,
        "csv": tables.as_csv(results, titles),
        "svg": bars.plot_svg(results, titles),
    }
    for suffix, content in made.items():
        write_whole(workdir / f"tables.{suffix}", content)
    return text


class _Judge:
    """One seed's held-out clips and the probes that judge all rows alike, made when needed."""

    def __init__(self, config: Config, seed: int, workdir: Path):
        self._run = run_config(config, table_scores.first_shown(config), seed, workdir)
        self._pairs = config.get("pairs")
        self._workdir = workdir

    @functools.cached_property
    def _judges(self) -> Judges:
        return judges(self._run, (SOURCE, TARGET), self._workdir)

    @functools.cached_property
    def _clips(self) -> list[EvaluationClip]:
        return evaluation_clips(self._run, SOURCE, self._workdir)

    def score(self, folder: Path) -> dict[str, Any]:
        """What the newest checkpoint of a run scores."""
        translator = v2v_jax.Translator.load(folder)
        found = [
            scoring.evaluate_clip(
                translator.method,
                translator.params["generator"],
                translator.params["frozen"],
                clip,
                flow_for_method=translator.host_flow,
                judges=self._judges,
                distances=reachable_distances(self._clips),
            )
            for clip in self._clips
        ]
        return _as_score(found)

    def ceiling(self) -> dict[str, Any]:
        """What the truth scores, where it can be drawn: no translation can do better."""
        return self._memoryless(lambda clip: clip.get("truth", clip["frames"]))

    def paired(self) -> dict[str, Any]:
        """What the image generator scores that was trained on pairs with the truth."""
        if "truth" not in self._clips[0]:
            return table_scores.as_score({}, {})
        translate = trained_on_pairs(self._run, **self._pairs)
        return self._memoryless(lambda clip: translate(clip["frames"]))

    def _memoryless(self, made: Callable[[EvaluationClip], np.ndarray]) -> dict[str, Any]:
        """Scores videos whose frames know nothing of each other; none without a truth."""
        videos = [(clip, made(clip)) for clip in self._clips if "truth" in clip]
        found = [
            scoring.score_clip(
                clip,
                Rollout(video, video, np.zeros(video.shape[:3], np.float32)),
                find_regions(clip),
                self._judges,
                reachable_distances(self._clips),
            )
            for clip, video in videos
        ]
        return _as_score(found) if found else table_scores.as_score({}, {})

    def oracle(self) -> dict[str, Any]:
        """What the segmenter reads in held-out frames of the target domain."""
        segment = self._judges.segment
        clips = evaluation_clips(self._run, TARGET, self._workdir)
        pairs = [(clip["frames"], clip["labels"]) for clip in clips if "labels" in clip]
        if segment is None or not pairs:
            return table_scores.as_score({}, {})
        counts = sum(metrics.confusion(labels, segment(frames)) for frames, labels in pairs)
        found = metrics.segmentation_scores(np.asarray(counts))
        figures = {
            "miou/output": found.miou_official,
            "fwiou/output": found.fwiou,
            "pixel_accuracy/output": found.pixel_accuracy,
        }
        return table_scores.as_score(figures, {"output": np.asarray(counts)})


def _as_score(found: list[scoring.ClipScores]) -> dict[str, Any]:
    counts = {v: scoring.pooled_counts(found, v) for v in ("output", "source")}
    return table_scores.as_score(dict(scoring.summarise(found)), counts)


def _check(config: Config) -> None:
    known = set(config.rows)
    if unknown := [name for name in (*config.order, *config.only) if name not in known]:
        raise ValueError(f"config: {unknown[0]!r} is none of the rows {', '.join(config.order)}")
    if not config.seeds or min(config.seeds) < 0:
        raise ValueError("config.seeds: give one or more, not negative, for example 0,1,")


def _needed(config: Config, wanted: Sequence[str]) -> list[str]:
    """``wanted`` and the rows they need, in the table's order."""
    found: set[str] = set()

    def add(name: str) -> None:
        found.add(name)
        for _, other in config.rows[name].needs:
            add(other)

    for name in wanted:
        add(name)
    return [name for name in config.order if name in found]
