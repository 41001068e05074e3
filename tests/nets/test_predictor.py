"""Recycle-GAN's predictor: parity at full size, every size of frame, and its up-convolution."""

from __future__ import annotations

import golden_recipe as golden
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods.tiny_recurrent import draw_like

from v2v_jax.nets.predictor import Predictor, _UpConv
from v2v_jax.weights import from_torch


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def abstract_params(net, size):
    frame = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
    return jax.eval_shape(net.init, jax.random.key(0), frame, frame)["params"]


def count(tree):
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def test_published_network_at_full_size():
    arrays, about = golden.load("recyclegan_predictor_unet128")
    params = from_torch("recyclegan_predictor", golden.state_dict(about))
    frames = jnp.asarray(arrays["in|wd128_u8"], jnp.float32) / 127.5 - 1
    # Not told its depth, it takes the one of the network published for this size.
    net = Predictor()
    initial = abstract_params(net, frames.shape[1:3])
    assert jax.tree.map(jnp.shape, initial) == jax.tree.map(jnp.shape, params)
    output = jax.jit(net.apply)({"params": params}, frames[:1], frames[1:])
    tolerance = min(1e-5, about["tolerance"]["unet_128_wd128"]["rel_l2"])
    assert golden.distance(golden.nchw(output), arrays["out|unet_128_wd128"]) <= tolerance


@pytest.mark.parametrize(
    ("depth", "published", "dead"), [(8, 54_412_675, 4_928), (7, 41_828_739, 3_904)]
)
def test_parameter_counts(depth, published, dead):
    """What is missing are the biases in front of an instance norm, which cancel."""
    params = abstract_params(Predictor(depth=depth), (256, 512))
    assert count(params) == published - dead
    alive = {layer for layer, values in params.items() if "bias" in values}
    assert alive == {"down_0", f"down_{depth - 1}", "up_0"}


@pytest.mark.parametrize(
    ("size", "depth"),
    [
        ((256, 512), 8),
        ((512, 512), 8),
        ((128, 256), 7),
        ((64, 128), 6),
        ((32, 64), 5),
        ((36, 20), 4),
        ((5, 3), 1),
        ((1, 1), 1),
    ],
)
def test_depth_follows_from_the_frame(size, depth):
    net = Predictor(features=2)
    params = abstract_params(net, size)
    assert {name for name in params if name.startswith("down")} == {
        f"down_{i}" for i in range(depth)
    }
    frame = jax.ShapeDtypeStruct((2, *size, 3), jnp.float32)
    shape = jax.eval_shape(lambda p, x: net.apply({"params": p}, x, x), params, frame)
    assert (shape.shape, shape.dtype) == (frame.shape, frame.dtype)


def test_sizes_that_do_not_divide_are_padded_with_their_border():
    net = Predictor(features=2, depth=None)
    size = (20, 36)
    params = draw_like(abstract_params(net, size))
    frames = [draw(1, *size, 3, seed=i) for i in range(2)]
    wide = [jnp.pad(x, ((0, 0), (0, 12), (0, 12), (0, 0)), mode="edge") for x in frames]
    ours = jax.jit(net.apply)({"params": params}, *frames)
    theirs = jax.jit(Predictor(features=2, depth=4).apply)({"params": params}, *wide)
    np.testing.assert_allclose(ours, theirs[:, :20, :36], atol=1e-6)


def test_a_given_depth_refuses_other_sizes():
    with pytest.raises(ValueError, match=r"divisible by 2\^depth = 128, got \(128, 192\)"):
        abstract_params(Predictor(depth=7), (128, 192))


def test_every_bias_and_both_frames_count():
    net = Predictor(features=2)
    frames = [draw(1, 16, 32, 3, seed=i) for i in range(2)]
    params = draw_like(abstract_params(net, (16, 32)))
    run = jax.jit(lambda params, *frames: net.apply({"params": params}, *frames))
    before = run(params, *frames)
    assert 0.05 < float(jnp.abs(before).max()) <= 1
    for layer, values in params.items():
        if "bias" in values:
            moved = params | {layer: values | {"bias": values["bias"] + 0.5}}
            assert float(jnp.abs(run(moved, *frames) - before).max()) > 1e-2, layer
    assert float(jnp.abs(run(params, *frames[::-1]) - before).max()) > 1e-2


def test_bfloat16_is_only_the_convolutions():
    wide, narrow = Predictor(features=2), Predictor(features=2, dtype=jnp.bfloat16)
    frames = [draw(1, 16, 32, 3, seed=i) for i in range(2)]
    kept = abstract_params(narrow, (16, 32))
    assert {leaf.dtype for leaf in jax.tree.leaves(kept)} == {jnp.dtype("float32")}
    params = draw_like(kept)
    exact, output = (jax.jit(net.apply)({"params": params}, *frames) for net in (wide, narrow))
    assert output.dtype == jnp.float32
    assert 1e-4 < float(jnp.linalg.norm(output - exact) / jnp.linalg.norm(exact)) < 0.1


def test_upconv_is_the_dilated_convolution():
    """The zero-interleaved input that torch's ConvTranspose2d is defined on, and its gradients."""
    x, kernel = draw(2, 5, 7, 3), draw(4, 4, 3, 5, seed=1)

    def dilated(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), ((2, 2), (2, 2)), lhs_dilation=(2, 2),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip

    def phased(x, kernel):
        return jnp.asarray(_UpConv(5).apply({"params": {"kernel": kernel}}, x))

    ours, pull_back = jax.vjp(phased, x, kernel)
    theirs, pull_back_theirs = jax.vjp(dilated, x, kernel)
    assert ours.shape == (2, 10, 14, 5)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    cotangent = draw(*ours.shape, seed=2)
    for ours, theirs in zip(pull_back(cotangent), pull_back_theirs(cotangent), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
