"""The command line: ``python -m v2v_jax.main --config=configs/demo.py --workdir=runs/demo``.

``--help`` and bad flags are answered without loading JAX: modes import what they need.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

from v2v_jax import command_line

CONFIG = config_flags.DEFINE_config_file("config", None, "A file of configs/.", lock_config=True)
WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder.", required=True)
MODE = flags.DEFINE_enum(
    "mode", "train", ["train", "translate", "evaluate", "describe"], "What to do."
)
INPUT = flags.DEFINE_string("input", None, "translate: a video, a folder or a glob.")
OUTPUT = flags.DEFINE_string("output", None, "translate: an .mp4 file, or a folder.")
SIDE_BY_SIDE = flags.DEFINE_bool("side_by_side", False, "translate: write source | output.")
SIZE = flags.DEFINE_list("size", None, "translate: height,width to work and write at.")
DIRECTION = flags.DEFINE_string("direction", "to_target", "translate, evaluate: or to_source.")
STEP = flags.DEFINE_integer("step", None, "translate, evaluate: checkpoint; default: the latest.")
COORDINATOR = flags.DEFINE_string("coordinator", None, "Several processes: host:port of process 0.")
NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "Several processes: how many.")
PROCESS_ID = flags.DEFINE_integer("process_id", None, "Several processes: this one's number.")


def _train() -> None:
    from v2v_jax import build
    from v2v_jax.training import loop, parallel

    parallel.initialize_distributed(COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value)
    loop.train(**build.training(command_line.required(CONFIG, MODE.value), Path(WORKDIR.value)))


def _translate() -> None:
    from v2v_jax import build

    size = command_line.height_width(SIZE.value)
    paths = command_line.required(INPUT, MODE.value), command_line.required(OUTPUT, MODE.value)
    options = {"side_by_side": SIDE_BY_SIDE.value, "size": size}
    build.translation(WORKDIR.value, DIRECTION.value, STEP.value, *paths)(**options)


def _evaluate() -> None:
    from v2v_jax import build
    from v2v_jax.evaluation import session

    run = build.evaluation(CONFIG.value, Path(WORKDIR.value), DIRECTION.value, STEP.value)
    session.evaluate_run(**run)


def _describe() -> None:
    from v2v_jax import build
    from v2v_jax.training import describe

    print(describe.describe(**build.description(command_line.required(CONFIG, MODE.value))))


MODES: dict[str, Callable[[], None]] = {
    "train": _train,
    "translate": _translate,
    "evaluate": _evaluate,
    "describe": _describe,
}


def main(argv: list[str]) -> None:
    """Runs the mode; what went wrong in the user's input is one line and exit code 1."""
    logging.set_verbosity(logging.INFO)
    command_line.no_positional(argv)
    with command_line.one_line_errors():
        MODES[MODE.value]()


if __name__ == "__main__":
    app.run(main, flags_parser=command_line.parse)
    sys.exit(0)
