"""The published checkpoints' names and shapes, and the way from them to the parameter tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

StateDict = Mapping[str, np.ndarray]


class _Layer(NamedTuple):
    name: str
    inputs: int
    features: int
    kernel: int = 3
    transposed: bool = False
    wrapped: bool = True
    """Upstream's conv and deconv are nn.Sequential: ``.0`` in the key."""
    bias: bool = True

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...], str]]:
        """Each torch key of the layer with its shape and its name in the parameter tree."""
        stem = f"{self.name}.0" if self.wrapped else self.name
        ends = (self.inputs, self.features) if self.transposed else (self.features, self.inputs)
        yield f"{stem}.weight", (*ends, self.kernel, self.kernel), "kernel"
        if self.bias:
            yield f"{stem}.bias", (self.features,), "bias"


def _contract(*, stem: int) -> list[_Layer]:
    """conv3_1 (from ``stem`` channels) to conv6_1."""
    layers = [_Layer("conv3_1", stem, 256)]
    for level, inputs, features in ((4, 256, 512), (5, 512, 512), (6, 512, 1024)):
        layers += [_Layer(f"conv{level}", inputs, features)]
        layers += [_Layer(f"conv{level}_1", features, features)]
    return layers


def _deconv(level: int, inputs: int, features: int) -> _Layer:
    return _Layer(f"deconv{level}", inputs, features, 4, transposed=True)


def _predict(level: int, inputs: int) -> _Layer:
    return _Layer(f"predict_flow{level}", inputs, 2, wrapped=False)


def _up(level: int, *, bias: bool = True) -> _Layer:
    name = f"upsampled_flow{level + 1}_to_{level}"
    return _Layer(name, 2, 2, 4, transposed=True, wrapped=False, bias=bias)


_JOINED = {5: 1026, 4: 770, 3: 386, 2: 194}
"""Channels of k, the decoder's concatenation, per level."""


def _expand(*, up_bias: bool = True) -> list[_Layer]:
    """The decoder but for the predictions below level 6."""
    inputs = (1024, *_JOINED.values())
    layers = [
        _deconv(level, above, features)
        for level, above, features in zip(_JOINED, inputs, (512, 256, 128, 64), strict=False)
    ]
    return [*layers, _predict(6, 1024), *(_up(level, bias=up_bias) for level in _JOINED)]


def _flownet_c() -> list[_Layer]:
    head = [_Layer("conv1", 3, 64, 7), _Layer("conv2", 64, 128, 5), _Layer("conv3", 128, 256, 5)]
    head += [_Layer("conv_redir", 256, 32, 1)]
    predictions = [_predict(level, inputs) for level, inputs in _JOINED.items()]
    return [*head, *_contract(stem=473), *_expand(), *predictions]


def _flownet_s(inputs: int) -> list[_Layer]:
    head = [_Layer("conv1", inputs, 64, 7), _Layer("conv2", 64, 128, 5)]
    head += [_Layer("conv3", 128, 256, 5)]
    predictions = [_predict(level, inputs) for level, inputs in _JOINED.items()]
    return [*head, *_contract(stem=256), *_expand(up_bias=False), *predictions]


def _fine_head(inputs: int) -> list[_Layer]:
    head = [_Layer("conv0", inputs, 64), _Layer("conv1", 64, 64), _Layer("conv1_1", 64, 128)]
    return [*head, _Layer("conv2", 128, 128), _Layer("conv2_1", 128, 128)]


def _flownet_sd() -> list[_Layer]:
    head = [*_fine_head(6), _Layer("conv3", 128, 256)]
    features = {5: 512, 4: 256, 3: 128, 2: 64}
    inter = [_Layer(f"inter_conv{i}", _JOINED[i], features[i]) for i in _JOINED]
    predictions = [_predict(level, inputs) for level, inputs in features.items()]
    return [*head, *_contract(stem=256), *_expand(), *inter, *predictions]


def _flownet_fusion() -> list[_Layer]:
    layers = [*_fine_head(11), _deconv(1, 128, 32), _deconv(0, 162, 16)]
    layers += [_Layer("inter_conv1", 162, 32), _Layer("inter_conv0", 82, 16)]
    layers += [_predict(2, 128), _predict(1, 32), _predict(0, 16)]
    return [*layers, _up(1), _up(0)]


