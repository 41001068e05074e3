"""Training a segmenter on the labels of one domain: CyCADA's frozen judge, and Table 4's."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from v2v_jax import losses
from v2v_jax.methods import base, per_frame
from v2v_jax.methods.window import apply, decode
from v2v_jax.recurrence import fold, unfold
from v2v_jax.types import Array, Aux, Batch, Params, Translation

COLOURS = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
    (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152),
    (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100),
    (0, 80, 100), (0, 0, 230), (119, 11, 32),
)  # fmt: skip
"""Cityscapes' colours of its 19 train ids."""


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """Cross entropy of one domain's frames and labels; 255 is ignored.

    Its only "direction" paints a video with the classes' colours.  Parameters: ``segmenter`` ->
    "labels" -> the network's.

    Attributes:
        net: [N, H, W, 3] in [-1, 1] -> logits [N, H, W, 19].
        domain: whose clips it learns from, "source" or "target".

    Raises:
        ValueError: another domain.
    """

    net: nn.Module
    domain: str = "source"

    players = ("segmenter",)
    directions = ("labels",)
    flow_of = ()
    translates_with = ()

    initial_carry = per_frame.initial_carry
    translate = base.translate

    def __post_init__(self) -> None:
        if self.domain not in ("source", "target"):
            raise ValueError(f"segmenter.domain: {self.domain!r} is neither 'source' nor 'target'")

    def init(self, rng: Array, batch: Batch) -> dict[str, Params]:
        """Random parameters."""
        frame = decode(batch[self.domain]["frames"][:1, 0])
        return {"segmenter": {"labels": self.net.init(rng, frame)["params"]}}

    def init_memory(self, batch: Batch) -> Any:
        """None is kept."""
        return {}

    def losses(
        self, params: dict[str, Params], frozen: Params, memory: Any, batch: Batch, rng: Array
    ) -> tuple[dict[str, Array], Aux]:
        """The cross entropy of all frames, and the share of pixels that are right."""
        clip = batch[self.domain]
        if "labels" not in clip:
            raise ValueError(f"segmentation: the {self.domain} domain has no labels to learn from")
        frames, labels = fold(decode(clip["frames"])), fold(clip["labels"])
        logits = apply(self.net, params["segmenter"]["labels"], frames)
        found = jnp.argmax(logits, axis=-1)
        counted = labels < logits.shape[-1]
        right = jnp.sum((found == labels) & counted) / jnp.maximum(jnp.sum(counted), 1)
        loss = losses.cross_entropy(logits, labels)
        count = clip["frames"].shape[1]
        pictures = {
            f"{self.domain}/source": frames[:count],
            f"{self.domain}/output": _painted(found[:count]),
        }
        terms = {f"{self.domain}/cross_entropy": loss, f"{self.domain}/accuracy": right}
        return {"segmenter": loss}, Aux(terms=terms, memory=memory, pictures=pictures)

    def rollout(
        self,
        generator: Params,
        frozen: Params,
        carry: Any,
        frames: Array,
        flow: Array | None = None,
    ) -> tuple[Any, Translation]:
        """The classes' colours of every frame."""
        logits = apply(self.net, generator, fold(frames))
        output = unfold(_painted(jnp.argmax(logits, axis=-1)), frames.shape[0])
        return carry, per_frame.unwarped(output)


def _painted(classes: Array) -> Array:
    """Class ids [N, H, W] -> colours [N, H, W, 3] in [-1, 1]."""
    return decode(jnp.asarray(COLOURS, jnp.uint8)[classes])
