"""What each mode of the command line needs, from its config."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Collection
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import v2v_jax
from v2v_jax.assembly.beside import called, standing_beside
from v2v_jax.assembly.choice import Config
from v2v_jax.assembly.data import DOMAINS, batches
from v2v_jax.assembly.methods import method
from v2v_jax.assembly.networks import abstract_frozen, frozen, random_weights_note
from v2v_jax.assembly.resuming import warn_of_resuming
from v2v_jax.assembly.saved import completed
from v2v_jax.assembly.scoring import evaluation_clips, judges, periodic_evaluation
from v2v_jax.assembly.stabilising import stabilised
from v2v_jax.assembly.starting import described_warm_up, initial, warm_up
from v2v_jax.data.media.inputs import list_inputs
from v2v_jax.data.media.outputs import check_output, open_output
from v2v_jax.data.media.reader import open_video
from v2v_jax.data.media.shape import Fitted
from v2v_jax.data.media.timing import exact_rate
from v2v_jax.evaluation.scoring import Judges
from v2v_jax.flow.dis import Dis
from v2v_jax.methods.base import flow_of
from v2v_jax.training.checkpoints import load_player
from v2v_jax.training.optimizers import make_optimizers
from v2v_jax.translator import Translator, open_pair, pair_up, plan_outputs, translate_files
from v2v_jax.types import Batch


def optimizers(config: Config, players: tuple[str, ...]) -> dict[str, Any]:
    """One Adam per player."""
    chosen = dict(config.optimizer)
    end = chosen.pop("decay_steps") or config.steps
    return make_optimizers(players, steps=end, **chosen)


def training(config: Config, workdir: Path, init_from: str | None = None) -> dict[str, Any]:
    """Every argument of ``training.loop.train``.

    Args:
        config: of the run.
        workdir: its folder.
        init_from: another run's folder, whose translating networks a new run starts from.

    Raises:
        ValueError, FileNotFoundError: what the config asks for cannot be had.
        OSError: ``workdir`` cannot be written.
    """
    made = method(config)
    _make_folder(workdir)
    plain = json.loads(config.to_json_best_effort())
    warn_of_resuming(plain, workdir)
    stream = batches(config, workdir, flow_of(made))
    return {
        "method": made,
        "optimizers": optimizers(config, made.players),
        "frozen": frozen(config),
        "batches": stream,
        "steps": config.steps,
        "workdir": workdir,
        "seed": config.seed,
        "ema_decay": config.ema_decay,
        "log_every": config.log_every,
        "picture_every": config.picture_every,
        "checkpoint_every": config.checkpoint_every,
        "evaluate_every": config.evaluate_every,
        "evaluate": periodic_evaluation(config, workdir, made),
        "nonfinite_limit": config.nonfinite_limit,
        "keep": config.keep,
        "meta": {"config": plain},
        "initial": initial(config, init_from),
        "warm_up": warm_up(config, made, stream, plain, workdir),
    }


def _make_folder(workdir: Path) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"--workdir={workdir} cannot be written: {error.strerror}") from error


def abstract_batch(config: Config, flow_of: Collection[str]) -> Batch:
    """Shapes and dtypes of a batch, without data; ``flow_of`` as ``data.batches`` takes it."""
    rows, (height, width) = config.data.batch_size, config.data.size
    count = config.data.frames + config.history
    clip = {"frames": jax.ShapeDtypeStruct((rows, count, height, width, 3), jnp.uint8)}
    if config.data.labels:
        clip["labels"] = jax.ShapeDtypeStruct((rows, count, height, width), jnp.int32)
    flow = {"flow": jax.ShapeDtypeStruct((rows, count - 1, height, width, 2), jnp.float32)}
    brought = flow_of if config.flow.kind in ("dis", "given") else ()
    domains = {name: clip | (flow if name in brought else {}) for name in DOMAINS}
    return Batch(**domains)  # type: ignore[typeddict-item]


def description(config: Config) -> dict[str, Any]:
    """Every argument of ``training.describe.describe``; needs no data and no weights."""
    made: Any = method(config)
    return {
        "method": made,
        "optimizers": optimizers(config, made.players),
        "frozen": abstract_frozen(config),
        "batch": abstract_batch(config, flow_of(made)),
        **described_warm_up(config, made),
    }


def translation(
    workdir: str | None,
    direction: str,
    step: int | None,
    inputs: str,
    output: str,
    *,
    stabilise: str | None = None,
    processed: str | None = None,
    fps: str | None = None,
    frames: str | None = None,
    size: tuple[int, int] | None = None,
    deinterlace: bool = False,
    audio: bool = True,
    location: bool = False,
) -> Callable[..., None]:
    """``translator.translate_files`` with everything bound but its options.

    The inputs are looked for and the outputs planned first: nothing is loaded for a mistyped path.

    Args:
        workdir: the run that translates; None where the videos have been translated already.
        direction, step: of the run, see ``assembly.stabilised``.
        inputs: videos, see ``data.media.inputs.list_inputs``.
        output: a file or a folder, see ``translator.plan_outputs``.
        stabilise: the run of a stabiliser that steadies what comes out; None for none.
        processed: what was made of ``inputs``, in the same order, to be steadied; None: translate.
        fps: of frame folders, "25" or "30000/1001"; videos are brought to that constant rate.
            None: videos keep their times, folders have the run's ``config.data.fps``.
        frames: "png" or "jpg" for a folder of pictures of each input; None: videos.
        size: height, width that frames are brought to as in training: cropped, never squeezed.
        deinterlace: make one progressive picture of every interlaced frame.
        audio, location: whether the inputs' sound and their place are kept.

    Raises:
        ValueError, OSError: flags that do not go together; paths that do not exist or cannot be
            written; runs that cannot be read.
    """
    if processed and (workdir or not stabilise):
        raise ValueError(
            "--processed is what some program made of --input, to be steadied: give "
            "--stabilise=RUN, the run of a stabiliser (configs/demo.py:bt), and no --workdir"
        )
    originals = list_inputs(inputs)
    pairs = pair_up(originals, list_inputs(processed)) if processed else {}
    jobs = plan_outputs(originals, output, list(pairs.values()), frames=frames)
    for _, result in jobs:
        check_output(result)
        _check_folder(result)
    forced = None if fps is None else exact_rate(fps)
    if stabilise:
        restored, generator = stabilised(workdir, stabilise, direction, step)
        translator = Translator(restored.method, generator, restored.frozen, restored.host_flow)
    else:
        translator = v2v_jax.Translator.load(workdir or "", direction, step)

    of_folders = forced
    if forced is None and any(path.is_dir() for path in (*originals, *pairs.values())):
        of_folders = _folder_rate(workdir or stabilise or "", step)

    def opening(path: Path) -> Any:
        video = open_video(path, fps=of_folders or 25, deinterlace=deinterlace)
        return Fitted(video, size) if size else video

    def reader(path: Path) -> Any:
        return open_pair(opening, path, pairs[path]) if processed else opening(path)

    writer = functools.partial(open_output, forced=forced, audio=audio, location=location)
    return functools.partial(translate_files, translator, jobs, reader, writer)


def _folder_rate(workdir: str, step: int | None) -> Fraction:
    """What the run says of frame folders."""
    saved = load_player(Path(workdir).resolve() / "checkpoints", step)[1]["config"]
    return exact_rate(completed(saved).data.fps)


def _check_folder(path: Path) -> None:
    """Raises an OSError where ``path`` cannot come to be, as far as that can be told."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise OSError(f"cannot write {path}: {folder} is a file, not a folder")
    if len(os.fsencode(path.name)) > 255:
        raise OSError(f"cannot write {path}: file systems take names of up to 255 bytes")
    if not os.access(folder, os.W_OK):
        raise OSError(f"cannot write {path}: no permission to write in {folder}")