_NETS: dict[str, dict[str, list[_Layer]]] = {
    "flownet2": {
        "flownetc": _flownet_c(),
        "flownets_1": _flownet_s(12),
        "flownets_2": _flownet_s(12),
        "flownets_d": _flownet_sd(),
        "flownetfusion": _flownet_fusion(),
    },
    "flownet2_c": {"": _flownet_c()},
    "flownet2_s": {"": _flownet_s(6)},
    "flownet2_sd": {"": _flownet_sd()},
}


def params_from_torch(state_dict: StateDict, net: str | None = None) -> dict[str, Any]:
    """Converts the ``state_dict`` of a published checkpoint.

    Args:
        state_dict: name -> array as in FlowNet2_checkpoint, or as in the checkpoints of FlowNet2-C,
            -S and -SD, whose names have no network in front; all names may begin with ``module.``.
        net: "flownet2", "flownet2_c", "flownet2_s" or "flownet2_sd"; None: told from the names.

    Returns:
        The parameter tree of `FlowNet2`, or of `FlowNetC`, `FlowNetS` or `FlowNetSD`: contiguous
        numpy arrays, float32 (float64 stays).

    Raises:
        ValueError: an unknown ``net``, or a state dict of something else; the message names every
            missing, unexpected and wrongly shaped key.
    """
    if state_dict and all(key.startswith("module.") for key in state_dict):
        state_dict = {key.removeprefix("module."): value for key, value in state_dict.items()}
    net = _told_from(state_dict) if net is None else net
    if net not in _NETS:
        raise ValueError(f"params_from_torch: no net {net!r}; there are {', '.join(_NETS)}")
    slots = dict(_slots(net))
    problems = _problems(state_dict, slots)
    if problems:
        raise ValueError(f"{net}: this is not its state dict: " + "; ".join(problems))
    params: dict[str, Any] = {}
    for key, (_, path, transposed) in slots.items():
        node = params
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node[path[-1]] = _arrange(np.asarray(state_dict[key]), transposed)
    return params


def _told_from(state_dict: StateDict) -> str:
    """Stand-alone checkpoints have layers where FlowNet2's has networks."""
    if not any(key.startswith("conv") for key in state_dict):
        return "flownet2"
    if "conv_redir.0.weight" in state_dict:
        return "flownet2_c"
    return "flownet2_sd" if "conv0.0.weight" in state_dict else "flownet2_s"


def _slots(net: str) -> Iterator[tuple[str, tuple[tuple[int, ...], tuple[str, ...], bool]]]:
    """Every key with its torch shape, its path in the tree and whether it is transposed."""
    for part, layers in _NETS[net].items():
        for layer in layers:
            for key, shape, leaf in layer.tensors():
                path = (part, layer.name, leaf) if part else (layer.name, leaf)
                yield f"{part}.{key}" if part else key, (shape, path, layer.transposed)


def _problems(state_dict: StateDict, slots: Mapping[str, Any]) -> list[str]:
    missing = sorted(set(slots) - set(state_dict))
    unexpected = sorted(set(state_dict) - set(slots))
    wrong = [_mismatch(key, state_dict[key], slots[key][0]) for key in slots if key in state_dict]
    return [
        *([f"missing {', '.join(missing)}"] if missing else []),
        *([f"unexpected {', '.join(unexpected)}"] if unexpected else []),
        *(text for text in wrong if text),
    ]


def _mismatch(key: str, value: np.ndarray, shape: tuple[int, ...]) -> str | None:
    if tuple(value.shape) != shape:
        return f"{key} has shape {tuple(value.shape)}, expected {shape}"
    # A quantised file would convert without a murmur into noise.
    if not np.issubdtype(value.dtype, np.floating):
        return f"{key} holds {value.dtype}, expected floating point"
    return None


def _arrange(value: np.ndarray, transposed: bool) -> np.ndarray:
    if value.ndim == 4 and transposed:
        # Flipped, index 3 - k is phase + 2 tap: see layers.Deconv.
        inputs, features = value.shape[:2]
        value = value[:, :, ::-1, ::-1].reshape(inputs, features, 2, 2, 2, 2)
        value = value.transpose(2, 4, 0, 3, 5, 1)
    elif value.ndim == 4:
        value = value.transpose(2, 3, 1, 0)
    return np.array(value, np.float64 if value.dtype == np.float64 else np.float32, order="C")
