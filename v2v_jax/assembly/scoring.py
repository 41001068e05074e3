"""Held-out clips and the probes that judge translations of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from absl import logging

from v2v_jax.assembly.choice import Config
from v2v_jax.assembly.data import source, video_source, world
from v2v_jax.assembly.methods import restore_method
from v2v_jax.data.records.dataset import RecordSource
from v2v_jax.data.sources import Source
from v2v_jax.data.transforms import Arrays
from v2v_jax.data.world.world import World
from v2v_jax.evaluation import content, scoring
from v2v_jax.evaluation.judges.domain_classifier import train_domain_classifier
from v2v_jax.evaluation.judges.features import structure_features
from v2v_jax.evaluation.judges.likeness import train_likeness
from v2v_jax.evaluation.judges.segmenter import train_segmenter
from v2v_jax.evaluation.protocol import EvaluationClip
from v2v_jax.evaluation.scoring import Judges
from v2v_jax.evaluation.session import reachable_distances
from v2v_jax.flow.dis import Dis
from v2v_jax.methods.base import Method
from v2v_jax.nets.segmenter import SmallSegmenter
from v2v_jax.training.state import TrainState


def evaluation_clips(
    config: Config, domain: str, workdir: Path, *, most: int | None = None, shorter: bool = False
) -> list[EvaluationClip]:
    """Held-out clips of ``domain`` ("source" or "target"), the first frames of each video.

    Args:
        config: its ``evaluate.clips`` and ``evaluate.frames`` say how many and how long.
        domain: whose videos.
        workdir: of the run, for the frame cache.
        most: at most so many clips.
        shorter: where no video is long enough, take the longest ones as they are.

    Raises:
        ValueError: no clips asked for, or no video long enough.
    """
    count, length = config.evaluate.clips, config.evaluate.frames
    if count < 1 or length < 2:
        raise ValueError(
            f"config.evaluate: {count} clips of {length} frames; at least 1 clip of 2 frames"
        )
    count = min(count, most or count)
    if config.data.kind == "synthetic":
        drives = world(config, config.data[domain], "test", count, length)
        other = config.data["target" if domain == "source" else "source"]
        return [_synthetic_clip(drives, other, index) for index in range(count)]
    videos = _held_out(config, domain, workdir)
    longest = max(videos.lengths)
    if longest < length and not shorter:
        raise ValueError(
            f"config.evaluate.frames is {length}, but the longest of the {domain} videos has "
            f"{longest} frames: give longer videos or --config.evaluate.frames={longest}"
        )
    length = min(length, longest)
    long = [index for index in range(len(videos)) if videos.lengths[index] >= length][:count]
    return [_clip(videos.names[index], videos.read(index, 0, length)) for index in long]


def _clip(name: str, known: Arrays) -> EvaluationClip:
    clip = EvaluationClip(name=name, frames=known["frames"])
    if "labels" in known:
        clip["labels"] = known["labels"]
    # One direction alone cannot tell what is occluded: the flow to score by is then estimated.
    if {"flow", "forward_flow"} <= known.keys():
        clip["flow"], clip["forward"] = known["flow"], known["forward_flow"]
        if "flow_valid" in known:
            clip["shaded"] = ~known["flow_valid"]
    return clip


def _synthetic_clip(world: World, other: str, index: int) -> EvaluationClip:
    """Clip ``index``, with its perfect translation into the domain ``other``."""
    clip = world.frames(index)
    return EvaluationClip(
        name=f"{world.domain} {world.split} {index}",
        frames=clip.frames,
        flow=clip.backward,
        occluded=clip.occluded,
        shaded=clip.shaded,
        labels=clip.labels,
        truth=world.perfect(other).frames(index).frames,
    )


def _held_out(config: Config, domain: str, workdir: Path) -> Source:
    if config.data.kind == "records":
        return _held_out_records(config, domain)
    pattern = config.evaluate[domain] or config.data[domain]
    if not config.evaluate[domain]:
        logging.warning("config.evaluate.%s is empty: scoring on training videos", domain)
    return video_source(config, pattern, tuple(config.data.size), workdir)


def _held_out_records(config: Config, domain: str) -> Source:
    """The clips of config.evaluate, else the test split of the training folder."""
    videos = RecordSource(config.evaluate[domain] or config.data[domain], split="test")
    if videos.size != tuple(config.data.size):
        raise ValueError(
            f"{videos.folder}: frames of {videos.size[0]}x{videos.size[1]}, but the run was "
            f"trained at {config.data.size[0]}x{config.data.size[1]}: prepare the data set at that "
            f"size and give it with --config.evaluate.{domain}"
        )
    return videos


PROBE_FRAMES = 480
"""Frames per domain that probes are trained on."""


def judges(config: Config, domains: tuple[str, str], workdir: Path) -> Judges:
    """A domain classifier and, where labels exist, a segmenter of the domain translated to.

    And where both domains have labels, who says whether patches of one content are alike.
    """
    clips = [_probe_frames(config, domain, workdir) for domain in domains]
    theirs, ours = (clip["frames"] for clip in clips)
    domain = train_domain_classifier(theirs, ours, seed=config.seed)
    logging.info("domain classifier: accuracy %.3f on held-out frames", domain.accuracy)
    segment = None
    if "labels" in clips[1]:
        segmenter = train_segmenter(
            ours, clips[1]["labels"], net=SmallSegmenter(), seed=config.seed
        )
        logging.info("segmenter: mIoU %.3f on held-out frames", segmenter.miou)
        segment = segmenter.predict
    alike = detail = None
    if all("labels" in clip for clip in clips):
        pairs = [(clip["frames"], clip["labels"]) for clip in clips]
        alike = train_likeness(*pairs, seed=config.seed).counts
        detail = content.detail(*pairs[1])
    return Judges(structure_features, segment, domain.share_target, alike, detail)


def _probe_frames(config: Config, domain: str, workdir: Path) -> dict[str, np.ndarray]:
    """Evenly spread training frames of a domain, with labels where the domain has them."""
    videos = source(config, domain, workdir)
    total = sum(videos.lengths)
    places = np.unique(np.linspace(0, total - 1, min(PROBE_FRAMES, total)).astype(int))
    ends = np.cumsum(videos.lengths)
    found = []
    for place in places:
        index = int(np.searchsorted(ends, place, side="right"))
        found.append(videos.read(index, int(place - (ends[index] - videos.lengths[index])), 1))
    names = [name for name in ("frames", "labels") if name in found[0]]
    return {name: np.concatenate([clip[name] for clip in found]) for name in names}


PERIODIC_CLIPS = 2
"""Clips of the evaluation inside training: enough for a curve, few enough not to stop the run."""


def periodic_evaluation(
    config: Config, workdir: Path, method: Method
) -> Callable[[TrainState, int], dict[str, float]] | None:
    """``evaluate`` of ``training.loop.train``; None where the config asks for none.

    Scores the averaged parameters on held-out clips, without trained probes.  Every process
    computes the same figures, so that none waits for another.
    """
    if not config.evaluate_every:
        return None
    direction = method.directions[0]
    domain = "source" if direction == "to_target" else "target"
    # Now, not at the first evaluation: bad videos must not stop a run that is hours old.
    clips = evaluation_clips(config, domain, workdir, most=PERIODIC_CLIPS, shorter=True)
    distances = reachable_distances(clips)
    saved = restore_method(json.loads(config.to_json_best_effort()))

    def evaluate(state: TrainState, step: int) -> dict[str, float]:
        # A copy on the host: arrays of several processes cannot enter a program of one.
        figures = scoring.evaluate(
            method,
            jax.device_get(state.ema[direction]),
            saved.frozen,
            clips,
            flow_for_method=saved.host_flow,
            scoring_flow=Dis(scale=config.flow.scale, preset=config.flow.preset),
            judges=Judges(structure_features),
            distances=distances,
        )
        return {f"eval/{name}": float(value) for name, value in figures if _is_curve(name)}

    return evaluate


def _is_curve(name: str) -> bool:
    """Distances to the truth by class and by frame are for the evaluation afterwards."""
    return "/truth/" not in name