def evaluation(
    config: Config, workdir: Path, direction: str, step: int | None, beside: str | None = None
) -> dict[str, Any]:
    """Every argument of ``evaluation.session.evaluate_run``.

    Args:
        config: None for the run's own, as its checkpoint keeps it.
        workdir: the run's folder.
        direction: "to_target" or "to_source".
        step: the checkpoint; None: the latest.
        beside: another run's folder, to be shown beside this one.
    """
    others, missing = standing_beside(beside, direction)
    translator = v2v_jax.Translator.load(workdir, direction, step)
    saved = load_player(workdir.resolve() / "checkpoints", step)[1]["config"]
    config = completed(saved) if config is None else config
    domains = ("source", "target") if direction == "to_target" else ("target", "source")
    note = random_weights_note(config)
    return {
        "method": translator.method,
        "generator": translator.params["generator"],
        "frozen": translator.params["frozen"],
        "clips": evaluation_clips(config, domains[0], workdir),
        "flow": translator.host_flow,
        "scoring_flow": Dis(scale=config.flow.scale, preset=config.flow.preset),
        "judges": judges(config, domains, workdir) if config.evaluate.probes else Judges(),
        "workdir": workdir,
        "config": json.loads(config.to_json_best_effort()),
        "notes": [*([note] if note else []), *missing],
        "title": called(workdir, step),
        "beside": others,
    }
