"""The discriminator D: a PatchGAN on single frames (section 3.7)."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from v2v_jax.nets.blocks import Conv, instance_norm, normal_init
from v2v_jax.types import Array

NORMS = ("instance", "none")


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches: 70x70 pixels, 2,763,841 parameters at 64 features, 3 layers.

    Call with float [N, H, W, 3] in [-1, 1], and where ``motion`` is set with what moved in those
    frames, ``ops.motion.motion_map``, float [N, h, w, C] of any size, and where ``labels`` is set
    with what is in them, ``ops.classes.class_map``, in this order; returns logits, float32 or
    wider, one per patch: [N, h, w, 1], [N, 30, 62, 1] for 256x512.

    Attributes:
        features: channels of the first layer.
        layers: stride-2 layers; 3 sees 70x70 pixels, 2 sees 34x34, 1 sees 16x16.
        norm: "instance", which hides how bright and how coloured a patch is; "none", which shows it
            and wants a gradient penalty.
        motion: judge frames together with their motion: what stands still at the horizon is to
            look like what does so in the other domain, and what rushes by like what rushes by.
        labels: judge frames together with their labels: sky is to look like sky.

    Raises:
        ValueError: motion or labels missing where they are wanted, or given where they are not.
    """

    features: int = 64
    layers: int = 3
    norm: str = "instance"
    motion: bool = False
    labels: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *known: Array) -> Array:
        if len(known) != self.motion + self.labels:
            wanted = [name for name in ("motion", "labels") if getattr(self, name)]
            raise ValueError(
                f"PatchDiscriminator judges {' and '.join(wanted) or 'frames alone'}, but "
                f"was given {len(known)} maps besides the frames"
            )
        for one in known:
            one = jax.image.resize(one, (*x.shape[:3], one.shape[-1]), "nearest")
            x = jnp.concatenate([x, one.astype(x.dtype)], axis=-1)
        normalised = self.norm == "instance"
        # No norm mends the scale of too small a kernel.
        init = normal_init if normalised else nn.initializers.he_normal()
        conv = functools.partial(Conv, kernel=4, padding=1, kernel_init=init, dtype=self.dtype)
        y = conv(self.features, stride=2, use_bias=True, name="conv_0")(x)
        y = nn.leaky_relu(y, 0.2)
        for i in range(1, self.layers + 1):
            stride = 2 if i < self.layers else 1
            width = self.features * min(2**i, 8)
            y = conv(width, stride=stride, use_bias=not normalised, name=f"conv_{i}")(y)
            y = nn.leaky_relu(instance_norm(y) if normalised else y, 0.2)
        y = conv(1, use_bias=True, name="head")(y)
        return y.astype(jnp.promote_types(y.dtype, jnp.float32))
