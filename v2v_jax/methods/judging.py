"""What a discriminator says of clips (eq. 3), knowing how they move or what is in them, or not."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax import losses
from v2v_jax.methods.window import Window, apply
from v2v_jax.ops.classes import CLASSES, class_kind, class_map
from v2v_jax.ops.motion import KINDS, frequencies, motion_kind, motion_map
from v2v_jax.recurrence import fold
from v2v_jax.types import Array, Params

MEMORY = 0.98
"""Share of the frequencies that the next step keeps."""
MOST = 8.0
"""The most that a rare kind of place counts for."""
RARE = 1e-4


class Known(NamedTuple):
    """What is known of a clip's frames besides their pixels."""

    flow: Array
    """[B, T, H, W, 2], pixels, of every frame towards the one before."""
    labels: Array | None = None
    """int [B, T, H, W], train ids; None where the clips bring none."""

    def since(self, start: int) -> Known:
        """Without the first ``start`` frames of a clip whose flow begins at the second frame."""
        labels = None if self.labels is None else self.labels[:, start:]
        return Known(self.flow[:, max(start - 1, 0) :], labels)


def judges_motion(discriminator: nn.Module) -> bool:
    """Whether it is to be shown how the frames move."""
    return getattr(discriminator, "motion", False)


def judges_labels(discriminator: nn.Module) -> bool:
    """Whether it is to be shown what is in the frames."""
    return getattr(discriminator, "labels", False)


def check_past(discriminator: nn.Module, kinds: bool, history: int) -> None:
    """Raises a ValueError where D, or (``kinds``) a term, needs motion that no past frame shows."""
    moves = kinds and not judges_labels(discriminator)
    if (judges_motion(discriminator) or moves) and not history:
        raise ValueError(
            "history: 0, but judging or balancing motion, or a style by motion, needs a frame "
            "before the first that is judged: give --config.history=1 or more, or "
            "--config.discriminator.motion=false, --config.balance=false and "
            "--config.weights.style=0"
        )


def init_judge(discriminator: nn.Module, rng: Array, frame: Array) -> Params:
    """Random parameters for frames [N, H, W, 3]."""
    still = Known(jnp.zeros_like(frame[None, ..., :2]), jnp.zeros(frame[None, ..., 0].shape, int))
    return discriminator.init(rng, frame, *_hints(discriminator, still))["params"]


def adversarial_terms(
    discriminator: nn.Module,
    judge: Params,
    window: Window,
    real: Array,
    *,
    known: tuple[Known, Known],
    form: str,
    penalty: bool,
    seen: tuple[Array, Array] | None = None,
    evenness: float = 0.0,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Eq. 3's two sides: {"adversarial"} of the generator, {"discriminator", ...} of D.

    Args:
        discriminator: D.
        judge: its parameters.
        window: translated frames.
        real: frames of the domain they are to look like, float [B, K, H, W, 3].
        known: of the window's K frames, and of ``real``.
        form: see ``losses.adversarial``.
        penalty: whether to return "gradient_penalty" too.
        seen: how frequent every kind of place is in the translated domain and in the real one;
            real patches then count as if every kind were as frequent in both.
        evenness: 0 counts a kind as often as it is seen in the translated domain, 1 every kind
            the same, real and translated patches alike; needs ``seen``.

    Raises:
        ValueError: D judges labels and the clips bring none.
    """

    def verdict(frames: Array, hints: tuple[Array, ...]) -> Array:
        return apply(discriminator, judge, frames, *hints)

    mine = jax.tree.map(window.of_judged, known[0])
    frames, hints = fold(real), _hints(discriminator, known[1])
    fake = verdict(fold(window.judged), _hints(discriminator, mine))
    truth = verdict(frames, hints)
    weights = fake_weights = None
    if seen is not None:
        goal = _goal(seen[0], evenness)
        weights = _ratios(goal, seen[1], kinds_of(discriminator, known[1]), truth)
        if evenness:
            fake_weights = _ratios(goal, seen[0], kinds_of(discriminator, mine), fake)
    judged = losses.discriminator_loss(truth, fake, form, weights, fake_weights)
    judging = {"discriminator": judged}
    if penalty:
        judging["gradient_penalty"] = losses.gradient_penalty(lambda x: verdict(x, hints), frames)
    return {"adversarial": losses.generator_loss(fake, form, fake_weights)}, judging


def nothing_seen(discriminator: nn.Module) -> Array:
    """How frequent every kind of place was before the first batch."""
    return jnp.zeros(kind_count(discriminator), jnp.float32)


def kind_count(discriminator: nn.Module) -> int:
    """How many kinds of place ``kinds_of`` tells apart."""
    return CLASSES + 1 if judges_labels(discriminator) else KINDS


def remember(discriminator: nn.Module, seen: Array, known: Known) -> Array:
    """The running frequencies of a domain's kinds of place, shaped as ``nothing_seen``'s."""
    now = frequencies(kinds_of(discriminator, known), len(seen))
    # Its sum tells how much was seen, so that the first batches count in full.
    return MEMORY * seen + (1 - MEMORY) * now


def remember_all(
    discriminator: nn.Module, memory: dict[str, Array], known: dict[str, Known]
) -> dict[str, Array]:
    """``remember`` of every direction's domain; what else is in the memory stays."""
    seen = {name: remember(discriminator, memory[name], known[name]) for name in known}
    return memory | seen


def kinds_of(discriminator: nn.Module, known: Known) -> Array:
    """The kind of every place, int [N, h, w]: its class, or how it moves."""
    if judges_labels(discriminator):
        return class_kind(_labels(known))
    return motion_kind(motion_map(fold(known.flow)))


def _hints(discriminator: nn.Module, known: Known) -> tuple[Array, ...]:
    """What the discriminator is shown besides the frames [N, h, w, C] each."""
    hints = [motion_map(fold(known.flow))] if judges_motion(discriminator) else []
    if judges_labels(discriminator):
        hints.append(class_map(_labels(known)))
    return tuple(hints)


def _labels(known: Known) -> Array:
    if known.labels is None:
        raise ValueError(
            "discriminator.labels: a domain's clips bring no labels: prepare both data sets with "
            "labels and give --config.data.labels=true, or --config.discriminator.labels=false"
        )
    return fold(known.labels)


def _goal(mine: Array, evenness: float) -> Array:
    """How frequent every kind shall be, of the same sum as how frequent it is."""
    even = jnp.where(mine > 0, (mine + RARE) ** (1 - evenness), 0.0)
    return even * (jnp.sum(mine) / jnp.maximum(jnp.sum(even), RARE)) if evenness else mine


def _ratios(goal: Array, seen: Array, kinds: Array, logits: Array) -> Array:
    """Importance weights of logits [N, h, w, 1], by the kind of every place."""
    ratio = jnp.clip((goal + RARE) / (seen + RARE), 1 / MOST, MOST)
    weights = ratio[kinds][..., None]
    return jax.lax.stop_gradient(jax.image.resize(weights, logits.shape, "linear"))
