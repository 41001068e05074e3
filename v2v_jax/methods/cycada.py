"""CyCADA's pixel half (Hoffman et al., ICML 2018): CycleGAN that keeps a segmenter's opinion."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax import losses
from v2v_jax.methods import base, per_frame
from v2v_jax.methods.cyclegan import CycleGan
from v2v_jax.methods.per_frame import DIRECTIONS
from v2v_jax.methods.window import apply
from v2v_jax.recurrence import fold
from v2v_jax.types import Array, Aux, Batch, Params


@dataclasses.dataclass(frozen=True)
class CyCada:
    """CycleGAN with the pixel-wise semantic loss of a frozen segmenter of the source domain.

    What is translated must be read as what it was: the source's labels where the clips bring
    them, else the segmenter's own reading of the frame; 255 is ignored.

    Frozen: {"segmenter": its parameters}.

    Attributes:
        cyclegan: everything else.
        segmenter: [N, H, W, 3] -> logits [N, H, W, C].
        semantic: weight of the semantic loss, of either direction.
        to_target: upstream counts the adversarial loss of that direction twice; 1 counts it once.
        gate: upstream leaves the semantic loss out while the segmenter's own loss on the source
            is above 1; 0 never does.
    """

    cyclegan: CycleGan
    segmenter: nn.Module
    semantic: float = 1.0
    to_target: float = 1.0
    gate: float = 0.0

    players = ("generator", "discriminator")
    directions = DIRECTIONS
    flow_of = ()
    translates_with = ()

    initial_carry = per_frame.initial_carry
    rollout = per_frame.rollout
    translate = base.translate

    @property
    def image(self) -> nn.Module:
        """CycleGAN's generator."""
        return self.cyclegan.image

    def init(self, rng: Array, batch: Batch) -> dict[str, Params]:
        """Random parameters of both players."""
        return self.cyclegan.init(rng, batch)

    def init_memory(self, batch: Batch) -> Any:
        """CycleGAN's pools."""
        return self.cyclegan.init_memory(batch)

    def losses(
        self, params: dict[str, Params], frozen: Params, memory: Any, batch: Batch, rng: Array
    ) -> tuple[dict[str, Array], Aux]:
        """CycleGAN's terms, and the semantic one of both directions.

        Raises:
            ValueError: a gate without labels to measure the segmenter by.
        """
        total, aux, fakes = self.cyclegan.losses_and_fakes(params, memory, batch, rng)
        frames = per_frame.frames_of(batch)
        wanted, own = self._wanted(frozen["segmenter"], frames, batch)
        trusted = (own <= self.gate).astype(own.dtype) if self.gate else jnp.ones_like(own)
        terms = dict(aux.terms)
        if self.semantic:
            for name in DIRECTIONS:
                read = apply(self.segmenter, frozen["segmenter"], fakes[name])
                terms[f"{name}/semantic"] = losses.cross_entropy(read, wanted[name])
                total["generator"] += self.semantic * trusted * terms[f"{name}/semantic"]
        extra = (self.to_target - 1) * self.cyclegan.weights.adversarial
        if extra:
            total["generator"] += extra * terms["to_target/adversarial"]
        return total, aux.replace(terms=terms)

    def _wanted(
        self, frozen: Params, frames: dict[str, Array], batch: Batch
    ) -> tuple[dict[str, Array], Array]:
        """What every frame must be read as, and the segmenter's own loss on the source's labels."""
        logits = {name: apply(self.segmenter, frozen, frames[name]) for name in DIRECTIONS}
        wanted = {name: jnp.argmax(read, axis=-1) for name, read in logits.items()}
        if "labels" not in batch["source"]:
            if self.gate:
                raise ValueError("cycada: a gate needs labels of the source to measure by")
            return wanted, jnp.zeros(())
        wanted["to_target"] = fold(batch["source"]["labels"])
        own = losses.cross_entropy(logits["to_target"], wanted["to_target"])
        return wanted, jax.lax.stop_gradient(own)
