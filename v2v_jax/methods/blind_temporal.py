"""Blind temporal consistency (Lai et al., ECCV 2018): a net that steadies a per-frame translator.

Its published weights are gone from the web: training it is the only way to have it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from v2v_jax import recurrence
from v2v_jax.methods import base, flicker
from v2v_jax.methods.window import apply, clip_flows, decode
from v2v_jax.recurrence import fold, unfold
from v2v_jax.types import Array, Aux, Batch, Carry, Params, Translation


@dataclasses.dataclass(frozen=True)
class Weights:
    """Upstream's; a weight of 0 removes its term from the traced program."""

    short_term: float = 100.0
    long_term: float = 100.0
    content: float = 10.0


class BlindCarry(struct.PyTreeNode):
    """What the stabiliser hands from one frame (or chunk) to the next."""

    last: Carry
    """The last original frame and the last output."""
    state: Any
    """Of the ConvLSTM."""


@dataclasses.dataclass(frozen=True)
class BlindTemporal:
    """TransformNet over the frames of a frozen per-frame translator.

    Parameters: ``stabiliser`` -> direction -> TransformNet's.  Frozen: {"translator": the image
    generator's, "content", "flow"}.

    It looks ahead of nothing and needs no flow to translate: flow serves the losses.  Those take
    the clip's own; the long-term flow, from frame t >= 2 to frame 0, is estimated where there is
    an estimator in the graph, as upstream does, and else composed of the given flows of
    consecutive frames.  What a composition gets wrong, the mask finds: W(I_0) then differs from
    I_t.  Unlike upstream, pixels whose flow leaves the frame count as occluded.

    Attributes:
        image: the translator, [N, H, W, 3] -> [N, H, W, 3]; never trained here.
        stabiliser: (P_t, O_{t-1}, I_t, I_{t-1}, state) -> (O_t, state), with ``initial_state``.
        content: feature extractor, upstream's VGG-16 up to relu4_3, without instance norm.
        flow: in-graph estimator; None where the clips bring their flow.
        weights: of the terms.
        occlusion_alpha: of the mask, see ``flicker.visibility``.
    """

    image: nn.Module
    stabiliser: Any
    content: nn.Module
    flow: Any = None
    weights: Weights = Weights()
    occlusion_alpha: float = 50.0

    players = ("stabiliser",)
    directions = ("to_target",)
    flow_of = ("source",)
    translates_with = ("translator",)

    translate = base.translate

    def init(self, rng: Array, batch: Batch) -> dict[str, Params]:
        """Random parameters of the stabiliser."""
        frame = decode(batch["source"]["frames"][:1, 0])
        state = self.stabiliser.initial_state(frame)
        made = self.stabiliser.init(rng, frame, frame, frame, frame, state)["params"]
        return {"stabiliser": {"to_target": made}}

    def init_memory(self, batch: Batch) -> Any:
        """None is kept."""
        return {}

    def losses(
        self, params: dict[str, Params], frozen: Params, memory: Any, batch: Batch, rng: Array
    ) -> tuple[dict[str, Array], Aux]:
        """Short- and long-term warp errors and the perceptual loss, each summed over time.

        Images count in [0, 1] and differences by their absolute value, as upstream's do.
        """
        clip = batch["source"]
        frames = decode(clip["frames"])
        flow = clip_flows(self.flow, frozen, {"it": clip}, {"it": frames})["it"]
        processed = self._process(frozen, frames)
        outputs = self._trained(params["stabiliser"]["to_target"], frames, processed)
        mine, warped = self._flicker(frozen, frames, outputs, flow)
        if self.weights.content:
            before, after = (
                apply(self.content, frozen["content"], fold(images[:, 1:]))
                for images in (processed, outputs)
            )
            # The first frame is the translator's own.
            mine["content"] = (frames.shape[1] - 1) * jnp.mean(jnp.abs(after - before))
        weights = dataclasses.asdict(self.weights)
        total = sum((weights[name] * value for name, value in mine.items()), jnp.zeros(()))
        pictures = {"source": frames, "raw": processed, "output": outputs}
        pictures["warped"] = jnp.concatenate([processed[:, :1], warped], axis=1)
        pictures["flow"] = recurrence.clip_flow(flow, recurrence.fresh_carry(frames), frames)
        return {"stabiliser": total}, Aux(
            terms={f"to_target/{name}": value for name, value in mine.items()},
            memory=memory,
            pictures={f"to_target/{name}": value[0] for name, value in pictures.items()},
        )

    def initial_carry(self, frames: Array) -> BlindCarry:
        """Nothing seen yet."""
        state = self.stabiliser.initial_state(frames[:, 0])
        return BlindCarry(recurrence.fresh_carry(frames), state)

    def stabilise(
        self,
        params: Params,
        frozen: Params,
        carry: BlindCarry,
        originals: Array,
        processed: Array,
    ) -> tuple[BlindCarry, Array]:
        """Steadies a chunk of any processed video, whoever made it.

        Outputs are clamped before they are fed back, as upstream's, which are read from files.

        Args:
            params: the stabiliser's, of one direction.
            frozen: as every method's functions take it; nothing of it is needed.
            carry: ``initial_carry`` or what the previous chunk returned.
            originals: float [B, T, H, W, 3] in [-1, 1]; H and W divisible by 4.
            processed: the same shape, the video that flickers.

        Returns:
            The new carry and the steady video, whose first frame is the processed one.
        """
        return self._recur(params, carry, originals, processed)

    def rollout(
        self,
        generator: Params,
        frozen: Params,
        carry: BlindCarry,
        frames: Array,
        flow: Array | None = None,
    ) -> tuple[BlindCarry, Translation]:
        """Translates frame by frame, then steadies; raw is the translator's.

        The mask is 0.  ``warped`` is the previous output along a flow that is given; else it is
        raw, and flow and visible are 0: no flow is estimated for what needs none.
        """
        processed = self._process(frozen, frames)
        new, outputs = self.stabilise(generator, frozen, carry, frames, processed)
        none = jnp.zeros_like(outputs[..., :1])
        if flow is None:
            still = jnp.zeros_like(outputs[..., :2])
            return new, Translation(outputs, processed, processed, none, still, none)
        last = carry.last
        later = jnp.ones((outputs.shape[0], outputs.shape[1] - 1), bool)
        begun = jnp.concatenate([last.started[:, None], later], axis=1)[:, :, None, None, None]
        flow = jnp.where(begun, recurrence.clip_flow(flow, last, frames), 0)
        previous = jnp.concatenate([last.output[:, None], outputs[:, :-1]], axis=1)
        warped, visible = flicker.warp(previous, flow)
        warped = jnp.where(begun, warped, processed)
        return new, Translation(outputs, processed, warped, none, flow, visible * begun)

    def _process(self, frozen: Params, frames: Array) -> Array:
        made = apply(self.image, frozen["translator"], fold(frames))
        return jax.lax.stop_gradient(unfold(made, frames.shape[0]))

    def _recur(
        self,
        params: Params,
        carry: BlindCarry,
        originals: Array,
        processed: Array,
        *,
        training: bool = False,
    ) -> tuple[BlindCarry, Array]:
        """The recurrence; in training nothing is clamped, and no gradient crosses frames."""

        def step(carry: BlindCarry, inputs: tuple[Array, Array]) -> tuple[BlindCarry, Array]:
            original, processed = inputs
            last, begun = carry.last, carry.last.started[:, None, None, None]
            frames = processed, last.output, original, last.source
            made, state = apply(self.stabiliser, params, *frames, carry.state)
            made = jnp.where(begun, made if training else jnp.clip(made, -1, 1), processed)
            # The first frame is only remembered: the LSTM begins with the second.
            state = jax.tree.map(lambda a, b: jnp.where(begun, a, b), state, carry.state)
            last = Carry(original, made, jnp.ones_like(last.started))
            return BlindCarry(last, state), made

        return recurrence.scan_clip(step, carry, (originals, processed), truncate=training)

    def _trained(self, params: Params, frames: Array, processed: Array) -> Array:
        """O_t of a whole clip; its first frame costs no pass."""
        carry = self.initial_carry(frames)
        begun = Carry(frames[:, 0], processed[:, 0], jnp.ones_like(carry.last.started))
        carry = carry.replace(last=begun)
        later = self._recur(params, carry, frames[:, 1:], processed[:, 1:], training=True)[1]
        return jnp.concatenate([processed[:, :1], later], axis=1)

    def _flicker(
        self, frozen: Params, frames: Array, outputs: Array, flow: Array
    ) -> tuple[dict[str, Array], Array]:
        """The warp errors, and the previous outputs along the flow, [B, T - 1, H, W, 3]."""
        alpha, mine = self.occlusion_alpha, {}
        error, warped = flicker.short_term(frames, outputs, flow, alpha)
        if self.weights.short_term:
            mine["short_term"] = error
        if self.weights.long_term and frames.shape[1] > 2:
            far = self._far(frozen, frames, flow)
            mine["long_term"] = flicker.long_term(frames, outputs, *far, alpha)
        return mine, warped

    def _far(self, frozen: Params, frames: Array, flow: Array) -> tuple[Array, Array]:
        """The flow from frames t >= 2 to frame 0, and where it can be followed."""
        if self.flow is None:
            far, reached = flicker.compose(flow)
            return far[:, 1:], reached[:, 1:]
        current = frames[:, 2:]
        first = jnp.broadcast_to(frames[:, :1], current.shape)
        far = unfold(self.flow(frozen["flow"], fold(current), fold(first)), frames.shape[0])
        return jax.lax.stop_gradient(far), jnp.ones_like(far[..., :1])
