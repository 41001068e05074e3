"""Lai et al.'s TransformNet: the recurrent run against upstream's, its sizes and its norms."""

from __future__ import annotations

from typing import Any

import golden_recipe as golden
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods.tiny_recurrent import draw_like

from v2v_jax.nets.blocks import Conv, reflect_pad
from v2v_jax.nets.stabiliser import TransformNet
from v2v_jax.weights import from_torch


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def arguments(net, size=(16, 24), clips=1):
    frames = [draw(clips, *size, 3, seed=i) for i in range(4)]
    return *frames, net.initial_state(frames[0])


def abstract_params(net, size=(16, 24)):
    return jax.eval_shape(net.init, jax.random.key(0), *arguments(net, size))["params"]


def count(tree):
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def test_recurrent_run_of_the_published_network():
    """Four frames, each output fed back, O_0 = P_0; in float32 against upstream in float64."""
    arrays, about = golden.load("blind_temporal_transformnet")
    params = from_torch("transformnet", golden.state_dict(about))
    net = TransformNet(use_bias=False)
    originals, processed = (
        jnp.asarray(arrays[f"in|{name}_u8"], jnp.float32)[:, None] / 127.5 - 1 for name in "IP"
    )
    assert jax.tree.map(jnp.shape, abstract_params(net)) == jax.tree.map(jnp.shape, params)
    run = jax.jit(net.apply)
    output, state = processed[0], net.initial_state(processed[0])
    made = {}
    for t in range(1, 4):
        output, state = run(
            {"params": params}, processed[t], output, originals[t], originals[t - 1], state
        )
        made |= {f"none_t{t}_o": (output + 1) / 2, f"none_t{t}_y": (output - processed[t]) / 2}
    made |= {"none_t3_h": state[0], "none_t3_c": state[1]}
    assert made.keys() == about["tolerance"].keys()
    for name, value in made.items():
        tolerance = min(1e-5, about["tolerance"][name]["rel_l2"])
        assert golden.distance(golden.nchw(value), arrays[f"out|{name}"]) <= tolerance, name


@pytest.mark.parametrize(
    ("options", "size"),
    [
        # Upstream's default asks for instance norm, gets biases, and is not normalised.
        ({}, 2_979_555),
        ({"use_bias": False}, 2_977_859),
        ({"norm": "instance"}, 2_977_859),
    ],
)
def test_parameter_counts(options, size):
    assert count(abstract_params(TransformNet(**options))) == size


@pytest.mark.parametrize("norm", ["none", "instance"])
def test_every_bias_and_every_argument_counts(norm):
    net = TransformNet(features=2, blocks=1, norm=norm)
    params = draw_like(abstract_params(net))
    inputs: Any = arguments(net)
    run = jax.jit(lambda params, *inputs: net.apply({"params": params}, *inputs))
    before, state = run(params, *inputs)
    biased = {jax.tree_util.keystr(p) for p, _ in jax.tree.leaves_with_path(params)}
    biased = {path for path in biased if path.endswith("['bias']")}
    assert len(biased) == (11 if norm == "none" else 2)
    for path in biased:
        moved = jax.tree_util.tree_map_with_path(
            lambda p, x, path=path: x + 0.5 * (jax.tree_util.keystr(p) == path), params
        )
        assert float(jnp.abs(run(moved, *inputs)[0] - before).max()) > 1e-3, path
    for i, frame in enumerate(inputs[:4]):
        other = (*inputs[:i], jnp.flip(frame, 1), *inputs[i + 1 :])
        assert float(jnp.abs(run(params, *other)[0] - before).max()) > 1e-3, i
    for i in range(2):
        held = (*inputs[4][:i], inputs[4][i] + 1, *inputs[4][i + 1 :])
        after, changed = run(params, *inputs[:4], held)
        assert float(jnp.abs(after - before).max()) > 1e-3
        # A cell that has something to remember is larger.
        assert i == 0 or float((changed[1] - state[1]).min()) > 0


def test_only_a_norm_forgets_the_contrast_of_a_layer():
    for norm, steady in (("none", False), ("instance", True)):
        net = TransformNet(features=2, blocks=0, norm=norm, use_bias=False)
        params = draw_like(abstract_params(net))
        louder = params | {"down": jax.tree.map(lambda x: 3 * x, params["down"])}
        run = jax.jit(net.apply)
        outputs = [run({"params": p}, *arguments(net))[0] for p in (params, louder)]
        assert (float(jnp.abs(outputs[0] - outputs[1]).max()) < 1e-3) == steady


def test_clips_do_not_see_each_other():
    for norm in ("none", "instance"):
        net = TransformNet(features=2, blocks=1, norm=norm)
        params = draw_like(abstract_params(net))
        together = arguments(net, clips=2)
        run = jax.jit(net.apply)
        both = run({"params": params}, *together)
        alone = run({"params": params}, *jax.tree.map(lambda x: x[1:], together))
        for a, b in zip(jax.tree.leaves(both), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[1:], b, atol=1e-5)


def test_starts_as_torch_does():
    net = TransformNet(features=8, blocks=1)
    params = jax.jit(net.init)(jax.random.key(0), *arguments(net))["params"]
    for kernel in (params["stem_original"]["kernel"], params["lstm"]["gates"]["kernel"]):
        bound = 1 / np.sqrt(np.prod(kernel.shape[:3]))
        assert 0.98 * bound < float(jnp.abs(kernel).max()) <= bound
        assert float(kernel.std()) == pytest.approx(bound / np.sqrt(3), rel=0.05)
    assert not params["head"]["bias"].any()


def test_bfloat16_is_only_the_convolutions():
    """The LSTM's memory and the output stay float32."""
    wide = TransformNet(features=2, blocks=1)
    narrow = wide.clone(dtype=jnp.bfloat16)
    params = draw_like(abstract_params(narrow))
    assert {leaf.dtype for leaf in jax.tree.leaves(abstract_params(narrow))} == {
        jnp.dtype("float32")
    }
    exact, made = (jax.jit(n.apply)({"params": params}, *arguments(n)) for n in (wide, narrow))
    for a, b in zip(jax.tree.leaves(exact), jax.tree.leaves(made), strict=True):
        assert b.dtype == jnp.float32
        assert 1e-5 < float(jnp.linalg.norm(a - b) / jnp.linalg.norm(a)) < 0.1


def test_what_it_refuses():
    with pytest.raises(ValueError, match=r"divisible by 4, got \(18, 24\)"):
        abstract_params(TransformNet(features=2), (18, 24))
    with pytest.raises(ValueError, match="norm 'batch' is none of none, instance"):
        abstract_params(TransformNet(features=2, norm="batch"))


@pytest.mark.parametrize("size", [(10, 12), (9, 11)])
def test_reflect_convolution_with_a_stride(size):
    """Its output is cropped out of a wider one, which must leave no trace of the zeros around."""
    x, kernel = draw(1, *size, 3), draw(3, 3, 3, 2, seed=1)
    net = Conv(2, 3, stride=2, reflect=True)
    ours = net.apply({"params": {"kernel": kernel}}, x)
    theirs = jax.lax.conv_general_dilated(
        reflect_pad(x, 1), kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    assert theirs.shape[1:3] == tuple((side + 1) // 2 for side in size)
    np.testing.assert_allclose(jnp.asarray(ours), theirs, atol=1e-5)
