"""Scores of a table's rows on disk: written with what they are of, and refused as anything else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from v2v_jax.assembly.choice import Config
from v2v_jax.assembly.resuming import changed_fields
from v2v_jax.evaluation.reporting.tables import Result
from v2v_jax.evaluation.reporting.whole_files import write_whole

SOURCE, TARGET, PERFECT, PAIRED = "source", "target", "perfect", "paired"
"""The oracles: rows that no method trains.  ``PERFECT`` is the truth, where it can be drawn, and
``PAIRED`` the image generator trained on it."""
HARMLESS = frozenset({
    "log_every", "picture_every", "checkpoint_every", "evaluate_every", "keep", "nonfinite_limit",
    "data.cache", "data.threads", "data.workers",
})  # fmt: skip
"""Fields in which a run may differ from what its score is shown for."""
WORLD = ("data", "evaluate")
"""What an oracle's score depends on."""


def asked(config: Config, name: str, seed: int) -> dict[str, Any]:
    """What a score is of: the row's configuration, free of where things lie."""
    if name in (TARGET, PERFECT, PAIRED):
        run = json.loads(config.rows[first_shown(config)].run.to_json_best_effort())
        of = {group: run[group] for group in WORLD}
        if name != PAIRED:
            return of
        return of | {"image": run["image"], "pairs": json.loads(config.pairs.to_json())}
    row = config.rows[name]
    of = json.loads(row.run.to_json_best_effort()) | {"seed": seed}
    # A row is no longer the same where one that it builds on is not.
    return of | {"needs": {other: asked(config, other, seed) for _, other in row.needs}}


def oracles(config: Config) -> tuple[str, ...]:
    """Those that are scored by themselves; the source is in every row's score."""
    paired = config.get("pairs") is not None and config.pairs.steps
    return (TARGET, PERFECT, PAIRED) if paired else (TARGET, PERFECT)


def first_shown(config: Config) -> str:
    """The first row that tables show: its data are the judges' and the oracles'."""
    return next(name for name in config.order if config.rows[name].tables)


def as_score(figures: dict[str, float], counts: dict[str, np.ndarray | None]) -> dict[str, Any]:
    """The finite figures, and the confusion counts of each video, as JSON takes them."""
    kept = {name: float(value) for name, value in figures.items() if math.isfinite(value)}
    return {"figures": kept, "counts": {n: c.tolist() for n, c in counts.items() if c is not None}}


def path_of(workdir: Path, name: str, seed: int) -> Path:
    """Where a row's score lies: beside the checkpoints of its run."""
    return workdir / name / str(seed) / "scores.json"


def write(config: Config, workdir: Path, name: str, seed: int, score: dict[str, Any]) -> None:
    """Keeps a row's score together with what it is of."""
    text = json.dumps(score | {"config": asked(config, name, seed)})
    write_whole(path_of(workdir, name, seed), text + "\n")


def read_all(config: Config, workdir: Path) -> Iterator[Result]:
    """Every score on disk, and the source's own, which every row of a seed has found alike.

    Raises:
        ValueError: a score made with another configuration.
    """
    sources: set[int] = set()
    for name in (*config.order, *oracles(config)):
        for path in sorted((workdir / name).glob("*/scores.json")):
            if not path.parent.name.isdigit():
                continue  # Moved away.
            seed = int(path.parent.name)
            score = _read(path, asked(config, name, seed))
            if not score.get("figures"):
                continue
            yield Result(name, seed, score["figures"], _array(score, "output"))
            if name in config.order and seed not in sources:
                sources.add(seed)
                yield Result(SOURCE, seed, _of_source(score["figures"]), _array(score, SOURCE))


def _of_source(figures: dict[str, float]) -> dict[str, float]:
    own = {n.replace("/source", "/output"): v for n, v in figures.items() if n.endswith("/source")}
    kept = {n: v for n, v in own.items() if not n.startswith(("at_", "class_"))}
    kept |= {"output_over_source": 1.0}
    if "truth/gain" not in figures:
        return kept
    ratio = figures["warping_error/source"] / figures["warping_error/truth"]
    return kept | {"truth/gain": 0.0, "output_over_truth": ratio}


def _array(score: dict[str, Any], video: str) -> np.ndarray | None:
    found = score["counts"].get(video)
    return None if found is None else np.array(found, np.int64)


def _read(path: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    away = (
        f"move it away (mv {path.parent} {path.parent}_old) to train that row again, or use "
        "another --workdir"
    )
    try:
        score = json.loads(path.read_text())
        changes = _changes(score["config"], wanted)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no score of a table ({error!r}): {away}") from error
    if changes:
        raise ValueError(
            f"{path} was made with another configuration ({'; '.join(changes)}): use that one, or "
            f"{away}"
        )
    return score


def _changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The fields that differ, of the row and of those it builds on."""
    before, after = (config.get("needs", {}) for config in (old, new))
    found = changed_fields(old | {"needs": {}}, new | {"needs": {}}, HARMLESS)
    for other in sorted(before.keys() | after.keys()):
        inner = _changes(before.get(other, {}), after.get(other, {}))
        found += [f"{other}: {change}" for change in inner]
    return found
