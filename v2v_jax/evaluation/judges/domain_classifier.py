"""Small networks, trained on the spot, that judge a translation: is it street, what is where?

They are judges for the synthetic world and for small trials, trained in seconds on two CPU
cores, not published benchmarks.  Everything is a pure function of the frames and the seed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import cv2
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from v2v_jax.evaluation import metrics
from v2v_jax.types import Array, Params

BATCH = 64
"""Frames per call when a probe looks at a video."""


STRUCTURE_ROWS = 64
"""Structure is compared at this height: figures of different sizes stay comparable."""


def structure_features(frames: np.ndarray) -> np.ndarray:
    """Where a frame has edges, whatever their colours: features for ``structure_agreement``.

    The square root of the brightness gradient's length, smoothed by 1 pixel before and after.  A
    fixed filter was chosen by measurement on the synthetic world, 64x128, three clips; agreement
    of the game's frames with

        ============================  =====  ======  =====  =======  =======  ==========
        features                      style  frame1  frame  copied,  copied,  other clip
                                      alone          59     10       59
        ============================  =====  ======  =====  =======  =======  ==========
        this                          0.97   0.87    0.86   0.60     0.26     0.32
        random convolutions, 1 layer  0.88   0.83    0.77   0.56     0.31     0.34
        random convolutions, 3        0.73   0.72    0.63   0.38     0.14     0.19
        segmenter, quarter size       0.36   0.62    0.56   0.33     0.21     0.16
        segmenter, before the logits  0.54   0.83    0.82   0.67     0.42     0.57
        ============================  =====  ======  =====  =======  =======  ==========

    "Style alone": random colour matrix, gamma and noise.  "Frame": a perfect translation, every
    class recoloured to the street's mean and spread.  "Copied": its first frame carried along
    the exact flow for so many frames.

    Args:
        frames: uint8 [N, H, W, 3].

    Returns:
        float32 [N, h, w, 1] with h = 64 for taller frames.
    """
    return np.stack([_edges(frame) for frame in frames])[..., None]


def _edges(frame: np.ndarray) -> np.ndarray:
    grey = frame.mean(axis=-1, dtype=np.float32)
    if len(grey) > STRUCTURE_ROWS:
        width = round(grey.shape[1] * STRUCTURE_ROWS / len(grey))
        grey = cv2.resize(grey, (width, STRUCTURE_ROWS), interpolation=cv2.INTER_AREA)
    down, right = np.gradient(cv2.GaussianBlur(grey, (0, 0), 1.0))
    # The root keeps one strong edge from deciding alone.
    length = np.sqrt(np.hypot(down, right))
    return cv2.GaussianBlur(length.astype(np.float32), (0, 0), 1.0)


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
        return _apply(self.net, self.params, frames)

    def share_target(self, frames: np.ndarray) -> float:
        """Share of the frames uint8 [N, H, W, 3] that look like the target domain, in 0..1."""
        return float(np.mean(self.logits(frames) > 0))


@dataclasses.dataclass(frozen=True, eq=False)
class Segmenter:
    """A trained segmenter."""

    net: nn.Module
    params: Params
    miou: float
    """Official mIoU on frames that training did not see, in 0..1."""

    def predict(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 3] -> Cityscapes train ids, uint8 [N, H, W]."""
        return _apply(self.net, self.params, frames, _label)


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
    (source, source_test), (target, target_test) = (_split(x, held_out) for x in (source, target))
    rng = np.random.default_rng(seed)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        halves = [x[rng.integers(len(x), size=batch // 2)] for x in (source, target)]
        frames, _ = _augment(rng, np.concatenate(halves))
        return frames, np.repeat([0, 1], batch // 2)

    net = DomainNet()
    params = _fit(net, _binary_loss, draw, steps, seed, 2e-3)
    probe = DomainClassifier(net, params, 0.0)
    right = (1 - probe.share_target(source_test) + probe.share_target(target_test)) / 2
    return dataclasses.replace(probe, accuracy=right)


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
    (frames, frames_test), (labels, labels_test) = (_split(x, held_out) for x in (frames, labels))
    rng = np.random.default_rng(seed)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        chosen = rng.integers(len(frames), size=batch)
        return _augment(rng, frames[chosen], labels[chosen])

    params = _fit(net, _pixel_loss, draw, steps, seed, 3e-3)
    probe = Segmenter(net, params, 0.0)
    counts = metrics.confusion(labels_test, probe.predict(frames_test), classes)
    return dataclasses.replace(probe, miou=metrics.segmentation_scores(counts).miou_official)


def _split(array: np.ndarray, held_out: float) -> tuple[np.ndarray, np.ndarray]:
    # The last part in time: a random split would put neighbouring frames on both sides.
    kept = round(len(array) * (1 - held_out))
    if kept < 1 or kept >= len(array):
        raise ValueError(f"probes: {len(array)} frames are too few to train and to test on")
    return array[:kept], array[kept:]


def _augment(
    rng: np.random.Generator, frames: np.ndarray, labels: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """One random crop of 3/4 of the size and flip for the batch; labels go along."""
    height, width = frames.shape[1:3]
    rows, columns = (height * 3 // 4) // 4 * 4, (width * 3 // 4) // 4 * 4
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    step = -1 if rng.random() < 0.5 else 1
    labels = frames[..., 0] if labels is None else labels
    cut = (slice(None), slice(top, top + rows), slice(left, left + columns))
    return frames[cut][:, :, ::step], labels[cut][:, :, ::step]


def _signed(frames: Array) -> Array:
    return frames.astype(jnp.float32) / 127.5 - 1.0


def _binary_loss(logits: Array, labels: Array) -> Array:
    return optax.sigmoid_binary_cross_entropy(logits, labels.astype(jnp.float32)).mean()


def _pixel_loss(logits: Array, labels: Array) -> Array:
    counted = labels < logits.shape[-1]
    classes = jnp.where(counted, labels, 0).astype(jnp.int32)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, classes)
    return jnp.sum(losses * counted) / jnp.maximum(jnp.sum(counted), 1)


def _fit(
    net: nn.Module,
    loss: Callable[[Array, Array], Array],
    draw: Callable[[], tuple[np.ndarray, np.ndarray]],
    steps: int,
    seed: int,
    rate: float,
) -> Params:
    """Adam with a cosine schedule on the batches that ``draw`` returns."""
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))
    frames, labels = draw()
    params = jax.jit(net.init)(jax.random.key(seed), _signed(jnp.asarray(frames)))

    @jax.jit
    def step(params: Params, state: Any, frames: Array, labels: Array) -> tuple[Params, Any]:
        def objective(params: Params) -> Array:
            return loss(jnp.asarray(net.apply(params, _signed(frames))), labels)

        updates, state = optimizer.update(jax.grad(objective)(params), state, params)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for _ in range(steps):
        params, state = step(params, state, frames, labels)
        frames, labels = draw()
    return params


def _label(logits: Array) -> Array:
    return jnp.argmax(logits, axis=-1).astype(jnp.uint8)


def _identity(values: Array) -> Array:
    return values


@functools.partial(jax.jit, static_argnames=("net", "finish"))
def _forward(
    net: nn.Module, params: Params, frames: Array, finish: Callable[[Array], Array]
) -> Array:
    return finish(jnp.asarray(net.apply(params, _signed(frames))))


def _apply(
    net: nn.Module,
    params: Params,
    frames: np.ndarray,
    finish: Callable[[Array], Array] = _identity,
) -> np.ndarray:
    """Runs a network over any number of frames, ``BATCH`` at a time."""
    parts = [
        np.asarray(_forward(net, params, frames[start : start + BATCH], finish))
        for start in range(0, len(frames), BATCH)
    ]
    return np.concatenate(parts)
