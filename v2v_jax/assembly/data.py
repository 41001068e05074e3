"""Sources of both domains, and batches of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import jax

from v2v_jax.assembly.choice import Config, choice
from v2v_jax.assembly.networks import host_flow
from v2v_jax.data import pipeline
from v2v_jax.data.records.dataset import RecordSource
from v2v_jax.data.sources import Source, SyntheticSource, VideoSource
from v2v_jax.data.world.world import World
from v2v_jax.types import Batch

WARM_UP = 1
"""The warm-up's stream of the pipeline; training's is 0."""

DOMAINS = pipeline.DOMAINS


def source(config: Config, domain: str, workdir: Path, *, flow: bool = True) -> Source:
    """The training videos of ``domain``, "source" or "target"; ``flow`` False: without theirs."""
    height, width = load_size(config)

    def videos() -> Source:
        pattern = config.data[domain]
        if not pattern:
            raise ValueError(
                f"config.data.{domain} is empty: give a glob of videos or frame folders, "
                f"--config.data.{domain}='videos/*.mp4'"
            )
        return video_source(config, pattern, (height, width), workdir)

    def synthetic() -> Source:
        return SyntheticSource(world(config, config.data[domain], "train"), flow=flow)

    def records() -> Source:
        return _records(config, domain, flow=flow)

    kinds = {"videos": videos, "records": records, "synthetic": synthetic}
    return choice(config.data, "kind", kinds)()


def load_size(config: Config) -> tuple[int, int]:
    """Height and width of what is read; ``data.size`` is what is trained on, a part of it."""
    size = tuple(config.data.load_size) or tuple(config.data.size)
    if len(size) != 2 or any(a < b for a, b in zip(size, config.data.size, strict=True)):
        raise ValueError(
            f"config.data.load_size: {size} must be height,width of at least data.size "
            f"{tuple(config.data.size)}, or empty for the same"
        )
    return size


def video_source(config: Config, pattern: str, size: tuple[int, int], workdir: Path) -> VideoSource:
    """Videos or frame folders at ``size``, (height, width), as the run's config reads them."""
    cache = config.data.cache or workdir / "cache"
    deinterlace = config.data.deinterlace
    return VideoSource(pattern, *size, cache, config.data.gap, deinterlace=deinterlace)


def _records(config: Config, domain: str, *, flow: bool) -> Source:
    folder, wanted = config.data[domain], load_size(config)
    if not folder:
        raise ValueError(
            f"config.data.{domain} is empty: give a folder that `python -m v2v_jax.data.prepare` "
            "wrote, with @split behind it for another split than train"
        )
    has = RecordSource(folder)
    if has.size != wanted:
        raise ValueError(
            f"{folder}: frames of {has.size[0]}x{has.size[1]}, but {wanted[0]}x{wanted[1]} is "
            f"asked for: set --config.data.load_size={has.size[0]},{has.size[1]} to crop from "
            "them, or prepare the data set at that size"
        )
    # What is not needed costs its decoding: frames alone are four times cheaper.
    needed = {"flow", "forward_flow"} if flow and config.flow.kind == "given" else set()
    needed |= {"labels"} if config.data.labels else set()
    return RecordSource(folder, fields=sorted(needed & has.provides))


def world(config: Config, domain: str, split: str, clips: int = 0, length: int = 0) -> World:
    """The synthetic world of a domain; ``clips`` and ``length`` of 0 are the training ones."""
    height, width = load_size(config) if split == "train" else config.data.size
    return World(
        domain=domain,
        split=split,
        seed=config.seed,
        height=height,
        width=width,
        clips=clips or config.data.clips,
        length=length or config.data.length,
    )


def batches(
    config: Config, workdir: Path, flow_of: Collection[str] = DOMAINS
) -> Callable[[int], Iterator[Batch]]:
    """A function of the step: this process's rows of batch step, step + 1, ...

    ``flow_of``: the domains whose flow the method uses, see ``methods.base.Method``.
    """
    given = config.flow.kind == "given"
    domains = [source(config, name, workdir, flow=given and name in flow_of) for name in DOMAINS]
    return functools.partial(
        _batches_from,
        *domains,
        batch_size=config.data.batch_size,
        frames=config.data.frames + config.history,
        stride=config.data.stride,
        temporal_flip=config.data.temporal_flip,
        seed=config.seed,
        flow=host_flow(config),
        use_given_flow=given,
        flow_of=flow_of,
        threads=config.data.threads,
        workers=config.data.workers,
        labels=config.data.labels,
        size=tuple(config.data.size) if config.data.load_size else None,
    )


def single_frames(config: Config, batches: Any) -> Callable[[int], Iterator[Batch]]:
    """Batches of the warm-up, of the same videos as ``batches``, drawn independently of them."""
    return functools.partial(
        batches,
        batch_size=config.warm_up.batch // 2,
        frames=1,
        stride=1,
        temporal_flip=0.0,
        flow=None,
        use_given_flow=False,
        labels=False,
        stream=WARM_UP,
    )


def _batches_from(source: Source, target: Source, step: int, **options: Any) -> Any:
    rows = {"process_index": jax.process_index(), "process_count": jax.process_count()}
    return pipeline.make_batches(source, target, step=step, **rows, **options)
