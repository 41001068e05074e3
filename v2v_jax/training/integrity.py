"""Whether a checkpoint's arrays fit the run and are the ones that were written.

Orbax stores no checksum of array data, so a flipped bit would restore as silent garbage, and it
casts a wrong dtype without a word.  Name, shape, dtype and CRC-32 of every leaf therefore stand in
the checkpoint's meta data, which carry a CRC-32 of their own.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


class DamagedCheckpoint(ValueError):
    """A checkpoint whose bytes are not those that were written."""


def named_leaves(tree: Any) -> dict[str, Any]:
    """Leaves by a readable name, e.g. ``params/generator/to_target/kernel``."""

    def name(path: Any) -> str:
        keys = (getattr(k, "key", getattr(k, "name", getattr(k, "idx", k))) for k in path)
        return "/".join(map(str, keys))

    return {name(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def _crc(leaf: Any) -> int:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return zlib.crc32(np.asarray(leaf).tobytes())


def describe(state: Any) -> dict[str, Any]:
    """Name -> shape, dtype and CRC-32 of every leaf, as JSON."""
    return {
        name: {"shape": list(x.shape), "dtype": str(x.dtype), "crc32": _crc(x)}
        for name, x in named_leaves(state).items()
    }


def meta_crc(meta: dict[str, Any]) -> int:
    """CRC-32 of meta data, the same before and after they went through a JSON file."""
    return zlib.crc32(json.dumps(meta, sort_keys=True).encode())


def nested(leaves: dict[str, Any]) -> dict[str, Any]:
    """What ``describe`` returned -> nested dicts of ``ShapeDtypeStruct``."""
    tree: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *path, last = name.split("/")
        node = tree
        for key in path:
            node = node.setdefault(key, {})
        node[last] = jax.ShapeDtypeStruct(tuple(leaf["shape"]), jnp.dtype(leaf["dtype"]))
    return tree


def one_line(error: Exception) -> str:
    """A foreign error, often of many lines, as a part of one of ours."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def check_whole(leaves: dict[str, Any], like: Any, where: str) -> None:
    """Raises a ValueError where a run's whole state is wanted and an exported model is stored."""
    if only_players(leaves) and not only_players(named_leaves(like)):
        raise ValueError(
            f"{where} is an exported model, not a run: train in another --workdir, with "
            "--init_from to start from it"
        )


def check_fit(leaves: dict[str, Any], like: Any, where: str) -> None:
    """Raises a ValueError that names the leaves which ``like`` wants otherwise than stored."""
    wanted = {n: (list(x.shape), str(x.dtype)) for n, x in named_leaves(like).items()}
    stored = {n: (list(x["shape"]), x["dtype"]) for n, x in leaves.items()}
    wrong = [f"{n} is only in the checkpoint" for n in sorted(stored.keys() - wanted.keys())]
    wrong += [f"{n} is missing in the checkpoint" for n in sorted(wanted.keys() - stored.keys())]
    wrong += [
        f"{n} is {stored[n][1]}{stored[n][0]}, this run needs {wanted[n][1]}{wanted[n][0]}"
        for n in sorted(stored.keys() & wanted.keys())
        if stored[n] != wanted[n]
    ]
    if wrong:
        raise ValueError(
            f"{where} does not fit this configuration: {_some(wrong)}; "
            "use the configuration that it was trained with, or a new --workdir"
        )


def check_crc(leaves: dict[str, Any], state: Any, where: str) -> None:
    """Raises a DamagedCheckpoint that names the leaves whose bytes have changed."""
    arrays = named_leaves(state)
    bad = sorted(name for name, leaf in leaves.items() if _crc(arrays[name]) != leaf["crc32"])
    if bad:
        count = f"{len(bad)} of {len(leaves)} arrays have changed"
        raise DamagedCheckpoint(f"{where} is damaged: {count}: {_some(bad)}")


def checked_meta(meta: Any, where: str) -> dict[str, Any]:
    """The meta data without their checksum; raises a DamagedCheckpoint if it does not hold."""
    if not isinstance(meta, dict) or meta.pop("crc32", None) != meta_crc(meta):
        raise DamagedCheckpoint(f"{where} is damaged: its meta data have changed")
    return meta


def only_players(leaves: dict[str, Any]) -> bool:
    """Whether these leaves, by name, are an exported model's."""
    return all(name.startswith("ema/") for name in leaves)


def saved_steps(directory: Path) -> list[int]:
    """The steps of the complete checkpoints in a directory, which need not exist."""
    names = (p.name for p in directory.iterdir()) if directory.is_dir() else ()
    return sorted(int(name) for name in names if name.isdigit())
