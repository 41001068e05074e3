"""Every stage against NVIDIA's implementation in float64 (../shared/goldens)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import flownet2_weights
import golden_recipe
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flownet2_port import (
    FlowNet2,
    FlowNetC,
    FlowNetFusion,
    FlowNetS,
    FlowNetSD,
    channel_norm,
    correlate,
    resample,
)
from flownet2_port.layers import Deconv, conv
from flownet2_port.resampling import enlarge, normalise_pair
from golden_recipe import distance, nchw, nhwc

from v2v_jax.flow.flownet2 import FlowNet2Flow

GATE, BFLOAT16_GATE = 1e-5, 3e-2
NETS = {
    "flownetc": (FlowNetC, "flownetc", (2, 3, 4, 5, 6)),
    "flownets_1": (FlowNetS, "flownets", (2, 3, 4, 5, 6)),
    "flownets_2": (FlowNetS, "flownets", (2, 3, 4, 5, 6)),
    "flownets_d": (FlowNetSD, "flownets_d", (2, 3, 4, 5, 6)),
    "flownetfusion": (FlowNetFusion, "flownetfusion", (0, 1, 2)),
}


@pytest.fixture(scope="module")
def params(shared):
    return flownet2_weights.params(shared)


@pytest.fixture(scope="module")
def golden():
    return golden_recipe.load("flownet2")[0]


@pytest.fixture(scope="module")
def ops():
    return golden_recipe.load("flownet2_ops")[0]


def frames(golden: dict[str, np.ndarray]) -> tuple[jax.Array, jax.Array]:
    first, second = jnp.asarray(golden["in|tex_a_64x128"], jnp.float32)[:, None]
    return first, second


def test_flow_and_every_net_in_the_stack(params, golden):
    @jax.jit
    def run(params: Any, first: jax.Array, second: jax.Array) -> Any:
        # What the nets return is caught, not computed again.
        caught = lambda module, _: type(module).__name__.startswith("FlowNet")  # noqa: E731
        variables = {"params": params}
        return FlowNet2().apply(variables, first, second, capture_intermediates=caught)

    flow, state = run(params, *frames(golden))
    assert flow.shape == (1, 64, 128, 2) and flow.dtype == jnp.float32
    assert distance(nchw(flow), golden["out|tex_a_64x128|flow"]) < GATE
    for name in ("flownetc", "flownets_1", "flownets_2", "flownets_d"):
        truth = golden[f"out|tex_a_64x128|{name.replace('s_', 's')}_flow2"]
        value = state["intermediates"][name]["__call__"][0]
        assert distance(nchw(value), truth) < GATE, name


@pytest.mark.parametrize("name", NETS)
def test_each_net_alone(params, golden, name):
    net, given, scales = NETS[name]
    x = nhwc(golden[f"sub_in|{given}_64x128"])
    run = jax.jit(lambda p, x: net().apply({"params": p}, x, every_scale=True))
    for scale, value in zip(scales, run(params[name], x), strict=True):
        truth = golden[f"sub_out|{name}|64x128|flow{scale}"]
        assert distance(nchw(value), truth) < GATE, scale


@pytest.mark.slow
def test_bfloat16(params, golden):
    net = FlowNet2(jnp.bfloat16)
    flow = jax.jit(lambda p, a, b: net.apply({"params": p}, a, b))(params, *frames(golden))
    assert flow.dtype == jnp.float32
    error = distance(nchw(flow), golden["out|tex_a_64x128|flow"])
    assert GATE < error < BFLOAT16_GATE, "below GATE it would not have run in bfloat16"


@pytest.mark.slow
def test_the_adapter_at_a_size_the_net_takes(params, golden):
    current, previous = ((x / 127.5 - 1) for x in frames(golden))
    flow = jax.jit(FlowNet2Flow())(params, current, previous)
    assert distance(nchw(flow), golden["out|tex_a_64x128|flow"]) < GATE


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
def test_gradients_are_finite_where_nothing_moves(params, golden, dtype):
    frame = frames(golden)[0]

    @jax.jit
    def slope(params: Any, first: jax.Array, second: jax.Array) -> jax.Array:
        def total(x: jax.Array) -> jax.Array:
            flow: Any = FlowNet2(dtype).apply({"params": params}, x, second)
            return flow.sum()

        return jax.grad(total)(first)

    for second in (frame, jnp.zeros_like(frame)):
        gradient = slope(params, frame, second)
        assert jnp.isfinite(gradient).all() and jnp.abs(gradient).max() > 0


@pytest.mark.slow
def test_work_and_memory_at_the_papers_size():
    net, x = FlowNet2(), jax.ShapeDtypeStruct((1, 256, 512, 3), jnp.float32)
    params = jax.eval_shape(net.init, jax.random.key(0), x, x)["params"]
    run = jax.jit(lambda p, a, b: net.apply({"params": p}, a, b))
    program: Any = run.lower(params, x, x).compile()
    assert program.cost_analysis()["flops"] < 1.05 * 132.6e9
    assert program.memory_analysis().temp_size_in_bytes < 1.5e9


def test_normalisation(golden):
    value = normalise_pair(*frames(golden))
    assert distance(nchw(value), golden["out|tex_a_64x128|x"]) < GATE


@pytest.mark.parametrize("case", ["c256", "c32"])
def test_correlation(ops, case):
    a, b = (jnp.asarray(nhwc(ops[f"corr_{case}_{name}"])) for name in "ab")
    assert distance(nchw(correlate(a, b)), ops[f"corr_{case}_out_f64"]) < GATE


@pytest.mark.parametrize("case", ["zero", "sub", "int", "far", "huge", "edge"])
def test_resampling(ops, case):
    names = ("resample_image", f"resample_flow_{case}")
    image, flow = (jnp.asarray(nhwc(ops[name])) for name in names)
    assert distance(nchw(resample(image, flow)), ops[f"resample_out_{case}_f64"]) < GATE


@pytest.mark.parametrize("channels", [2, 3])
def test_channel_norm(ops, channels):
    value = channel_norm(jnp.asarray(nhwc(ops[f"cnorm{channels}_x"])))
    assert distance(nchw(value), ops[f"cnorm{channels}_out_f64"]) < GATE


@pytest.mark.parametrize(("method", "case"), [("linear", "bilinear"), ("nearest", "nearest")])
def test_enlargement(ops, method, case):
    value = enlarge(jnp.asarray(nhwc(ops["up_x"])), method)
    assert distance(nchw(value), ops[f"up_{case}4_out_f64"]) < GATE


class OneConv(nn.Module):
    features: int
    kernel: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return conv(x, "conv", self.features, self.kernel, 2)


@pytest.mark.parametrize("size", ["20x28", "21x27"])
@pytest.mark.parametrize(
    ("name", "kernel"), [("flownetc.conv1", 7), ("flownetc.conv2", 5), ("flownetfusion.conv1", 3)]
)
def test_strided_convolution_at_even_and_odd_sizes(params, ops, name, kernel, size):
    net, layer = name.split(".")
    weights = params[net][layer]
    x = nhwc(ops[f"conv|{name}|{size}|x"])
    value = OneConv(weights["bias"].size, kernel).apply({"params": {"conv": weights}}, x)
    assert distance(nchw(value), ops[f"conv|{name}|{size}|preact_f64"]) < GATE


@pytest.mark.parametrize(
    "name",
    [
        "flownetfusion.deconv0",
        "flownetfusion.upsampled_flow2_to_1",
        "flownets_1.upsampled_flow6_to_5",
    ],
)
def test_transposed_convolution(params, ops, name):
    net, layer = name.split(".")
    weights = params[net][layer]
    module = Deconv(weights["kernel"].shape[-1], use_bias="bias" in weights)
    value = module.apply({"params": weights}, nhwc(ops[f"deconv|{name}|x"]))
    assert distance(nchw(value), ops[f"deconv|{name}|preact_f64"]) < GATE
