"""Recycle-GAN (Bansal et al., ECCV 2018): per-frame translation, taught by predicting frames."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax import losses
from v2v_jax.methods import base, per_frame
from v2v_jax.methods.per_frame import DIRECTIONS, OTHER
from v2v_jax.methods.window import apply, decode
from v2v_jax.recurrence import fold, unfold
from v2v_jax.types import Array, Aux, Batch, Params


@dataclasses.dataclass(frozen=True)
class Weights:
    """A weight of 0 removes its term from the traced program."""

    adversarial: float = 1.0
    adversarial_prediction: float = 0.0
    """Of predictions from real frames, upstream's ``--adversarial_loss_p``."""
    recycle: float = 10.0
    prediction: float = 10.0
    cycle: float = 0.0
    identity: float = 0.5
    """Times ``cycle``, as upstream counts it."""


VARIANTS = {"recycle": Weights(), "reCycle": Weights(cycle=10.0)}
"""Upstream's two models; ``reCycle`` is what its README names for VIPER."""


@dataclasses.dataclass(frozen=True)
class RecycleGan:
    """Image generators G, and predictors P of the next frame that exist only while training.

    Parameters: ``generator`` -> direction -> G's; ``discriminator`` and ``predictor`` -> direction
    -> D's and P's of the domain that direction leads to.  G and P minimise the same objective, as
    upstream's one optimiser of both does.

    Clips hold 3 frames.  Of longer ones all frames and all triples count, averaged, so that the
    terms keep their scale.

    Attributes:
        image: G, [N, H, W, 3] -> [N, H, W, 3].
        discriminator: D, [N, H, W, 3] -> logits.
        predictor: P, (x_{t-2}, x_{t-1}) -> x_t.
        weights: of the terms; see ``VARIANTS``.
        adversarial: form of eq. 3, see ``losses.adversarial``; upstream trains with ``lsgan``.
    """

    image: nn.Module
    discriminator: nn.Module
    predictor: nn.Module
    weights: Weights = Weights()
    adversarial: str = "lsgan"

    players = ("generator", "discriminator", "predictor")
    directions = DIRECTIONS
    flow_of = ()
    translates_with = ()

    initial_carry = per_frame.initial_carry
    rollout = per_frame.rollout
    translate = base.translate

    def init(self, rng: Array, batch: Batch) -> dict[str, Params]:
        """Random parameters of all players."""
        rng, *keys = jax.random.split(rng, 1 + len(DIRECTIONS))
        frame = decode(batch["source"]["frames"][:1, 0])
        predictors = {
            name: self.predictor.init(key, frame, frame)["params"]
            for name, key in zip(DIRECTIONS, keys, strict=True)
        }
        pair = per_frame.init_pair(self.image, self.discriminator, rng, batch)
        return pair | {"predictor": predictors}

    def init_memory(self, batch: Batch) -> Any:
        """No pool: upstream's scripts set its size to 0."""
        return {}

    def losses(
        self, params: dict[str, Params], frozen: Params, memory: Any, batch: Batch, rng: Array
    ) -> tuple[dict[str, Array], Aux]:
        """The joint objective of generators and predictors, and the discriminators'.

        Raises:
            ValueError: clips of fewer than 3 frames.
        """
        clips = {"to_target": batch["source"], "to_source": batch["target"]}
        frames = {name: decode(clip["frames"]) for name, clip in clips.items()}
        if (count := min(clip.shape[1] for clip in frames.values())) < 3:
            raise ValueError(f"RecycleGan: clips of {count} frames, but P needs 2 to predict a 3rd")
        total = {player: jnp.zeros((), frames["to_target"].dtype) for player in self.players}
        terms: dict[str, Array] = {}
        pictures: dict[str, Array] = {}
        for name in DIRECTIONS:
            mine, judging, shown = self._direction(params, frames[name], frames[OTHER[name]], name)
            total["generator"] += sum(
                per_frame.weight_of(self.weights, term) * value for term, value in mine.items()
            )
            total["discriminator"] += judging.get("discriminator", 0.0)
            terms |= {f"{name}/{term}": value for term, value in (mine | judging).items()}
            pictures |= {f"{name}/{key}": value[0] for key, value in shown.items()}
        total["predictor"] = total["generator"]
        return total, Aux(terms=terms, memory=memory, pictures=pictures)

    def _direction(
        self, params: dict[str, Params], x: Array, real: Array, name: str
    ) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
        """One direction's terms: the generator's, the discriminator's, and pictures.

        Args:
            params: of all players.
            x: [B, T, H, W, 3], of the domain translated from.
            real: the same of the domain translated to.
            name: of the direction.
        """
        forth, back = (params["generator"][n] for n in (name, OTHER[name]))
        foresee = params["predictor"][name]
        # The frames to predict are never translated: they are what the prediction answers to.
        made, begin = self._image(forth, x[:, :-1]), real[:, :-1]
        foreseen, predicted = (self._predict(foresee, frames) for frames in (made, begin))
        use, mine, judging = self.weights, {}, {}
        if use.adversarial or use.adversarial_prediction:
            judge = params["discriminator"][name]
            mine, judging = self._judge(judge, made, foreseen, predicted, real)
        if use.recycle:
            mine["recycle"] = losses.cycle(self._image(back, foreseen), x[:, 2:])
        if use.prediction:
            mine["prediction"] = losses.cycle(predicted, real[:, 2:])
        if use.cycle:
            # Upstream adds up the terms of the two translated frames.
            mine["cycle"] = 2 * losses.cycle(self._image(back, made), x[:, :-1])
        if use.cycle and use.identity:
            mine["identity"] = 2 * losses.cycle(self._image(forth, begin), begin)
        output = jnp.concatenate([made, self._image(forth, x[:, -1:])], axis=1)
        return mine, judging, {"source": x, "output": output, "foreseen": foreseen}

    def _image(self, params: Params, frames: Array) -> Array:
        return unfold(apply(self.image, params, fold(frames)), frames.shape[0])

    def _predict(self, params: Params, frames: Array) -> Array:
        """The frames that follow each two of [B, T, H, W, 3]: [B, T - 1, H, W, 3]."""
        before, last = fold(frames[:, :-1]), fold(frames[:, 1:])
        return unfold(apply(self.predictor, params, before, last), frames.shape[0])

    def _judge(
        self, params: Params, made: Array, foreseen: Array, predicted: Array, real: Array
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """The generator's terms, and the discriminator's: four pairs of real and fake."""
        images = [real[:, :-1], real[:, 2:], made, foreseen, predicted]
        ends = [sum(clip.shape[1] for clip in images[:i]) for i in range(1, len(images))]
        verdicts = apply(self.discriminator, params, fold(jnp.concatenate(images, axis=1)))
        early, late, *fakes = jnp.split(unfold(verdicts, real.shape[0]), ends, axis=1)
        fool = [losses.generator_loss(fake, self.adversarial) for fake in fakes]
        mine = {}
        if self.weights.adversarial:
            mine["adversarial"] = 2 * fool[0] + fool[1]
        if self.weights.adversarial_prediction:
            mine["adversarial_prediction"] = fool[2]
        right = [
            losses.discriminator_loss(truth, fake, self.adversarial)
            for truth, fake in zip((early, late, late), fakes, strict=True)
        ]
        return mine, {"discriminator": 2 * right[0] + right[1] + right[2]}
