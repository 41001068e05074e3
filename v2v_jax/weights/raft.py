"""RAFT: princeton-vl's names, or torchvision's, to the tree of `flow.raft.Raft`."""

from __future__ import annotations

import itertools
import re

from v2v_jax.weights.name_map import Slot, Slots, StateDict, conv

_TO_TORCHVISION = (
    (r"^fnet\.", "feature_encoder."),
    (r"^cnet\.", "context_encoder."),
    (r"(encoder)\.conv2\.", r"\1.conv."),
    (r"(encoder)\.conv1\.", r"\1.convnormrelu.0."),
    (r"(encoder)\.norm1\.", r"\1.convnormrelu.1."),
    (r"(layer\d\.\d)\.conv(\d)\.", r"\1.convnormrelu\2.0."),
    (r"(layer\d\.\d)\.norm(\d)\.", r"\1.convnormrelu\2.1."),
    (r"^update_block\.encoder\.convc(\d)\.", r"update_block.motion_encoder.convcorr\1.0."),
    (r"^update_block\.encoder\.convf(\d)\.", r"update_block.motion_encoder.convflow\1.0."),
    (r"^update_block\.encoder\.conv\.", "update_block.motion_encoder.conv.0."),
    (r"^update_block\.gru\.conv([zrq])(\d)\.", r"update_block.recurrent_block.convgru\2.conv\1."),
    (r"^update_block\.gru\.conv([zrq])\.", r"update_block.recurrent_block.convgru1.conv\1."),
    (r"^update_block\.mask\.0\.", "mask_predictor.convrelu.0."),
    (r"^update_block\.mask\.2\.", "mask_predictor.conv."),
)
"""Rewrites of princeton-vl's names, applied in this order."""


def raft_small(state: StateDict) -> Slots:
    """The keys of `Raft(small=True)`, in the convention that ``state`` uses."""
    table = _encoder("fnet", "features", 128, small=True, norm="instance")
    table |= _encoder("cnet", "context", 160, small=True, norm="none")
    table |= _motion((196, 96), (64, 32), 80)
    for gate, name in (("z", "update"), ("r", "reset"), ("q", "candidate")):
        path = ("update", "gru_0", name)
        table |= conv(f"update_block.gru.conv{gate}", (96, 242, 3, 3), path, bias=True)
    return _named_like(state, table | _flow_head(96, 128))


def raft_large(state: StateDict) -> Slots:
    """The keys of `Raft(small=False)`, in the convention that ``state`` uses."""
    table = _encoder("fnet", "features", 256, small=False, norm="instance")
    table |= _encoder("cnet", "context", 256, small=False, norm="batch")
    table |= _motion((324, 256, 192), (128, 64), 126)
    for i, kernel in enumerate(((1, 5), (5, 1))):
        for gate, name in (("z", "update"), ("r", "reset"), ("q", "candidate")):
            key, path = f"update_block.gru.conv{gate}{i + 1}", ("update", f"gru_{i}", name)
            table |= conv(key, (128, 384, *kernel), path, bias=True)
    table |= _flow_head(128, 256)
    table |= conv("update_block.mask.0", (256, 128, 3, 3), ("weights_0",), bias=True)
    table |= conv("update_block.mask.2", (576, 256, 1, 1), ("weights_1",), bias=True)
    return _named_like(state, table)


def _named_like(state: StateDict, table: Slots) -> Slots:
    if not any(key.startswith(("feature_encoder.", "context_encoder.")) for key in state):
        return table
    return {_torchvision(key): slot for key, slot in table.items() if ".norm3." not in key}


def _torchvision(key: str) -> str:
    for pattern, replacement in _TO_TORCHVISION:
        key = re.sub(pattern, replacement, key)
    return key


def _encoder(key: str, name: str, features: int, *, small: bool, norm: str) -> Slots:
    stem, *widths = (32, 32, 64, 96) if small else (64, 64, 96, 128)
    table = _normed(f"{key}.conv1", f"{key}.norm1", (stem, 3, 7, 7), (name, "stem"), norm)
    inputs = stem
    for i in range(6):
        width = widths[i // 2]
        prefix, path = f"{key}.layer{i // 2 + 1}.{i % 2}", (name, f"block_{i}")
        narrow = width // 4
        shapes = (
            ((narrow, inputs, 1, 1), (narrow, narrow, 3, 3), (width, narrow, 1, 1))
            if small
            else ((width, inputs, 3, 3), (width, width, 3, 3))
        )
        for j, shape in enumerate(shapes):
            names = f"{prefix}.conv{j + 1}", f"{prefix}.norm{j + 1}"
            table |= _normed(*names, shape, (*path, f"conv_{j}"), norm)
        if i in (2, 4):
            names = f"{prefix}.downsample.0", f"{prefix}.downsample.1"
            table |= _normed(*names, (width, inputs, 1, 1), (*path, "shortcut"), norm)
            if norm == "batch":
                # Upstream's blocks hold the shortcut's norm under two names; its files repeat it.
                table |= _batch_norm(f"{prefix}.norm3", width, None)
        inputs = width
    return table | conv(f"{key}.conv2", (features, inputs, 1, 1), (name, "head"), bias=True)


def _normed(
    key: str, norm_key: str, shape: tuple[int, ...], path: tuple[str, ...], norm: str
) -> Slots:
    """A convolution and its norm; in front of an instance norm the bias is dead."""
    table = conv(key, shape, (*path, "conv"), bias=norm != "instance")
    return table | _batch_norm(norm_key, shape[0], (*path, "norm")) if norm == "batch" else table


def _batch_norm(key: str, features: int, path: tuple[str, ...] | None) -> Slots:
    names = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "variance"}
    table = {
        f"{key}.{name}": Slot((features,), (*path, ours) if path else None)
        for name, ours in names.items()
    }
    return table | {f"{key}.num_batches_tracked": Slot(None, required=False)}


def _motion(correlation: tuple[int, ...], flow: tuple[int, int], joint: int) -> Slots:
    """The motion encoder: inputs and widths of its correlation, flow and joint layers."""
    table: Slots = {}
    for i, (inputs, outputs) in enumerate(itertools.pairwise(correlation)):
        key, size = f"update_block.encoder.convc{i + 1}", 3 if i else 1
        path = ("update", "motion", f"correlation_{i}")
        table |= conv(key, (outputs, inputs, size, size), path, bias=True)
    for i, (inputs, outputs) in enumerate(itertools.pairwise((2, *flow))):
        key, size = f"update_block.encoder.convf{i + 1}", 3 if i else 7
        table |= conv(
            key, (outputs, inputs, size, size), ("update", "motion", f"flow_{i}"), bias=True
        )
    shape = (joint, correlation[-1] + flow[-1], 3, 3)
    return table | conv(
        "update_block.encoder.conv", shape, ("update", "motion", "joint"), bias=True
    )


def _flow_head(hidden: int, width: int) -> Slots:
    first, last = "update_block.flow_head.conv1", "update_block.flow_head.conv2"
    table = conv(first, (width, hidden, 3, 3), ("update", "flow_0"), bias=True)
    return table | conv(last, (2, width, 3, 3), ("update", "flow_1"), bias=True)
