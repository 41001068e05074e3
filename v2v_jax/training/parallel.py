"""One program for one device, many devices and many processes.

The batch is sharded along a ``("data",)`` mesh, everything else is replicated, and the compiler
places the one all-reduce that the gradients need.  There is no pmap and no shard_map: under
shard_map the gradients of replicated parameters are summed already, and the old idiom of averaging
them once more trains with gradients that are too large by the number of devices, silently.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from v2v_jax.training import joining

TASK_COUNTS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
"""Set by srun and mpirun (not by salloc or sbatch alone): how many processes were started."""


def launched_together(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a launcher (srun, mpirun) started this process as one of several."""
    counts = [environ.get(name, "1") for name in TASK_COUNTS]
    return any(count.isdigit() and int(count) > 1 for count in counts)


def initialize_distributed(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    local_device_ids: Sequence[int] | None = None,
    join_timeout: float = 300.0,
) -> bool:
    """Joins the other processes, if there are any; call it before anything else of JAX.

    While one is missing the others say so every 30 s.

    Args:
        coordinator: "host:port" of process 0.
        num_processes: how many processes take part.
        process_id: this one's number, from 0.
        local_device_ids: devices of this host that belong to this process; None: all of them, or
            one per task under srun.
        join_timeout: after how many seconds without one of them to give up.

    Returns:
        Whether this is one process of several.  On a bare machine without arguments nothing
        happens: there ``jax.distributed.initialize()`` would fail.

    Raises:
        ValueError: the three numbers are given only in part, or contradict each other.
        joining.NotTogether: the processes did not come together.
    """
    given = (coordinator, num_processes, process_id)
    if all(value is None for value in given):
        if not launched_together():
            return False
    elif coordinator is None or num_processes is None or process_id is None:
        raise ValueError(
            "several processes need all of --coordinator=host:port, --num_processes and "
            f"--process_id; got {coordinator}, {num_processes}, {process_id}"
        )
    elif not coordinator.rpartition(":")[2].isdigit() or not 0 <= process_id < num_processes:
        raise ValueError(
            "--coordinator must be host:port and 0 <= --process_id < --num_processes; "
            f"got {coordinator}, {process_id}, {num_processes}"
        )
    coordinator, num_processes, process_id, local_device_ids = _detected(
        coordinator, num_processes, process_id, local_device_ids
    )
    if coordinator and process_id is not None and (num_processes or 0) > 1:
        joining.meet(coordinator, num_processes or 0, process_id, join_timeout)
    jax.distributed.initialize(coordinator, num_processes, process_id, local_device_ids)
    logging.info(
        "process %d of %d with %d of %d devices",
        jax.process_index(), jax.process_count(), jax.local_device_count(), jax.device_count(),
    )  # fmt: skip
    return jax.process_count() > 1


def _detected(*given: Any) -> tuple[Any, ...]:
    """What was given, and what a launcher says of the rest, as ``jax.distributed`` asks it."""
    try:
        from jax._src.clusters import ClusterEnv

        detect: Any = ClusterEnv.auto_detect_unset_distributed_params
        return detect(*given, None, None)
    except (ImportError, AttributeError, TypeError):  # Private: JAX may change it, and asks anew.
        return given


def is_writer() -> bool:
    """Whether this process writes logs, metrics and pictures: exactly one does."""
    return jax.process_index() == 0


def make_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """A one-dimensional mesh, axis "data", over ``devices`` (None: all of all processes)."""
    chosen = np.array(jax.devices() if devices is None else list(devices))
    # Auto, because Explicit axes reject the gathers of the bilinear warp.
    return Mesh(chosen, ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def sharded(mesh: Mesh) -> NamedSharding:
    """The first axis (clips) dealt out to the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def jit_init(init: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """Jits ``init(batch) -> state``: a sharded batch in, a replicated state out.

    Placing a state with ``device_put`` instead would let the first donated step delete the
    original's buffers, too.
    """
    return jax.jit(init, in_shardings=sharded(mesh), out_shardings=replicated(mesh))


def jit_step(step: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """Jits ``step(state, frozen, batch) -> (state, metrics)``.

    The state is donated: after the call only the returned one is alive.  ``frozen`` is an
    argument and no constant, so that its weights are not baked into the program.
    """
    whole = replicated(mesh)
    return jax.jit(
        step,
        in_shardings=(whole, whole, sharded(mesh)),
        out_shardings=(whole, whole),
        donate_argnums=0,
    )


def jit_pictures(pictures: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """Jits ``pictures(state, frozen, batch) -> arrays``; nothing is donated."""
    whole = replicated(mesh)
    return jax.jit(pictures, in_shardings=(whole, whole, sharded(mesh)), out_shardings=whole)


def put_replicated(tree: Any, mesh: Mesh) -> Any:
    """Numpy or JAX leaves -> arrays on every device; every process passes the same values."""
    whole = replicated(mesh)
    # Not device_put: across processes it compares the values by a collective.
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(whole, np.asarray(leaf)), tree
    )


def put_batch(batch: Any, mesh: Mesh) -> Any:
    """This process's rows -> the global batch, sharded by clips.

    Args:
        batch: a ``Batch`` of numpy arrays whose first axis holds this process's share of the
            clips; every process passes equally many.
        mesh: from ``make_mesh``.

    Raises:
        ValueError: the clips do not divide evenly over the devices.
    """
    rows = {np.shape(leaf)[0] for leaf in jax.tree.leaves(batch)}
    local = len(mesh.local_devices)
    if any(count % local or not count for count in rows):
        clips, devices = jax.process_count() * max(rows), mesh.size
        raise ValueError(
            f"a batch of {clips} clips cannot be divided over {devices} devices: "
            f"make the batch size a multiple of {devices}, or use fewer devices"
        )
    placed = sharded(mesh)
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(placed, np.asarray(leaf)), batch
    )
