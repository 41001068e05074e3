"""The command line: ``python -m v2v_jax.main --config=configs/demo.py --workdir=runs/demo``.

``--help`` and bad flags are answered without loading JAX: modes import what they need.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import app, flags
from ml_collections import config_flags

from v2v_jax import arguments, command_line
from v2v_jax.command_line import required

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "A file, or a name of configs/: demo:cyclegan.", lock_config=True
)
WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder.")
MODE = flags.DEFINE_enum(
    "mode",
    "train",
    ["train", "translate", "evaluate", "table", "describe", "export"],
    "What to do.",
)
INPUT = flags.DEFINE_string("input", None, "translate: a video, a folder or a glob.")
OUTPUT = flags.DEFINE_string(
    "output", None, "translate: an .mp4 file, f/%05d.png, or a folder; export: a folder."
)
STABILISE = flags.DEFINE_string("stabilise", None, "translate: a run that steadies the output.")
PROCESSED = flags.DEFINE_string("processed", None, "translate: --input's flickering translation.")
SIDE_BY_SIDE = flags.DEFINE_bool("side_by_side", False, "translate: write source | output.")
SIZE = flags.DEFINE_list("size", None, "translate: height,width to crop to, as in training.")
FPS = flags.DEFINE_string(
    "fps", None, "translate: a constant rate (25, 30000/1001); default: the input's own times."
)
FRAMES = flags.DEFINE_enum("frames", None, ["png", "jpg"], "translate: write pictures.")
DEINTERLACE = flags.DEFINE_bool("deinterlace", False, "translate: clean frames of two fields.")
NO_AUDIO = flags.DEFINE_bool("no_audio", False, "translate: leave the input's sound out.")
LOCATION = flags.DEFINE_bool("location", False, "translate: keep where the input was filmed.")
DIRECTION = flags.DEFINE_string("direction", "to_target", "translate, evaluate: or to_source.")
STEP = flags.DEFINE_integer(
    "step", None, "translate, evaluate, export: checkpoint; default: the latest."
)
BESIDE = flags.DEFINE_string("beside", None, "evaluate: another run, to show beside this one.")
INIT_FROM = flags.DEFINE_string("init_from", None, "train: a run whose networks to start from.")
COORDINATOR = flags.DEFINE_string("coordinator", None, "Several processes: host:port of process 0.")
NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "Several processes: how many.")
PROCESS_ID = flags.DEFINE_integer("process_id", None, "Several processes: this one's number.")
JOIN_TIMEOUT = flags.DEFINE_float(
    "join_timeout", 300.0, "Several processes: seconds to wait for a missing one.", lower_bound=1.0
)
TAKE_OVER = flags.DEFINE_bool(
    "take_over", False, "train, table: a workdir that another host's dead job left locked."
)


def _config() -> Any:
    """The config, of the kind that the mode needs."""
    config = required(CONFIG)
    if problem := arguments.wrong_kind(config, MODE.value):
        command_line.fail(problem)
    return config


def _train() -> None:
    config, workdir = _config(), Path(required(WORKDIR))
    from v2v_jax import assembly
    from v2v_jax.training import loop, ownership, parallel

    parallel.initialize_distributed(
        COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value, join_timeout=JOIN_TIMEOUT.value
    )
    with ownership.owned(workdir, TAKE_OVER.value):
        loop.train(**assembly.training(config, workdir, INIT_FROM.value))


def _translate() -> None:
    workdir = WORKDIR.value if PROCESSED.value else required(WORKDIR)
    paths = required(INPUT), required(OUTPUT)
    size = command_line.height_width(SIZE.value)
    from v2v_jax import assembly

    translate = assembly.translation(
        workdir, DIRECTION.value, STEP.value, *paths,
        stabilise=STABILISE.value, processed=PROCESSED.value,
        fps=FPS.value, frames=FRAMES.value, size=size, deinterlace=DEINTERLACE.value,
        audio=not NO_AUDIO.value, location=LOCATION.value,
    )  # fmt: skip
    translate(side_by_side=SIDE_BY_SIDE.value)


def _evaluate() -> None:
    workdir = Path(required(WORKDIR))
    config = None if CONFIG.value is None else _config()
    from v2v_jax import assembly
    from v2v_jax.evaluation import session

    what = config, workdir, DIRECTION.value, STEP.value, BESIDE.value
    session.evaluate_run(**assembly.evaluation(*what))


def _table() -> None:
    config, workdir = _config(), Path(required(WORKDIR))
    from v2v_jax.assembly import table
    from v2v_jax.training import ownership

    with ownership.owned(workdir, TAKE_OVER.value):
        table.make_tables(config, workdir)


def _describe() -> None:
    config = _config()
    from v2v_jax import assembly
    from v2v_jax.training import describe

    print(describe.describe(**assembly.description(config)))


def _export() -> None:
    workdir, output = required(WORKDIR), required(OUTPUT)
    from v2v_jax.training import exporting

    exporting.export(workdir, output, STEP.value)


MODES: dict[str, Callable[[], None]] = {
    "train": _train,
    "translate": _translate,
    "evaluate": _evaluate,
    "table": _table,
    "describe": _describe,
    "export": _export,
}


def main(argv: list[str]) -> None:
    """Runs the mode; what is wrong with the user's input is one line and exit code 1."""
    command_line.readable_logs()
    command_line.no_positional(argv)
    with command_line.one_line_errors():
        MODES[MODE.value]()


def run() -> None:
    """The console script ``v2v-jax``."""
    app.run(main, flags_parser=command_line.parse)


if __name__ == "__main__":
    run()
