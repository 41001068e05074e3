"""The networks against the published implementations: outputs, gradients, parameter counts."""

from __future__ import annotations

import contextlib
import functools

import golden_recipe as golden
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from v2v_jax.nets.discriminator import PatchDiscriminator
from v2v_jax.nets.fusion import Fusion
from v2v_jax.nets.generator import ResnetGenerator
from v2v_jax.nets.vgg import Vgg
from v2v_jax.ops.warp import backward_warp
from v2v_jax.weights import from_torch

OUTPUT_TOLERANCE = 1e-5


@pytest.mark.parametrize(
    ("name", "kind", "net", "parameters"),
    [
        ("cyclegan_resnet6", "cyclegan_generator", ResnetGenerator(), 7_833_987),
        ("cyclegan_patchgan70", "patchgan", PatchDiscriminator(), 2_763_841),
    ],
)
def test_published_network_at_full_size(name, kind, net, parameters):
    arrays, about = golden.load(name)
    params = from_torch(kind, golden.state_dict(about))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == parameters
    frames = jnp.asarray(arrays["in|img_256x256_u8"], jnp.float32) / 127.5 - 1
    initial = jax.eval_shape(net.init, jax.random.key(0), frames)["params"]
    assert jax.tree.map(jnp.shape, initial) == jax.tree.map(jnp.shape, params)
    output = jax.jit(net.apply)({"params": params}, frames)
    tolerance = min(OUTPUT_TOLERANCE, about["tolerance"]["out_256x256"]["rel_l2"])
    assert golden.distance(golden.nchw(output), arrays["out|out_256x256"]) <= tolerance


@pytest.mark.parametrize("normalise", [False, True])
def test_vgg16_conv5_3(normalise):
    arrays, about = golden.load("vgg16")
    params = from_torch("vgg16", golden.state_dict(about))
    frames = jnp.asarray(arrays["in|x_u8"], jnp.float32) / 127.5 - 1
    features = jax.jit(Vgg(tap="conv5_3", normalise=normalise).apply)({"params": params}, frames)
    name = "in_conv5_3_x" if normalise else "conv5_3_x"
    tolerance = min(OUTPUT_TOLERANCE, about["tolerance"][name]["rel_l2"])
    assert golden.distance(golden.nchw(features), arrays[f"out|{name}"]) <= tolerance


@pytest.mark.parametrize("signed", [False, True], ids=["abs", "signed"])
@pytest.mark.parametrize("copy", [False, True], ids=["shared", "copy"])
def test_fusion_mask(signed, copy):
    arrays, about = golden.load("paper_terms", copy=copy)
    params = from_torch("fusion", golden.state_dict(about["nets"]["fusion_k3_c32"]))
    translated = jnp.asarray(arrays["in|translated_u8"], jnp.float32) / 127.5 - 1
    warped, _ = backward_warp(translated[:-1], jnp.asarray(arrays["in|bw_flow"]))
    raw = translated[1:]
    mask = jax.jit(Fusion(signed=signed).apply)({"params": params}, raw, warped)
    name = f"out|fusion_k3_c32_{'signed' if signed else 'abs'}"
    if copy:
        truth = arrays[f"{name}_mask_every_4th"]
        assert golden.distance(golden.nchw(mask[:, ::4, ::4]), truth) <= OUTPUT_TOLERANCE
        return
    output = mask * warped + (1 - mask) * raw
    assert golden.distance(golden.nchw(mask), arrays[f"{name}_mask"]) <= OUTPUT_TOLERANCE
    assert golden.distance(golden.nchw(output), arrays[f"{name}_out"]) <= OUTPUT_TOLERANCE


# The stored float32 truth is itself 3e-8 off; in float32 a ReLU's kink can go the other way.
@pytest.mark.parametrize(("wide", "tolerance"), [(True, 1e-7), (False, 5e-3)], ids=["f64", "f32"])
@pytest.mark.parametrize(
    ("kind", "net", "shape"),
    [
        ("cyclegan_generator", ResnetGenerator(features=4, blocks=2), (1, 3, 32, 48)),
        ("patchgan", PatchDiscriminator(features=3), (1, 3, 64, 48)),
    ],
)
def test_gradients(kind, net, shape, wide, tolerance):
    with np.load(golden.COPIES / "gradients.npz") as arrays:
        truth = {k.partition("|")[2]: v for k, v in arrays.items() if k.startswith(f"{kind}|")}
    output_truth, x_truth = truth.pop("output"), truth.pop("x")
    state = {key: golden.tensor(f"{kind}.{key}", value.shape, 1.0) for key, value in truth.items()}
    drawn = [golden.tensor(f"{kind}.{n}", s, 1.0) for n, s in _inputs(shape, output_truth)]
    with jax.enable_x64(True) if wide else contextlib.nullcontext():
        dtype = jnp.float64 if wide else jnp.float32
        params, x, cotangent = jax.tree.map(
            lambda a: jnp.asarray(a, dtype), (from_torch(kind, state), *map(golden.nhwc, drawn))
        )
        output, params_grad, x_grad = _pull_back(net, params, x, cotangent)
    assert output.dtype == dtype
    assert golden.distance(golden.nchw(output), output_truth) <= min(tolerance, OUTPUT_TOLERANCE)
    assert golden.distance(golden.nchw(x_grad), x_truth) <= tolerance
    # A gradient moves from torch's layout to ours exactly as its weight does.
    expected = from_torch(kind, truth)
    for (path, ours), theirs in zip(
        jax.tree.leaves_with_path(params_grad), jax.tree.leaves(expected), strict=True
    ):
        assert golden.distance(ours, theirs) <= tolerance, jax.tree_util.keystr(path)


@functools.partial(jax.jit, static_argnums=0)
def _pull_back(net, params, x, cotangent):
    output, pull_back = jax.vjp(lambda p, x: net.apply({"params": p}, x), params, x)
    return output, *pull_back(cotangent)


def _inputs(shape, output_truth):
    return ("x", shape), ("cotangent", output_truth.shape)
