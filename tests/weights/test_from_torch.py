"""Strictness of the conversion; that the numbers are right is tests/nets/test_parity.py."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from weights.state_dicts import state_of

from v2v_jax.nets.discriminator import PatchDiscriminator
from v2v_jax.nets.generator import ResnetGenerator
from v2v_jax.weights import KINDS, from_torch


@pytest.mark.parametrize("kind", KINDS)
def test_one_error_names_every_wrong_key(kind):
    state = state_of(kind)
    # Sizes are read from weights, so the faults are put into biases.
    missing, misshapen, *_, unread = [key for key in state if key.endswith(".bias")]
    del state[missing]
    state[misshapen] = state[misshapen][None]
    state[unread] = state[unread].astype(np.int8)
    state["surplus.weight"] = np.zeros(1, np.float32)
    with pytest.raises(ValueError, match="not its state dict") as error:
        from_torch(kind, state)
    message = str(error.value)
    assert message.startswith(kind)
    assert "\n" not in message
    assert f"missing {missing};" in message
    assert "unexpected surplus.weight;" in message
    assert f"{misshapen} has shape" in message
    assert f"{unread} holds int8" in message
    assert message.count(".bias") + message.count(".weight") == 4


@pytest.mark.parametrize("kind", KINDS)
def test_every_required_key_is_missed(kind):
    complete = state_of(kind)
    from_torch(kind, complete)
    for key in complete:
        state = {name: value for name, value in complete.items() if name != key}
        with pytest.raises(ValueError, match=key.replace(".", r"\.")):
            from_torch(kind, state)


@pytest.mark.parametrize("blocks", [6, 9])
def test_generator_sizes_are_read_from_the_keys(blocks):
    params = from_torch("cyclegan_generator", state_of("cyclegan_generator", blocks=blocks))
    net = ResnetGenerator(features=2, blocks=blocks)
    frames = jnp.zeros((1, 16, 16, 3))
    initial = jax.eval_shape(net.init, jax.random.key(0), frames)["params"]
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, initial)


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_discriminator_depth_is_read_from_the_keys(layers):
    params = from_torch("patchgan", state_of("patchgan", layers=layers))
    net = PatchDiscriminator(features=2, layers=layers)
    frames = jnp.zeros((1, 64, 64, 3))
    initial = jax.eval_shape(net.init, jax.random.key(0), frames)["params"]
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, initial)


def test_dead_biases_are_checked_and_dropped():
    state = state_of("cyclegan_generator")
    plain = from_torch("cyclegan_generator", state)
    assert "bias" not in plain["stem"]
    assert "bias" in plain["head"]
    state["model.1.bias"] = state["model.1.bias"] + 1
    np.testing.assert_equal(from_torch("cyclegan_generator", state), plain)
    state["model.1.bias"] = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match=r"model\.1\.bias has shape \(3,\), expected \(2,\)"):
        from_torch("cyclegan_generator", state)


def test_data_parallel_prefix():
    state = state_of("patchgan")
    wrapped = {f"module.{key}": value for key, value in state.items()}
    np.testing.assert_equal(from_torch("patchgan", wrapped), from_torch("patchgan", state))
    wrapped["extra"] = np.zeros(1)
    with pytest.raises(ValueError, match="unexpected extra, module"):
        from_torch("patchgan", wrapped)


def test_old_running_statistics_are_dropped_but_not_those_of_other_layers():
    state = state_of("cyclegan_generator")
    plain = from_torch("cyclegan_generator", state)
    old = {
        "model.2.running_mean": np.ones(2, np.float32),
        "model.2.running_var": np.ones(2, np.float32),
        "model.2.num_batches_tracked": np.array(7),
        "model.10.conv_block.2.running_mean": np.ones(8, np.float32),
    }
    np.testing.assert_equal(from_torch("cyclegan_generator", state | old), plain)
    with pytest.raises(ValueError, match=r"unexpected model\.3\.running_mean"):
        from_torch("cyclegan_generator", state | {"model.3.running_mean": np.ones(2)})
    with pytest.raises(ValueError, match=r"model\.2\.running_mean has shape \(5,\)"):
        from_torch("cyclegan_generator", state | {"model.2.running_mean": np.ones(5)})


def test_vgg_classifier_is_dropped():
    state = state_of("vgg16")
    plain = from_torch("vgg16", state)
    classified = state | {"classifier.6.bias": np.zeros(1000, np.float32)}
    np.testing.assert_equal(from_torch("vgg16", classified), plain)


def test_precision_is_kept_or_widened():
    state = state_of("fusion")
    for given, expected in (("float16", "float32"), ("float32", "float32"), ("float64",) * 2):
        params = from_torch("fusion", {key: value.astype(given) for key, value in state.items()})
        assert {leaf.dtype.name for leaf in jax.tree.leaves(params)} == {expected}


def test_unknown_kind_lists_the_known():
    with pytest.raises(ValueError, match="no kind 'resnet'; there are cyclegan_generator"):
        from_torch("resnet", {})


def test_empty_state_dict_names_what_is_missing():
    with pytest.raises(ValueError, match=r"missing .*model\.1\.weight"):
        from_torch("cyclegan_generator", {})
