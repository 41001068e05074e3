"""The paper's method: a recurrent generator trained with eq. 3 to 8."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax import losses, recurrence
from v2v_jax.ops.warp import backward_warp, occlusion_mask
from v2v_jax.recurrence import fold, unfold
from v2v_jax.types import Array, Aux, Batch, Carry, Clip, Params, Translation


@dataclasses.dataclass(frozen=True)
class Weights:
    """The weights of eq. 8; a weight of 0 removes its term from the traced program."""

    adversarial: float = 1.0
    cycle: float = 10.0
    content: float = 1.0
    temporal: float = 10.0
    occlusion: float = 0.0
    """Not in the paper: a price on keeping carried pixels where the source contradicts the flow."""


@dataclasses.dataclass(frozen=True)
class Recurrent:
    """Park et al.'s method; every network and estimator is injected.

    Parameters: ``generator`` -> direction -> {"image": I's, "fusion": F's}, ``discriminator`` ->
    direction -> D of the domain that direction leads to.  Frozen: {"content", "flow"}.

    Clips hold ``history + K`` frames: the recurrence runs over the first ``history`` without
    gradient, so that the K trained frames, and with them the discriminator and the content loss,
    see what a long video looks like.  0 is the paper.

    Attributes:
        image: the image generator I, [N, H, W, 3] -> [N, H, W, 3].
        fusion: the fusion block F, (raw, warped) -> mask.
        discriminator: D, [N, H, W, 3] -> logits.
        content: feature extractor of eq. 6, instance norm included.
        flow: in-graph estimator; None where the clips bring their flow.
        weights: eq. 8.
        adversarial: form of eq. 3, see ``losses.adversarial``.
        occlusion_alpha, occlusion_squared: eq. 7's mask, see ``ops.warp.occlusion_mask``.
        losses_on_raw: give every raw frame, not only the first, the losses of I.
        cycle_memory: what the backward mapping G(y_t, y_{t-1}, .) remembers (eq. 5): the real
            source frame ("source") or its own reconstruction ("reconstruction").
        truncate: no gradient from a frame to the previous output it warps.
        history: frames rolled in without gradient before the trained ones.
        temporal_on_mask: let eq. 7 train the fusion mask too.  It pays that term most cheaply by
            copying everything; without, the mask learns from the other terms alone.
    """

    image: nn.Module
    fusion: nn.Module
    discriminator: nn.Module
    content: nn.Module
    flow: Any = None
    weights: Weights = Weights()
    adversarial: str = "vanilla"
    occlusion_alpha: float = 50.0
    occlusion_squared: bool = False
    losses_on_raw: bool = False
    cycle_memory: str = "source"
    truncate: bool = False
    history: int = 0
    temporal_on_mask: bool = True

    players = ("generator", "discriminator")
    directions = ("to_target", "to_source")

    def __post_init__(self) -> None:
        if self.cycle_memory not in ("source", "reconstruction"):
            raise ValueError(
                f"cycle_memory: {self.cycle_memory!r} is neither 'source' nor 'reconstruction'"
            )

    def init(self, rng: Array, batch: Batch) -> dict[str, Params]:
        """Random parameters of both players."""
        frame = decode(batch["source"]["frames"][:1, 0])

        def direction(rng: Array) -> tuple[Params, Params]:
            keys = jax.random.split(rng, 3)
            image = self.image.init(keys[0], frame)["params"]
            fusion = self.fusion.init(keys[1], frame, frame).get("params", {})
            judge = self.discriminator.init(keys[2], frame)["params"]
            return {"image": image, "fusion": fusion}, judge

        made = [direction(key) for key in jax.random.split(rng, 2)]
        generators, judges = zip(*made, strict=True)
        return {
            "generator": dict(zip(self.directions, generators, strict=True)),
            "discriminator": dict(zip(self.directions, judges, strict=True)),
        }

    def init_memory(self, batch: Batch) -> Any:
        """The paper's method keeps none."""
        return {}

    def losses(
        self, params: dict[str, Params], frozen: Params, memory: Any, batch: Batch, rng: Array
    ) -> tuple[dict[str, Array], Aux]:
        """Eq. 8 for the generators, eq. 3's other side for the discriminators."""
        clips = {"to_target": batch["source"], "to_source": batch["target"]}
        frames = {name: decode(clip["frames"]) for name, clip in clips.items()}
        flows = self._flows(frozen, clips, frames)
        total = {player: jnp.zeros((), frames["to_target"].dtype) for player in self.players}
        terms: dict[str, Array] = {}
        pictures: dict[str, Array] = {}
        for name, other in (("to_target", "to_source"), ("to_source", "to_target")):
            generators = params["generator"][name], params["generator"][other]
            judge = params["discriminator"][name]
            mine, judging, shown = self._direction(
                generators, judge, frozen, frames[name], flows[name], frames[other]
            )
            weights = dataclasses.asdict(self.weights)
            weights |= {"cycle_2d": self.weights.cycle, "cycle_3d": self.weights.cycle}
            total["generator"] += sum(weights[term] * value for term, value in mine.items())
            total["discriminator"] += judging.get("discriminator", 0.0)
            terms |= {f"{name}/{term}": value for term, value in (mine | judging).items()}
            terms[f"{name}/mask"] = jnp.mean(shown["mask"][1:])
            pictures |= {f"{name}/{key}": value for key, value in shown.items()}
        return total, Aux(terms=terms, memory=memory, pictures=pictures)

    def initial_carry(self, frames: Array) -> Carry:
        """Nothing translated yet."""
        return recurrence.fresh_carry(frames)

    def rollout(
        self,
        generator: Params,
        frozen: Params,
        carry: Carry,
        frames: Array,
        flow: Array | None = None,
    ) -> tuple[Carry, Translation]:
        """Section 3.8: the recurrent generator over a chunk of clips."""
        if flow is None and self.flow is None:
            raise ValueError("rollout: the method has no flow estimator, so the flow must be given")
        estimate = flow if flow is not None else lambda x, y: self.flow(frozen["flow"], x, y)
        image, fusion = self._networks(generator)
        return recurrence.translate_clip(image, fusion, estimate, carry, frames)

    def translate(
        self,
        generator: Params,
        frozen: Params,
        carry: Carry,
        frames: Array,
        flow: Array | None = None,
    ) -> tuple[Carry, Array]:
        """Section 3.8; see ``methods.base.Method.translate``."""
        carry, translation = self.rollout(generator, frozen, carry, frames, flow)
        return carry, translation.output

    def _networks(self, generator: Params) -> tuple[Any, Any]:
        return (
            lambda x: self.image.apply({"params": generator["image"]}, x),
            lambda raw, warped: self.fusion.apply({"params": generator["fusion"]}, raw, warped),
        )

    def _flows(
        self, frozen: Params, clips: dict[str, Clip], frames: dict[str, Array]
    ) -> dict[str, Array]:
        """The T - 1 flows of both domains, estimated in one call where the clips bring none."""
        given = [clip["flow"] for clip in clips.values() if "flow" in clip]
        if len(given) == len(clips):
            return dict(zip(clips, given, strict=True))
        if self.flow is None:
            raise ValueError("losses: no flow in the clips and no estimator in the method")
        current = jnp.concatenate([fold(x[:, 1:]) for x in frames.values()])
        previous = jnp.concatenate([fold(x[:, :-1]) for x in frames.values()])
        flow = jax.lax.stop_gradient(self.flow(frozen["flow"], current, previous))
        halves = jnp.split(flow, len(clips))
        return {n: unfold(f, frames[n].shape[0]) for n, f in zip(clips, halves, strict=True)}

    def _direction(
        self,
        generators: tuple[Params, Params],
        judge: Params,
        frozen: Params,
        frames: Array,
        flow: Array,
        real: Array,
    ) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
        """One direction's terms: the generator's, the discriminator's, and pictures."""
        weights, clips = self.weights, frames.shape[0]
        carry, back_carry = self._roll_in(generators, frames, flow)
        # With history the first trained frame has a flow too; without, translate_clip pads it.
        frames, real = frames[:, self.history :], real[:, self.history :]
        flow = flow[:, max(self.history - 1, 0) :]
        image, fusion = self._networks(generators[0])
        raw = unfold(image(fold(frames)), clips)
        flow = recurrence.clip_flow(flow, carry, frames)
        _, y = recurrence.fuse_clip(fusion, carry, frames, raw, flow, truncate=self.truncate)
        # What the losses of I and G judge: I's own frame first, then the recurrent generator's.
        made = jnp.concatenate([raw[:, :1], y.output[:, 1:]], axis=1)
        wanted = jnp.concatenate([made, raw[:, 1:]], axis=1) if self.losses_on_raw else made
        originals = jnp.concatenate([frames, frames[:, 1:]], axis=1)[:, : wanted.shape[1]]
        mine: dict[str, Array] = {}
        judging: dict[str, Array] = {}
        carried, visible = backward_warp(fold(frames[:, :-1]), fold(flow[:, 1:]))
        if weights.adversarial:
            fake = self.discriminator.apply({"params": judge}, fold(wanted))
            truth = self.discriminator.apply({"params": judge}, fold(real))
            mine["adversarial"] = losses.generator_loss(fake, self.adversarial)
            judging["discriminator"] = losses.discriminator_loss(truth, fake, self.adversarial)
        if weights.cycle:
            flat, deep = self._reconstruct(
                generators[1], back_carry, frames, wanted, unfold(carried, clips), flow
            )
            alone = jnp.concatenate([originals[:, :1], originals[:, frames.shape[1] :]], axis=1)
            mine["cycle_2d"] = losses.cycle(flat, alone)
            mine["cycle_3d"] = losses.cycle(deep, frames[:, 1:])
        if weights.content:
            before, after = self._features(frozen, frames), self._features(frozen, wanted)
            before = jnp.concatenate([before, before[:, 1:]], axis=1)[:, : after.shape[1]]
            mine["content"] = losses.content(after, before)
        trusting = functools.partial(
            occlusion_mask, fold(frames[:, 1:]), carried, visible, alpha=self.occlusion_alpha
        )
        if weights.occlusion:
            # Lai et al.'s squared form: the literal one calls half of an untouched video occluded.
            trust = unfold(trusting(squared=True), clips)
            mine["occlusion"] = jnp.mean((1 - trust) * y.mask[:, 1:])
        if weights.temporal:
            trust = trusting(squared=self.occlusion_squared)
            output = y.output
            if not self.temporal_on_mask:
                mask = jax.lax.stop_gradient(y.mask)
                output = mask * y.warped + (1 - mask) * y.raw
            mine["temporal"] = losses.temporal(
                output[:, 1:], y.warped[:, 1:], unfold(trust, clips)
            )
        shown = {"source": frames, "raw": y.raw, "warped": y.warped, "mask": y.mask}
        shown |= {"output": y.output, "flow": y.flow}
        return mine, judging, {name: value[0] for name, value in shown.items()}

    def _features(self, frozen: Params, images: Array) -> Array:
        features = self.content.apply({"params": frozen["content"]}, fold(images))
        return unfold(features, images.shape[0])

    def _roll_in(
        self, generators: tuple[Params, Params], frames: Array, flow: Array
    ) -> tuple[Carry, Carry]:
        """The carries of the generator and of its reconstruction after the history."""
        carry = back_carry = recurrence.fresh_carry(frames)
        if not self.history:
            return carry, back_carry
        generators = jax.lax.stop_gradient(generators)
        frames, flow = frames[:, : self.history], flow[:, : self.history - 1]
        carry, y = recurrence.translate_clip(*self._networks(generators[0]), flow, carry, frames)
        if self.cycle_memory == "reconstruction":
            back = self._networks(generators[1])
            back_carry, _ = recurrence.translate_clip(*back, flow, back_carry, y.output)
        return carry, back_carry

    def _reconstruct(
        self,
        generator: Params,
        carry: Carry,
        frames: Array,
        wanted: Array,
        carried: Array,
        flow: Array,
    ) -> tuple[Array, Array]:
        """The backward mapping: of I's frames alone (eq. 4) and of the outputs at t >= 2 (eq. 5).

        ``carried`` [B, K-1, H, W, 3] are the real frames x_{t-1} along the forward flow.
        """
        image, fusion = self._networks(generator)
        count = frames.shape[1]
        raw = unfold(image(fold(wanted)), frames.shape[0])
        alone = jnp.concatenate([raw[:, :1], raw[:, count:]], axis=1)
        if self.cycle_memory == "source":
            body = raw[:, 1:count]
            mask = unfold(fusion(fold(body), fold(carried)), frames.shape[0])
            return alone, mask * carried + (1 - mask) * body
        _, back = recurrence.fuse_clip(
            fusion, carry, frames, raw[:, :count], flow, truncate=self.truncate
        )
        return alone, back.output[:, 1:]


def decode(frames: Array) -> Array:
    """uint8 0..255 -> float in [-1, 1], float32 unless x64 is enabled."""
    return frames.astype(float) / 127.5 - 1
