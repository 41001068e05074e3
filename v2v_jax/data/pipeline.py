"""Batches for training: step n's batch is a pure function of the seed and n.

Nothing about the stream needs saving: a resumed run asks for ``step=n`` and goes on bit for bit.
P processes draw the same global batch as one, process p its p-th block of rows.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterator
from typing import Any, Self

import grain
import numpy as np
from absl import flags, logging

from v2v_jax.data import memory
from v2v_jax.data.sources import Source
from v2v_jax.data.transforms import Arrays, Draw, Window, crop, draw, reverse_time, windows

DOMAINS = ("source", "target")
"""What a batch holds clips of."""

HostFlow = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(current, previous), uint8 [H, W, 3] -> backward flow f32[H, W, 2]; see `flow.base.HostFlow`."""

Choice = tuple[int, Draw]
"""A video's index, and what chance decided about the clip of it."""

_PREFETCHED_BATCHES = 4  # Grain's own default would hold 500.
_PREFETCHED_PER_WORKER = 2
_NOWHERE = (
    1e5  # Pixels: an unknown flow points out of every frame, so no loss and no gate trusts it.
)


class Batches(Iterator[dict[str, Arrays]]):
    """An endless iterator of batches; `close` stops its threads."""

    def __init__(self, iterator: Any) -> None:
        self._iterator = iterator

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> dict[str, Arrays]:
        return next(self._iterator)

    def close(self) -> None:
        self._iterator.close()


