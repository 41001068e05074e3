"""What a discriminator says of clips (eq. 3), with or without their motion."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax import losses
from v2v_jax.methods.window import Window, apply
from v2v_jax.ops.motion import KINDS, frequencies, motion_kind, motion_map
from v2v_jax.recurrence import fold
from v2v_jax.types import Array, Params

MEMORY = 0.98
"""Share of the frequencies that the next step keeps."""
MOST = 8.0
"""The most that a rare kind of motion counts for."""
RARE = 1e-4


def judges_motion(discriminator: nn.Module) -> bool:
    """Whether it is to be shown how the frames move."""
    return getattr(discriminator, "motion", False)


def init_judge(discriminator: nn.Module, rng: Array, frame: Array) -> Params:
    """Random parameters for frames [N, H, W, 3]."""
    still = [motion_map(jnp.zeros_like(frame[..., :2]))] if judges_motion(discriminator) else []
    return discriminator.init(rng, frame, *still)["params"]


def adversarial_terms(
    discriminator: nn.Module,
    judge: Params,
    window: Window,
    real: Array,
    flow: Array,
    *,
    form: str,
    penalty: bool,
    seen: tuple[Array, Array] | None = None,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Eq. 3's two sides: {"adversarial"} of the generator, {"discriminator", ...} of D.

    Args:
        discriminator: D.
        judge: its parameters.
        window: translated frames.
        real: frames of the domain they are to look like, float [B, K, H, W, 3].
        flow: of those frames, in pixels [B, K, H, W, 2]; read where D judges motion.
        form: see ``losses.adversarial``.
        penalty: whether to return "gradient_penalty" too.
        seen: how frequent every kind of motion is in the translated domain and in the real one;
            real patches then count as if every kind were as frequent in both.
    """

    def verdict(frames: Array, motion: Array) -> Array:
        shown = [motion] if judges_motion(discriminator) else []
        return apply(discriminator, judge, frames, *shown)

    frames, motion = fold(real), motion_map(fold(flow))
    fake = verdict(fold(window.judged), motion_map(fold(window.motion)))
    truth = verdict(frames, motion)
    weights = None if seen is None else _ratios(*seen, motion, truth)
    judging = {"discriminator": losses.discriminator_loss(truth, fake, form, weights)}
    if penalty:
        judging["gradient_penalty"] = losses.gradient_penalty(lambda x: verdict(x, motion), frames)
    return {"adversarial": losses.generator_loss(fake, form)}, judging


def nothing_seen() -> Array:
    """Before the first batch."""
    return jnp.zeros(KINDS, jnp.float32)


def remember(seen: Array, flow: Array) -> Array:
    """The running frequencies [KINDS] of a domain's kinds of motion; flow [B, T, H, W, 2]."""
    now = frequencies(motion_kind(motion_map(fold(flow))))
    # Its sum tells how much was seen, so that the first batches count in full.
    return MEMORY * seen + (1 - MEMORY) * now


def _ratios(mine: Array, other: Array, motion: Array, logits: Array) -> Array:
    """Importance weights of a real domain's logits [N, h, w, 1], by their ``motion_map``."""
    ratio = jnp.clip((mine + RARE) / (other + RARE), 1 / MOST, MOST)
    weights = ratio[motion_kind(motion)][..., None]
    return jax.lax.stop_gradient(jax.image.resize(weights, logits.shape, "linear"))
