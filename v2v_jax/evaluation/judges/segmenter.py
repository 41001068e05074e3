"""A segmenter of the target domain: how a translation is read."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax

from v2v_jax.evaluation import metrics
from v2v_jax.evaluation.judges.fitting import apply, augment, fit, split
from v2v_jax.types import Array, Params


@dataclasses.dataclass(frozen=True, eq=False)
class Segmenter:
    """A trained segmenter."""

    net: nn.Module
    params: Params
    miou: float
    """Official mIoU on frames that training did not see, in 0..1."""

    def predict(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 3] -> Cityscapes train ids, uint8 [N, H, W]."""
        return apply(self.net, self.params, frames, _label)


def train_segmenter(
    frames: np.ndarray,
    labels: np.ndarray,
    *,
    net: nn.Module,
    classes: int = 19,
    steps: int = 400,
    seed: int = 0,
    batch: int = 8,
    held_out: float = 0.2,
) -> Segmenter:
    """Trains a small segmenter; feed it the target domain, whose look translations should have.

    Args:
        frames: uint8 [N, H, W, 3], in time order; the last ``held_out`` part is kept for
            ``miou``.
        labels: integer [N, H, W], Cityscapes train ids, 255 ignored.
        net: [N, H, W, 3] in [-1, 1] -> logits [N, H, W, classes]; random to begin with.
        classes: how many.
        steps, batch, seed: as in ``train_domain_classifier``.

    Raises:
        ValueError: labels that do not fit the frames, or too few frames.
    """
    if labels.shape != frames.shape[:3]:
        raise ValueError(f"train_segmenter: frames {frames.shape} and labels {labels.shape}")
    (frames, frames_test), (labels, labels_test) = (split(x, held_out) for x in (frames, labels))
    rng = np.random.default_rng(seed)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        chosen = rng.integers(len(frames), size=batch)
        return augment(rng, frames[chosen], labels[chosen])

    params = fit(net, _pixel_loss, draw, steps, seed, 3e-3)
    probe = Segmenter(net, params, 0.0)
    counts = metrics.confusion(labels_test, probe.predict(frames_test), classes)
    return dataclasses.replace(probe, miou=metrics.segmentation_scores(counts).miou_official)


def _pixel_loss(logits: Array, labels: Array) -> Array:
    counted = labels < logits.shape[-1]
    classes = jnp.where(counted, labels, 0).astype(jnp.int32)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, classes)
    return jnp.sum(losses * counted) / jnp.maximum(jnp.sum(counted), 1)


def _label(logits: Array) -> Array:
    return jnp.argmax(logits, axis=-1).astype(jnp.uint8)
