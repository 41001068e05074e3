"""Reading state dicts from files."""

from __future__ import annotations

import pathlib
import pickle
import zipfile
import zlib
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

_DAMAGED = (
    SafetensorError,
    zipfile.BadZipFile,
    zlib.error,
    pickle.UnpicklingError,
    EOFError,
    RuntimeError,
    ValueError,
)
"""What the readers raise on files that are cut off, altered, or of another kind."""


def read_state_dict(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """Reads name -> array from a file of weights.

    ``.pth`` and ``.pt`` need torch, the optional extra ``convert``, and are read without executing
    anything from the file; a checkpoint that holds its weights under "state_dict" is unwrapped.

    Args:
        path: a ``.safetensors``, ``.npz``, ``.pth`` or ``.pt`` file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another kind of file, a damaged one, or one that holds no state dict.
        ImportError: torch is needed and not installed.
    """
    path = pathlib.Path(path)
    readers = {
        ".safetensors": load_file,
        ".npz": _read_npz,
        ".pth": _read_torch,
        ".pt": _read_torch,
    }
    if path.suffix not in readers:
        raise ValueError(f"{path}: weights are read from {', '.join(readers)} files")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of weights")
    try:
        state = readers[path.suffix](path)
    except _DAMAGED as e:
        reason = str(e).partition("\n")[0]
        raise ValueError(f"{path}: cannot be read, is it damaged? ({reason})") from e
    if state is None:
        raise ValueError(f"{path}: holds no state dict (name -> tensor)")
    return state


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    # Opened here, because np.load leaves a damaged file open.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def _read_torch(path: pathlib.Path) -> dict[str, np.ndarray] | None:
    try:
        import torch
    except ImportError as e:
        raise ImportError(
            f"{path}: reading it needs torch; pip install 'v2v_jax[convert]', or save the weights "
            "as .safetensors"
        ) from e
    content: Any = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(torch.is_tensor(v) for v in content.values()):
        return None
    return {name: _to_numpy(tensor) for name, tensor in content.items()}


def _to_numpy(tensor: Any) -> np.ndarray:
    # numpy has no bfloat16.
    return (tensor.float() if tensor.dtype.itemsize == 2 else tensor).numpy()
