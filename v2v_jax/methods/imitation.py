"""Before training: image generators learn to reproduce the frames of both domains."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp

from v2v_jax import losses
from v2v_jax.methods.window import decode
from v2v_jax.recurrence import fold
from v2v_jax.types import Array, Aux, Batch, Params

DOMAINS = ("source", "target")


@dataclasses.dataclass(frozen=True)
class Imitation:
    """Teaches a method's image generators the identity; a method of its own, to be trained alone.

    Its only player is the method's first.  What of that player makes no part of the imitating
    picture (a fusion block) gets no gradient, and Adam leaves it as it was drawn, bit for bit.

    Attributes:
        method: a ``methods.base.Method`` that has ``warm_up``.
    """

    method: Any

    @property
    def players(self) -> tuple[str, ...]:
        """The method's first, which translates."""
        return self.method.players[:1]

    @property
    def directions(self) -> tuple[str, ...]:
        """The method's."""
        return self.method.directions

    def init(self, rng: Array, batch: Batch) -> dict[str, Params]:
        """What the method draws for that player."""
        made = self.method.init(rng, batch)
        return {player: made[player] for player in self.players}

    def init_memory(self, batch: Batch) -> Any:
        """None is kept."""
        return {}

    def losses(
        self, params: dict[str, Params], frozen: Params, memory: Any, batch: Batch, rng: Array
    ) -> tuple[dict[str, Array], Aux]:
        """L1 of every frame and what a direction makes of it, averaged over both domains."""
        (player,) = self.players
        frames = [decode(batch[domain]["frames"]) for domain in DOMAINS]
        # Every frame is a clip of its own; clips stay on their device.
        clips = fold(jnp.concatenate(frames, axis=1))[:, None]
        terms = {}
        for name in self.directions:
            made = self._imitated(params[player][name], clips).reshape(
                len(frames[0]), -1, *clips.shape[2:]
            )
            halves = jnp.split(made, [frames[0].shape[1]], axis=1)
            for domain, half, wanted in zip(DOMAINS, halves, frames, strict=True):
                terms[f"{name}/{domain}"] = losses.cycle(half, wanted)
        total = sum(terms.values(), jnp.zeros(())) / len(DOMAINS)
        return {player: total}, Aux(terms=terms, memory=memory, pictures={})

    def _imitated(self, generator: Params, clips: Array) -> Array:
        still = jnp.zeros((*clips.shape[:-1], 2), clips.dtype)
        carry = self.method.initial_carry(clips)
        translation = self.method.rollout(generator, {}, carry, clips, still)[1]
        return getattr(translation, self.method.warm_up)
