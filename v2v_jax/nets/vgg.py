"""VGG features for the content loss (eq. 6)."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from v2v_jax.nets.blocks import Conv, instance_norm
from v2v_jax.types import Array

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
VGG16 = (2, 2, 3, 3, 3)
"""Convolutions per stage."""
VGG19 = (2, 2, 4, 4, 4)


class Vgg(nn.Module):
    """A VGG up to its last tap; nothing beyond it is computed.

    Call with float [N, H, W, 3] in [-1, 1]; the ImageNet normalisation is inside.  Returns the
    tap's map, [N, H / 16, W / 16, 512] for stage 5; a tuple of maps where ``tap`` is one.

    Attributes:
        tap: ``conv<stage>_<i>`` before or ``relu<stage>_<i>`` after the ReLU, or several of them.
        stages: convolutions per stage; VGG-16's by default.
        features: channels of the first stage, 64 in the published networks; narrower ones exist
            only with random weights.
        normalise: instance-normalise the maps, which washes the style out of them (section 3.4).
        zero_mean: draw random filters of the first layer without a mean over their window.

    Raises:
        ValueError: if the network has no such tap.
    """

    tap: str | tuple[str, ...] = "relu5_3"
    stages: tuple[int, ...] = VGG16
    features: int = 64
    normalise: bool = False
    zero_mean: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Any:
        taps = (self.tap,) if isinstance(self.tap, str) else self.tap
        mean, std = (
            jnp.asarray(v, x.dtype)[None, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD)
        )
        y = ((x + 1) / 2 - mean) / std
        found: dict[str, Array] = {}
        for name in self._layers(taps):
            found[name] = y = nn.relu(y) if name.startswith("relu") else self._convolve(name, y)
        maps = tuple(self._finish(found[tap]) for tap in taps)
        return maps[0] if isinstance(self.tap, str) else maps

    def _layers(self, taps: tuple[str, ...]) -> list[str]:
        """conv1_1, relu1_1, conv1_2, ... up to the last of the taps."""
        places = [f"{s}_{i}" for s, count in enumerate(self.stages, 1) for i in range(1, count + 1)]
        layers = [kind + place for place in places for kind in ("conv", "relu")]
        unknown = [tap for tap in taps if tap not in layers]
        if unknown or not taps:
            wrong = ", ".join(map(repr, unknown)) or "()"
            raise ValueError(f"Vgg: no tap {wrong}; conv/relu1_1 .. {places[-1]} exist")
        return layers[: max(layers.index(tap) for tap in taps) + 1]

    def _convolve(self, name: str, y: Array) -> Array:
        stage, i = int(name[4]), int(name[6])
        if stage > 1 and i == 1:
            y = nn.max_pool(y, (2, 2), (2, 2))
        width = self.features * min(2 ** (stage - 1), 8)
        # Used only when random weights are asked for by name.
        edges = self.zero_mean and name == "conv1_1"
        init = _edges if edges else nn.initializers.he_normal()
        return Conv(width, 3, use_bias=True, kernel_init=init, dtype=self.dtype, name=name)(y)

    def _finish(self, y: Array) -> Array:
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        return instance_norm(y) if self.normalise else y


def _edges(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Any:
    """He's initialisation without a mean over the window, as first layers learn to be.

    A flat colour then means nothing to the network, whatever it is: features tell where edges and
    textures are, and a translation may change every colour at no cost.
    """
    kernel = nn.initializers.he_normal()(key, shape, dtype)
    return kernel - jnp.mean(kernel, axis=(0, 1), keepdims=True)


Vgg16 = functools.partial(Vgg, stages=VGG16)
Vgg19 = functools.partial(Vgg, stages=VGG19)
