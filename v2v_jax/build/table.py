"""The paper's tables in one command: rows trained and scored for several seeds, resumable."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

import v2v_jax
from v2v_jax.build.choice import Config
from v2v_jax.build.modes import training
from v2v_jax.build.resuming import changed_fields
from v2v_jax.build.scoring import evaluation_clips, judges
from v2v_jax.evaluation import bars, evaluators, metrics, tables
from v2v_jax.evaluation.evaluators import EvaluationClip, Judges
from v2v_jax.evaluation.session import reachable_distances
from v2v_jax.evaluation.tables import Result
from v2v_jax.evaluation.whole_files import write_whole
from v2v_jax.training import loop

SOURCE, TARGET = "source", "target"
ORACLES = {SOURCE: "Source, untranslated", TARGET: "Oracle: target frames"}
"""Rows that nobody trains; the tables they stand in."""
ORACLE_TABLES = {SOURCE: (1, 2), TARGET: (1,)}


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
    for seed in config.seeds:
        judge = _Judge(config, seed, workdir)
        for name in _needed(config, config.only or config.order):
            run, folder = run_config(config, name, seed, workdir), workdir / name / str(seed)
            if _scored(folder, run):
                continue
            logging.info("%s, seed %d: %s", name, seed, folder)
            state = loop.train(**training(run, folder))
            if int(state.step) < run.steps:
                return
            scores = judge.scores(folder) if config.rows[name].tables else {}
            _write_json(folder / "scores.json", scores | {"config": _plain(run)})
            jax.clear_caches()  # Every row has its own programs; nobody needs them again.
            write_tables(config, workdir)
        if not (workdir / TARGET / str(seed) / "scores.json").exists():
            _write_json(workdir / TARGET / str(seed) / "scores.json", judge.oracle())
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
    results = list(_results(config, workdir))
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
        names = [name for name in config.order if config.rows[name].tables]
        self._run = run_config(config, names[0], seed, workdir)
        self._workdir = workdir

    @functools.cached_property
    def _judges(self) -> Judges:
        return judges(self._run, (SOURCE, TARGET), self._workdir)

    @functools.cached_property
    def _clips(self) -> list[EvaluationClip]:
        return evaluation_clips(self._run, SOURCE, self._workdir)

    def scores(self, folder: Path) -> dict[str, Any]:
        """What the newest checkpoint of a run scores."""
        translator = v2v_jax.Translator.load(folder)
        found = [
            evaluators.evaluate_clip(
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
        counts = {v: evaluators.pooled_counts(found, v) for v in ("output", "source")}
        return _scores(dict(evaluators.summarise(found)), counts)

    def oracle(self) -> dict[str, Any]:
        """What the segmenter reads in held-out frames of the target domain."""
        segment = self._judges.segment
        clips = evaluation_clips(self._run, TARGET, self._workdir)
        pairs = [(clip["frames"], clip["labels"]) for clip in clips if "labels" in clip]
        if segment is None or not pairs:
            return _scores({}, {})
        counts = sum(metrics.confusion(labels, segment(frames)) for frames, labels in pairs)
        found = metrics.segmentation_scores(np.asarray(counts))
        figures = {
            "miou/output": found.miou_official,
            "fwiou/output": found.fwiou,
            "pixel_accuracy/output": found.pixel_accuracy,
        }
        return _scores(figures, {"output": np.asarray(counts)})


def _scores(figures: dict[str, float], counts: dict[str, np.ndarray | None]) -> dict[str, Any]:
    kept = {name: float(value) for name, value in figures.items() if math.isfinite(value)}
    return {"figures": kept, "counts": {n: c.tolist() for n, c in counts.items() if c is not None}}


def _results(config: Config, workdir: Path) -> Iterator[Result]:
    """Every score on disk, and the source's own, which every row of a seed has found alike."""
    sources: set[int] = set()
    for name in (*config.order, TARGET):
        for path in sorted((workdir / name).glob("*/scores.json")):
            scores, seed = json.loads(path.read_text()), int(path.parent.name)
            if not scores.get("figures"):
                continue
            yield Result(name, seed, scores["figures"], _array(scores, "output"))
            if name != TARGET and seed not in sources:
                sources.add(seed)
                yield Result(SOURCE, seed, _of_source(scores["figures"]), _array(scores, SOURCE))


def _of_source(figures: dict[str, float]) -> dict[str, float]:
    own = {n.replace("/source", "/output"): v for n, v in figures.items() if n.endswith("/source")}
    kept = {n: v for n, v in own.items() if not n.startswith("at_")}
    return kept | {"output_over_source": 1.0}


def _array(scores: dict[str, Any], video: str) -> np.ndarray | None:
    found = scores["counts"].get(video)
    return None if found is None else np.array(found, np.int64)


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


def _scored(folder: Path, run: Config) -> bool:
    """Whether a run is done.

    Raises:
        ValueError: it is, but with another configuration.
    """
    path = folder / "scores.json"
    if not path.exists():
        return False
    if changes := changed_fields(json.loads(path.read_text())["config"], _plain(run)):
        raise ValueError(
            f"{path} was made with another configuration ({'; '.join(changes)}): use that one, "
            "another --workdir, or move the folder away to train that row again"
        )
    return True


def _plain(run: Config) -> dict[str, Any]:
    return json.loads(run.to_json_best_effort())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, json.dumps(content) + "\n")
