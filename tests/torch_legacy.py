"""Reads a float32 state dict from torch's format before 1.6, without torch.

So that parity on published weights runs where torch is absent.  Nothing from the file is executed:
only the three names below can be looked up.
"""

from __future__ import annotations

import collections
import pathlib
import pickle
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C


class _Tensor(NamedTuple):
    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda *parts: _Tensor(*parts[:4]),
            ("torch", "FloatStorage"): "float32",
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is not of a float32 state dict")
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> str:
        kind, dtype, key, _device, _size, view = pid
        assert (kind, dtype, view) == ("storage", "float32", None)
        return key


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """name -> array."""
    with path.open("rb") as file:
        magic, _protocol, _system = (_Unpickler(file).load() for _ in range(3))
        assert magic == _MAGIC, f"{path} is not in torch's old format"
        tensors = _Unpickler(file).load()
        storages = {key: _storage(file) for key in _Unpickler(file).load()}
    return {name: _array(storages[tensor.storage], tensor) for name, tensor in tensors.items()}


def _storage(file: BinaryIO) -> np.ndarray:
    size = int.from_bytes(file.read(8), "little")
    return np.frombuffer(file.read(4 * size), "<f4")


def _array(storage: np.ndarray, tensor: _Tensor) -> np.ndarray:
    strides = [4 * stride for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides).copy()
