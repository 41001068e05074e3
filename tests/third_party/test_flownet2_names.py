"""Names and shapes of the published checkpoints, without weights: memory that is never touched."""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import flownet2_weights
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flownet2_port import FlowNet2, FlowNetC, FlowNetS, FlowNetSD, networks, params_from_torch
from flownet2_port.flownet2 import stand_alone_flow
from flownet2_port.layers import Deconv
from flownet2_port.torch_names import _NETS, _slots

ALONE = {
    "flownet2_c": (FlowNetC(), 39_175_298),
    "flownet2_s": (FlowNetS(), 38_695_322 - 64 * 6 * 49),
    "flownet2_sd": (FlowNetSD(), 45_371_666),
}


def blank(net: str) -> dict[str, np.ndarray]:
    """A state dict of one zero per tensor, seen at every index."""
    return {key: np.broadcast_to(np.float32(0), slot[0]) for key, slot in _slots(net)}


def shapes(tree: object) -> object:
    return jax.tree.map(lambda x: x.shape, tree)


def test_names_and_shapes_are_those_of_the_published_file(shared):
    assert {key: slot[0] for key, slot in _slots("flownet2")} == {
        key: shape for key, shape, _ in flownet2_weights.listed(shared)
    }


def test_the_whole_stack_fits_its_tree():
    x = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    wanted = jax.eval_shape(FlowNet2().init, jax.random.key(0), x, x)["params"]
    assert sum(x.size for x in jax.tree.leaves(wanted)) == 162_518_834
    leaves = {path for _, path, _ in dict(_slots("flownet2")).values()}
    assert len(leaves) == 220
    assert sum(math.prod(shape) for shape, *_ in dict(_slots("flownet2")).values()) == 162_518_834
    paths = jax.tree_util.tree_flatten_with_path(wanted)[0]
    assert {tuple(key.key for key in path) for path, _ in paths} == leaves


@pytest.mark.parametrize("net", ALONE)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_stand_alone_checkpoints_are_told_from_their_names(net, prefix):
    module, count = ALONE[net]
    params = params_from_torch({prefix + key: value for key, value in blank(net).items()})
    wanted = jax.eval_shape(
        module.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 64, 64, 6), jnp.float32)
    )["params"]
    assert shapes(params) == shapes(wanted)
    leaves = jax.tree.leaves(params)
    assert sum(x.size for x in leaves) == count
    assert all(x.dtype == np.float32 and x.flags.c_contiguous for x in leaves)


def test_every_wrong_key_is_named():
    state = blank("flownet2_c")
    del state["conv3_1.0.bias"], state["conv1.0.weight"]
    state["deconv5.0.weight"] = np.zeros((512, 1024, 4, 4), np.float32)
    state["conv9.bias"] = np.zeros(3, np.float32)
    state["conv2.0.bias"] = np.zeros(128, np.int8)
    with pytest.raises(ValueError) as caught:
        params_from_torch(state)
    for part in (
        "flownet2_c",
        "missing conv1.0.weight, conv3_1.0.bias",
        "unexpected conv9.bias",
        "deconv5.0.weight has shape (512, 1024, 4, 4), expected (1024, 512, 4, 4)",
        "conv2.0.bias holds int8",
    ):
        assert part in str(caught.value), part


def test_a_strangers_file_is_refused():
    with pytest.raises(ValueError, match=r"unexpected layer\.weight"):
        params_from_torch({"layer.weight": np.zeros(1, np.float32)})
    with pytest.raises(ValueError, match="no net 'raft'; there are flownet2, flownet2_c"):
        params_from_torch({}, "raft")
    with pytest.raises(ValueError, match=r"missing flownetc\.conv1\.0\.bias"):
        params_from_torch(blank("flownet2_c"), "flownet2")
    partly = {
        ("module." if "bias" in key else "") + key: x for key, x in blank("flownet2_s").items()
    }
    with pytest.raises(ValueError, match=r"unexpected module\.conv1\.0\.bias"):
        params_from_torch(partly, "flownet2_s")


def test_s_has_no_bias_where_upstream_has_none():
    assert "upsampled_flow6_to_5.bias" not in blank("flownet2_s")
    assert all("upsampled_flow6_to_5.bias" in blank(net) for net in ("flownet2_c", "flownet2_sd"))
    assert set(_NETS) == {"flownet2", *ALONE}


@pytest.mark.parametrize("size", [(96, 128), (64, 160), (60, 128), (0, 64)])
def test_sides_must_be_multiples_of_64(size):
    x = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
    with pytest.raises(ValueError, match=f"multiples of 64, got {size[0]}x{size[1]}"):
        jax.eval_shape(FlowNet2().init, jax.random.key(0), x, x)


def test_wrong_channels_and_pairs_are_said():
    key, frame = jax.random.key(0), jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    for other, message in (((1, 64, 128, 3), "one shape"), ((2, 64, 64, 3), "one shape")):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(FlowNet2().init, key, frame, jax.ShapeDtypeStruct(other, jnp.float32))
    grey = jax.ShapeDtypeStruct((1, 64, 64, 1), jnp.float32)
    with pytest.raises(ValueError, match=r"FlowNet2: needs \[N, H, W, 3\]"):
        jax.eval_shape(FlowNet2().init, key, grey, grey)
    with pytest.raises(ValueError, match=r"FlowNetS: needs \[N, H, W, 6 or 12\]"):
        jax.eval_shape(FlowNetS().init, key, frame)


class Seen(Exception):
    """What conv3_1 was given."""


def test_conv3_1_sees_the_redirected_features_and_the_activated_correlation(monkeypatch):
    # The goldens cannot tell: products of activated features are hardly ever negative on average.
    monkeypatch.setattr(networks, "correlate", lambda a, b: jnp.full((*a.shape[:3], 441), -1.0))

    def stop(run: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if context.module.name == "conv3_1":
            raise Seen(args[0])
        return run(*args, **kwargs)

    x = jnp.zeros((1, 64, 64, 6))
    with nn.intercept_methods(stop), pytest.raises(Seen) as caught:
        FlowNetC().init(jax.random.key(0), x)
    seen = caught.value.args[0]
    assert seen.shape == (1, 8, 8, 473)
    np.testing.assert_array_equal(seen[..., :32], 0)
    np.testing.assert_allclose(seen[..., 32:], -0.1, rtol=1e-6)


class Constant:
    """A net that answers 0.25 everywhere."""

    def apply(self, variables: object, x: jax.Array) -> jax.Array:
        n, height, width, channels = x.shape
        assert channels == 6
        return jnp.full((n, height // 4, width // 4, 2), 0.25)


def test_alone_a_net_is_multiplied_by_20_and_enlarged():
    net: Any = Constant()
    frame = jnp.zeros((1, 64, 128, 3))
    flow = stand_alone_flow(net, {}, frame, frame)
    assert flow.shape == (1, 64, 128, 2)
    np.testing.assert_allclose(flow, 5, rtol=1e-6)


def test_random_deconvolution_keeps_the_scale():
    x = jax.random.normal(jax.random.key(0), (1, 16, 16, 256))
    net = Deconv(32)
    y = net.apply(net.init(jax.random.key(1), x), x)
    # Twice the variance, which the LeakyReLU that follows halves.
    assert 1.7 < float(jnp.var(jnp.asarray(y)[:, 2:-2, 2:-2])) < 2.3
