"""Files that say what they are: written by v2v_jax.weights.convert, verified on reading.

They are safetensors files of torch-named tensors, in torch's layouts: `from_torch` is then the only
way from a file to a network, for published and for converted files, and checks every shape.
"""

from __future__ import annotations

import hashlib
import json
import pathlib

import numpy as np
from safetensors import SafetensorError, safe_open

from v2v_jax.weights.files import read_state_dict
from v2v_jax.weights.name_map import StateDict

VERSION = "1"
"""Of the format; a reader takes the versions it knows."""
_FIELDS = {"kind", "source", "source_sha256", "converter_version", "checksum"}


def metadata(kind: str, source: str, source_sha256: str, state: StateDict) -> dict[str, str]:
    """What a converted file says of itself.

    Args:
        kind: of network, a name that the converter knows.
        source: the published file's name.
        source_sha256: of that file, hexadecimal.
        state: the tensors that go with it.
    """
    known = {"kind": kind, "source": source, "source_sha256": source_sha256}
    known["converter_version"] = VERSION
    return known | {"checksum": checksum(known, state)}


def checksum(known: dict[str, str], state: StateDict) -> str:
    """sha256 over the other metadata, and over every tensor's name, dtype, shape and bytes."""
    about = {name: [str(value.dtype), value.shape] for name, value in state.items()}
    digest = hashlib.sha256(json.dumps([known, about], sort_keys=True).encode())
    for name in sorted(state):
        digest.update(np.ascontiguousarray(state[name]).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def load_state_dict(path: str | pathlib.Path, kind: str) -> StateDict:
    """Reads a file of weights; a converted one must hold ``kind``, unaltered.

    Args:
        path: see `read_state_dict`.
        kind: of network, as the file's metadata must call it.

    Raises:
        FileNotFoundError, ImportError: see `read_state_dict`.
        ValueError: as there; and a converted file of another kind, of an unknown version, or one
            in which a bit has changed.
    """
    path = pathlib.Path(path)
    state = read_state_dict(path)
    if path.suffix == ".safetensors":
        _verify(path, kind, state)
    return without_prefix(state)


def source_of(path: str | pathlib.Path) -> str | None:
    """What a converted file was made of, unverified; None of any other file, or where none is."""
    path = pathlib.Path(path)
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    try:
        return _metadata_of(path).get("source")
    except ValueError:  # Whoever needs its tensors says so.
        return None


def without_prefix(state: StateDict) -> StateDict:
    """The state dict without DataParallel's ``module.``, where all names have it."""
    if state and all(key.startswith("module.") for key in state):
        return {key.removeprefix("module."): value for key, value in state.items()}
    return state


def _verify(path: pathlib.Path, kind: str, state: StateDict) -> None:
    found = _metadata_of(path)
    # Two names, so that no single altered bit makes a converted file pass for another's.
    if "checksum" not in found and "converter_version" not in found:
        return
    if (version := found.get("converter_version", VERSION)) != VERSION:
        raise ValueError(
            f"{path}: written by version {version} of the converter, this one reads version "
            f"{VERSION}: convert it again"
        )
    known = {name: value for name, value in found.items() if name != "checksum"}
    if found.keys() != _FIELDS or found["checksum"] != checksum(known, state):
        raise ValueError(f"{path}: its checksum is wrong, the file is damaged: convert it again")
    if found["kind"] != kind:
        raise ValueError(f"{path}: holds {found['kind']}, but {kind} is needed")


def _metadata_of(path: pathlib.Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="np") as file:
            return file.metadata() or {}
    except SafetensorError as e:  # it was read a moment ago
        raise ValueError(f"{path}: cannot be read, is it damaged? ({e})") from e
