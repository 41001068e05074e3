"""The paper's loss terms: arrays in, one scalar out (eq. 3 to 7)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from v2v_jax.types import Array


def _vanilla(logits: Array, real: bool) -> Array:
    return jax.nn.softplus(-logits if real else logits)


def _lsgan(logits: Array, real: bool) -> Array:
    return jnp.square(logits - 1) if real else jnp.square(logits)


def _hinge(logits: Array, real: bool) -> Array:
    return jax.nn.relu(1 - logits if real else 1 + logits)


def _mean(x: Array) -> Array:
    return jnp.mean(x, dtype=jnp.promote_types(x.dtype, jnp.float32))


ADVERSARIAL: dict[str, Callable[[Array, bool], Array]] = {
    "vanilla": _vanilla,
    "lsgan": _lsgan,
    "hinge": _hinge,
}


def adversarial(
    logits: Array, real: bool, kind: str = "vanilla", weights: Array | None = None
) -> Array:
    """How far the discriminator's logits are from saying ``real`` (eq. 3).

    Args:
        logits: float [...], before any sigmoid.
        real: the verdict wanted.
        kind: ``vanilla`` (cross entropy, eq. 3), ``lsgan`` (squared error to 1 or 0) or ``hinge``.
        weights: how much every logit counts, of the same shape; None: all 1.

    Returns:
        The mean over all logits, in at least float32.

    Raises:
        ValueError: unknown kind.
    """
    if kind not in ADVERSARIAL:
        raise ValueError(f"adversarial: {kind!r} is none of {', '.join(ADVERSARIAL)}")
    value = ADVERSARIAL[kind](logits, real)
    return _mean(value if weights is None else weights * value)


def discriminator_loss(
    real: Array,
    fake: Array,
    kind: str = "vanilla",
    weights: Array | None = None,
    fake_weights: Array | None = None,
) -> Array:
    """Half the sum of the verdicts on real and generated frames, CycleGAN's scale.

    ``weights`` are of the real ones, ``fake_weights`` of the others, see ``adversarial``.
    """
    on_fake = adversarial(fake, False, kind, fake_weights)
    return 0.5 * (adversarial(real, True, kind, weights) + on_fake)


def generator_loss(fake: Array, kind: str = "vanilla", weights: Array | None = None) -> Array:
    """The non-saturating generator's side of eq. 3; for ``hinge`` minus the mean logit.

    For ``weights`` see ``adversarial``.
    """
    if kind == "hinge":
        return -_mean(fake if weights is None else weights * fake)
    return adversarial(fake, True, kind, weights)


def gradient_penalty(judge: Callable[[Array], Array], real: Array) -> Array:
    """R1 (Mescheder et al., ICML 2018): how steep the discriminator is at real frames.

    Args:
        judge: float [N, H, W, 3] -> logits [N, h, w, 1].
        real: frames of the target domain.

    Returns:
        The mean square, over pixels and channels, of the gradient of an image's summed logits.
    """
    slope = jax.grad(lambda x: jnp.sum(judge(x).astype(jnp.float32)))(real)
    return _mean(jnp.square(slope))


def cycle(reconstruction: Array, original: Array) -> Array:
    """Mean absolute difference of images of the same shape (eq. 4 and 5)."""
    return jnp.mean(jnp.abs(reconstruction - original))


def content(features: Array, original: Array) -> Array:
    """Mean squared difference of instance-normalised features (eq. 6).

    The literal Frobenius norm is about 600 times larger and would drown the other terms.
    """
    return jnp.mean(jnp.square(features - original))


def temporal(output: Array, warped: Array, mask: Array) -> Array:
    """Occlusion-weighted flow-warp error, summed over t = 2..K (eq. 7).

    Args:
        output: float [B, K-1, H, W, 3], y_t in [-1, 1].
        warped: the same shape, W(y_{t-1}).
        mask: float [B, K-1, H, W, 1], ``ops.warp.occlusion_mask``.

    Returns:
        The mean over clips, pixels and channels, summed over time.
    """
    return jnp.sum(jnp.mean(mask * jnp.abs(output - warped), axis=(0, 2, 3, 4)))


def cross_entropy(logits: Array, labels: Array) -> Array:
    """Mean cross entropy of the pixels that have a class.

    Args:
        logits: float [..., C].
        labels: integer [...], class ids; 255 and whatever else is no class is ignored.

    Returns:
        The mean over the pixels that count, in at least float32; 0 where none does.
    """
    classes = logits.shape[-1]
    counted = (labels >= 0) & (labels < classes)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    chosen = jnp.where(counted, labels, 0)[..., None]
    likely = jnp.take_along_axis(jax.nn.log_softmax(logits), chosen, axis=-1)[..., 0]
    return -jnp.sum(likely * counted) / jnp.maximum(jnp.sum(counted), 1)
