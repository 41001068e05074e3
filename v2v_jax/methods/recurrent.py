"""The paper's method: a recurrent generator trained with eq. 3 to 8."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax import losses, recurrence
from v2v_jax.methods import base
from v2v_jax.methods.window import (
    Networks,
    Window,
    apply,
    clip_flows,
    decode,
    reconstruct,
    translate_window,
)
from v2v_jax.ops.warp import occlusion_mask
from v2v_jax.recurrence import Trust, fold, unfold
from v2v_jax.types import Array, Aux, Batch, Carry, Params, Translation


@dataclasses.dataclass(frozen=True)
class Weights:
    """The weights of eq. 8; a weight of 0 removes its term from the traced program."""

    adversarial: float = 1.0
    cycle: float = 10.0
    content: float = 1.0
    temporal: float = 10.0


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
        gate: multiply the fusion mask by eq. 7's occlusion mask, so that pixels whose flow the
            source itself contradicts are always synthesised.
        gate_squared: in Lai et al.'s squared form; False: as eq. 7 prints it (Table 6's rule).
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
    gate: bool = False
    gate_squared: bool = True

    players = ("generator", "discriminator")
    directions = ("to_target", "to_source")
    flow_of = ("source", "target")
    translates_with = ("flow",)

    translate = base.translate

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
        flows = clip_flows(self.flow, frozen, clips, frames)
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
        return recurrence.translate_clip(image, fusion, estimate, carry, frames, self._trust)

    def _networks(self, generator: Params) -> Networks:
        return Networks(
            lambda x: apply(self.image, generator["image"], x),
            lambda raw, warped: apply(self.fusion, generator.get("fusion", {}), raw, warped),
        )

    @property
    def _trust(self) -> Trust | None:
        form = {"alpha": self.occlusion_alpha, "squared": self.gate_squared}
        return functools.partial(occlusion_mask, **form) if self.gate else None

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
        forth, back = (self._networks(generator) for generator in generators)
        window = translate_window(
            forth,
            back if self.weights.cycle and self.cycle_memory == "reconstruction" else None,
            frames,
            flow,
            history=self.history,
            trust=self._trust,
            truncate=self.truncate,
            losses_on_raw=self.losses_on_raw,
        )
        mine: dict[str, Array] = {}
        judging: dict[str, Array] = {}
        if self.weights.adversarial:
            fake = self._judge(judge, window.judged)
            truth = self._judge(judge, real[:, self.history :])
            mine["adversarial"] = losses.generator_loss(fake, self.adversarial)
            judging["discriminator"] = losses.discriminator_loss(truth, fake, self.adversarial)
        if self.weights.cycle:
            mine |= self._cycle(back, window)
        if self.weights.content:
            before, after = (
                apply(self.content, frozen["content"], fold(images))
                for images in (window.originals, window.judged)
            )
            mine["content"] = losses.content(after, before)
        if self.weights.temporal:
            mine["temporal"] = self._temporal(window)
        y = window.made
        shown = {"source": window.frames, "raw": y.raw, "warped": y.warped, "mask": y.mask}
        shown |= {"output": y.output, "flow": y.flow}
        return mine, judging, {name: value[0] for name, value in shown.items()}

    def _judge(self, judge: Params, images: Array) -> Array:
        return apply(self.discriminator, judge, fold(images))

    def _cycle(self, back: Networks, window: Window) -> dict[str, Array]:
        alone, steady = reconstruct(
            back, window, remembers=self.cycle_memory, truncate=self.truncate
        )
        count, originals = window.frames.shape[1], window.originals
        wanted = jnp.concatenate([originals[:, :1], originals[:, count:]], axis=1)
        return {
            "cycle_2d": losses.cycle(alone, wanted),
            "cycle_3d": losses.cycle(steady, originals[:, 1:count]),
        }

    def _temporal(self, window: Window) -> Array:
        # The first trained frame has no term: eq. 7 begins at t = 2.
        frames, carried, visible = (
            fold(x[:, 1:]) for x in (window.frames, window.carried, window.visible)
        )
        mask = occlusion_mask(
            frames, carried, visible, alpha=self.occlusion_alpha, squared=self.occlusion_squared
        )
        y = window.made
        mask = unfold(mask, y.output.shape[0])
        return losses.temporal(y.output[:, 1:], y.warped[:, 1:], mask)
