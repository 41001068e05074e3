"""Does a patch look as the target's patches of the same content do?

A classifier of whole frames knows a street by its houses, and so takes an honest translation of a
wide sky for no street, and a sky full of facades for one.  This one knows what a patch shows.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax

from v2v_jax.evaluation.judges.fitting import apply, augment, fit
from v2v_jax.types import Array, Params

CELL = 4
"""Side in pixels of the cells that are judged; only cells of a single class are."""
NONE = 255


class LikenessNet(nn.Module):
    """[N, H, W, 3] in [-1, 1] -> logits [N, H / 4, W / 4, classes + 1] of patches of 18 pixels.

    The last logit says: nothing the target domain shows.  Half the size at once: it should know
    colours and textures, not a camera by its noise.
    """

    classes: int = 19
    features: int = 24

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = nn.avg_pool(x, (2, 2), (2, 2))
        x = nn.relu(nn.Conv(self.features, (3, 3))(x))
        x = nn.relu(nn.Conv(2 * self.features, (3, 3), strides=(2, 2))(x))
        x = nn.relu(nn.Conv(2 * self.features, (3, 3))(x))
        return nn.Conv(self.classes + 1, (1, 1))(x)


@dataclasses.dataclass(frozen=True, eq=False)
class Likeness:
    """A trained ``LikenessNet``."""

    net: LikenessNet
    params: Params

    def counts(self, frames: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """How many cells of each class there are, and how many look like the target's.

        Args:
            frames: uint8 [N, H, W, 3], sides that 4 divides.
            labels: integer [N, H, W], train ids of what the frames should show.

        Returns:
            int64 [classes, 2]: cells of a class; of them, those that look like that class there.
        """
        cells, classes = pure_cells(labels), self.net.classes
        alike = apply(self.net, self.params, frames, _read) == cells
        known = cells < classes
        return np.stack(
            [np.bincount(cells[which], minlength=classes) for which in (known, known & alike)], -1
        )


def train_likeness(
    source: tuple[np.ndarray, np.ndarray],
    target: tuple[np.ndarray, np.ndarray],
    *,
    steps: int = 300,
    seed: int = 0,
    batch: int = 16,
    classes: int = 19,
) -> Likeness:
    """Trains on both domains: what the target shows is its class, all the source shows is nothing.

    Within a class both domains weigh alike, however rare it is in either: what a frame mostly
    shows says nothing.

    Args:
        source, target: frames uint8 [N, H, W, 3] and labels, integer [N, H, W].
        steps, batch: optimiser steps, and frames of both domains together per step.
        seed: parameters, crops and draws follow from it.
        classes: how many train ids.
    """
    rng = np.random.default_rng(seed)
    weights = np.stack([_weights(labels, classes) for _, labels in (source, target)])
    halves = (source, target)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        chosen = [rng.integers(len(frames), size=batch // 2) for frames, _ in halves]
        frames, labels = (
            np.concatenate([half[k][which] for half, which in zip(halves, chosen, strict=True)])
            for k in (0, 1)
        )
        frames, labels = augment(rng, frames, labels)
        cells = pure_cells(labels)
        domain = np.repeat([0, 1], batch // 2)[:, None, None]
        known = np.where(cells < classes, cells, 0)
        weight = np.where(cells < classes, weights[domain, known], 0)
        wanted = np.where(domain == 1, known, classes)
        return frames, np.stack([wanted, weight], -1).astype(np.float32)

    net = LikenessNet(classes)
    return Likeness(net, fit(net, _loss, draw, steps, seed, 3e-3))


def pure_cells(labels: np.ndarray) -> np.ndarray:
    """Integer [N, H, W] -> uint8 [N, H / 4, W / 4]: the class of a cell, 255 where it shows two."""
    count, height, width = labels.shape
    cells = labels.reshape(count, height // CELL, CELL, width // CELL, CELL)
    low, high = cells.min((2, 4)), cells.max((2, 4))
    return np.where(low == high, low, NONE).astype(np.uint8)


def _weights(labels: np.ndarray, classes: int) -> np.ndarray:
    cells = np.bincount(pure_cells(labels).ravel(), minlength=256)[:classes]
    share = cells / max(cells.sum(), 1)
    return np.where(cells > 0, 1 / np.maximum(share, 0.01), 0) / np.count_nonzero(cells)


def _loss(logits: Array, wanted: Array) -> Array:
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, wanted[..., 0].astype(int))
    return jnp.mean(losses * wanted[..., 1])


def _read(logits: Array) -> Array:
    return jnp.argmax(logits, axis=-1).astype(jnp.uint8)
