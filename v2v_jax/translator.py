"""Trained translators for other programs: whole videos, live streams, files, the pure function.

    from v2v_jax import Translator

    translator = Translator.load("runs/demo")             # to_target, the latest good checkpoint
    street = translator(game)                             # uint8 [T, H, W, 3] both ways

    state = translator.start(height=720, width=1280)      # or live, one frame at a time
    frame, state = translator.step(frame, state)

Every way runs the same recurrence with the carry handed on, so all give the same video.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from v2v_jax.methods.base import Method
from v2v_jax.training import checkpoints
from v2v_jax.types import Array, Params

MULTIPLE = 4
"""Networks halve the picture twice: other sizes are padded to the next multiple, then cropped."""
SMALLEST = 16
"""Fewest rows and columns: the networks' reflections need a few pixels at a quarter of the size."""
PIXELS_AT_ONCE = 8 * 512 * 1024
"""Where no chunk is given: 8 frames, fewer where they are larger than 512x1024.  The generator's
widest layer then takes 1 GiB (64 features in float32), whatever the size of the video."""
PROGRESS_SECONDS = 10.0
"""Time between two progress lines."""

Flow = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""``flow.base.HostFlow``: uint8 [H, W, 3] current, previous -> float32 [H, W, 2] in pixels."""


class Restored(NamedTuple):
    """What a run's config stands for, as far as translating needs it."""

    method: Method
    frozen: Params
    """Parameters of the networks that are not trained (flow estimator)."""
    host_flow: Flow | None
    """The flow estimator that runs on the host; None where the method's own runs in the graph."""


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
def _compiled(method: Method) -> tuple[Callable, Callable]:
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


class Translator:
    """Translates videos of one domain into the other with trained parameters.

    Attributes:
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
        self.params = jax.device_put({"generator": generator, "frozen": frozen})
        self.translate_fn, self._translate_bytes = _compiled(method)

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
            uint8, the same shape.

        Raises:
            ValueError: another dtype, shape or size.
        """
        video = np.asarray(video)
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[-1] != 3 or not len(video):
            raise ValueError(
                "a video must be uint8 [T, H, W, 3] (RGB, 0..255) of at least one frame, "
                f"got {video.dtype} {list(video.shape)}"
            )
        output = np.empty_like(video)
        for t, (_, frame) in enumerate(self._translated(video, self.chunk)):
            output[t] = frame
        return output

    def start(self, height: int, width: int) -> StreamState:
        """The state before the first frame of a stream of this size; each at least 16."""
        _check_size(height, width)
        padded = (height + -height % MULTIPLE, width + -width % MULTIPLE)
        carry = self.method.initial_carry(jnp.zeros((1, 1, *padded, 3), jnp.float32))
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
            side_by_side: write source | output, twice as wide.
            size: (height, width) that frames are area-resized to first; the output keeps it.
            total: how many frames will come, where known, for the ETA.
            log: receives progress lines, every ten seconds and at the end.

        Returns:
            The number of frames written.

        Raises:
            ValueError: no frame at all, or one of another dtype, shape or size.
        """
        if size is not None:
            _check_size(*size)
            frames = map(functools.partial(_resized, size=size), frames)
        progress = _Progress(total, log)
        for source, output in self._translated(frames, self.chunk if chunk is None else chunk):
            write(np.concatenate([source, output], axis=1) if side_by_side else output)
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
        chunk = chunk or max(1, min(8, PIXELS_AT_ONCE // (height * width)))
        frames = itertools.chain([first], frames)
        pending: tuple[list[np.ndarray], Array] | None = None
        while block := list(itertools.islice(frames, chunk)):
            # Dispatch is asynchronous: the device computes this chunk while the previous one is
            # fetched and written and the next one is read.
            output, state = self._advance(state, block, chunk)
            if pending:
                yield from self._fetched(*pending)
            pending = block, output
        if pending:
            yield from self._fetched(*pending)

    def _fetched(
        self, sources: list[np.ndarray], output: Array
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        height, width = sources[0].shape[:2]
        return zip(sources, np.asarray(output)[0, :, :height, :width], strict=False)

    def _advance(
        self, state: StreamState, frames: Sequence[np.ndarray], length: int
    ) -> tuple[Array, StreamState]:
        """Dispatches a chunk; a short (hence last) one is filled up so that one shape compiles."""
        for frame in frames:
            if frame.dtype != np.uint8 or frame.shape != (state.height, state.width, 3):
                raise ValueError(
                    f"every frame must be uint8 [{state.height}, {state.width}, 3] like the "
                    f"first, got {frame.dtype} {list(frame.shape)}"
                )
        below, right = -state.height % MULTIPLE, -state.width % MULTIPLE
        margins = ((0, length - len(frames)), (0, below), (0, right), (0, 0))
        # Edges are repeated, not reflected: a reflected margin would move against the picture.
        block = np.pad(np.stack(frames), margins, mode="edge")
        flow = self._host_flow(state.previous, block, len(frames))
        carry, output = self._translate_bytes(self.params, state.carry, block[None], flow)
        # A copy: a view would keep the whole chunk alive.
        previous = None if flow is None else block[len(frames) - 1].copy()
        return output, dataclasses.replace(state, carry=carry, previous=previous)

    def _host_flow(
        self, previous: np.ndarray | None, block: np.ndarray, count: int
    ) -> np.ndarray | None:
        """Flow float32 [1, T, H, W, 2] of the block's first ``count`` frames; 0 elsewhere."""
        if self.host_flow is None:
            return None
        flow = np.zeros((1, *block.shape[:3], 2), np.float32)
        for t in range(count):
            before = block[t - 1] if t else previous
            if before is not None:
                flow[0, t] = self.host_flow(block[t], before)
        return flow


