"""Checkpoints: written in the background, verified leaf by leaf when they are read.

The only module that knows orbax.  A checkpoint is one directory per step with two items: ``state``
(the whole ``TrainState``) and ``meta`` (JSON: what the caller gives, what ``integrity`` checks).

A damaged checkpoint is an error, never a silent step back: ``restore_latest`` says which leaves
are damaged, which earlier step is intact, and what to move away to resume from that one.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint import multihost
from orbax.checkpoint.checkpoint_managers import preservation_policy

from v2v_jax.training import integrity
from v2v_jax.training.integrity import DamagedCheckpoint, saved_steps
from v2v_jax.training.orbax_noise import hush_abandoned_writes, no_chatter
from v2v_jax.types import Params

TMP_MARK = ".orbax-checkpoint-tmp"


def barrier(name: str, minutes: float = 30.0) -> None:
    """Waits for all processes without a device: a first collective gives up after 30 s."""
    multihost.get_barrier_sync_fn()(key=name, timeout_ms=int(minutes * 60_000))


class Checkpoints:
    """The checkpoints of one run; every process makes one and calls it at the same steps."""

    def __init__(self, directory: str | Path, keep: int = 3):
        """Opens (and makes) the directory and removes what a killed save left there.

        Args:
            directory: one path that all processes share.
            keep: how many of the newest checkpoints stay; at least 2, because a save that fails
                half-way must leave a good one.
        """
        if keep < 2:
            raise ValueError(f"keep={keep}: at least 2 checkpoints must be kept, the last may fail")
        # A relative path would be accepted, and every save would then fail in the background.
        self.directory = Path(directory).absolute()
        self._keep = keep
        self._saving: int | None = None
        self._manager = self._open()

    def _open(self) -> ocp.CheckpointManager:
        if jax.process_index() == 0:
            for leftover in self.directory.glob(f"*{TMP_MARK}*"):
                logging.info("removing the unfinished checkpoint %s", leftover)
                shutil.rmtree(leftover, ignore_errors=True)
        return _manager(self.directory, preservation_policy=preservation_policy.LatestN(self._keep))

    def latest_step(self) -> int | None:
        """The newest complete step, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any, meta: dict[str, Any]) -> None:
        """Starts saving in the background; the state may be donated as soon as this returns.

        Raises:
            OSError: this save, or the one before it, could not be written.
        """
        self.wait()
        stored = {**meta, "leaves": integrity.describe(state)} if jax.process_index() == 0 else {}
        stored["crc32"] = integrity.meta_crc(stored)
        items = {"state": ocp.args.StandardSave(state), "meta": ocp.args.JsonSave(stored)}
        self._saving = step
        try:
            saved = self._manager.save(step, args=ocp.args.Composite(**items))
        except Exception as error:
            raise self._failed(error) from error
        if not saved:
            raise OSError(f"checkpoint {step} was not written: {self.directory}/{step} exists")

    def check(self) -> None:
        """Raises the OSError of a background save that has failed; call it after every step."""
        try:
            self._manager.check_for_errors()
        except Exception as error:
            raise self._failed(error) from error

    def wait(self) -> None:
        """Waits for the running save.

        Raises:
            OSError: it could not be written.
        """
        try:
            self._manager.wait_until_finished()
            self._manager.check_for_errors()
        except Exception as error:
            raise self._failed(error) from error
        self._saving = None

    def _failed(self, error: Exception) -> OSError:
        """Cleans up after a failed save; the older checkpoints stay and can be restored."""
        # The old manager has already forgotten steps that it meant to delete, and the unfinished
        # directory keeps a full disk full: only a fresh manager sees what is really there.
        hush_abandoned_writes()
        _close(self._manager)
        self._manager = self._open()
        step, self._saving = self._saving, None
        good = self.latest_step()
        kept = "there is no earlier one" if good is None else f"checkpoint {good} is still good"
        return OSError(
            f"checkpoint {step} could not be written to {self.directory} (disk full?); {kept}; "
            f"free some space and start the same command again: {integrity.one_line(error)}"
        )

    def restore_latest(self, like: Any) -> tuple[Any, dict[str, Any]] | None:
        """The newest checkpoint, verified; None if there is none.

        Args:
            like: a state, or its ``ShapeDtypeStruct``s with shardings (where the arrays shall go).

        Returns:
            The state, bit for bit as it was saved, and the ``meta`` given to ``save``.

        Raises:
            ValueError: the checkpoint is of other networks (names, shapes, dtypes).
            DamagedCheckpoint: it cannot be read, or its bytes have changed; says which earlier
                step is good.
        """
        step = self.latest_step()
        if step is None:
            return None
        try:
            return self._restore(step, like)
        except DamagedCheckpoint as damage:
            raise DamagedCheckpoint(f"{damage}; {self._way_back(step, like)}") from damage

    def _way_back(self, damaged: int, like: Any) -> str:
        """What to do about the damaged newest step."""
        bad = [damaged]
        for step in sorted((s for s in self._manager.all_steps() if s < damaged), reverse=True):
            try:
                self._restore(step, like)
            except ValueError as error:
                logging.error("%s", error)
                bad.append(step)
                continue
            here, away = self.directory, self.directory.parent
            moves = " && ".join(f"mv {here}/{s} {away}/damaged-{s}" for s in bad)
            return f"checkpoint {step} is good: to resume from it, {moves}"
        return "no earlier checkpoint is good: train again in a new --workdir"

    def _restore(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        where = f"checkpoint {self.directory}/{step}"
        meta = _read_meta(self._manager, step, where)
        leaves = meta.pop("leaves")
        integrity.check_whole(leaves, like, where)
        integrity.check_fit(leaves, like, where)
        like = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like
        )
        state = _read(self._manager, step, where, state=ocp.args.StandardRestore(like))
        integrity.check_crc(leaves, state, where)
        return state, meta

    def close(self) -> None:
        """Waits for the running save and closes; raises its OSError."""
        self.wait()
        self._manager.close()


