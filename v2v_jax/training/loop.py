"""The training loop: restore, train, evaluate, show, save."""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from absl import logging
from jax.sharding import Mesh

from v2v_jax.methods.base import Method
from v2v_jax.training import parallel
from v2v_jax.training.checkpoints import Checkpoints, barrier, saved_steps
from v2v_jax.training.journal import Journal
from v2v_jax.training.metrics_writer import MetricsWriter
from v2v_jax.training.ownership import one_owner
from v2v_jax.training.progress import Progress, duration
from v2v_jax.training.signals import StopRequest
from v2v_jax.training.state import TrainState, init_state, started_from
from v2v_jax.training.step import player_pictures, train_step
from v2v_jax.types import Array, Batch, Params


@one_owner
def train(
    *,
    method: Method,
    optimizers: dict[str, optax.GradientTransformation],
    frozen: Params,
    batches: Callable[[int], Iterator[Any]],
    steps: int,
    workdir: str | Path,
    seed: int = 0,
    mesh: Mesh | None = None,
    ema_decay: float = 0.999,
    log_every: int = 50,
    picture_every: int = 500,
    checkpoint_every: int = 1000,
    evaluate_every: int = 0,
    evaluate: Callable[[TrainState, int], Mapping[str, Any]] | None = None,
    nonfinite_limit: int = 10,
    keep: int = 3,
    meta: Mapping[str, Any] | None = None,
    name: str = "step",
    initial: Callable[[], Params] | None = None,
    warm_up: Mapping[str, Any] | None = None,
) -> TrainState:
    """Trains up to ``steps``, from the newest checkpoint in ``workdir`` if there is one.

    A resumed run is the uninterrupted one bit for bit, on the same machine and devices.  SIGINT and
    SIGTERM save and return; so the caller exits with 0 and the same command goes on.

    Args:
        method: what is trained.
        optimizers: one per player.
        frozen: parameters of networks that are not trained, as arrays of the host.
        batches: ``batches(n)`` yields this process's rows of ``Batch`` n, n + 1, ...: numpy, and a
            pure function of the number, else resuming is not exact.
        steps: the last step.
        workdir: gets checkpoints/, metrics.jsonl, tensorboard/ and pictures/; shared by processes.
        seed: of the parameters and of the randomness inside steps.
        mesh: the devices; None: all.
        ema_decay: see ``train_step``.
        log_every, picture_every, checkpoint_every, evaluate_every: in steps; 0: never, but the
            last step is always saved, and shown and evaluated unless 0.
        evaluate: (state, step) -> name to number, uint8 [H, W, 3] picture or uint8 [T, H, W, 3]
            clip; called in every process; must not keep the state, whose buffers are donated.
        nonfinite_limit: so many steps in a row that are not finite are an error.
        keep: how many checkpoints stay, at least 2.
        meta: stored in every checkpoint, JSON: what inference needs to build the networks again.
        name: what the log calls a step.
        initial: gives the first player's parameters where there is no checkpoint; None: random.
        warm_up: arguments of a run that precedes this one where it has no checkpoint and no
            ``initial``: it trains in ``workdir``/warm_up, saves, stops and resumes there as any
            run does, and the parameters of its first player are what this one starts from.

    Returns:
        The final state; of an earlier step if a signal came, during ``warm_up`` that run's, as 0.

    Raises:
        journal.NonFiniteError: see ``nonfinite_limit``; the last good checkpoint is kept.
        OSError: a checkpoint could not be written; the one before is still good.
        ownership.InUse: another command trains in ``workdir``.
        ValueError: the checkpoint is damaged, of other networks or of another seed; the data end
            too early; the batch does not divide over the devices.
    """
    workdir, mesh = Path(workdir), mesh or parallel.make_mesh()
    meta = {**(meta or {}), "seed": seed}
    given = None
    if not saved_steps(workdir / "checkpoints"):
        if initial is not None:
            given = parallel.put_replicated(initial(), mesh)
        elif warm_up is not None:
            before = train(workdir=workdir / "warm_up", mesh=mesh, **warm_up)
            if int(before.step) < warm_up["steps"]:
                return before.replace(step=jnp.zeros_like(before.step))
            given = before.params[method.players[0]]
            del before
    with contextlib.ExitStack() as cleanup:
        stop = cleanup.enter_context(StopRequest())
        barrier("start")
        checkpoints = Checkpoints(workdir / "checkpoints", keep)
        cleanup.callback(checkpoints.close)
        start = checkpoints.latest_step() or 0
        stream = _placed(batches(start), mesh, start)
        cleanup.callback(stream.close)
        first = next(stream)
        state = _initial(checkpoints, method, optimizers, first, seed, mesh, given)
        del given
        if start >= steps:
            logging.info("%s: already trained to step %d of %d", workdir, start, steps)
            return state
        frozen = parallel.put_replicated(frozen, mesh)
        run_step = functools.partial(
            train_step, method=method, optimizers=optimizers, ema_decay=ema_decay
        )
        run_step = _compiled(parallel.jit_step(run_step, mesh), state, frozen, first)
        draw = parallel.jit_pictures(functools.partial(player_pictures, method=method), mesh)
        if jax.process_count() > 1 and picture_every:
            draw = _compiled(draw, state, frozen, first)
        # The first collective gives up after 30 s: meet before it, all programs compiled.
        barrier("compiled")

        writer = MetricsWriter(workdir, step=start) if parallel.is_writer() else None
        if writer is not None:
            cleanup.callback(writer.close)
        progress = Progress(steps, start, name=name)
        journal = Journal(
            writer, progress, log_every=log_every, nonfinite_limit=nonfinite_limit,
            skipped=int(state.skipped),
        )  # fmt: skip
        pending: tuple[int, Mapping[str, Array]] | None = None
        saved, save_due, stopping = start, False, False
        for step, batch in zip(
            range(start + 1, steps + 1), itertools.chain([first], stream), strict=False
        ):
            state, metrics = run_step(state, frozen, batch)
            # The device computes this step while the host reads the numbers of the one before.
            if pending is not None:
                journal.step(*pending)
            pending = (step, metrics)
            checkpoints.check()
            stopping = stop.asked(step)
            last = stopping or step == steps
            drawing = _due(step, picture_every, step == steps)
            evaluating = evaluate is not None and _due(step, evaluate_every, step == steps)
            save_due = save_due or last or _due(step, checkpoint_every)
            if not (drawing or evaluating or save_due):
                continue
            # What follows needs this very step: its numbers first, they decide about saving.
            journal.step(*pending)
            pending = None
            with progress.paused():
                if save_due and journal.skipped:
                    logging.warning("step %d is not finite: not saved", step)
                elif save_due:
                    checkpoints.save(step, state, meta)
                    saved, save_due = step, False
                if drawing:
                    journal.show(step, draw(state, frozen, batch))
                if evaluating and evaluate is not None:
                    journal.write(step, evaluate(state, step))
            if stopping:
                break
        checkpoints.wait()
        if stopping:
            logging.info("stopped; %s holds step %d; the same command resumes", workdir, saved)
        else:
            logging.info("trained to step %d; %s holds step %d", steps, workdir, saved)
    return state


