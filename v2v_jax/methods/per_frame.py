"""What methods without a recurrence share: two image generators, and frames that know no time."""

from __future__ import annotations

from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax import losses
from v2v_jax.methods.window import apply, decode
from v2v_jax.ops import image_pool
from v2v_jax.ops.image_pool import ImagePool
from v2v_jax.recurrence import fold, unfold
from v2v_jax.types import Array, Batch, Params, Translation

DIRECTIONS = ("to_target", "to_source")
OTHER = {"to_target": "to_source", "to_source": "to_target"}


def init_pair(image: nn.Module, discriminator: nn.Module, rng: Array, batch: Batch) -> Any:
    """Random parameters: ``generator`` and ``discriminator``, each -> direction -> parameters."""
    frame = decode(batch["source"]["frames"][:1, 0])
    keys = iter(jax.random.split(rng, 2 * len(DIRECTIONS)))
    return {
        player: {name: net.init(next(keys), frame)["params"] for name in DIRECTIONS}
        for player, net in (("generator", image), ("discriminator", discriminator))
    }


def init_pools(size: int, batch: Batch) -> dict[str, ImagePool]:
    """One empty history of generated images per direction; {} for a size of 0."""
    height, width = batch["source"]["frames"].shape[2:4]
    return {n: image_pool.empty_pool(size, height, width) for n in DIRECTIONS} if size else {}


def frames_of(batch: Batch) -> dict[str, Array]:
    """Every frame of both domains, by the direction they are translated in: [B * T, H, W, 3]."""
    domains = {"to_target": batch["source"], "to_source": batch["target"]}
    return {name: fold(decode(clip["frames"])) for name, clip in domains.items()}


def judge(
    discriminator: nn.Module, params: Params, kind: str, fake: Array, real: Array, shown: Array
) -> tuple[Array, Array]:
    """The generator's and the discriminator's loss (eq. 3).

    Args:
        discriminator, params: D of the domain translated to.
        kind: see ``losses.adversarial``.
        fake: [N, H, W, 3], what the generator made.
        real: [M, H, W, 3].
        shown: [N, H, W, 3], what the discriminator learns from: ``fake``, or older ones.
    """
    verdict = apply(discriminator, params, fake)
    old = verdict if shown is fake else apply(discriminator, params, shown)
    truth = apply(discriminator, params, real)
    return (
        losses.generator_loss(verdict, kind),
        losses.discriminator_loss(truth, old, kind),
    )


def remember(
    memory: dict[str, ImagePool], name: str, fake: Array, rng: Array
) -> tuple[dict[str, ImagePool], Array]:
    """Passes ``fake`` through the direction's pool: the memory afterwards, and what to show D."""
    if name not in memory:
        return {}, fake
    pool = memory[name]
    chance = image_pool.draw(rng, fake.shape[0], pool.images.shape[0])
    pool, shown = image_pool.exchange(pool, jax.lax.stop_gradient(fake), *chance)
    return {name: pool}, shown


def weight_of(weights: Any, term: str) -> float:
    """A term's weight; that of ``identity`` is counted in units of ``cycle``, as upstream does."""
    return getattr(weights, term) * (weights.cycle if term == "identity" else 1)


class HasImage(Protocol):
    """A method with an image generator, [N, H, W, 3] -> [N, H, W, 3]."""

    @property
    def image(self) -> nn.Module:
        """The generator."""
        ...


def initial_carry(method: Any, frames: Array) -> tuple[()]:
    """``Method.initial_carry`` of frames that know nothing of each other."""
    return ()


def rollout(
    method: HasImage,
    generator: Params,
    frozen: Params,
    carry: Any,
    frames: Array,
    flow: Array | None = None,
) -> tuple[Any, Translation]:
    """``Method.rollout``, every frame for itself; raw is the output, the mask 0."""
    output = apply(method.image, generator, fold(frames))
    return carry, unwarped(unfold(output, frames.shape[0]))


def unwarped(output: Array) -> Translation:
    """The translation whose frames [B, T, H, W, 3] know nothing of each other."""
    none = jnp.zeros_like(output[..., :1])
    return Translation(output, output, output, none, jnp.zeros_like(output[..., :2]), none)
