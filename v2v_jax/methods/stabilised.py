"""Blind temporal consistency as a post-process: of any method's videos, or of any pair of videos.

Both classes are for translating alone: nothing of them is trained, so they have no players.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp

from v2v_jax.methods import base
from v2v_jax.types import Array, Params, Translation


@runtime_checkable
class Stabiliser(Protocol):
    """What steadies; ``methods.blind_temporal.BlindTemporal`` does."""

    def initial_carry(self, frames: Array) -> Any:
        """The carry before the first frame of ``frames`` [B, T, H, W, 3]."""
        ...

    def stabilise(
        self, params: Params, frozen: Params, carry: Any, originals: Array, processed: Array
    ) -> tuple[Any, Array]:
        """Steadies a chunk of a processed video, float [B, T, H, W, 3] in [-1, 1]."""
        ...


@dataclasses.dataclass(frozen=True)
class Stabilised:
    """A method whose videos are steadied.

    Generator parameters: {"translator": the method's, of one direction, "stabiliser": the
    stabiliser's}; the carry has the same keys.  Frozen: the method's.

    Attributes:
        inner: the method that translates (``methods.base.Method``).
        stabiliser: what steadies its output.
    """

    inner: Any
    stabiliser: Stabiliser

    translate = base.translate

    @property
    def directions(self) -> tuple[str, ...]:
        """The method's."""
        return self.inner.directions

    def initial_carry(self, frames: Array) -> dict[str, Any]:
        """Nothing translated, nothing steadied yet."""
        return {
            "translator": self.inner.initial_carry(frames),
            "stabiliser": self.stabiliser.initial_carry(frames),
        }

    def rollout(
        self,
        generator: Params,
        frozen: Params,
        carry: dict[str, Any],
        frames: Array,
        flow: Array | None = None,
    ) -> tuple[dict[str, Any], Translation]:
        """As the method's, but raw is its output, output the steady one, and the mask 0."""
        inner, made = self.inner.rollout(
            generator["translator"], frozen, carry["translator"], frames, flow
        )
        steady, output = self.stabiliser.stabilise(
            generator["stabiliser"], frozen, carry["stabiliser"], frames, made.output
        )
        made = made.replace(raw=made.output, output=output, mask=jnp.zeros_like(made.mask))
        return {"translator": inner, "stabiliser": steady}, made


@dataclasses.dataclass(frozen=True)
class Pair:
    """Steadies videos that somebody else processed: frames hold original and processed.

    Generator parameters: the stabiliser's.

    Attributes:
        stabiliser: what steadies.
    """

    stabiliser: Stabiliser

    directions = ("to_target",)
    channels = 6
    """Of its frames, float [B, T, H, W, 6]: RGB of the original, RGB of the processed."""

    def initial_carry(self, frames: Array) -> Any:
        """Nothing steadied yet."""
        return self.stabiliser.initial_carry(frames[..., :3])

    def translate(
        self,
        generator: Params,
        frozen: Params,
        carry: Any,
        frames: Array,
        flow: Array | None = None,
    ) -> tuple[Any, Array]:
        """See ``methods.base.Method.translate``; frames are [B, T, H, W, 6]."""
        originals, processed = jnp.split(frames, 2, axis=-1)
        return self.stabiliser.stabilise(generator, frozen, carry, originals, processed)
