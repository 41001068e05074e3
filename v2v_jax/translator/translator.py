"""The public Translator."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from v2v_jax.methods.base import Method
from v2v_jax.training import checkpoints
from v2v_jax.translator import stream
from v2v_jax.translator.progress import Progress
from v2v_jax.translator.stream import Flow, StreamState
from v2v_jax.types import Array, Params


class Restored(NamedTuple):
    """What a run's config stands for, as far as translating needs it."""

    method: Method
    frozen: Params
    """Parameters of the networks that are not trained (flow estimator)."""
    host_flow: Flow | None
    """The flow estimator that runs on the host; None where the method's own runs in the graph."""


class Translator:
    """Translates videos of one domain into the other with trained parameters.

    Attributes:
        channels: of the frames that come in, 3 or, for ``methods.stabilised.Pair``, 6.
        params: ``{"generator": ..., "frozen": ...}`` on the device, the first argument of
            ``translate_fn``.
        translate_fn: the pure jitted function ``(params, carry, frames, flow=None) -> (carry,
            output)`` for other programs.  ``frames`` and ``output`` are float32 [B, T, H, W, 3]
            in [-1, 1], H and W divisible by 4; ``carry`` starts as
            ``translator.method.initial_carry(frames)`` and is handed on from chunk to chunk;
            ``flow`` float32 [B, T, H, W, 2] is the backward flow in pixels of each frame towards
            the one before it, needed where ``host_flow`` is not None.  It may be called inside
            another program's jit, vmap, grad or scan, and exported with ``jax.export`` (the
            parameters are arguments, so the exported program stays small).
    """

    factory: ClassVar[Callable[[dict[str, Any]], Any] | None] = None
    """Makes a ``Restored`` of a run's saved config.  Injected by ``v2v_jax/__init__.py``: this
    layer knows no config and no concrete network, so a program with its own methods can set its
    own factory and still use checkpoints, streaming and files."""

    def __init__(
        self,
        method: Method,
        generator: Params,
        frozen: Params,
        host_flow: Flow | None = None,
        chunk: int | None = None,
    ):
        """For programs that have the parameters at hand; see ``load`` for trained runs.

        Args:
            method: what was trained.
            generator: the translating player's parameters of one direction.
            frozen: parameters of the networks that are not trained; {} if none.
            host_flow: estimates backward flow on the host, uint8 [H, W, 3] (current, previous)
                -> float32 [H, W, 2] in pixels; None: the method estimates it in the graph.
            chunk: frames computed at once; more is faster on a GPU and takes more memory.  None:
                8, fewer where frames are large (``PIXELS_AT_ONCE``).

        Raises:
            ValueError: ``chunk`` is less than 1.
        """
        if chunk is not None and chunk < 1:
            raise ValueError(f"chunk must be at least 1 frame, got {chunk}")
        self.method = method
        self.host_flow = host_flow
        self.chunk = chunk
        self.channels = stream.channels_of(method)
        self.params = jax.device_put({"generator": generator, "frozen": frozen})
        self.translate_fn, self._translate_bytes = stream.compiled(method)

    @classmethod
    def load(
        cls,
        workdir: str | os.PathLike[str],
        direction: str = "to_target",
        step: int | None = None,
        chunk: int | None = None,
    ) -> Translator:
        """Reads a trained run: the averaged (EMA) parameters of its translating player.

        Args:
            workdir: the run's folder, as given to ``--workdir``.
            direction: "to_target", or "to_source" where the method learned it.
            step: which checkpoint; None: the latest good one.
            chunk: as in ``__init__``.

        Raises:
            FileNotFoundError: the run has no (such) checkpoint.
            ValueError: the run does not translate in this direction.
        """
        if cls.factory is None:
            raise RuntimeError("Translator has no factory: import it as `v2v_jax.Translator`")
        directory = Path(workdir).resolve() / "checkpoints"
        try:
            players, meta = checkpoints.load_player(directory, step)
        except FileNotFoundError as missing:
            if any(directory.glob("*")):
                raise
            raise FileNotFoundError(
                f"{workdir} holds no checkpoint: train first, for example "
                f"`python -m v2v_jax.main --config=configs/demo.py --workdir={workdir}`"
            ) from missing
        if direction not in players:
            raise ValueError(
                f"{workdir} was not trained for direction {direction!r}: "
                f"choose one of {', '.join(sorted(players))}"
            )
        method, frozen, host_flow = cls.factory(meta["config"])
        return cls(method, players[direction], frozen, host_flow, chunk)

    def __call__(self, video: np.ndarray) -> np.ndarray:
        """Translates a whole video.

        Args:
            video: uint8 [T, H, W, 3], RGB in time order; T >= 1, H and W >= 16.

        Returns:
            uint8 [T, H, W, 3].

        Raises:
            ValueError: another dtype, shape or size.
        """
        video = np.asarray(video)
        shaped = video.ndim == 4 and video.shape[-1] == self.channels
        if video.dtype != np.uint8 or not shaped or not len(video):
            raise ValueError(
                f"a video must be uint8 [T, H, W, {self.channels}] (RGB, 0..255) of at least one "
                f"frame, got {video.dtype} {list(video.shape)}"
            )
        output = np.empty((*video.shape[:3], 3), np.uint8)
        for t, (_, frame) in enumerate(self._translated(video, self.chunk)):
            output[t] = frame
        return output

    def start(self, height: int, width: int) -> StreamState:
        """The state before the first frame of a stream of this size; each at least 16."""
        size = stream.padded_size(height, width)
        frames = jnp.zeros((1, 1, *size, self.channels), jnp.float32)
        carry = self.method.initial_carry(frames)
        return StreamState(height, width, carry, previous=None)

    def step(self, frame: np.ndarray, state: StreamState) -> tuple[np.ndarray, StreamState]:
        """Translates the next frame of a stream.

        Args:
            frame: uint8 [H, W, 3], RGB, of the size given to ``start``.
            state: what ``start`` or the previous ``step`` returned; left as it is.

        Returns:
            uint8 [H, W, 3] and the new state.

        Raises:
            ValueError: another dtype, shape or size.
        """
        output, state = self._advance(state, [np.asarray(frame)], length=1)
        return np.asarray(output)[0, 0, : state.height, : state.width], state

    def translate_stream(
        self,
        frames: Iterable[np.ndarray],
        write: Callable[[np.ndarray], Any],
        *,
        chunk: int | None = None,
        side_by_side: bool = False,
        size: tuple[int, int] | None = None,
        total: int | None = None,
        log: Callable[[str], Any] = logging.info,
    ) -> int:
        """Translates frames as they come, in constant memory (about two chunks of frames).

        Reading, flow on the host and writing overlap with the device's work.

        Args:
            frames: uint8 [H, W, 3] each, its own array, all of one size.
            write: receives each output frame, uint8 [H, W, 3], in order.
            chunk: frames computed at once; None: the Translator's own.
            side_by_side: write source | output, twice as wide (of a pair: both, then output).
            size: (height, width) that frames are cropped and resampled to first, as in training.
            total: how many frames will come, where known, for the ETA.
            log: receives progress lines, every ten seconds and at the end.

        Returns:
            The number of frames written.

        Raises:
            ValueError: no frame at all, or one of another dtype, shape or size.
        """
        if size is not None:
            stream.padded_size(*size)  # Refuses what is too small before the first frame is read.
            frames = map(functools.partial(stream.resized, size=size), frames)
        progress = Progress(total, log)
        for source, output in self._translated(frames, self.chunk if chunk is None else chunk):
            write(stream.beside(source, output) if side_by_side else output)
            progress.advance()
        if not progress.done:
            raise ValueError("the video holds no frame")
        progress.report()
        return progress.done

    def _translated(
        self, frames: Iterable[np.ndarray], chunk: int | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (source, output) frames, one chunk behind the device."""
        frames = iter(frames)
        first = next(frames, None)
        if first is None:
            return
        height, width = first.shape[:2]
        state = self.start(height, width)
        chunk = chunk or stream.default_chunk(height, width)
        frames = itertools.chain([first], frames)
        pending: tuple[list[np.ndarray], Array] | None = None
        while block := list(itertools.islice(frames, chunk)):
            # Dispatch is asynchronous: the device computes this chunk while the previous one is
            # fetched and written and the next one is read.
            output, state = self._advance(state, block, chunk)
            if pending:
                yield from stream.fetched(*pending)
            pending = block, output
        if pending:
            yield from stream.fetched(*pending)

    def _advance(
        self, state: StreamState, frames: Sequence[np.ndarray], length: int
    ) -> tuple[Array, StreamState]:
        """Dispatches a chunk of at most ``length`` frames; only the last may be shorter."""
        block = stream.block_of(frames, length, state.height, state.width, self.channels)
        flow = stream.flows_of(self.host_flow, state.previous, block, len(frames))
        carry, output = self._translate_bytes(self.params, state.carry, block[None], flow)
        # A copy: a view would keep the whole chunk alive.
        previous = None if flow is None else block[len(frames) - 1].copy()
        return output, dataclasses.replace(state, carry=carry, previous=previous)
