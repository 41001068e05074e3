"""Recycle-GAN's predictor and Lai et al.'s TransformNet: sizes, dead tensors, forms of files."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from weights.state_dicts import state_of

from v2v_jax.nets.predictor import Predictor
from v2v_jax.nets.stabiliser import TransformNet
from v2v_jax.weights import from_torch


def shapes(tree):
    return jax.tree.map(np.shape, tree)


def initial(net, *inputs):
    return shapes(jax.eval_shape(net.init, jax.random.key(0), *inputs)["params"])


@pytest.mark.parametrize("depth", [2, 5, 7, 8])
def test_predictor_sizes_are_read_from_the_keys(depth):
    params = from_torch("recyclegan_predictor", state_of("recyclegan_predictor", depth=depth))
    frame = jnp.zeros((1, 256, 256, 3))
    assert shapes(params) == initial(Predictor(features=2, depth=depth), frame, frame)


def test_predictor_biases_before_a_norm_and_running_statistics_are_dropped():
    state = state_of("recyclegan_predictor", depth=5)
    plain = from_torch("recyclegan_predictor", state)
    inner = "model.model.1.model.3.model.3.model.3"
    dead = ["model.model.1.model.1.bias", "model.model.1.model.5.bias", f"{inner}.model.3.bias"]
    for key in dead:
        np.testing.assert_equal(
            from_torch("recyclegan_predictor", state | {key: state[key] + 1}), plain
        )
    for key in ("model.model.0.bias", f"{inner}.model.1.bias", "model.model.3.bias"):
        moved = from_torch("recyclegan_predictor", state | {key: state[key] + 1})
        with pytest.raises(AssertionError):
            np.testing.assert_equal(moved, plain)
    old = {
        "model.model.1.model.2.running_mean": np.ones(4, np.float32),
        "model.model.1.model.6.running_var": np.ones(2, np.float32),
        f"{inner}.model.4.num_batches_tracked": np.array(7),
    }
    np.testing.assert_equal(from_torch("recyclegan_predictor", state | old), plain)
    # Nothing is normed at the innermost level's bottom.
    stray = f"{inner}.model.2.running_mean"
    with pytest.raises(ValueError, match=f"unexpected {stray}"):
        from_torch("recyclegan_predictor", state | {stray: np.ones(16, np.float32)})


@pytest.mark.parametrize("blocks", [1, 5])
@pytest.mark.parametrize("biased", [True, False])
def test_transformnet_sizes_and_biases_are_read_from_the_keys(blocks, biased):
    params = from_torch("transformnet", state_of("transformnet", blocks=blocks, biased=biased))
    net = TransformNet(features=2, blocks=blocks, use_bias=biased)
    frame = jnp.zeros((1, 16, 16, 3))
    assert shapes(params) == initial(net, *[frame] * 4, net.initial_state(frame))


def test_transformnet_norms_that_never_ran_are_dropped_and_those_that_did_are_refused():
    state = state_of("transformnet")
    plain = from_torch("transformnet", state)
    dead = {
        "conv1a.norm_layer.running_mean": np.ones(2, np.float32),
        "ResBlocks.4.conv2.norm_layer.running_var": np.ones(8, np.float32),
        "deconv2.norm_layer.running_mean": np.ones(2, np.float32),
    }
    np.testing.assert_equal(from_torch("transformnet", state | dead), plain)
    alive = {"conv1a.norm_layer.weight": np.ones(2, np.float32)}
    with pytest.raises(ValueError, match=r"unexpected conv1a\.norm_layer\.weight"):
        from_torch("transformnet", state | dead | alive)


def test_transformnet_half_biased_is_refused():
    state = state_of("transformnet")
    del state["conv2b.conv2d.bias"]
    with pytest.raises(ValueError, match=r"missing conv2b\.conv2d\.bias$"):
        from_torch("transformnet", state)
