"""Reading state dicts from files."""

from __future__ import annotations

import pathlib
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from v2v_jax.weights.torch_files import read_torch

_DAMAGED = (SafetensorError, zipfile.BadZipFile, zlib.error, EOFError, ValueError)
"""What the readers raise on files that are cut off, altered, or of another kind."""


def read_state_dict(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """Reads name -> array from a file of weights, whatever network they are of.

    torch's files need torch, the optional extra ``convert``, and are read without executing
    anything from the file; a checkpoint that holds its weights under "state_dict" is unwrapped.
    `load_state_dict` verifies as well what a converted file says of itself.

    Args:
        path: a ``.safetensors``, ``.npz``, ``.pth``, ``.pt`` or ``.pth.tar`` file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another kind of file, a damaged one, one that holds no state dict, or a torch
            file that holds code.
        ImportError: torch is needed and not installed.
    """
    path = pathlib.Path(path)
    if path.suffix not in _READERS:
        raise ValueError(f"{path}: weights are read from {', '.join(_READERS)} files")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of weights")
    return _READERS[path.suffix](path)


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        return load_file(path)
    except TypeError as e:
        raise ValueError(f"{path}: numpy has no such numbers ({e}): save it as float32") from e
    except _DAMAGED as e:
        raise ValueError(damaged(path, e)) from e


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        # Opened here, because np.load leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except _DAMAGED as e:
        raise ValueError(damaged(path, e)) from e


def damaged(path: pathlib.Path, error: Exception) -> str:
    """The message for a file that its reader gave up on."""
    reason = str(error).partition("\n")[0] or type(error).__name__
    return f"{path}: cannot be read, is it damaged? ({reason})"


_READERS: dict[str, Callable[[pathlib.Path], dict[str, np.ndarray]]] = {
    ".safetensors": _read_safetensors,
    ".npz": _read_npz,
    ".pth": read_torch,
    ".pt": read_torch,
    # FlowNet2_checkpoint.pth.tar is no tar archive: NVIDIA's examples name their files so.
    ".tar": read_torch,
}
