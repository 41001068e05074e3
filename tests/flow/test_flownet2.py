from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from v2v_jax.flow import flownet2
from v2v_jax.flow.flownet2 import FlowNet2Flow

SEEN: dict[str, Any] = {}


class Fake:
    """Stands in for the net: remembers what it was given, answers with the parameters."""

    def __init__(self, dtype: Any = None):
        SEEN["dtype"] = dtype

    def apply(self, variables: Any, first: jax.Array, second: jax.Array) -> jax.Array:
        SEEN.update(first=first, second=second)
        SEEN["slope"] = variables["params"]["slope"]
        return jnp.zeros((*first.shape[:3], 2)) + SEEN["slope"][None, None, None] + first[..., :2]


@pytest.fixture
def fake(monkeypatch):
    SEEN.clear()
    monkeypatch.setattr(flownet2, "FlowNet2", Fake)
    return {"slope": jnp.array([10.0, 10.0])}


def black(height: int, width: int) -> jax.Array:
    return jnp.full((2, height, width, 3), -1.0)


@pytest.mark.parametrize(
    ("height", "width", "larger"),
    [(64, 128, (64, 128)), (50, 100, (64, 128)), (65, 192, (128, 192)), (1, 1, (64, 64))],
)
def test_flow_is_in_pixels_of_the_given_frames(fake, height, width, larger):
    flow = FlowNet2Flow()(fake, black(height, width), black(height, width))
    assert SEEN["first"].shape == SEEN["second"].shape == (2, *larger, 3)
    assert flow.shape == (2, height, width, 2) and flow.dtype == jnp.float32
    np.testing.assert_allclose(flow[..., 0], 10 * width / larger[1], rtol=1e-6)
    np.testing.assert_allclose(flow[..., 1], 10 * height / larger[0], rtol=1e-6)


def test_current_comes_first_and_in_bytes(fake):
    FlowNet2Flow()(fake, black(64, 64), -black(64, 64))
    np.testing.assert_array_equal(SEEN["first"], 0)
    np.testing.assert_array_equal(SEEN["second"], 255)


def test_a_ramp_stays_in_place_when_the_frames_are_enlarged(fake):
    # Half-pixel centres: the enlarged ramp, brought back, is the ramp it was but for the borders.
    ramp = jnp.broadcast_to(jnp.linspace(-1, 1, 96)[None, None, :, None], (1, 40, 96, 3))
    flow = FlowNet2Flow()(fake, ramp, ramp)
    expected = (10 + (ramp[..., 0] + 1) * 127.5) * (96 / 128)
    np.testing.assert_allclose(flow[:, :, 2:-2, 0], expected[:, :, 2:-2], rtol=1e-4)


def test_no_gradient_passes(fake):
    def total(params: Any, x: jax.Array) -> jax.Array:
        return FlowNet2Flow()(params, x, x).sum()

    for gradient in jax.tree.leaves(jax.grad(total, (0, 1))(fake, black(50, 64))):
        np.testing.assert_array_equal(gradient, 0)


def test_dtype_reaches_the_net(fake):
    FlowNet2Flow(jnp.bfloat16)(fake, black(64, 64), black(64, 64))
    assert SEEN["dtype"] == jnp.bfloat16
    assert hash(FlowNet2Flow()) != hash(FlowNet2Flow(jnp.bfloat16)), "jit takes it as static"
