"""One Adam per player (appendix A.1)."""

from __future__ import annotations

from collections.abc import Iterable

import optax


def make_optimizers(
    players: Iterable[str],
    *,
    learning_rate: float = 2e-4,
    b1: float = 0.5,
    b2: float = 0.999,
    constant: float = 1.0,
    steps: int = 0,
    discriminator_rate: float = 0.0,
) -> dict[str, optax.GradientTransformation]:
    """Adam(0.5, 0.999) at a fixed 2e-4, torch's epsilon of 1e-8, by player.

    Args:
        players: their names.
        learning_rate, b1, b2: Adam's.
        constant: share of ``steps`` at the full rate, in [0, 1]; afterwards it falls linearly to
            0 at ``steps``.  1: fixed; CycleGAN's own is 0.5.
        steps: of the whole run; needed where the rate falls.
        discriminator_rate: the discriminator's own learning rate, two time scales as in Heusel et
            al. (NeurIPS 2017); 0 for the same.

    Raises:
        ValueError: a share outside [0, 1], or a falling rate without an end.
    """
    if not 0 <= constant <= 1:
        raise ValueError(f"optimizer.constant: {constant} is a share of the steps, in [0, 1]")
    if constant < 1 and steps < 1:
        raise ValueError("optimizer.constant: a falling rate needs the number of steps")

    def adam(rate: float) -> optax.GradientTransformation:
        schedule = rate if constant == 1 else falling(rate, constant, steps)
        return optax.adam(schedule, b1=b1, b2=b2, eps=1e-8, eps_root=0.0)

    own = {"discriminator": discriminator_rate or learning_rate}
    return {player: adam(own.get(player, learning_rate)) for player in players}


def falling(rate: float, constant: float, steps: int) -> optax.Schedule:
    """The rate after so many steps: constant for a share of ``steps``, then linearly to 0 there."""
    begin = round(constant * steps)
    return optax.linear_schedule(rate, 0.0, max(steps - begin, 1), begin)


def make_falling(
    players: Iterable[str], *, learning_rate: float, steps: int
) -> dict[str, optax.GradientTransformation]:
    """Adam(0.9, 0.999) by player, whose rate falls along half a cosine to 0 at ``steps``."""
    rate = optax.cosine_decay_schedule(learning_rate, steps)
    return {player: optax.adam(rate, b1=0.9, b2=0.999) for player in players}
