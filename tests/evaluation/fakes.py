"""Methods whose faults are known, a clip whose flow is known, and judges that need no training."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from v2v_jax.evaluation.scoring import Judges
from v2v_jax.ops.warp import backward_warp
from v2v_jax.types import Array, Carry, Translation

LENGTH, HEIGHT, WIDTH, STEP = 62, 16, 32, 2
FLICKER = 0.2


@dataclasses.dataclass(frozen=True)
class Fake:
    """A method with a constant fault: ``mask`` 0..1 where visible, ``mask_new`` elsewhere.

    ``flicker`` brightens every other raw frame; the count of frames travels in the carry, so a
    carry that is not handed on shows.
    """

    mask: float = 0.0
    mask_new: float = 0.0
    flicker: float = 0.0

    players: tuple[str, ...] = ("generator",)
    directions: tuple[str, ...] = ("to_target",)

    def init(self, rng: Array, batch: Any) -> dict[str, Any]:
        return {"generator": {}}

    def init_memory(self, batch: Any) -> dict[str, Any]:
        return {}

    def losses(self, params: Any, frozen: Any, memory: Any, batch: Any, rng: Array) -> Any:
        raise NotImplementedError

    def initial_carry(self, frames: Array) -> Any:
        zero = jnp.zeros_like(frames[:, 0])
        return Carry(source=zero, output=zero, started=jnp.zeros(1, bool)), jnp.zeros((), jnp.int32)

    def translate(
        self, generator: Any, frozen: Any, carry: Any, frames: Array, flow: Array | None = None
    ) -> tuple[Any, Array]:
        carry, result = self.rollout(generator, frozen, carry, frames, flow)
        return carry, result.output

    def rollout(
        self, generator: Any, frozen: Any, carry: Any, frames: Array, flow: Array | None = None
    ) -> tuple[Any, Translation]:
        assert flow is not None

        def step(carry: Any, inputs: Any) -> Any:
            (memory, count), (frame, flow) = carry, inputs
            raw = jnp.clip(frame + self.flicker * (count % 2 * 2 - 1), -1, 1)
            warped, visible = backward_warp(memory.output, flow)
            warped = jnp.where(memory.started[:, None, None, None], warped, raw)
            mask = jnp.where(visible > 0, self.mask, self.mask_new) * (count > 0)
            output = mask * warped + (1 - mask) * raw
            memory = Carry(source=frame, output=output, started=jnp.ones_like(memory.started))
            result = Translation(output, raw, warped, mask, flow, visible)
            return (memory, count + 1), result

        def time_first(x: Array) -> Array:
            return x.swapaxes(0, 1)

        carry, result = jax.lax.scan(step, carry, (time_first(frames), time_first(flow)))
        return carry, jax.tree.map(time_first, result)


# Any: a frozen dataclass has read-only attributes, the protocol declares plain ones.
IDENTITY: Any = Fake()
FLICKERING: Any = Fake(flicker=FLICKER)
SMEARING: Any = Fake(mask=1.0, mask_new=1.0, flicker=FLICKER)
HONEST: Any = Fake(mask=0.7, mask_new=0.05, flicker=FLICKER)


def clip(seed: int = 0, length: int = LENGTH) -> Any:
    """A camera that pans over coloured blocks with sensor noise; exact flow, labels by colour."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 3, (HEIGHT // 4, (WIDTH + STEP * length) // 4 + 1))
    wide = blocks.repeat(4, 0).repeat(4, 1)
    palette = np.array([[40, 60, 70], [120, 130, 110], [200, 180, 190]])
    labels = np.stack([wide[:, STEP * t : STEP * t + WIDTH] for t in range(length)])
    noise = rng.normal(0, 3, (length, HEIGHT, WIDTH, 1))
    flow = np.zeros((length - 1, HEIGHT, WIDTH, 2), np.float32)
    flow[..., 0] = STEP
    return {
        "name": f"pan {seed}",
        "frames": np.clip(palette[labels] + noise, 0, 255).astype(np.uint8),
        "flow": flow,
        "occluded": np.zeros(flow.shape[:3], bool),
        "labels": labels.astype(np.uint8),
    }


def _features(frames: np.ndarray) -> np.ndarray:
    return frames.astype(np.float32)


def _segment(frames: np.ndarray) -> np.ndarray:
    return np.digitize(frames.mean(-1), [90, 155]).astype(np.uint8)


def _street_share(frames: np.ndarray) -> float:
    return float(np.mean(frames.mean((1, 2, 3)) > 0))


JUDGES = Judges(_features, _segment, _street_share)
