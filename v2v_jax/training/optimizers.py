"""One Adam per player (appendix A.1)."""

from __future__ import annotations

from collections.abc import Iterable

import optax


def make_optimizers(
    players: Iterable[str], *, learning_rate: float = 2e-4, b1: float = 0.5, b2: float = 0.999
) -> dict[str, optax.GradientTransformation]:
    """Adam(0.5, 0.999) at a fixed 2e-4, torch's epsilon of 1e-8, by player."""
    return {
        player: optax.adam(learning_rate, b1=b1, b2=b2, eps=1e-8, eps_root=0.0)
        for player in players
    }