def load_player(directory: str | Path, step: int | None = None) -> tuple[Params, dict[str, Any]]:
    """Only what translating needs: the averaged generators of a checkpoint.

    Args:
        directory: the checkpoint directory of a run (``<workdir>/checkpoints``).
        step: which checkpoint; None: the newest.

    Returns:
        ``TrainState.ema`` (a dict by direction) as arrays on the default device, and ``meta``.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        DamagedCheckpoint: its bytes have changed.
    """
    directory = Path(directory).absolute()
    while True:
        steps = saved_steps(directory)
        if not steps or (step is not None and step not in steps):
            what = "no checkpoint" if step is None else f"no checkpoint {step}"
            where = f"{directory}, it has {steps}"
            raise FileNotFoundError(f"{what} in {where}: train, or mend the path")
        chosen = steps[-1] if step is None else step
        try:
            return _player(directory, chosen)
        except DamagedCheckpoint:
            # Who trains here may just have removed it, but never the newest.
            if chosen in saved_steps(directory)[0 if step is not None else -1 :]:
                raise


def _player(directory: Path, step: int) -> tuple[Params, dict[str, Any]]:
    where = f"checkpoint {directory}/{step}"
    manager = _manager(directory, read_only=True, save_interval_steps=0, create=False)
    try:
        meta = _read_meta(manager, step, where)
        leaves = {k: v for k, v in meta.pop("leaves").items() if k.startswith("ema/")}
        target = integrity.nested(leaves)
        numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), target)
        args = ocp.args.PyTreeRestore(item=target, restore_args=numpy, partial_restore=True)
        state = _read(manager, step, where, state=args)
        integrity.check_crc(leaves, state, where)
    finally:
        _close(manager)
    return jax.tree.map(jnp.asarray, state["ema"]), meta


def _manager(directory: Path, **options: Any) -> ocp.CheckpointManager:
    logging.get_absl_logger().addFilter(no_chatter)
    return ocp.CheckpointManager(directory, options=ocp.CheckpointManagerOptions(**options))


def _close(manager: ocp.CheckpointManager) -> None:
    try:
        manager.close()
    except Exception as error:  # The failure it reports is the one being handled.
        logging.info("closing the checkpoint manager: %s", integrity.one_line(error))


def _read(manager: ocp.CheckpointManager, step: int, where: str, **item: Any) -> Any:
    """One item of a checkpoint; whatever orbax raises means that it is damaged."""
    try:
        (value,) = manager.restore(step, args=ocp.args.Composite(**item)).values()
        return value
    except Exception as error:
        raise DamagedCheckpoint(f"{where} is damaged: {integrity.one_line(error)}") from error


def _read_meta(manager: ocp.CheckpointManager, step: int, where: str) -> dict[str, Any]:
    return integrity.checked_meta(_read(manager, step, where, meta=ocp.args.JsonRestore()), where)
