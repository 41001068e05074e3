"""Loss terms of a window of translated frames, eq. 4, 5 and 7, and the weights of all, eq. 8."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from v2v_jax import losses
from v2v_jax.methods.window import Networks, Window, reconstruct
from v2v_jax.ops.warp import occlusion_mask
from v2v_jax.recurrence import fold, unfold
from v2v_jax.types import Array


@dataclasses.dataclass(frozen=True)
class Weights:
    """The weights of eq. 8; a weight of 0 removes its term from the traced program."""

    adversarial: float = 1.0
    cycle: float = 10.0
    content: float = 1.0
    temporal: float = 10.0
    gradient_penalty: float = 0.0
    """On the discriminators, see ``losses.gradient_penalty``."""
    style: float = 0.0
    """See ``methods.styling``; not the paper's."""


def cycle_terms(back: Networks, window: Window, remembers: str, truncate: bool) -> dict[str, Array]:
    """Eq. 4 of I's frames alone, "cycle_2d", and eq. 5 of the outputs at t >= 2, "cycle_3d".

    For the arguments see ``window.reconstruct``.
    """
    alone, steady = reconstruct(back, window, remembers=remembers, truncate=truncate)
    count, originals = window.frames.shape[1], window.originals
    wanted = jnp.concatenate([originals[:, :1], originals[:, count:]], axis=1)
    return {
        "cycle_2d": losses.cycle(alone, wanted),
        "cycle_3d": losses.cycle(steady, originals[:, 1:count]),
    }


def temporal_term(window: Window, alpha: float, squared: bool) -> Array:
    """Eq. 7; ``alpha`` and ``squared`` are ``ops.warp.occlusion_mask``'s."""
    # The first trained frame has no term: eq. 7 begins at t = 2.
    frames, carried, visible = (
        fold(x[:, 1:]) for x in (window.frames, window.carried, window.visible)
    )
    mask = occlusion_mask(frames, carried, visible, alpha=alpha, squared=squared)
    y = window.made
    mask = unfold(mask, y.output.shape[0])
    return losses.temporal(y.output[:, 1:], y.warped[:, 1:], mask)
