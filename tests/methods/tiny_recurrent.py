"""The paper's method with networks of one convolution, and clips that make all its terms count."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from v2v_jax.methods.recurrent import Recurrent
from v2v_jax.nets.blocks import Conv

SIZE = (8, 16)


class Image(nn.Module):
    """I."""

    @nn.compact
    def __call__(self, x):
        return jnp.tanh(Conv(3, 3, reflect=True, use_bias=True, name="conv")(x))


class Fusion(nn.Module):
    """F."""

    @nn.compact
    def __call__(self, raw, warped):
        difference = jnp.abs(raw - warped)
        return nn.sigmoid(Conv(1, 3, reflect=True, use_bias=True, name="conv")(difference))


class Judge(nn.Module):
    """D."""

    @nn.compact
    def __call__(self, x):
        return nn.leaky_relu(Conv(1, 4, stride=2, padding=1, use_bias=True, name="conv")(x))


class Content(nn.Module):
    """A feature extractor."""

    @nn.compact
    def __call__(self, x):
        return nn.relu(Conv(4, 3, stride=2, use_bias=True, name="conv")(x))


def tiny(**options: Any) -> Recurrent:
    """``Recurrent`` with tiny networks; ``options`` are its other fields."""
    return Recurrent(
        image=Image(), fusion=Fusion(), discriminator=Judge(), content=Content(), **options
    )


def draw_batch(
    *, clips: int = 2, frames: int = 3, size: tuple[int, int] = SIZE, flow: bool = True
) -> Any:
    """Uint8 noise, which no two frames share; flows of about a pixel, some out of the frame."""
    rng = np.random.default_rng(3)
    height, width = size

    def clip():
        made = {"frames": rng.integers(0, 256, (clips, frames, height, width, 3), np.uint8)}
        if flow:
            shape = (clips, frames - 1, height, width, 2)
            made["flow"] = rng.normal(0, 1.5, shape)
        # float32 unless x64 is enabled, as in a step.
        return jax.tree.map(jnp.asarray, made)

    return {"source": clip(), "target": clip()}


def draw_like(tree: Any, seed: int = 0, gain: float = 1.5) -> Any:
    """Parameters of that shape and of unit scale: the published start, N(0, 0.02), is nearly 0."""
    rng = np.random.default_rng(seed)

    def leaf(x):
        scale = gain / np.sqrt(np.prod(x.shape[:-1])) if len(x.shape) > 1 else 0.3
        return jnp.asarray(rng.normal(0, scale, x.shape), float)

    return jax.tree.map(leaf, tree)


def draw_params(method: Recurrent, batch: Any) -> tuple[Any, Any]:
    """Parameters of both players, and the frozen ones."""
    params = draw_like(jax.eval_shape(method.init, jax.random.key(0), batch))
    frame = jnp.zeros((1, *batch["source"]["frames"].shape[2:]))
    content = jax.eval_shape(method.content.init, jax.random.key(0), frame)["params"]
    return params, {"content": draw_like(content, seed=1), "flow": {}}
