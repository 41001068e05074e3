"""The networks that are trained: the image generator I and the discriminator D."""

from __future__ import annotations

from typing import Any

import flax.linen as nn

from v2v_jax.assembly.choice import Config, choice
from v2v_jax.nets.discriminator import NORMS, PatchDiscriminator
from v2v_jax.nets.generator import CHOICES, LocalAffine, LocalMatrix, ResnetGenerator

GENERATORS: dict[str, Any] = {
    "resnet": ResnetGenerator,
    "local_affine": LocalAffine,
    "local_matrix": LocalMatrix,
}
"""``image.kind`` -> the image generator."""


def image_generator(config: Config, dtype: Any = None) -> nn.Module:
    """The image generator I."""
    for field, choices in CHOICES.items():
        choice(config.image, field, choices)
    net = choice(config.image, "kind", GENERATORS)
    # What is chosen of a ResnetGenerator says nothing of another kind.
    unused = {"kind"} if net is ResnetGenerator else {"kind", *CHOICES}
    options = {name: value for name, value in config.image.items() if name not in unused}
    return net(**options, dtype=dtype)


def discriminator(config: Config, dtype: Any = None, *, per_frame: bool = False) -> nn.Module:
    """The discriminator D.

    Args:
        config: of the run.
        dtype: of the convolutions.
        per_frame: for a method that shows D frames alone.
    """
    choice(config.discriminator, "norm", {norm: None for norm in NORMS})
    for known in ("motion", "labels"):
        if per_frame and config.discriminator[known]:
            raise ValueError(
                f"config.discriminator.{known}: method {config.method!r} judges frames alone: give "
                f"--config.discriminator.{known}=false"
            )
    return PatchDiscriminator(**config.discriminator, dtype=dtype)
