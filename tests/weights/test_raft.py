"""RAFT's two naming conventions and what its files hold twice or in vain."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from v2v_jax.weights import KINDS, from_torch

KEYS = {"raft_small": 106, "raft_large": 169}
"""Tensors in torchvision's files, counters of batches included."""


def state_of(kind: str, *, torchvision: bool = False) -> dict[str, np.ndarray]:
    hint = {"feature_encoder.conv.weight": np.zeros(())} if torchvision else {}
    draw = np.random.default_rng(0)
    return {
        key: draw.standard_normal(slot.shape or (), dtype=np.float32)
        for key, slot in KINDS[kind](hint).items()
    }


@pytest.mark.parametrize("kind", KEYS)
def test_the_conventions_agree(kind):
    """Both list the same tensors, upstream's repeated norms aside, under names of their own."""
    ours, theirs = state_of(kind), state_of(kind, torchvision=True)
    assert len(theirs) == KEYS[kind]
    once = [key for key in ours if ".norm3." not in key]
    assert [ours[key].shape for key in once] == [value.shape for value in theirs.values()]
    renamed = dict(zip(theirs, (ours[key] for key in once), strict=True))
    np.testing.assert_equal(from_torch(kind, renamed), from_torch(kind, ours))
    wrapped = {f"module.{key}": value for key, value in renamed.items()}
    np.testing.assert_equal(from_torch(kind, wrapped), from_torch(kind, ours))


@pytest.mark.parametrize("torchvision", [False, True])
@pytest.mark.parametrize("kind", KEYS)
def test_a_mixture_of_conventions_is_refused(kind, torchvision):
    state = state_of(kind, torchvision=torchvision)
    other = set(state_of(kind, torchvision=not torchvision)) - set(state)
    key = min(key for key in other if "flow_head" not in key)
    if torchvision:
        with pytest.raises(ValueError, match=f"unexpected {key}"):
            from_torch(kind, state | {key: np.zeros(1, np.float32)})
    else:
        mixed = {k: v for k, v in state.items() if not k.startswith("cnet.")}
        with pytest.raises(ValueError, match=r"missing cnet\.conv1\.bias"):
            from_torch(kind, mixed)


def test_the_sizes_do_not_pass_for_each_other():
    with pytest.raises(
        ValueError, match=r"raft_small: .* unexpected .*update_block\.mask\.0\.bias"
    ):
        from_torch("raft_small", state_of("raft_large"))
    with pytest.raises(ValueError, match=r"raft_large: .* missing .*mask_predictor\.conv\.bias"):
        from_torch("raft_large", state_of("raft_small", torchvision=True))


def test_dead_biases_are_dropped_and_live_ones_stay():
    params = from_torch("raft_large", state_of("raft_large"))
    assert set(params["features"]["stem"]["conv"]) == {"kernel"}
    assert set(params["context"]["stem"]["conv"]) == {"kernel", "bias"}
    assert set(params["features"]["head"]) == {"kernel", "bias"}
    small = from_torch("raft_small", state_of("raft_small"))
    biased = {
        path[0].key: [p for p, _ in jax.tree.leaves_with_path(small[path[0].key])]
        for path, _ in jax.tree.leaves_with_path(small)
    }
    counts = {name: sum(path[-1].key == "bias" for path in paths) for name, paths in biased.items()}
    # Only the head's in the features; stem, 18 convolutions, two shortcuts and head in the context.
    assert counts == {"features": 1, "context": 22, "update": 9}


def test_repeated_norms_are_checked_and_counters_optional():
    state = state_of("raft_large")
    plain = from_torch("raft_large", state)
    trimmed = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    np.testing.assert_equal(from_torch("raft_large", trimmed), plain)
    state["cnet.layer2.0.norm3.weight"] = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match=r"cnet\.layer2\.0\.norm3\.weight has shape \(3,\)"):
        from_torch("raft_large", state)
    del state["cnet.layer2.0.norm3.weight"]
    with pytest.raises(ValueError, match=r"missing cnet\.layer2\.0\.norm3\.weight"):
        from_torch("raft_large", state)
