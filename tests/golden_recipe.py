"""Reference values and their weights: what ../shared/goldens/README.md describes."""

from __future__ import annotations

import hashlib
import json
import pathlib
from typing import Any

import numpy as np
import pytest

_SHARED = pathlib.Path(__file__).parents[1].parent / "shared" / "goldens"
COPIES = pathlib.Path(__file__).parent / "golden"


def load(name: str, *, copy: bool = False) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the description of ``NAME``; skips the test where they are absent.

    ``copy`` reads the reduced copy in tests/golden, which is always there.
    """
    folder = COPIES if copy else _SHARED
    if not (folder / f"{name}.npz").is_file():
        pytest.skip(f"needs {folder / name}.npz")
    with np.load(folder / f"{name}.npz") as arrays:
        return dict(arrays), json.loads((folder / f"{name}.json").read_text())


def state_dict(about: dict[str, Any]) -> dict[str, np.ndarray]:
    """The weights that a description asks for, each a pure function of its key, checksum verified.

    Args:
        about: ``keys`` (name, shape, kind), ``gain``, ``prefix``, ``state_dict_sha256`` or
            ``digest``.
    """
    state = {
        key: tensor(about["prefix"] + key, tuple(shape), about["gain"])
        for key, shape, _ in about["keys"]
    }
    expected = about.get("state_dict_sha256") or about["digest"]
    assert digest(state) == expected, "the weights recipe does not reproduce the reference weights"
    return state


def digest(state: dict[str, np.ndarray]) -> str:
    """sha256 over the sorted keys, each followed by its array's bytes."""
    total = hashlib.sha256()
    for key in sorted(state):
        total.update(key.encode() + state[key].tobytes())
    return total.hexdigest()


def tensor(key: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """One tensor of the recipe, float32: a pure function of its key."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    draw = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape, dtype=np.float32)
    if key.endswith(".bias"):
        return np.float32(0.05) * draw
    if len(shape) == 1:
        return 1 + np.float32(0.1) * draw
    return draw * np.float32(gain / np.sqrt(np.prod(shape[1:])))


def distance(value: Any, truth: np.ndarray) -> float:
    """Relative L2, ||value - truth|| / ||truth||, in float64."""
    truth = np.asarray(truth, np.float64)
    return float(np.linalg.norm(np.asarray(value, np.float64) - truth) / np.linalg.norm(truth))


def nhwc(array: np.ndarray) -> np.ndarray:
    """torch's NCHW -> NHWC."""
    return np.moveaxis(array, 1, -1)


def nchw(array: Any) -> np.ndarray:
    """NHWC -> torch's NCHW."""
    return np.moveaxis(np.asarray(array), -1, 1)
