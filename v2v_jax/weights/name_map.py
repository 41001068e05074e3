"""Strict conversion of a torch state dict by a table of its keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

StateDict = Mapping[str, np.ndarray]
Layout = Literal["vector", "conv", "transposed"]


class Slot(NamedTuple):
    """What one key of a state dict must look like, and where it goes."""

    shape: tuple[int, ...] | None
    """torch's shape; None: any."""
    path: tuple[str, ...] | None = None
    """Path in the parameter tree; None: checked, then dropped."""
    layout: Layout = "vector"
    required: bool = True


Slots = dict[str, Slot]


def conv(
    key: str,
    shape: tuple[int, ...],
    path: tuple[str, ...],
    *,
    bias: bool,
    layout: Layout = "conv",
) -> Slots:
    """The slots of one published convolution, which always has a bias.

    Args:
        key: the layer's name, without ``.weight``.
        shape: torch's weight shape, (out, in, h, w), or (in, out, h, w) where transposed.
        path: of the layer in the parameter tree.
        bias: False where an instance norm follows: the bias is dead, so it is dropped.
        layout: "conv" or "transposed".
    """
    features = shape[1] if layout == "transposed" else shape[0]
    return {
        f"{key}.weight": Slot(shape, (*path, "kernel"), layout),
        f"{key}.bias": Slot((features,), (*path, "bias") if bias else None),
    }


def norm_buffers(key: str, features: int) -> Slots:
    """Running statistics that early versions saved for instance norms: allowed, dropped.

    Training used instance statistics; the buffers only ever mattered to the old ``eval()``.
    """
    return {
        f"{key}.running_mean": Slot((features,), required=False),
        f"{key}.running_var": Slot((features,), required=False),
        f"{key}.num_batches_tracked": Slot(None, required=False),
    }


def size(state: StateDict, key: str, axis: int, default: int) -> int:
    """The length of one axis of a tensor; the default if it is absent, which `convert` reports."""
    shape = state[key].shape if key in state else ()
    return shape[axis] if len(shape) > axis else default


def convert(kind: str, state: StateDict, slots: Slots) -> dict[str, Any]:
    """Moves every tensor of a state dict to its place.

    Args:
        kind: the network's name, for the message.
        state: name -> array; all of it must be accounted for.
        slots: what it must consist of.

    Returns:
        A nested dict of float32 arrays (float64 stays), kernels HWIO.

    Raises:
        ValueError: names every missing, unexpected and wrongly shaped key.
    """
    problems = _problems(state, slots)
    if problems:
        raise ValueError(f"{kind}: this is not its state dict: " + "; ".join(problems))
    params: dict[str, Any] = {}
    for key, slot in slots.items():
        if slot.path is None:
            continue
        node = params
        for name in slot.path[:-1]:
            node = node.setdefault(name, {})
        node[slot.path[-1]] = _arrange(np.asarray(state[key]), slot.layout)
    return params


def _problems(state: StateDict, slots: Slots) -> list[str]:
    missing = sorted(key for key, slot in slots.items() if slot.required and key not in state)
    unexpected = sorted(set(state) - set(slots))
    wrong = [_mismatch(key, state[key], slots[key]) for key in sorted(set(state) & set(slots))]
    return [
        *([f"missing {', '.join(missing)}"] if missing else []),
        *([f"unexpected {', '.join(unexpected)}"] if unexpected else []),
        *(text for text in wrong if text),
    ]


def _mismatch(key: str, value: np.ndarray, slot: Slot) -> str | None:
    if slot.shape is not None and value.shape != slot.shape:
        return f"{key} has shape {value.shape}, expected {slot.shape}"
    # A quantised file would convert without a murmur into noise.
    if slot.path and not np.issubdtype(value.dtype, np.floating):
        return f"{key} holds {value.dtype}, expected floating point"
    return None


def _arrange(value: np.ndarray, layout: Layout) -> np.ndarray:
    if layout == "conv":
        value = value.transpose(2, 3, 1, 0)
    elif layout == "transposed":
        # As a correlation over the zero-interleaved input: flipped, and in and out change places.
        value = value[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
    return np.array(value, np.float64 if value.dtype == np.float64 else np.float32, order="C")
