"""What lies between a stream of byte frames and the method's chunks: padding, flow, the program."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from v2v_jax.methods.base import Method
from v2v_jax.types import Array, Params

MULTIPLE = 4
"""Networks halve the picture twice: other sizes are padded to the next multiple, then cropped."""
SMALLEST = 16
"""Fewest rows and columns: the networks' reflections need a few pixels at a quarter of the size."""
PIXELS_AT_ONCE = 8 * 512 * 1024
"""Where no chunk is given: 8 frames, fewer where they are larger than 512x1024.  The generator's
widest layer then takes 1 GiB (64 features in float32), whatever the size of the video."""

Flow = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""``flow.base.HostFlow``: uint8 [H, W, 3] current, previous -> float32 [H, W, 2] in pixels."""


@dataclasses.dataclass(frozen=True)
class StreamState:
    """Where a stream stands.  Never changed in place: keep an old one to go back to it."""

    height: int
    width: int
    carry: Any
    """The method's carry at the padded size, one clip."""
    previous: np.ndarray | None
    """uint8, the last frame at the padded size, for flow on the host; None before the first."""


@functools.cache
def compiled(method: Method) -> tuple[Callable, Callable]:
    """The method's translation as jitted functions, on floats and on bytes.

    Cached, so that several Translators of one method (directions, checkpoints) compile once.
    """

    @jax.jit
    def translate(params: Params, carry: Any, frames: Array, flow: Array | None = None):
        return method.translate(params["generator"], params["frozen"], carry, frames, flow)

    @jax.jit
    def translate_bytes(params: Params, carry: Any, frames: Array, flow: Array | None):
        # Conversion belongs in the program: bytes are a quarter of the transfer both ways.
        carry, output = translate(params, carry, frames.astype(jnp.float32) / 127.5 - 1, flow)
        levels = jnp.round((output.astype(jnp.float32) + 1) * 127.5)
        return carry, jnp.clip(levels, 0, 255).astype(jnp.uint8)

    return translate, translate_bytes


def default_chunk(height: int, width: int) -> int:
    """Frames computed at once where nobody says otherwise."""
    return max(1, min(8, PIXELS_AT_ONCE // (height * width)))


def padded_size(height: int, width: int) -> tuple[int, int]:
    """The size that the networks see.

    Raises:
        ValueError: smaller than they can take.
    """
    if min(height, width) < SMALLEST:
        raise ValueError(
            f"frames must be at least {SMALLEST}x{SMALLEST} pixels (HxW), got {height}x{width}"
        )
    return height + -height % MULTIPLE, width + -width % MULTIPLE


def channels_of(method: Any) -> int:
    """Of the frames a method translates: 3, RGB, unless it says otherwise (``Pair``: 6)."""
    return getattr(method, "channels", 3)


def block_of(
    frames: Sequence[np.ndarray], length: int, height: int, width: int, channels: int = 3
) -> np.ndarray:
    """Frames as one block uint8 [length, H, W, channels] at the padded size.

    A short (hence last) block is filled up, so that one shape compiles.

    Raises:
        ValueError: a frame that is not uint8 [height, width, channels].
    """
    for frame in frames:
        if frame.dtype != np.uint8 or frame.shape != (height, width, channels):
            raise ValueError(
                f"every frame must be uint8 [{height}, {width}, {channels}] like the first, "
                f"got {frame.dtype} {list(frame.shape)}"
            )
    rows, columns = padded_size(height, width)
    margins = ((0, length - len(frames)), (0, rows - height), (0, columns - width), (0, 0))
    # Edges are repeated, not reflected: a reflected margin would move against the picture.
    return np.pad(np.stack(frames), margins, mode="edge")


def flows_of(
    host_flow: Flow | None, previous: np.ndarray | None, block: np.ndarray, count: int
) -> np.ndarray | None:
    """Flow float32 [1, T, H, W, 2] of the block's first ``count`` frames; 0 elsewhere."""
    if host_flow is None:
        return None
    flow = np.zeros((1, *block.shape[:3], 2), np.float32)
    for t in range(count):
        before = block[t - 1] if t else previous
        if before is not None:
            flow[0, t] = host_flow(block[t], before)
    return flow


def fetched(
    sources: Sequence[np.ndarray], output: Array
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Waits for a block; its frames beside their sources, without padding in space and time."""
    height, width = sources[0].shape[:2]
    return zip(sources, np.asarray(output)[0, :, :height, :width], strict=False)


def beside(source: np.ndarray, output: np.ndarray) -> np.ndarray:
    """Source | output; every three channels of a source are a picture of their own."""
    return np.concatenate([*np.split(source, source.shape[-1] // 3, axis=-1), output], axis=1)


def resized(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The largest centred part with the aspect ratio of ``size``, at that size.

    Area means when shrinking (no aliasing, hence no flicker), bilinear when enlarging.
    """
    height, width = size
    rows = max(1, min(frame.shape[0], round(frame.shape[1] * height / width)))
    columns = max(1, min(frame.shape[1], round(frame.shape[0] * width / height)))
    top, left = (frame.shape[0] - rows) // 2, (frame.shape[1] - columns) // 2
    frame = frame[top : top + rows, left : left + columns]
    shrinks = height <= frame.shape[0] and width <= frame.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(frame, (width, height), interpolation=how)
