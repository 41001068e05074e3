"""ConfigDict -> objects: the only reader of the config below ``main``.

Everything concrete (networks, methods, flows, sources) is imported here and nowhere else.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from ml_collections import ConfigDict

import v2v_jax
from v2v_jax.data import pipeline
from v2v_jax.data.sources import Source, SyntheticSource, VideoSource
from v2v_jax.data.synthetic import World
from v2v_jax.data.video import VideoWriter, list_inputs, open_video
from v2v_jax.evaluation.evaluators import EvaluationClip, Judges
from v2v_jax.evaluation.probes import (
    structure_features,
    train_domain_classifier,
    train_segmenter,
)
from v2v_jax.flow.base import HostFlow
from v2v_jax.flow.dis import Dis
from v2v_jax.flow.zero import zero_flow
from v2v_jax.methods.base import Method
from v2v_jax.methods.recurrent import Recurrent, Weights
from v2v_jax.nets.discriminator import PatchDiscriminator
from v2v_jax.nets.fusion import Fusion
from v2v_jax.nets.generator import ResnetGenerator
from v2v_jax.nets.vgg import Vgg
from v2v_jax.training.checkpoints import load_player
from v2v_jax.training.optimizers import make_optimizers
from v2v_jax.translator import Restored, plan_outputs, translate_files
from v2v_jax.types import Batch, Params
from v2v_jax.weights import from_torch, read_state_dict

RANDOM = "random"
"""The name by which random weights of a frozen network must be asked for."""


def random_weights_note(config: ConfigDict) -> str | None:
    """What the log, the README and the report must say aloud; None if weights are real."""
    if not config.weights.content or config.content.weights != RANDOM:
        return None
    return (
        "content features come from a network with RANDOM weights (content.weights='random'): "
        "good enough to try the method, no substitute for VGG-16's published weights"
    )


# --- networks and methods -------------------------------------------------------------------


def _recurrent(config: ConfigDict) -> Recurrent:
    dtype = {"float32": None, "bfloat16": jnp.bfloat16}
    precision = _choice(config, "precision", dtype)
    return Recurrent(
        image=ResnetGenerator(**config.image, dtype=precision),
        fusion=Fusion(**config.fusion, dtype=precision),
        discriminator=PatchDiscriminator(**config.discriminator, dtype=precision),
        content=Vgg(
            config.content.tap, features=config.content.features, normalise=True, dtype=precision
        ),
        flow=_choice(config.flow, "kind", {"zero": zero_flow, "dis": None, "given": None}),
        weights=Weights(**config.weights),
        adversarial=config.adversarial,
        occlusion_alpha=config.occlusion_alpha,
        occlusion_squared=config.occlusion_squared,
        losses_on_raw=config.losses_on_raw,
        cycle_memory=config.cycle_memory,
        truncate=config.truncate,
        history=config.history,
        gate=config.gate,
    )


METHODS: dict[str, Callable[[ConfigDict], Method]] = {"recurrent": _recurrent}
"""Method name -> constructor; a new method is one file, one line here and one config."""


def method(config: ConfigDict) -> Method:
    """The method that ``config.method`` names, with its networks injected."""
    height, width = config.data.size
    if height % 4 or width % 4 or min(height, width) < 16:
        raise ValueError(
            f"config.data.size: {height}x{width} must be multiples of 4 and at least 16"
        )
    return _choice(config, "method", METHODS)(config)


def frozen(config: ConfigDict) -> Params:
    """Parameters of the networks that are not trained: {"content": ..., "flow": ...}.

    Raises:
        ValueError: content weights that are neither a file nor the literal "random".
        FileNotFoundError: a weight file that does not exist.
    """
    return {"content": _content_params(config), "flow": {}}


def _content_params(config: ConfigDict) -> Params:
    if not config.weights.content:
        return {}
    path, net = config.content.weights, _recurrent(config).content
    if path == RANDOM:
        logging.warning("%s", random_weights_note(config))
        shape = jnp.zeros((1, 32, 32, 3))
        # Seeded apart from the run: a resumed or repeated run meets the same features.
        return jax.device_get(jax.jit(net.init)(jax.random.key(0), shape))["params"]
    if not path:
        raise ValueError(
            "config.content.weights is empty: give a file of torchvision's VGG-16 weights "
            "(vgg16-397923af.pth, 528 MB, from the PyTorch model zoo), or ask for random ones by "
            "name with --config.content.weights=random"
        )
    if config.content.features != 64:
        raise ValueError("config.content.features: published VGG weights are 64 wide")
    params = from_torch(config.content.net, read_state_dict(path))
    needed = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))["params"]
    return {name: params[name] for name in needed}


def host_flow(config: ConfigDict) -> HostFlow | None:
    """The estimator that runs on the host, or None where the graph or the data bring the flow."""
    if config.flow.kind != "dis":
        return None
    return Dis(scale=config.flow.scale, preset=config.flow.preset)


def restore_method(config: dict[str, Any]) -> Restored:
    """What a run's saved config stands for, for ``Translator``.

    A run trained on given flow translates with DIS: an arbitrary video brings no flow.
    """
    saved = ConfigDict(config)
    flow = Dis(scale=saved.flow.scale, preset=saved.flow.preset)
    # The content network is not part of translating: its weights may be long gone.
    return Restored(method(saved), {"flow": {}}, None if saved.flow.kind == "zero" else flow)


# --- data -----------------------------------------------------------------------------------


def source(config: ConfigDict, domain: str, workdir: Path) -> Source:
    """The training videos of ``domain``, "source" or "target"."""
    height, width = config.data.size

    def videos() -> Source:
        pattern = config.data[domain]
        if not pattern:
            raise ValueError(
                f"config.data.{domain} is empty: give a glob of videos or frame folders, "
                f"--config.data.{domain}='videos/*.mp4'"
            )
        return VideoSource(pattern, height, width, config.data.cache or workdir / "cache")

    def synthetic() -> Source:
        return SyntheticSource(_world(config, config.data[domain], "train"))

    return _choice(config.data, "kind", {"videos": videos, "synthetic": synthetic})()


def _world(config: ConfigDict, domain: str, split: str, clips: int = 0, length: int = 0) -> World:
    height, width = config.data.size
    return World(
        domain=domain,
        split=split,
        seed=config.seed,
        height=height,
        width=width,
        clips=clips or config.data.clips,
        length=length or config.data.length,
    )


def batches(config: ConfigDict, workdir: Path) -> Callable[[int], Iterator[Batch]]:
    """A function of the step: this process's rows of batch step, step + 1, ..."""
    domains = [source(config, name, workdir) for name in ("source", "target")]
    return functools.partial(
        _batches_from,
        *domains,
        batch_size=config.data.batch_size,
        frames=config.data.frames + config.history,
        stride=config.data.stride,
        temporal_flip=config.data.temporal_flip,
        seed=config.seed,
        flow=host_flow(config),
        use_given_flow=config.flow.kind == "given",
        threads=config.data.threads,
    )


