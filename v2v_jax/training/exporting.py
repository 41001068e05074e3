"""A trained run without what only training needs: what a model is shipped as."""

from __future__ import annotations

from pathlib import Path

from absl import logging

from v2v_jax.training.checkpoints import Checkpoints, load_player, saved_steps
from v2v_jax.training.ownership import owned


def export(workdir: str | Path, output: str | Path, step: int | None = None) -> None:
    """Copies a run's averaged generators into a workdir of their own, verified by checksum.

    What translates and evaluates a run takes the copy as it is; training starts from it with
    ``--init_from`` and cannot resume it.

    Args:
        workdir: the run's folder.
        output: the new folder.
        step: which checkpoint; None: the newest.

    Raises:
        FileNotFoundError: the run has no such checkpoint.
        FileExistsError: ``output`` holds checkpoints.
        OSError: it cannot be written.
        DamagedCheckpoint: the run's bytes have changed, or those written are not those read.
    """
    source, target = Path(workdir) / "checkpoints", Path(output) / "checkpoints"
    if step is None:  # Named at once: a run that is being trained saves a newer one meanwhile.
        step = max(saved_steps(source), default=None)
    params, meta = load_player(source, step)
    if saved_steps(target):
        raise FileExistsError(f"--output: {output} holds checkpoints already: give another folder")
    with owned(output):
        checkpoints = Checkpoints(target)
        checkpoints.save(step or 0, {"ema": params}, meta)
        checkpoints.close()
    load_player(target, step)  # Verifies the checksum of every leaf.
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    logging.info("exported step %d of %s to %s: %.1f MB", step, workdir, output, size / 1e6)
