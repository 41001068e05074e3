"""Warp and occlusion masks against their float64 definitions."""

from __future__ import annotations

import golden_recipe as golden
import jax
import jax.numpy as jnp
import pytest

from v2v_jax.losses import temporal
from v2v_jax.ops.warp import backward_warp, occlusion_mask

TOLERANCE = 1e-5


@pytest.mark.parametrize("copy", [False, True], ids=["shared", "copy"])
def test_backward_warp_and_its_image_gradient(copy):
    """Sub-pixel, integer, exactly on the border, half outside and 10,000 pixels away."""
    arrays, _ = golden.load("paper_terms", copy=copy)
    image, flow, cotangent = (
        jnp.asarray(golden.nhwc(arrays[f"in|warp_{name}"])) for name in ("im", "flow", "cotangent")
    )
    warped, pull_back = jax.vjp(lambda image: backward_warp(image, flow)[0], image)
    assert golden.distance(golden.nchw(warped), arrays["out|warp_border"]) <= TOLERANCE
    (gradient,) = pull_back(cotangent)
    assert golden.distance(golden.nchw(gradient), arrays["out|warp_border_grad_im"]) <= TOLERANCE


@pytest.mark.parametrize(("squared", "name"), [(False, "occ_unit_norm"), (True, "occ_unit_sqnorm")])
def test_occlusion_mask(squared, name):
    arrays, _ = golden.load("paper_terms")
    source, flow = _clip(arrays, "source")
    warped, visible = backward_warp(source[:-1], flow)
    # The truth knows no frame border.
    mask = occlusion_mask(source[1:], warped, jnp.ones_like(visible), squared=squared)
    assert golden.distance(golden.nchw(mask), arrays[f"out|{name}"]) <= TOLERANCE
    cut = occlusion_mask(source[1:], warped, visible, squared=squared)
    assert jnp.array_equal(cut, mask * visible)
    assert 0 < float(visible.mean()) < 1


def test_temporal_loss():
    arrays, _ = golden.load("paper_terms")
    source, flow = _clip(arrays, "source")
    translated, _ = _clip(arrays, "translated")
    warped, visible = backward_warp(source[:-1], flow)
    mask = occlusion_mask(source[1:], warped, jnp.ones_like(visible))
    carried, _ = backward_warp(translated[:-1], flow)
    loss = temporal(translated[None, 1:], carried[None], mask[None])
    # The truth's images are in [0, 1], ours in [-1, 1].
    assert float(loss) / 2 == pytest.approx(float(arrays["out|ltemp_unit_norm"]), rel=TOLERANCE)


def _clip(arrays, name):
    frames = jnp.asarray(arrays[f"in|{name}_u8"], jnp.float32) / 127.5 - 1
    return frames, jnp.asarray(arrays["in|bw_flow"])