def make_batches(
    source: Source,
    target: Source,
    *,
    batch_size: int,
    frames: int,
    stride: int = 1,
    temporal_flip: float = 0.5,
    seed: int,
    step: int = 0,
    flow: HostFlow | None = None,
    use_given_flow: bool = False,
    flow_of: Collection[str] = DOMAINS,
    process_index: int = 0,
    process_count: int = 1,
    threads: int = 2,
    workers: int = 0,
    labels: bool = False,
    size: tuple[int, int] | None = None,
    stream: int = 0,
) -> Batches:
    """Unpaired batches of clips, endlessly, beginning with that of ``step``.

    Each domain is shuffled on its own.  An epoch visits every video, in windows of about a clip's
    length, so a long video is drawn as often as its length earns; start (uniform over the video)
    and direction are drawn anew for every clip.

    Args:
        source, target: the two domains.
        batch_size: clips per domain over all processes.
        frames: K, frames per clip.
        stride: every stride-th frame of the video.
        temporal_flip: probability that a clip runs backwards (paper, section 3.7).
        seed: of the stream, not negative.
        step: the first batch's number.
        flow: estimates flow on the host, after the temporal flip, for every consecutive pair.
        use_given_flow: hand on the flow the sources know, in the direction the clip plays; where
            they know none, ``flow`` estimates it.  Unknown pixels point out of the frame.
        flow_of: the domains that get flow at all; the others' is neither read nor estimated.
        process_index, process_count: which rows of the global batch are this process's.
        threads: how many batches are prepared at once, by each worker; 0 for none ahead of time.
        workers: processes that prepare batches; 0 for the threads of this one, which are as fast
            on few cores: what takes time here releases the interpreter's lock.
        labels: hand on labels too, for the domains that have them.
        size: (height, width) of a random part of the frames, one place per clip; None: all.
        stream: streams of other numbers are independent of each other.

    Returns:
        Batches ``{"source": clip, "target": clip}``, each clip with ``frames`` u8[b, K, H, W, 3]
        and, where asked for, ``flow`` f32[b, K-1, H, W, 2] (backward, pixels) and ``labels``
        i32[b, K, H, W]; b = batch_size / process_count.

    Raises:
        ValueError: a video too short for a clip, sizes that do not divide, flow or labels asked of
            sources that have none.
    """
    _check_numbers(
        batch_size, frames, stride, temporal_flip, seed, step, process_count, threads, workers
    )
    _check_labels(labels, source, target)
    if use_given_flow and flow_of and stride != 1:
        raise ValueError(f"given flow joins neighbouring frames: it needs stride 1, not {stride}")
    span, domains, loads = (frames - 1) * stride + 1, [], []
    for tag, (name, domain) in enumerate(zip(DOMAINS, (source, target), strict=True)):
        given, estimate = (use_given_flow, flow) if name in flow_of else (False, None)
        if given and estimate is None:
            _check_flow(domain, temporal_flip)
        _check_lengths(domain, span, frames, stride)
        domains.append(_choices(domain, span, temporal_flip, seed, 2 * stream + tag))
        loads.append(Load(domain, span, stride, estimate, given, labels, size))
    # Consecutive rows, then every P-th block: the processes' rows, one after the other, are the
    # rows of the one-process batch in its order.
    whole = (
        grain.experimental.ZipMapDataset(domains)
        .batch(batch_size // process_count, drop_remainder=True, batch_fn=list)
        .map(functools.partial(_load, *loads))[process_index::process_count]
    )
    batches = whole[step:].to_iter_dataset(_read_options(threads))
    memory.keep_freed()
    return Batches(iter(_in_processes(batches, workers) if workers else batches))


def _read_options(threads: int) -> grain.ReadOptions:
    return grain.ReadOptions(threads, _PREFETCHED_BATCHES if threads else 0)


def _in_processes(batches: Any, workers: int) -> Any:
    """The same batches in the same order, prepared by ``workers`` processes."""
    if not flags.FLAGS.is_parsed():
        # Grain 0.2.18 reads its flags when the first worker starts, main program or not.
        flags.FLAGS.mark_as_parsed()
    options = grain.MultiprocessingOptions(
        num_workers=workers, per_worker_buffer_size=_PREFETCHED_PER_WORKER
    )
    return batches.mp_prefetch(options, _start_worker)


def _start_worker(number: int, count: int) -> None:
    del number, count
    memory.keep_freed()


@dataclasses.dataclass(frozen=True)
class Choose(grain.transforms.RandomMap):
    """Window -> which clip of which video, and how it is played."""

    temporal_flip: float

    def random_map(self, element: Window, rng: np.random.Generator) -> Choice:
        """What chance decides under this generator."""
        return element.video, draw(element, self.temporal_flip, rng)


@dataclasses.dataclass(frozen=True)
class Load:
    """Choices -> one domain's part of a batch: reads, crops, reverses, then estimates flow."""

    source: Source
    span: int
    stride: int
    flow: HostFlow | None
    use_given_flow: bool
    labels: bool
    size: tuple[int, int] | None

    def __call__(self, choices: list[Choice]) -> Arrays:
        """The clips, stacked."""
        if self.source.size and self.stride == 1 and self.size is None:
            # Decoded where they will stay: copying them there costs a tenth of decoding them.
            shape = (len(choices), self.span, *self.source.size, 3)
            frames = np.empty(shape, np.uint8)
            clips = [self._clip(*choice, row) for choice, row in zip(choices, frames, strict=True)]
            names = clips[0].keys() - {"frames"}
            return {"frames": frames} | {k: np.stack([clip[k] for clip in clips]) for k in names}
        clips = [self._clip(*choice) for choice in choices]
        # Also takes the few frames out of the memory map.
        return {name: np.stack([clip[name] for clip in clips]) for name in clips[0]}

    def _clip(self, video: int, chance: Draw, row: np.ndarray | None = None) -> Arrays:
        """One clip; its frames are in ``row`` if there is one, else they may be views."""
        into = row[::-1] if row is not None and chance.backwards else row
        known = self.source.read(video, chance.start, self.span, into=into)
        clip = {"frames": known["frames"][:: self.stride]}
        if self.labels and "labels" in known:
            clip["labels"] = known["labels"][:: self.stride].astype(np.int32)
        if self.use_given_flow:
            clip |= _given_flow(known)
        if self.size is not None:
            clip = crop(clip, *self.size, chance.down, chance.right)
        if chance.backwards:
            clip = reverse_time(clip)
        clip.pop("forward_flow", None)
        if self.flow is not None and "flow" not in clip:
            clip["flow"] = _estimate(self.flow, clip["frames"])
        return clip


def _load(source: Load, target: Load, pairs: list[tuple[Choice, Choice]]) -> dict[str, Arrays]:
    first, second = zip(*pairs, strict=True)
    return {"source": source(list(first)), "target": target(list(second))}


def _given_flow(known: Arrays) -> Arrays:
    """Both directions, as far as known; pixels whose flow is invalid point out of the frame."""
    flows = {name: known[name] for name in ("flow", "forward_flow") if name in known}
    for name, flow in flows.items():
        if f"{name}_valid" in known:
            flows[name] = np.where(known[f"{name}_valid"][..., None], flow, np.float32(_NOWHERE))
    return flows


def _estimate(flow: HostFlow, frames: np.ndarray) -> np.ndarray:
    """Backward flow of every frame but the first, f32[K-1, H, W, 2]."""
    pairs = zip(frames[1:], frames[:-1], strict=True)
    flows = [np.asarray(flow(current, previous), np.float32) for current, previous in pairs]
    return np.stack(flows) if flows else np.zeros((0, *frames.shape[1:3], 2), np.float32)


def _choices(
    domain: Source, span: int, temporal_flip: float, seed: int, tag: int
) -> grain.MapDataset[Choice]:
    # Never seed and seed + 1: Grain's epoch e + 1 of one is epoch e of the other.  Explicit seeds,
    # since automatic ones change with every transformation that is put in front.
    shuffle_seed, clip_seed = np.random.SeedSequence([seed, tag]).generate_state(2)
    return (
        grain.MapDataset.source(windows(domain.lengths, span))
        .shuffle(seed=int(shuffle_seed))
        .random_map(Choose(temporal_flip), seed=int(clip_seed))
        .repeat()
    )


def _check_numbers(
    batch_size: int,
    frames: int,
    stride: int,
    temporal_flip: float,
    seed: int,
    step: int,
    process_count: int,
    threads: int,
    workers: int,
) -> None:
    if batch_size < 1 or batch_size % process_count:
        raise ValueError(
            f"a batch of {batch_size} clips cannot be divided among {process_count} processes: "
            f"choose a multiple of {process_count}"
        )
    if frames < 1 or stride < 1:
        raise ValueError(f"a clip needs frames and stride of at least 1, not {frames} and {stride}")
    if not 0 <= temporal_flip <= 1:
        raise ValueError(f"the temporal flip is a probability, not {temporal_flip}")
    if seed < 0 or step < 0:
        raise ValueError(f"seed and step must not be negative, they are {seed} and {step}")
    if threads < 0 or workers < 0:
        raise ValueError(
            f"threads and workers must not be negative, they are {threads} and {workers}"
        )


def _check_flow(domain: Source, temporal_flip: float) -> None:
    """Whether every clip's flow is known in the direction it is played."""
    needed = [
        (temporal_flip < 1, "flow", "backward", 1),
        (temporal_flip > 0, "forward_flow", "forward", 0),
    ]
    for asked, name, word, other in needed:
        if asked and name not in domain.provides:
            raise ValueError(
                f"no {word} flow is known for {domain.names[0]}: estimate what is missing "
                f"(flow.missing='dis'), or try a temporal flip of {other}"
            )


def _check_labels(labels: bool, source: Source, target: Source) -> None:
    if labels and not (source.provides | target.provides) & {"labels"}:
        raise ValueError("labels are asked for, but neither domain has any")


def _check_lengths(domain: Source, span: int, frames: int, stride: int) -> None:
    """Parts of a video between gaps may be too short for a clip, whole videos may not."""
    short = [n for n, length in enumerate(domain.lengths) if length < span]
    parts: frozenset[int] = getattr(domain, "parts", frozenset())
    if len(short) < len(domain.lengths) and parts.issuperset(short):
        if short:
            logging.warning(
                "%d of %d clips, such as %s, have fewer than the %d frames of a training clip and "
                "are not trained on",
                len(short), len(domain.lengths), domain.names[short[0]], span,
            )  # fmt: skip
        return
    short = [n for n in short if n not in parts] or short
    others = f" (and {len(short) - 1} more videos)" if len(short) > 1 else ""
    need = f"K = {frames} frames" + (f" at stride {stride}, that is {span}" if stride > 1 else "")
    raise ValueError(
        f"{domain.names[short[0]]}: only {domain.lengths[short[0]]} frames{others}, but a clip "
        f"needs {need}: leave it out, or train on shorter clips"
    )
