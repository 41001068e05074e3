"""Reading torch's own files, without running anything that is in them.

Both containers are read: the zip file of torch 1.6 and later, and the pickle stream before it, in
which the published weights of FlowNet2, RAFT and CycleGAN are.
"""

from __future__ import annotations

import pathlib
import re
import zipfile
from typing import Any

import numpy as np


def read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads name -> array from a file that ``torch.save`` wrote.

    Raises:
        ImportError: torch is not installed.
        ValueError: a damaged file, one that holds no state dict, or one that holds code.
    """
    try:
        import torch
    except ImportError as e:
        raise ImportError(
            f"{path}: reading it needs torch; pip install 'v2v_jax[convert]', or convert it where "
            "torch is, with python -m v2v_jax.weights.convert"
        ) from e
    try:
        content: Any = torch.load(
            path,
            map_location="cpu",
            weights_only=True,
            # Memory is then taken tensor by tensor; the old container cannot be mapped.
            mmap=zipfile.is_zipfile(path),
        )
    except OSError:
        raise
    except Exception as e:  # garbage read as a pickle makes torch raise nearly anything
        raise ValueError(_explained(path, e)) from e
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(torch.is_tensor(v) for v in content.values()):
        raise ValueError(f"{path}: holds no state dict (name -> tensor)")
    return {str(name): _to_numpy(tensor) for name, tensor in content.items()}


def _explained(path: pathlib.Path, error: Exception) -> str:
    """One line; torch's own message advises to load the file with code and all."""
    if name := re.search(r"\bGLOBAL (\S+)", str(error)):
        return (
            f"{path}: refused, and nothing of it was run: besides tensors it holds {name[1]}, "
            "which could be made to run code; ask for a file of the state dict alone"
        )
    reason = str(error).partition("\n")[0].partition(". ")[0] or type(error).__name__
    return f"{path}: cannot be read, is it damaged? ({reason})"


def _to_numpy(tensor: Any) -> np.ndarray:
    # numpy has no bfloat16.
    wide = tensor.is_floating_point() and tensor.dtype.itemsize == 2
    return (tensor.float() if wide else tensor).detach().numpy()
