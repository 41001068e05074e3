"""CycleGAN (Zhu et al., ICCV 2017): the paper's per-frame baseline."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax import losses
from v2v_jax.methods import base, per_frame
from v2v_jax.methods.per_frame import DIRECTIONS, OTHER
from v2v_jax.methods.window import apply
from v2v_jax.types import Array, Aux, Batch, Params


@dataclasses.dataclass(frozen=True)
class Weights:
    """A weight of 0 removes its term from the traced program."""

    adversarial: float = 1.0
    cycle: float = 10.0
    identity: float = 0.5
    """Times ``cycle``, as upstream counts it."""


@dataclasses.dataclass(frozen=True)
class CycleGan:
    """Two image generators, two discriminators, every frame for itself.

    Parameters: ``generator`` -> direction -> I's, ``discriminator`` -> direction -> D's of the
    domain that direction leads to.  Memory: a pool of generated images per direction.

    Attributes:
        image: the image generator, [N, H, W, 3] -> [N, H, W, 3].
        discriminator: D, [N, H, W, 3] -> logits.
        weights: of the terms.
        adversarial: form of eq. 3, see ``losses.adversarial``; upstream trains with ``lsgan``.
        pool: generated images D is reminded of, upstream's 50; 0 for none.
    """

    image: nn.Module
    discriminator: nn.Module
    weights: Weights = Weights()
    adversarial: str = "lsgan"
    pool: int = 50

    players = ("generator", "discriminator")
    directions = DIRECTIONS
    flow_of = ()
    translates_with = ()

    initial_carry = per_frame.initial_carry
    rollout = per_frame.rollout
    translate = base.translate

    def init(self, rng: Array, batch: Batch) -> dict[str, Params]:
        """Random parameters of both players."""
        return per_frame.init_pair(self.image, self.discriminator, rng, batch)

    def init_memory(self, batch: Batch) -> Any:
        """Empty pools."""
        return per_frame.init_pools(self.pool, batch)

    def losses(
        self, params: dict[str, Params], frozen: Params, memory: Any, batch: Batch, rng: Array
    ) -> tuple[dict[str, Array], Aux]:
        """Adversarial, cycle and identity terms of both directions."""
        return self.losses_and_fakes(params, memory, batch, rng)[:2]

    def losses_and_fakes(
        self, params: dict[str, Params], memory: Any, batch: Batch, rng: Array
    ) -> tuple[dict[str, Array], Aux, dict[str, Array]]:
        """``losses``, and what they judged: direction -> [B * T, H, W, 3]."""
        frames = per_frame.frames_of(batch)
        fakes: dict[str, Array] = {}
        total = {player: jnp.zeros(()) for player in self.players}
        terms: dict[str, Array] = {}
        pictures: dict[str, Array] = {}
        remembered: dict[str, Any] = {}
        for name, key in zip(DIRECTIONS, jax.random.split(rng, len(DIRECTIONS)), strict=True):
            forth, back = (params["generator"][n] for n in (name, OTHER[name]))
            fake = fakes[name] = apply(self.image, forth, frames[name])
            mine = self._generator_terms(forth, back, frames, name, fake)
            if self.weights.adversarial:
                pool, shown = per_frame.remember(memory, name, fake, key)
                remembered |= pool
                mine["adversarial"], terms[f"{name}/discriminator"] = per_frame.judge(
                    self.discriminator, params["discriminator"][name], self.adversarial,
                    fake, frames[OTHER[name]], shown,
                )  # fmt: skip
                total["discriminator"] += terms[f"{name}/discriminator"]
            total["generator"] += sum(
                per_frame.weight_of(self.weights, term) * value for term, value in mine.items()
            )
            terms |= {f"{name}/{term}": value for term, value in mine.items()}
            count = batch["source"]["frames"].shape[1]
            pictures |= {f"{name}/source": frames[name][:count], f"{name}/output": fake[:count]}
        return total, Aux(terms=terms, memory=remembered or memory, pictures=pictures), fakes

    def _generator_terms(
        self, forth: Params, back: Params, frames: dict[str, Array], name: str, fake: Array
    ) -> dict[str, Array]:
        mine = {}
        if self.weights.cycle:
            mine["cycle"] = losses.cycle(apply(self.image, back, fake), frames[name])
        if self.weights.cycle and self.weights.identity:
            already = frames[OTHER[name]]
            mine["identity"] = losses.cycle(apply(self.image, forth, already), already)
        return mine
