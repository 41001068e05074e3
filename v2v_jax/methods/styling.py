"""The style term: what is translated looks, kind by kind, as the other domain does."""

from __future__ import annotations

import flax.linen as nn
import jax

from v2v_jax.methods import judging
from v2v_jax.methods.judging import Known
from v2v_jax.methods.window import Window
from v2v_jax.ops import style
from v2v_jax.ops.style import Moments
from v2v_jax.recurrence import fold
from v2v_jax.types import Array

KEEP = 0.9
"""Share of the moments that the next step keeps.  The sums run over a dozen batches, so that one
batch's translation may differ from the mean as clips of the other domain do."""


def nothing_styled(discriminator: nn.Module) -> dict[str, Moments]:
    """The moments before the first batch, of what is translated and of the domain it goes to."""
    count = judging.kind_count(discriminator)
    return {"made": style.nothing(count), "goal": style.nothing(count)}


def style_term(
    discriminator: nn.Module,
    memory: dict[str, Moments],
    window: Window,
    known: Known,
    real: tuple[Array, Known],
) -> tuple[Array, dict[str, Moments]]:
    """How far the translations' moments are from the domain's, and the memory after this batch.

    Args:
        discriminator: tells by what it is shown what a kind of place is: a class, or a motion.
        memory: of this direction, ``nothing_styled``'s.
        window: translated frames.
        known: of the window's K frames.
        real: frames of the domain they are to look like, float [B, K, H, W, 3], and what is known.
    """

    def of(frames: Array, known: Known) -> Moments:
        kinds = judging.kinds_of(discriminator, known)
        return style.moments(fold(frames), kinds, judging.kind_count(discriminator))

    now = {"made": of(window.judged, jax.tree.map(window.of_judged, known)), "goal": of(*real)}
    after = jax.tree.map(
        lambda old, new: KEEP * old + (1 - KEEP) * new.astype(old.dtype), memory, now
    )
    term = style.distance(after["made"], jax.lax.stop_gradient(after["goal"]))
    # Of the sums this batch is a tenth: in full it would pull at every batch's own mean.
    return term / (1 - KEEP), jax.lax.stop_gradient(after)
