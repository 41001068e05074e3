"""The figures of a shipped model's card: evaluated on world seeds of its own, as Markdown.

    python tools/card.py pretrained/game2street --seeds 5 6 7

Copies the model to runs/card/<model>_<seed> (an evaluation writes into its workdir) and evaluates
it there, a seed at a time; a seed whose copy is of the same checkpoint and has its
``evaluation.json`` is not evaluated again.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from v2v_jax.evaluation.nearness import SPECTRA

ROOT = Path(__file__).resolve().parent.parent
CONFIG = "configs/demo.py"
VIDEOS = ("source", "output", "truth")
"""What is read by the judges; the truth's is the ceiling."""
Figures = Mapping[str, float]


def main() -> None:
    """Evaluates what is missing, and prints the tables."""
    parser = argparse.ArgumentParser(description="The figures of a model card.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 6, 7])
    parser.add_argument("--workdir", type=Path, default=Path("runs/card"))
    given = parser.parse_args()
    found = {seed: evaluated(given.model, seed, given.workdir) for seed in given.seeds}
    print(f"\n{headline(found)}\n\n{by_class(list(found.values()))}")


def evaluated(model: Path, seed: int, workdir: Path) -> Figures:
    """The figures of one world seed, from disk where they are of this very checkpoint."""
    if not files(model):
        raise SystemExit(f"card: {model} holds no checkpoint: give a shipped model's folder")
    copy = workdir / f"{model.name}_{seed}"
    figures = copy / "evaluation.json"
    if not figures.is_file() or files(copy) != files(model):
        shutil.rmtree(copy / "checkpoints", ignore_errors=True)
        figures.unlink(missing_ok=True)
        shutil.copytree(model, copy, dirs_exist_ok=True)
        evaluate(copy, seed)
    return json.loads(figures.read_text())


def files(run: Path) -> set[tuple[str, int]]:
    """Names and sizes of what a checkpoint consists of; no two checkpoints name theirs alike."""
    folder = run / "checkpoints"
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {(str(path.relative_to(folder)), path.stat().st_size) for path in found}


def evaluate(copy: Path, seed: int) -> None:
    """Runs the command that a user would type."""
    command = ["-m", "v2v_jax.main", "--mode=evaluate", f"--workdir={copy.absolute()}"]
    command += [f"--config={CONFIG}", f"--config.seed={seed}"]
    print(f"\n$ python {shlex.join(command)}", flush=True)
    if subprocess.run([sys.executable, *command], cwd=ROOT, check=False).returncode:
        raise SystemExit(f"card: seed {seed} could not be evaluated")


def headline(found: Mapping[int, Figures]) -> str:
    """The figures that issues ask for, a row per seed, and their mean."""
    columns: dict[str, Callable[[Figures], float]] = {
        "gain": lambda f: f["truth/gain"],
        **{f"sky right, {video}": _reader("class_sky/read_right", video) for video in VIDEOS},
        **{f"as building, {video}": _reader("class_sky/as_building", video) for video in VIDEOS},
        "mIoU / truth's": lambda f: f["miou/output"] / f["miou/truth"],
        "warping error / truth's": lambda f: f["output_over_truth"],
        "… / source's": lambda f: f["output_over_source"],
        "structure 60 / 1": lambda f: f["at_60/structure/output"] / f["at_1/structure/output"],
        **{_spectrum(name): _reader(name) for name in SPECTRA},
    }
    rows = {str(seed): [read(of) for read in columns.values()] for seed, of in found.items()}
    rows["mean"] = [float(value) for value in np.mean(list(rows.values()), axis=0)]
    return table(["world seed", *columns], rows)


def by_class(found: Sequence[Figures]) -> str:
    """IoU of every class in output and truth, means over seeds, and what each costs the mean."""
    names = dict.fromkeys(n.split("/")[0] for f in found for n in f if n.startswith("class_"))
    rows = {}
    for name in names:
        pairs = [[f.get(f"{name}/iou/{video}") for video in VIDEOS] for f in found]
        known = [pair for pair in pairs if None not in pair]
        if known:
            mean = [float(value) for value in np.mean(np.array(known, float), axis=0)]
            rows[name.removeprefix("class_").replace("_", " ")] = [*mean, mean[2] - mean[1]]
    return table(["class, IoU", *VIDEOS, "lost"], rows)


def table(head: Sequence[str], rows: Mapping[str, Sequence[float]]) -> str:
    """Markdown, two digits."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [
        f"| {name} | {' | '.join(f'{value:.2f}' for value in row)} |" for name, row in rows.items()
    ]
    return "\n".join(lines)


def _spectrum(name: str) -> str:
    return f"spectrum {name.removeprefix('truth/spectrum_').replace('_', '–')}"


def _reader(figure: str, video: str = "output") -> Callable[[Figures], float]:
    return lambda figures: figures[f"{figure}/{video}"]


if __name__ == "__main__":
    main()
