"""A classifier of source against target frames."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax

from v2v_jax.evaluation.judges.fitting import apply, augment, fit, split
from v2v_jax.types import Array, Params


class DomainNet(nn.Module):
    """Four strided convolutions whose local votes are averaged: it sees texture and colour.

    [N, H, W, 3] in [-1, 1] -> logits [N], positive for the target domain.  The receptive field
    is 31 pixels, so layout (how much sky there is) can hardly decide.
    """

    features: int = 16

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for level in range(4):
            x = nn.Conv(self.features * min(2**level, 4), (3, 3), strides=(2, 2))(x)
            x = nn.relu(x)
        return nn.Conv(1, (1, 1))(x).mean(axis=(1, 2, 3))


@dataclasses.dataclass(frozen=True, eq=False)
class DomainClassifier:
    """A trained ``DomainNet``."""

    net: DomainNet
    params: Params
    accuracy: float
    """On frames that training did not see, in 0..1."""

    def logits(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 3] -> float32 [N], positive for the target domain."""
        return apply(self.net, self.params, frames)

    def share_target(self, frames: np.ndarray) -> float:
        """Share of the frames uint8 [N, H, W, 3] that look like the target domain, in 0..1."""
        return float(np.mean(self.logits(frames) > 0))


def train_domain_classifier(
    source: np.ndarray,
    target: np.ndarray,
    *,
    steps: int = 300,
    seed: int = 0,
    batch: int = 16,
    held_out: float = 0.2,
) -> DomainClassifier:
    """Trains a classifier of source against target frames on random crops and flips.

    Args:
        source, target: uint8 [N, H, W, 3] and [M, H, W, 3], in time order; the last
            ``held_out`` part of each is kept for ``accuracy``.
        steps, batch: optimiser steps, and frames of both domains together per step.
        seed: parameters, crops and draws follow from it.

    Raises:
        ValueError: domains of different frame size, or too few frames.
    """
    if source.shape[1:] != target.shape[1:]:
        raise ValueError(
            f"train_domain_classifier: frame sizes differ, {source.shape[1:]} and "
            f"{target.shape[1:]}; prepare both domains at one size"
        )
    (source, source_test), (target, target_test) = (split(x, held_out) for x in (source, target))
    rng = np.random.default_rng(seed)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        halves = [x[rng.integers(len(x), size=batch // 2)] for x in (source, target)]
        frames, _ = augment(rng, np.concatenate(halves))
        return frames, np.repeat([0, 1], batch // 2)

    net = DomainNet()
    params = fit(net, _binary_loss, draw, steps, seed, 2e-3)
    probe = DomainClassifier(net, params, 0.0)
    right = (1 - probe.share_target(source_test) + probe.share_target(target_test)) / 2
    return dataclasses.replace(probe, accuracy=right)


def _binary_loss(logits: Array, labels: Array) -> Array:
    return optax.sigmoid_binary_cross_entropy(logits, labels.astype(jnp.float32)).mean()