def _batches_from(source: Source, target: Source, step: int, **options: Any) -> Iterator[Batch]:
    rows = {"process_index": jax.process_index(), "process_count": jax.process_count()}
    return pipeline.make_batches(source, target, step=step, **rows, **options)


def optimizers(config: ConfigDict, players: tuple[str, ...]) -> dict[str, Any]:
    """One Adam per player."""
    return make_optimizers(players, **config.optimizer)


def training(config: ConfigDict, workdir: Path) -> dict[str, Any]:
    """Every argument of ``training.loop.train``."""
    made = method(config)
    return {
        "method": made,
        "optimizers": optimizers(config, made.players),
        "frozen": frozen(config),
        "batches": batches(config, workdir),
        "steps": config.steps,
        "workdir": workdir,
        "seed": config.seed,
        "ema_decay": config.ema_decay,
        "log_every": config.log_every,
        "picture_every": config.picture_every,
        "checkpoint_every": config.checkpoint_every,
        "evaluate_every": config.evaluate_every,
        "nonfinite_limit": config.nonfinite_limit,
        "keep": config.keep,
        "meta": {"config": json.loads(config.to_json_best_effort())},
    }


def abstract_batch(config: ConfigDict) -> Batch:
    """Shapes and dtypes of a batch, without data."""
    rows, (height, width) = config.data.batch_size, config.data.size
    count = config.data.frames + config.history
    clip = {"frames": jax.ShapeDtypeStruct((rows, count, height, width, 3), jnp.uint8)}
    if config.flow.kind in ("dis", "given"):
        clip["flow"] = jax.ShapeDtypeStruct((rows, count - 1, height, width, 2), jnp.float32)
    return Batch(source=clip, target=clip)  # type: ignore[typeddict-item]


def description(config: ConfigDict) -> dict[str, Any]:
    """Every argument of ``training.describe.describe``; needs no data and no weights."""
    made = method(config)
    content = {}
    if config.weights.content:
        image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
        content = jax.eval_shape(made.content.init, jax.random.key(0), image)["params"]
    return {
        "method": made,
        "optimizers": optimizers(config, made.players),
        "frozen": {"content": content, "flow": {}},
        "batch": abstract_batch(config),
    }


