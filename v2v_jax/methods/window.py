"""The trained frames of a clip: translated forth, with their past rolled in, and back again."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax import recurrence
from v2v_jax.recurrence import Fuse, Generate, Trust, fold, unfold
from v2v_jax.types import Array, Carry, Clip, Params, Translation


class Networks(NamedTuple):
    """One direction's generator G: the image generator I and the fusion block F."""

    image: Generate
    fusion: Fuse


class Window(NamedTuple):
    """K frames of a clip and what G made of them."""

    frames: Array
    """[B, K, H, W, 3]: x_t."""
    flow: Array
    """[B, K, H, W, 2]."""
    carried: Array
    """[B, K, H, W, 3]: the real previous frames along the flow, W(x_{t-1})."""
    visible: Array
    """[B, K, H, W, 1]."""
    trusted: Array | None
    """[B, K, H, W, 1]: what multiplies the fusion masks; None for nothing."""
    made: Translation
    """raw, warped, mask and output of the K frames."""
    judged: Array
    """[B, K or 2K-1, H, W, 3]: what the losses of I and G see: I's own first frame, the outputs
    at t >= 2, then, where asked for, the other raw frames."""
    back_carry: Carry
    """What the backward mapping remembers of the past it has reconstructed."""

    @property
    def originals(self) -> Array:
        """The x_t that belong to ``judged``."""
        return self.of_judged(self.frames)

    def of_judged(self, values: Array) -> Array:
        """What belongs to ``judged`` of what belongs to the K frames, [B, K, ...]."""
        return jnp.concatenate([values, values[:, 1:]], axis=1)[:, : self.judged.shape[1]]


def translate_window(
    forth: Networks,
    back: Networks | None,
    frames: Array,
    flow: Array,
    *,
    history: int,
    trust: Trust | None,
    truncate: bool,
    losses_on_raw: bool,
) -> Window:
    """Translates the last frames of a clip after a past that gets no gradient.

    Args:
        forth: the networks of this direction.
        back: the networks that reconstruct the past too; None if nobody needs its memory.
        frames: [B, history + K, H, W, 3].
        flow: [B, history + K - 1, H, W, 2].
        history: frames rolled in without gradient; 0 is the paper.
        trust: see ``recurrence.translate_clip``.
        truncate: see ``recurrence.scan_clip``.
        losses_on_raw: let ``judged`` hold every raw frame.
    """
    carry = back_carry = recurrence.fresh_carry(frames)
    if history:
        past, flow_past = frames[:, :history], flow[:, : history - 1]
        carry, y = recurrence.translate_clip(*forth, flow_past, carry, past, trust)
        if back is not None:
            # The past's own frames decide what to trust, in both directions.
            seen = recurrence.fresh_carry(frames)
            flow_past = recurrence.clip_flow(flow_past, seen, past)
            trusted = recurrence.trusted(trust, seen, past, flow_past)
            raw = unfold(back.image(fold(y.output)), past.shape[0])
            back_carry, _ = recurrence.fuse_clip(
                back.fusion, back_carry, past, raw, flow_past, trusted
            )
        carry, back_carry = jax.lax.stop_gradient((carry, back_carry))
    # With history the first trained frame has a flow too; without, clip_flow pads it.
    frames, flow = frames[:, history:], flow[:, max(history - 1, 0) :]
    flow = recurrence.clip_flow(flow, carry, frames)
    carried, visible = recurrence.carried_source(carry, frames, flow)
    trusted = recurrence.trusted(trust, carry, frames, flow)
    raw = unfold(forth.image(fold(frames)), frames.shape[0])
    _, y = recurrence.fuse_clip(forth.fusion, carry, frames, raw, flow, trusted, truncate=truncate)
    judged = [raw[:, :1], y.output[:, 1:]] + ([raw[:, 1:]] if losses_on_raw else [])
    judged = jnp.concatenate(judged, axis=1)
    return Window(frames, flow, carried, visible, trusted, y, judged, back_carry)


def reconstruct(
    back: Networks, window: Window, *, remembers: str, truncate: bool
) -> tuple[Array, Array]:
    """The backward mapping: of I's frames alone (eq. 4) and of the outputs at t >= 2 (eq. 5).

    Args:
        back: the networks of the other direction.
        window: the translated frames.
        remembers: the previous frame of the backward mapping, "source" for the real x_{t-1} or
            "reconstruction" for its own output.
        truncate: see ``recurrence.scan_clip``.

    Returns:
        Reconstructions of x_1 (and of further raw frames in ``judged``), and of x_2 .. x_K.
    """
    count = window.frames.shape[1]
    raw = unfold(back.image(fold(window.judged)), window.frames.shape[0])
    alone = jnp.concatenate([raw[:, :1], raw[:, count:]], axis=1)
    if remembers == "reconstruction":
        _, made = recurrence.fuse_clip(
            back.fusion,
            window.back_carry,
            window.frames,
            raw[:, :count],
            window.flow,
            window.trusted,
            truncate=truncate,
        )
        return alone, made.output[:, 1:]
    own, real = raw[:, 1:count], window.carried[:, 1:]
    mask = unfold(back.fusion(fold(own), fold(real)), own.shape[0])
    mask = mask if window.trusted is None else mask * window.trusted[:, 1:]
    return alone, mask * real + (1 - mask) * own


def clip_flows(
    estimate: Any, frozen: Params, clips: dict[str, Clip], frames: dict[str, Array]
) -> dict[str, Array]:
    """The T - 1 flows of every clip, estimated in one call where the clips bring none.

    Args:
        estimate: a ``flow.base.FlowEstimator``, or None.
        frozen: {"flow": its parameters}.
        clips: domain by direction; those that bring a flow bring it for all.
        frames: the same, decoded, float [B, T, H, W, 3] each.

    Raises:
        ValueError: neither the clips nor the estimator give a flow.
    """
    given = [clip["flow"] for clip in clips.values() if "flow" in clip]
    if len(given) == len(clips):
        return dict(zip(clips, given, strict=True))
    if estimate is None:
        raise ValueError("losses: no flow in the clips and no estimator in the method")
    current = jnp.concatenate([fold(x[:, 1:]) for x in frames.values()])
    previous = jnp.concatenate([fold(x[:, :-1]) for x in frames.values()])
    flow = jax.lax.stop_gradient(estimate(frozen["flow"], current, previous))
    halves = jnp.split(flow, len(clips))
    return {n: unfold(f, frames[n].shape[0]) for n, f in zip(clips, halves, strict=True)}


def decode(frames: Array) -> Array:
    """uint8 0..255 -> float in [-1, 1], float32 unless x64 is enabled."""
    return frames.astype(float) / 127.5 - 1


def apply(network: nn.Module, params: Params, *images: Array) -> Any:
    """The network's output for float images in [-1, 1]."""
    return network.apply({"params": params}, *images)
