"""RAFT with the semantics of princeton-vl/RAFT, and of torchvision's port of it."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from v2v_jax.flow.raft.correlation import correlation_pyramid, look_up
from v2v_jax.flow.raft.encoder import Encoder
from v2v_jax.flow.raft.update import Update
from v2v_jax.flow.raft.upsampling import FACTOR, upsample_bilinear, upsample_convex
from v2v_jax.types import Array


class Raft(nn.Module):
    """Recurrent all-pairs field transforms: flow from ``first`` to ``second``.

    Call with float [N, H, W, 3] twice, RGB in 0..255, of any size: both are padded to multiples of
    8 by repeating the border, half on either side (InputPadder, mode "sintel").  Returns flow
    [N, H, W, 2] in pixels, second(p + flow(p)) ~ first(p).  It was trained on frames of 368x496
    and more; a side under 64 pixels leaves the coarsest correlations empty.

    Attributes:
        small: RAFT-small, 990,162 published parameters, or RAFT, 5,257,536.
        iterations: refinements of the flow, at least 1.
        dtype: of the convolutions; None: that of the frames.  Correlations, coordinates, the
            hidden state and the flow keep the frames' type.

    Raises:
        ValueError: frames that are not two batches of one shape, or no iterations.
    """

    small: bool = True
    iterations: int = 12
    dtype: Any = None

    @nn.compact
    def __call__(self, first: Array, second: Array) -> Array:
        _check(first, second, self.iterations)
        height, width = first.shape[1:3]
        (top, bottom), (left, right) = (_margins(size) for size in (height, width))
        pad = ((0, 0), (top, bottom), (left, right), (0, 0))
        first, second = (jnp.pad(2 * (x / 255) - 1, pad, mode="edge") for x in (first, second))
        flow = self._upsample(*self._refine(first, second))
        return flow[:, top : top + height, left : left + width]

    def _refine(self, first: Array, second: Array) -> tuple[Array, Array]:
        """Frames in [-1, 1] -> flow in pixels of an eighth of the resolution, hidden state."""
        width = 96 if self.small else 128
        hidden, context = jnp.split(self._encode("context", first), [width], axis=-1)
        hidden, context = nn.tanh(hidden), nn.relu(context)
        radius = 3 if self.small else 4
        features = self._encode("features", jnp.concatenate([first, second]))
        pyramid = correlation_pyramid(features[: len(first)], features[len(first) :], radius)
        update = Update(self.small, self.dtype, name="update")
        grid = _grid(hidden)

        def step(update: Update, carry: tuple[Array, Array], _: None) -> Any:
            hidden, flow = carry
            correlations = look_up(pyramid, grid + flow, radius)
            hidden, change = update(hidden, context, correlations, flow)
            return (hidden, flow + change), None

        scan = nn.scan(
            step, variable_broadcast="params", split_rngs={"params": False}, length=self.iterations
        )
        (hidden, flow), _ = scan(update, (hidden, jnp.zeros_like(grid)), None)
        return flow, hidden

    def _encode(self, name: str, frames: Array) -> Array:
        context = name == "context"
        encoder = functools.partial(Encoder, dtype=self.dtype, name=name)
        if self.small:
            norm = "none" if context else "instance"
            net = encoder(160 if context else 128, (32, 32, 64, 96), True, norm)
        else:
            net = encoder(256, (64, 64, 96, 128), False, "batch" if context else "instance")
        return net(frames).astype(frames.dtype)

    def _upsample(self, flow: Array, hidden: Array) -> Array:
        if self.small:
            return upsample_bilinear(flow)
        y = nn.relu(nn.Conv(256, (3, 3), padding=1, dtype=self.dtype, name="weights_0")(hidden))
        logits = nn.Conv(9 * FACTOR**2, (1, 1), dtype=self.dtype, name="weights_1")(y)
        return upsample_convex(flow, 0.25 * logits.astype(flow.dtype))


def _check(first: Array, second: Array, iterations: int) -> None:
    if first.shape != second.shape or first.ndim != 4 or first.shape[-1] != 3:
        raise ValueError(
            "RAFT needs two batches of RGB frames [N, H, W, 3] of one size, "
            f"not {list(first.shape)} and {list(second.shape)}"
        )
    if iterations < 1:
        raise ValueError(f"RAFT needs at least 1 iteration, not {iterations}")


def _margins(size: int) -> tuple[int, int]:
    """What is missing to a multiple of 8, before and after."""
    missing = -size % FACTOR
    return missing // 2, missing - missing // 2


def _grid(like: Array) -> Array:
    """[N, h, w, 2], (x, y) of every pixel."""
    n, height, width, _ = like.shape
    x, y = jnp.meshgrid(jnp.arange(width, dtype=like.dtype), jnp.arange(height, dtype=like.dtype))
    return jnp.broadcast_to(jnp.stack([x, y], axis=-1)[None], (n, height, width, 2))