def _due(step: int, every: int, last: bool = False) -> bool:
    return every > 0 and (step % every == 0 or last)


def _placed(source: Iterator[Any], mesh: Mesh, start: int) -> Generator[Batch]:
    """Batches on the devices; an end of the data is an error."""
    count = start
    try:
        for batch in source:
            yield parallel.put_batch(batch, mesh)
            count += 1
    finally:
        if close := getattr(source, "close", None):
            close()
    raise ValueError(f"the data end after {count} batches: they must suffice for all steps")


def _initial(
    checkpoints: Checkpoints,
    method: Method,
    optimizers: dict[str, optax.GradientTransformation],
    batch: Batch,
    seed: int,
    mesh: Mesh,
    given: Params | None,
) -> TrainState:
    """The newest checkpoint's state, else a fresh one, with the parameters given."""

    def fresh(batch: Batch) -> TrainState:
        return init_state(jax.random.key(seed), batch, method=method, optimizers=optimizers)

    whole = parallel.replicated(mesh)
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole),
        jax.eval_shape(fresh, batch),
    )
    restored = checkpoints.restore_latest(like)
    if restored is None:
        state = parallel.jit_init(fresh, mesh)(batch)
        return state if given is None else started_from(state, method.players[0], given)
    state, meta = restored
    if meta["seed"] != seed:
        raise ValueError(
            f"{checkpoints.directory} was trained with seed {meta['seed']}, not {seed}: "
            "use that seed, or a new --workdir"
        )
    logging.info("resuming from step %d of %s", int(state.step), checkpoints.directory)
    return state


def _compiled(jitted: Any, *args: Any) -> Callable[..., Any]:
    start = time.monotonic()
    compiled = jitted.lower(*args).compile()
    logging.info("compiled in %s", duration(time.monotonic() - start))
    return compiled
