"""Parameters of networks that are not trained: from a published file, or random by name."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from v2v_jax.types import Params
from v2v_jax.weights import StateDict, load_state_dict
from v2v_jax.weights.cache import cached

RANDOM = "random"
"""The name by which random weights of a frozen network must be asked for."""
FEATURES = "vgg16"
"""The name by which ``config.content.weights`` asks for what tools/fetch_vgg16.py fetched."""


class Published(NamedTuple):
    """Where a network's weights come from."""

    network: str
    file: str
    size: str
    origin: str


PUBLISHED = {
    "vgg16": Published("VGG-16", "vgg16-397923af.pth", "528 MB", "torchvision's model zoo"),
    "vgg19": Published("VGG-19", "vgg19-dcbb9e9d.pth", "548 MB", "torchvision's model zoo"),
    "flownet2": Published(
        "FlowNet2",
        "FlowNet2_checkpoint.pth.tar",
        "620 MB, for research only",
        "the Google Drive link in the README of github.com/NVIDIA/flownet2-pytorch",
    ),
    "raft_small": Published(
        "RAFT-small",
        "raft-small.pth",
        "4 MB",
        "models.zip, which download_models.sh of github.com/princeton-vl/RAFT fetches",
    ),
    "raft_large": Published(
        "RAFT",
        "raft-things.pth",
        "21 MB",
        "models.zip, which download_models.sh of github.com/princeton-vl/RAFT fetches",
    ),
}
"""Kind of `weights.KINDS`, or of FlowNet2 -> its published file."""


def load(group: str, kind: str, path: str, convert: Callable[[str, StateDict], Params]) -> Params:
    """The parameters in a published or converted file; the same arrays if asked for again.

    Args:
        group: of the config, "flow" or "content", for the message.
        kind: a key of ``PUBLISHED``.
        path: the group's ``weights``.
        convert: (kind, state dict) -> parameters; must refuse what is no ``kind``.

    Raises:
        ValueError: an empty path; a file that is damaged, or of another network.
        FileNotFoundError: no such file.  Both say where the published one comes from.
    """
    if not path:
        raise ValueError(f"config.{group}.weights is empty: {how_to_get(group, kind, path)}")
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no such file of weights: {how_to_get(group, kind, path)}")
    about = Path(path).stat()
    return _loaded(kind, path, convert, (about.st_mtime_ns, about.st_size, about.st_ino))


def fetched() -> str:
    """The cached file of `FEATURES`.

    Raises:
        FileNotFoundError: it was not fetched; the message says how.
    """
    path = cached(FEATURES)
    if path.is_file():
        return str(path)
    raise FileNotFoundError(
        f"config.content.weights={FEATURES}: {path} is not there: run `make features`, or `python "
        "tools/fetch_vgg16.py` with h5py (55 MB); or ask for random weights by name with "
        f"--config.content.weights={RANDOM}"
    )


@functools.lru_cache(maxsize=2)
def _loaded(kind: str, path: str, convert: Any, version: tuple[int, ...]) -> Params:
    """Evaluation inside training shares its parameters with it."""
    try:
        return convert(kind, load_state_dict(path, kind))
    except ValueError as error:
        if str(error).startswith(path):
            raise
        raise ValueError(f"{path}: {error}") from error


def how_to_get(group: str, kind: str, path: str) -> str:
    """Where the published file is, how large, and the command that makes ``path`` of it."""
    about = PUBLISHED[kind]
    target = path if path.endswith(".safetensors") else f"{kind}.safetensors"
    fetched = f"`make features` and --config.content.weights={FEATURES}; or "
    return (fetched if kind == FEATURES else "") + (
        f"get {about.network}'s {about.file} ({about.size}) from {about.origin}, then `python "
        f"-m v2v_jax.weights.convert {kind} {about.file} {target}` and "
        f"--config.{group}.weights={target}; or ask for random weights by name with "
        f"--config.{group}.weights={RANDOM}"
    )


def random(net: nn.Module, *inputs: jax.ShapeDtypeStruct) -> Params:
    """What the net draws by itself, the same in every run: one that is resumed meets it again."""
    # Of the forward pass nothing is left in the compiled program.
    return jax.device_get(jax.jit(functools.partial(_parameters, net, inputs))(jax.random.key(0)))


def drawn(net: nn.Module, *inputs: jax.ShapeDtypeStruct) -> Params:
    """As ``random``, but by He's rule: XLA takes half a minute to compile RAFT's own draws."""
    rng = np.random.default_rng(0)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: _DRAWS[path[-1].key](rng, leaf.shape), abstract(net, *inputs)
    )


def _he(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    gain = np.float32(math.sqrt(2 / math.prod(shape[:-1])))
    return gain * rng.standard_normal(shape, np.float32)


def _constant(value: float) -> Callable[..., np.ndarray]:
    return lambda _, shape: np.full(shape, value, np.float32)


_DRAWS = {"kernel": _he, "bias": _constant(0), "mean": _constant(0)}
_DRAWS |= {"scale": _constant(1), "variance": _constant(1)}


def abstract(net: nn.Module, *inputs: jax.ShapeDtypeStruct) -> Params:
    """Shapes and dtypes of the parameters."""
    return jax.eval_shape(functools.partial(_parameters, net, inputs), jax.random.key(0))


def shapes(tree: Params) -> Any:
    """The leaves' shapes, to compare networks by."""
    return jax.tree.map(lambda leaf: tuple(leaf.shape), tree)


def _parameters(net: nn.Module, inputs: tuple[jax.ShapeDtypeStruct, ...], key: jax.Array) -> Any:
    return net.init(key, *(jnp.zeros(x.shape, x.dtype) for x in inputs))["params"]
