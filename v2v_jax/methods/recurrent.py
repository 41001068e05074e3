"""The paper's method: a recurrent generator trained with eq. 3 to 8."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax import losses, recurrence
from v2v_jax.methods import base, judging, styling
from v2v_jax.methods.judging import Known
from v2v_jax.methods.terms import Weights, cycle_terms, temporal_term
from v2v_jax.methods.window import Networks, apply, clip_flows, decode, translate_window
from v2v_jax.ops.warp import occlusion_mask
from v2v_jax.recurrence import Trust, fold
from v2v_jax.types import Array, Aux, Batch, Carry, Params, Translation


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
        discriminator: D, [N, H, W, 3] -> logits; where its ``motion`` is set it is given
            ``ops.motion.motion_map`` of the same frames too, and ``history`` must be at least 1;
            where its ``labels`` is set, ``ops.classes.class_map``, and both domains' clips must
            bring labels.
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
        balance: let D's real patches count as if every kind of motion (``ops.motion``), or, where
            D is shown labels, every class, were as frequent there as in the frames that are
            translated, so that a domain with less sky does not ask for less sky.  The frequencies
            are the method's memory.
        evenness: of ``balance``: 0 leaves rare kinds rare, 1 counts all kinds the same.
        gate_squared: in Lai et al.'s squared form; False: as eq. 7 prints it (Table 6's rule).
    """

    image: nn.Module
    fusion: nn.Module
    discriminator: nn.Module
    content: nn.Module
    flow: Any = None
    weights: Weights = dataclasses.field(default_factory=Weights)
    adversarial: str = "vanilla"
    occlusion_alpha: float = 50.0
    occlusion_squared: bool = False
    losses_on_raw: bool = False
    cycle_memory: str = "source"
    truncate: bool = False
    history: int = 0
    gate: bool = False
    gate_squared: bool = True
    balance: bool = False
    evenness: float = 0.0

    players = ("generator", "discriminator")
    directions = ("to_target", "to_source")
    warm_up = "raw"
    flow_of = ("source", "target")
    translates_with = ("flow",)

    translate = base.translate

    def __post_init__(self) -> None:
        if self.cycle_memory not in ("source", "reconstruction"):
            raise ValueError(
                f"cycle_memory: {self.cycle_memory!r} is neither 'source' nor 'reconstruction'"
            )
        kinds = bool(self.balance or self.weights.style)
        judging.check_past(self.discriminator, kinds, self.history)

    def init(self, rng: Array, batch: Batch) -> dict[str, Params]:
        """Random parameters of both players."""
        frame = decode(batch["source"]["frames"][:1, 0])

        def direction(rng: Array) -> tuple[Params, Params]:
            keys = jax.random.split(rng, 3)
            image = self.image.init(keys[0], frame)["params"]
            fusion = self.fusion.init(keys[1], frame, frame).get("params", {})
            judge = judging.init_judge(self.discriminator, keys[2], frame)
            return {"image": image, "fusion": fusion}, judge

        made = [direction(key) for key in jax.random.split(rng, 2)]
        generators, judges = zip(*made, strict=True)
        return {
            "generator": dict(zip(self.directions, generators, strict=True)),
            "discriminator": dict(zip(self.directions, judges, strict=True)),
        }

    def init_memory(self, batch: Batch) -> Any:
        """The paper's method keeps none; ``balance``: how frequent every kind of place is."""
        seen = judging.nothing_seen(self.discriminator)
        memory: dict[str, Any] = dict.fromkeys(self.directions, seen) if self.balance else {}
        if self.weights.style:
            styled = styling.nothing_styled(self.discriminator)
            memory["style"] = dict.fromkeys(self.directions, styled)
        return memory

    def losses(
        self, params: dict[str, Params], frozen: Params, memory: Any, batch: Batch, rng: Array
    ) -> tuple[dict[str, Array], Aux]:
        """Eq. 8 for the generators, eq. 3's other side for the discriminators."""
        clips = {"to_target": batch["source"], "to_source": batch["target"]}
        frames = {name: decode(clip["frames"]) for name, clip in clips.items()}
        flows = clip_flows(self.flow, frozen, clips, frames)
        known = {name: Known(flows[name], clip.get("labels")) for name, clip in clips.items()}
        if self.balance:
            memory = judging.remember_all(self.discriminator, memory, known)
        total = {player: jnp.zeros((), frames["to_target"].dtype) for player in self.players}
        terms: dict[str, Array] = {}
        pictures: dict[str, Array] = {}
        for name, other in (("to_target", "to_source"), ("to_source", "to_target")):
            generators = params["generator"][name], params["generator"][other]
            judge = params["discriminator"][name]
            mine, judged, shown, styled = self._direction(
                generators,
                judge,
                frozen,
                frames[name],
                known[name],
                frames[other],
                known[other],
                (memory[name], memory[other]) if self.balance else None,
                memory["style"][name] if self.weights.style else None,
            )
            if self.weights.style:
                memory = memory | {"style": memory["style"] | {name: styled}}
            weights = dataclasses.asdict(self.weights)
            weights |= {"cycle_2d": self.weights.cycle, "cycle_3d": self.weights.cycle}
            total["generator"] += sum(weights[term] * value for term, value in mine.items())
            total["discriminator"] += judged.get("discriminator", 0.0)
            if self.weights.gradient_penalty:
                total["discriminator"] += weights["gradient_penalty"] * judged["gradient_penalty"]
            terms |= {f"{name}/{term}": value for term, value in (mine | judged).items()}
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
        known: Known,
        real: Array,
        real_known: Known,
        seen: tuple[Array, Array] | None,
        styled: Any,
    ) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array], Any]:
        """One direction's terms, the generator's and D's, pictures, and the memory of style."""
        forth, back = (self._networks(generator) for generator in generators)
        window = translate_window(
            forth,
            back if self.weights.cycle and self.cycle_memory == "reconstruction" else None,
            frames,
            known.flow,
            history=self.history,
            trust=self._trust,
            truncate=self.truncate,
            losses_on_raw=self.losses_on_raw,
        )
        mine, judged = dict[str, Array](), dict[str, Array]()
        real = real[:, self.history :]
        # Without history the first trained frame's flow is 0.
        known = Known(window.flow, known.since(self.history).labels)
        real_known = real_known.since(self.history)
        if self.weights.adversarial:
            mine, judged = judging.adversarial_terms(
                self.discriminator,
                judge,
                window,
                real,
                known=(known, real_known),
                form=self.adversarial,
                penalty=bool(self.weights.gradient_penalty),
                seen=seen,
                evenness=self.evenness,
            )
        if self.weights.style:
            mine["style"], styled = styling.style_term(
                self.discriminator, styled, window, known, (real, real_known)
            )
        if self.weights.cycle:
            mine |= cycle_terms(back, window, self.cycle_memory, self.truncate)
        if self.weights.content:
            before, after = (
                apply(self.content, frozen["content"], fold(images))
                for images in (window.originals, window.judged)
            )
            mine["content"] = losses.content(after, before)
        if self.weights.temporal:
            mine["temporal"] = temporal_term(window, self.occlusion_alpha, self.occlusion_squared)
        y = window.made
        shown = {"source": window.frames, "raw": y.raw, "warped": y.warped, "mask": y.mask}
        shown |= {"output": y.output, "flow": y.flow}
        return mine, judged, {name: value[0] for name, value in shown.items()}, styled
