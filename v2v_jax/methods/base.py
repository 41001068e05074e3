"""What every method is: losses for training, a recurrence for translating."""

from __future__ import annotations

from typing import Any, Protocol

from v2v_jax.types import Array, Aux, Batch, Params, Translation


class Method(Protocol):
    """One final class per method; no inheritance of behaviour.

    A method is a frozen, hashable dataclass of networks, estimators and weights, injected by
    ``assembly``.  All its functions are pure.  ``players[0]`` is the player that translates: its
    exponential moving average is kept, and its parameters are what ``translate`` receives.

    Two declarations may be left out; then everything is handed on:

    - ``flow_of``: the domains, of "source" and "target", whose clips' flow the losses use.
    - ``translates_with``: the frozen parameters that translating needs.  "flow" stands for the
      estimator too.
    """

    @property
    def players(self) -> tuple[str, ...]:
        """Names of the parameter groups, each with its own optimiser."""
        ...

    @property
    def directions(self) -> tuple[str, ...]:
        """Translations this method learns, e.g. ("to_target", "to_source").

        They are the keys of the translating player's parameters.
        """
        ...

    def init(self, rng: Array, batch: Batch) -> dict[str, Params]:
        """Random parameters of every player for batches of this shape."""
        ...

    def init_memory(self, batch: Batch) -> Any:
        """State that is neither parameter nor optimiser (image pool, gates); {} if none."""
        ...

    def losses(
        self, params: dict[str, Params], frozen: Params, memory: Any, batch: Batch, rng: Array
    ) -> tuple[dict[str, Array], Aux]:
        """One forward pass: every player's scalar loss, and ``Aux``."""
        ...

    def initial_carry(self, frames: Array) -> Any:
        """The carry before the first frame of ``frames`` [B, T, H, W, 3]; () if per-frame."""
        ...

    def translate(
        self,
        generator: Params,
        frozen: Params,
        carry: Any,
        frames: Array,
        flow: Array | None = None,
    ) -> tuple[Any, Array]:
        """Translates a chunk of clips: ``rollout``'s output, see ``translate`` below.

        Args:
            generator: the parameters of one direction, e.g. ``ema["to_target"]``.
            frozen: parameters of networks that are not trained (flow, content).
            carry: ``initial_carry`` or what the previous chunk returned.
            frames: float32 [B, T, H, W, 3] in [-1, 1]; H and W divisible by 4.
            flow: float32 [B, T, H, W, 2], backward flow in pixels of every frame towards the one
                before it (for frame 0: the last frame of the previous chunk; ignored if there is
                none).  None: the injected estimator computes it.

        Returns:
            The new carry and the output, float32 [B, T, H, W, 3] in [-1, 1].
        """
        ...

    def rollout(
        self,
        generator: Params,
        frozen: Params,
        carry: Any,
        frames: Array,
        flow: Array | None = None,
    ) -> tuple[Any, Translation]:
        """As ``translate``, but returns every intermediate, for evaluation and pictures."""
        ...


def translate(
    method: Any,
    generator: Params,
    frozen: Params,
    carry: Any,
    frames: Array,
    flow: Array | None = None,
) -> tuple[Any, Array]:
    """``Method.translate`` of whoever has a ``rollout``: ``translate = base.translate``.

    Under jit, what the rollout makes besides the output costs nothing.
    """
    carry, translation = method.rollout(generator, frozen, carry, frames, flow)
    return carry, translation.output


def flow_of(method: Any) -> tuple[str, ...]:
    """The domains whose clips' flow the method's losses use; both where it declares none."""
    return getattr(method, "flow_of", ("source", "target"))


def translates_with(method: Any) -> tuple[str, ...]:
    """The frozen parameters that translating needs; the flow's where it declares none."""
    return getattr(method, "translates_with", ("flow",))