def _check_size(height: int, width: int) -> None:
    if min(height, width) < SMALLEST:
        raise ValueError(
            f"frames must be at least {SMALLEST}x{SMALLEST} pixels (HxW), got {height}x{width}"
        )


def _resized(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Area means when shrinking (no aliasing, hence no flicker), bilinear when enlarging."""
    height, width = size
    shrinks = height <= frame.shape[0] and width <= frame.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(frame, (width, height), interpolation=how)


class _Progress:
    """Counts frames and says now and then how many, how fast and how long still."""

    def __init__(self, total: int | None, log: Callable[[str], Any]):
        self.done = 0
        self._total = total
        self._log = log
        self._begin = self._reported = time.monotonic()

    def advance(self) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self._reported >= PROGRESS_SECONDS:
            self._reported = now
            self.report()

    def report(self) -> None:
        rate = self.done / max(time.monotonic() - self._begin, 1e-9)
        line = f"translated {self.done}"
        # Containers only estimate their length: past the estimate there is nothing to foretell.
        if self._total and self.done < self._total:
            left = round((self._total - self.done) / rate)
            line += f" of {self._total} frames, {rate:.1f} frames/s"
            line += f", ETA {left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}"
        else:
            line += f" frames, {rate:.1f} frames/s"
        self._log(line)


class Reader(Protocol):
    """An open video (``data.video.VideoReader``): its frames, uint8 [H, W, 3], in order."""

    @property
    def fps(self) -> Any: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def frames_estimate(self) -> int | None: ...
    def __iter__(self) -> Iterator[np.ndarray]: ...


class Writer(Protocol):
    """A video being written (``data.video.VideoWriter``): final only when it closes well."""

    def write(self, frame: np.ndarray) -> Any: ...


def plan_outputs(
    inputs: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str]
) -> list[tuple[Path, Path]]:
    """Which file each input becomes.

    Args:
        inputs: video files or frame folders.
        output: an ``.mp4`` file for a single input; otherwise a folder (made when needed) that
            gets ``<stem>.mp4`` of each input.

    Returns:
        (input, output) pairs in the order of the inputs.

    Raises:
        ValueError: several inputs for one file, two inputs for one name, or an output that would
            overwrite an input.
    """
    sources = [Path(path) for path in inputs]
    target = Path(output)
    if target.suffix.lower() == ".mp4" and not target.is_dir():
        if len(sources) != 1:
            raise ValueError(
                f"{len(sources)} inputs need a folder as output (each becomes <name>.mp4 in it), "
                f"got the file {target}"
            )
        jobs = [(sources[0], target)]
    elif target.suffix.lower() in {".avi", ".gif", ".m4v", ".mkv", ".mov", ".webm"}:
        raise ValueError(f"{target}: outputs are .mp4 files, or a folder of them")
    else:
        jobs = [
            (path, target / f"{path.name if path.is_dir() else path.stem}.mp4") for path in sources
        ]
    originals = {path.resolve() for path in sources}
    taken: dict[Path, Path] = {}
    for source, result in jobs:
        if result.resolve() in originals:
            raise ValueError(f"{result} would overwrite an input: choose another output")
        if result in taken:
            raise ValueError(
                f"{taken[result]} and {source} would both become {result}: "
                "rename one or translate them into different folders"
            )
        taken[result] = source
    return jobs


def translate_files(
    translator: Translator,
    jobs: Sequence[tuple[Path, Path]],
    open_reader: Callable[[Path], AbstractContextManager[Reader]],
    open_writer: Callable[[Path, Any, int, int], AbstractContextManager[Writer]],
    *,
    side_by_side: bool = False,
    size: tuple[int, int] | None = None,
) -> None:
    """Translates video files; one that fails does not lose the others.

    Output keeps the input's fps and frame count and, without ``size``, its height and width.

    Args:
        translator: the trained run.
        jobs: (input, output) pairs, see ``plan_outputs``.
        open_reader: path -> context manager of a ``Reader``.
        open_writer: (path, fps, height, width) -> context manager of a ``Writer`` that leaves
            nothing under the final name unless it closes without an error.
        side_by_side: write source | output, twice as wide.
        size: (height, width) to translate and write at.

    Raises:
        OSError, ValueError, RuntimeError: what a single job raised.
        OSError: several jobs of which some failed, all named with their reasons; the others are
            finished.
    """
    failures: list[tuple[Path, Exception]] = []
    for number, (source, result) in enumerate(jobs, start=1):
        logging.info("%d of %d: %s -> %s", number, len(jobs), source, result)
        try:
            with open_reader(source) as reader:
                height, width = size or (reader.height, reader.width)
                columns = width * 2 if side_by_side else width
                with open_writer(result, reader.fps, height, columns) as writer:
                    translator.translate_stream(
                        reader,
                        writer.write,
                        side_by_side=side_by_side,
                        size=size,
                        total=reader.frames_estimate,
                    )
        # Bad files, full disks and exhausted devices are this job's; anything else is a bug.
        except (OSError, ValueError, RuntimeError) as error:
            if len(jobs) == 1:
                raise
            logging.error("%s failed: %s", source, error)
            failures.append((source, error))
    if failures:
        reasons = "; ".join(f"{source}: {error}" for source, error in failures)
        raise OSError(f"{len(failures)} of {len(jobs)} videos failed: {reasons}")
