"""The project's vocabulary: what a clip, a batch, a carry and a translation are.

Axes: ``B`` clips, ``T`` frames in time order, ``H`` rows, ``W`` columns, then channels (NHWC).

Ranges: batches hold frames as uint8 RGB in 0..255; inside a jitted step images are float32 in
[-1, 1]; masks, ``visible`` and fusion weights are float32 in [0, 1].

Flow is *backward* flow in pixels, ``(dx, dy)`` in the last axis, living on frame t and pointing to
frame t-1: ``frame_t(p) ~ frame_{t-1}(p + flow_t(p))``.  A clip of T frames has T-1 flows.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

import jax
from flax import struct

Array = jax.Array
Params = Any
"""A nested dict of arrays."""


class Clip(TypedDict):
    """Consecutive frames of one domain, as they come out of the data pipeline."""

    frames: Array
    """uint8 [B, T, H, W, 3], RGB."""
    flow: NotRequired[Array]
    """float32 [B, T-1, H, W, 2], backward flow in pixels; absent where the step estimates it."""
    labels: NotRequired[Array]
    """int32 [B, T, H, W], Cityscapes train ids, 255 where unlabelled."""


class Batch(TypedDict):
    """One unpaired draw: clips of the source domain and, independently, of the target domain."""

    source: Clip
    target: Clip


class Carry(struct.PyTreeNode):
    """What the recurrence hands from one frame (or chunk) to the next."""

    source: Array
    """float32 [B, H, W, 3]: the last input frame."""
    output: Array
    """float32 [B, H, W, 3]: the last output frame."""
    started: Array
    """bool [B]: False before the first frame, whose output is the image generator's alone."""


class Translation(struct.PyTreeNode):
    """Everything the recurrence computed for a clip (eq. 1 and 2)."""

    output: Array
    """float32 [B, T, H, W, 3]: y_t = m_t * warped_t + (1 - m_t) * raw_t."""
    raw: Array
    """float32 [B, T, H, W, 3]: the image generator's own frame, I(x_t)."""
    warped: Array
    """float32 [B, T, H, W, 3]: the previous output carried along the flow; raw where t = 1."""
    mask: Array
    """float32 [B, T, H, W, 1]: fusion mask m_t in [0, 1]; 0 where t = 1."""
    flow: Array
    """float32 [B, T, H, W, 2]: backward flow in pixels; 0 where t = 1."""
    visible: Array
    """float32 [B, T, H, W, 1]: 1 where the flow points inside the previous frame; 0 where t = 1."""


class Aux(struct.PyTreeNode):
    """What a method's losses return besides the losses."""

    terms: dict[str, Array]
    """Unweighted loss terms by name, scalars."""
    memory: Any
    """The method's memory after this step (image pool, gates); {} if it keeps none."""
    pictures: dict[str, Array]
    """Named pictures of the first clip, float32: images [T, H, W, 3] in [-1, 1], masks
    [T, H, W, 1] in [0, 1], flow [T, H, W, 2] in pixels.  Unused ones cost nothing under jit."""