# --- translating and evaluating -------------------------------------------------------------


def translation(
    workdir: str, direction: str, step: int | None, inputs: str, output: str
) -> Callable[..., None]:
    """``translator.translate_files`` with everything bound but its options.

    The inputs are looked for and the outputs planned first: nothing is loaded for a mistyped path.
    """
    jobs = plan_outputs(list_inputs(inputs), output)
    translator = v2v_jax.Translator.load(workdir, direction, step)
    return functools.partial(translate_files, translator, jobs, open_video, VideoWriter)


def evaluation(
    config: ConfigDict | None, workdir: Path, direction: str, step: int | None
) -> dict[str, Any]:
    """Every argument of ``evaluation.session.evaluate_run``.

    Args:
        config: None for the run's own, as its checkpoint keeps it.
        workdir: the run's folder.
        direction: "to_target" or "to_source".
        step: the checkpoint; None: the latest.
    """
    translator = v2v_jax.Translator.load(workdir, direction, step)
    saved = load_player(workdir.resolve() / "checkpoints", step)[1]["config"]
    config = ConfigDict(saved) if config is None else config
    domains = ("source", "target") if direction == "to_target" else ("target", "source")
    note = random_weights_note(config)
    return {
        "method": translator.method,
        "generator": translator.params["generator"],
        "frozen": translator.params["frozen"],
        "clips": evaluation_clips(config, domains[0], workdir),
        "flow": translator.host_flow,
        "scoring_flow": Dis(scale=config.flow.scale, preset=config.flow.preset),
        "judges": judges(config, domains, workdir) if config.evaluate.probes else Judges(),
        "workdir": workdir,
        "config": json.loads(config.to_json_best_effort()),
        "notes": [note] if note else [],
    }


def evaluation_clips(config: ConfigDict, domain: str, workdir: Path) -> list[EvaluationClip]:
    """Held-out clips of ``domain`` ("source" or "target"), the first frames of each video."""
    count, length = config.evaluate.clips, config.evaluate.frames
    if config.data.kind == "synthetic":
        world = _world(config, config.data[domain], "test", count, length)
        return [_synthetic_clip(world, index) for index in range(count)]
    videos = _held_out(config, domain, workdir)
    if max(videos.lengths) < length:
        raise ValueError(
            f"config.evaluate.frames is {length}, but the longest of the {domain} videos has "
            f"{max(videos.lengths)} frames: give longer videos or --config.evaluate.frames"
        )
    long = [index for index in range(len(videos)) if videos.lengths[index] >= length][:count]
    return [
        EvaluationClip(name=videos.names[i], frames=videos.read(i, 0, length)["frames"])
        for i in long
    ]


def _synthetic_clip(world: World, index: int) -> EvaluationClip:
    clip = world.frames(index)
    return EvaluationClip(
        name=f"{world.domain} {world.split} {index}",
        frames=clip.frames,
        flow=clip.backward,
        occluded=clip.occluded,
        shaded=clip.shaded,
        labels=clip.labels,
    )


def _held_out(config: ConfigDict, domain: str, workdir: Path) -> Source:
    height, width = config.data.size
    pattern = config.evaluate[domain] or config.data[domain]
    if not config.evaluate[domain]:
        logging.warning("config.evaluate.%s is empty: scoring on training videos", domain)
    return VideoSource(pattern, height, width, config.data.cache or workdir / "cache")


PROBE_FRAMES = 480
"""Frames per domain that probes are trained on."""


def judges(config: ConfigDict, domains: tuple[str, str], workdir: Path) -> Judges:
    """A domain classifier and, where labels exist, a segmenter of the domain translated to."""
    clips = [_probe_frames(config, domain, workdir) for domain in domains]
    theirs, ours = (clip["frames"] for clip in clips)
    domain = train_domain_classifier(theirs, ours, seed=config.seed)
    logging.info("domain classifier: accuracy %.3f on held-out frames", domain.accuracy)
    segment = None
    if "labels" in clips[1]:
        segmenter = train_segmenter(ours, clips[1]["labels"], seed=config.seed)
        logging.info("segmenter: mIoU %.3f on held-out frames", segmenter.miou)
        segment = segmenter.predict
    return Judges(structure_features, segment, domain.share_target)


def _probe_frames(config: ConfigDict, domain: str, workdir: Path) -> dict[str, np.ndarray]:
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


def _choice(config: ConfigDict, field: str, choices: Mapping[str, Any]) -> Any:
    value = config[field]
    if value not in choices:
        raise ValueError(f"config field {field!r}: {value!r} is none of {', '.join(choices)}")
    return choices[value]
