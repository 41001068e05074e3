"""THE recurrence (eq. 1 and 2), shared by training, evaluation and inference.

Only the fusion is recurrent: raw frames and flow depend on the input alone, so they are computed
on the folded [B * T] batch, and the scan carries just warp + fusion.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from v2v_jax.ops.warp import backward_warp
from v2v_jax.types import Array, Carry, Translation

Generate = Callable[[Array], Array]
"""[N, H, W, 3] in [-1, 1] -> the same: the image generator."""
Fuse = Callable[[Array, Array], Array]
"""raw, warped [N, H, W, 3] -> mask [N, H, W, 1] in [0, 1]: the fusion block."""
Flow = Callable[[Array, Array], Array]
"""current, previous [N, H, W, 3] -> backward flow [N, H, W, 2] in pixels."""
Trust = Callable[[Array, Array, Array], Array]
"""x_t, W(x_{t-1}) [N, H, W, 3], visible [N, H, W, 1] -> how far the source bears the flow out,
[N, H, W, 1] in [0, 1]."""

_UNROLLED = 3
"""Frames up to which the scan is written out: inside a loop XLA:CPU computes the gradient of the
fusion block's convolutions 15 times slower (docs/benchmarks.md), and nothing is fused across
frames.  The paper's K; longer clips would take long to compile."""


def fold(x: Array) -> Array:
    """[B, T, ...] -> [B * T, ...]."""
    return x.reshape(-1, *x.shape[2:])


def unfold(x: Array, clips: int) -> Array:
    """[B * T, ...] -> [B, T, ...]."""
    return x.reshape(clips, -1, *x.shape[1:])


def fresh_carry(frames: Array) -> Carry:
    """The carry before the first frame of ``frames`` [B, T, H, W, 3]."""
    blank = jnp.zeros_like(frames[:, 0])
    return Carry(source=blank, output=blank, started=jnp.zeros(frames.shape[:1], bool))


def scan_clip(
    step: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    inputs: Any,
    *,
    remat: bool = False,
    truncate: bool = False,
) -> tuple[Any, Any]:
    """Runs ``step`` along time with ``lax.scan``.

    Args:
        step: (carry, inputs of one frame [B, ...]) -> (carry, outputs of that frame [B, ...]).
        carry: the first carry.
        inputs: pytree of arrays [B, T, ...].
        remat: recompute each step in the backward pass instead of keeping its activations.
        truncate: no gradient flows from a frame to the carry it received.

    Returns:
        The last carry and the outputs [B, T, ...].
    """

    def body(carry: Any, frame: Any) -> tuple[Any, Any]:
        return step(jax.lax.stop_gradient(carry) if truncate else carry, frame)

    time_major = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), inputs)
    body = jax.checkpoint(body) if remat else body
    length = jax.tree.leaves(time_major)[0].shape[0]
    carry, outputs = jax.lax.scan(body, carry, time_major, unroll=length <= _UNROLLED)
    return carry, jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), outputs)


def previous_frames(carry: Carry, frames: Array) -> Array:
    """x_{t-1} for every x_t of ``frames`` [B, T, H, W, 3]; the carry's for the first."""
    return jnp.concatenate([carry.source[:, None], frames[:, :-1]], axis=1)


def clip_flow(flow: Flow | Array, carry: Carry, frames: Array) -> Array:
    """The flow of every frame towards the one before it, [B, T, H, W, 2] in pixels.

    A clip's own T - 1 flows get a zero in front, which only a fresh carry may follow.
    """
    if callable(flow):
        pairs = flow(fold(frames), fold(previous_frames(carry, frames)))
        return unfold(pairs, frames.shape[0])
    if flow.shape[1] == frames.shape[1] - 1:
        return jnp.pad(flow, ((0, 0), (1, 0), (0, 0), (0, 0), (0, 0)))
    return flow


def carried_source(carry: Carry, frames: Array, flow: Array) -> tuple[Array, Array]:
    """W(x_{t-1}) [B, T, H, W, 3] for every frame, and where it is visible [B, T, H, W, 1]."""
    carried, visible = backward_warp(fold(previous_frames(carry, frames)), fold(flow))
    return unfold(carried, frames.shape[0]), unfold(visible, frames.shape[0])


def trusted(trust: Trust | None, carry: Carry, frames: Array, flow: Array) -> Array | None:
    """``trust`` of every frame, [B, T, H, W, 1]; None if there is no such function."""
    if trust is None:
        return None
    carried, visible = carried_source(carry, frames, flow)
    return unfold(trust(fold(frames), fold(carried), fold(visible)), frames.shape[0])


def translate_clip(
    generate: Generate,
    fuse: Fuse,
    flow: Flow | Array,
    carry: Carry,
    frames: Array,
    trust: Trust | None = None,
) -> tuple[Carry, Translation]:
    """Translates a chunk of clips with the recurrent generator G (section 3.1).

    A clip translated at once equals the clip translated in chunks of any sizes with the carry
    handed on.

    Args:
        generate: the image generator, called once on the folded batch.
        fuse: the fusion block.
        flow: an estimator, called once on the folded batch; or the flow itself,
            [B, T, H, W, 2], or [B, T-1, H, W, 2] for a clip that starts here.
        carry: ``fresh_carry`` or what the previous chunk returned.
        frames: float [B, T, H, W, 3] in [-1, 1].
        trust: multiplies the fusion mask; None leaves it alone (the paper).

    Returns:
        The carry for the next chunk, and the translation of this one.
    """
    raw = unfold(generate(fold(frames)), frames.shape[0])
    flow = jax.lax.stop_gradient(clip_flow(flow, carry, frames))
    return fuse_clip(fuse, carry, frames, raw, flow, trusted(trust, carry, frames, flow))


def fuse_clip(
    fuse: Fuse,
    carry: Carry,
    frames: Array,
    raw: Array,
    flow: Array,
    trusted: Array | None = None,
    *,
    truncate: bool = False,
) -> tuple[Carry, Translation]:
    """The recurrent half of ``translate_clip``: warp + fusion over given raw frames and flow.

    ``trusted`` [B, T, H, W, 1] multiplies the fusion mask; ``truncate`` as in ``scan_clip``.
    """

    def step(memory: tuple[Array, Array], inputs: tuple[Array, ...]) -> tuple[Any, Any]:
        output, started = memory
        raw, flow, *trusted = inputs
        begun = started[:, None, None, None]
        flow = jnp.where(begun, flow, 0)
        warped, visible = backward_warp(output, flow)
        warped = jnp.where(begun, warped, raw)
        mask = jnp.where(begun, math.prod(trusted, start=fuse(raw, warped)), 0)
        output = mask * warped + (1 - mask) * raw
        translation = Translation(output, raw, warped, mask, flow, visible * begun)
        return (output, jnp.ones_like(started)), translation

    inputs = (raw, flow) if trusted is None else (raw, flow, trusted)
    memory, translation = scan_clip(step, (carry.output, carry.started), inputs, truncate=truncate)
    return Carry(frames[:, -1], *memory), translation
