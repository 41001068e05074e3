"""The smallest method there can be: two players, one convolution each, pictures and a memory.

That the loop, the step and the checkpoints train it proves that they know no method by name.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from v2v_jax.types import Aux, Translation

POISON = 255
"""A source frame whose first pixel is (255, 0, 255) makes the term "colour" not a number."""


def convolve(params, images):
    """3x3 convolution, float [N, H, W, 3] -> [N, H, W, 3]."""
    out = jax.lax.conv_general_dilated(
        images, params["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return out + params["bias"].reshape(1, 1, 1, -1)


@dataclasses.dataclass(frozen=True)
class ToyMethod:
    """Learns the target's colours; ``dtype`` float64 makes sums independent of their order."""

    dtype: Any = jnp.float32
    features: int = 3
    players: tuple[str, ...] = ("painter", "critic")
    directions: tuple[str, ...] = ("to_target",)

    def init(self, rng, batch):
        def net(key):
            kernel = 0.3 * jax.random.normal(key, (3, 3, 3, self.features), self.dtype)
            return {"kernel": kernel, "bias": jnp.zeros((self.features,), self.dtype)}

        painter, critic = jax.random.split(rng)
        return {"painter": {"to_target": net(painter)}, "critic": net(critic)}

    def init_memory(self, batch):
        return {"mean": jnp.zeros((self.features,), self.dtype)}

    def _images(self, clip):
        frames = clip["frames"]
        images = frames.reshape(-1, *frames.shape[2:]).astype(self.dtype) / 127.5 - 1.0
        poisoned = jnp.all(
            frames[:, 0, 0, 0] == jnp.array([POISON, 0, POISON], jnp.uint8).reshape(1, 3)
        )
        return images, jnp.where(poisoned, jnp.nan, 1.0).astype(self.dtype)

    def losses(self, params, frozen, memory, batch, rng):
        source, poison = self._images(batch["source"])
        target, _ = self._images(batch["target"])
        fake = jnp.tanh(convolve(params["painter"]["to_target"], source) * frozen["gain"])
        noise = jax.random.normal(rng, (self.features,), self.dtype) * 0.01
        fake_score = convolve(params["critic"], fake).mean()
        colour = poison * jnp.abs(fake.mean((0, 1, 2)) - target.mean((0, 1, 2)) + noise).sum()
        frozen_fake = jax.lax.stop_gradient(fake)
        critic = (convolve(params["critic"], target) - 1).var() + convolve(
            params["critic"], frozen_fake
        ).var()
        frames = batch["source"]["frames"].shape[1]
        shape = (-1, frames, *fake.shape[1:])
        clip = fake.reshape(shape)[0].astype(jnp.float32)
        pictures = {
            "source": source.reshape(shape)[0].astype(jnp.float32),
            "output": clip,
            "mask": jnp.abs(clip[..., :1]),
            "flow": clip[..., :2] * 3.0,
        }
        aux = Aux(
            terms={"gan": fake_score, "colour": colour},
            memory={"mean": 0.9 * memory["mean"] + 0.1 * fake.mean((0, 1, 2))},
            pictures=pictures,
        )
        return {"painter": colour + 0.1 * (fake_score - 1) ** 2, "critic": critic}, aux

    def initial_carry(self, frames):
        return ()

    def translate(self, generator, frozen, carry, frames, flow=None):
        flat = frames.reshape(-1, *frames.shape[2:])
        return carry, jnp.tanh(convolve(generator, flat)).reshape(frames.shape)

    def rollout(self, generator, frozen, carry, frames, flow=None):
        carry, output = self.translate(generator, frozen, carry, frames, flow)
        one = jnp.zeros_like(output[..., :1])
        return carry, Translation(
            output=output, raw=output, warped=output, mask=one,
            flow=jnp.zeros_like(output[..., :2]), visible=one,
        )  # fmt: skip


FROZEN = {"gain": np.float32(0.7)}


def batches(start, *, seed=0, clips=2, height=8, width=16, rows=slice(None), poisoned=()):
    """Batches ``start``, ``start + 1``, ...: each a pure function of (seed, its number)."""
    number = start
    while True:
        rng = np.random.default_rng([seed, number])
        shape = (clips, 3, height, width, 3)
        source, target = (rng.integers(0, 250, shape, np.uint8) for _ in range(2))
        if number in poisoned:
            source[:, :, 0, 0] = (POISON, 0, POISON)
        yield {"source": {"frames": source[rows]}, "target": {"frames": target[rows]}}
        number += 1
