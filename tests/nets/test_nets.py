"""What the networks promise besides parity with published ones (test_parity)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from methods.tiny_recurrent import draw_like

from v2v_jax.nets import blocks, discriminator, generator
from v2v_jax.nets.blocks import Conv, UpConv, even_init, instance_norm, reflect_pad
from v2v_jax.nets.discriminator import PatchDiscriminator
from v2v_jax.nets.fusion import Fusion
from v2v_jax.nets.generator import ResnetGenerator
from v2v_jax.nets.vgg import VGG16, Vgg

SMALL = {
    "generator": ResnetGenerator(features=4, blocks=1),
    "discriminator": PatchDiscriminator(features=4, layers=2),
    "fusion": Fusion(features=4),
    "vgg": Vgg(tap="relu2_2", features=4),
}


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def arguments(net, height=16, width=32):
    """One or, for the fusion block, two frames."""
    frames = [draw(1, height, width, 3, seed=i) for i in range(2)]
    return frames if isinstance(net, Fusion) else frames[:1]


def apply(net: Any, params, *images) -> Any:
    return net.apply({"params": params}, *images)


def abstract_params(net, *images):
    return jax.eval_shape(net.init, jax.random.key(0), *images)["params"]


def lively(net):
    """The network as a jitted function of drawn parameters, those parameters, and its frames."""
    images = arguments(net)
    params = draw_like(abstract_params(net, *images))
    return jax.jit(lambda params: net.apply({"params": params}, *images)), params


@pytest.mark.parametrize(
    ("net", "size"),
    [
        (ResnetGenerator(), 7_833_987),
        (PatchDiscriminator(), 2_763_841),
        (Fusion(), 10_369),
        # torchvision's VGG-16 up to conv5_3.
        (Vgg(), 14_714_688),
    ],
    ids=lambda value: type(value).__name__,
)
def test_parameter_counts(net, size):
    images = [jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)] * (1 + isinstance(net, Fusion))
    params = abstract_params(net, *images)
    assert sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params)) == size
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("name", "where"),
    [("generator", {"head"}), ("discriminator", {"conv_0", "head"}), ("fusion", {"head"})],
)
def test_every_bias_counts(name, where):
    """A bias in front of an instance norm would cancel."""
    apply, params = lively(SMALL[name])
    assert {layer for layer, values in params.items() if "bias" in values} == where
    before = apply(params)
    for layer in where:
        moved = params | {layer: params[layer] | {"bias": params[layer]["bias"] + 0.5}}
        assert float(jnp.abs(apply(moved) - before).max()) > 1e-2, layer


def test_biases_and_kernels_start_as_cyclegan_does():
    net = ResnetGenerator(features=16, blocks=1)
    params = jax.jit(net.init)(jax.random.key(0), *arguments(net))["params"]
    assert not params["head"]["bias"].any()
    for kernel in (params["block_0"]["conv_0"]["kernel"], params["up_0"]["kernel"]):
        assert float(kernel.std()) == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("size", [(18, 32), (16, 30), (17, 33)])
def test_generator_refuses_sizes_that_it_would_not_return(size):
    with pytest.raises(ValueError, match="divisible by 4"):
        abstract_params(SMALL["generator"], *arguments(SMALL["generator"], *size))


@pytest.mark.parametrize("size", [(16, 32), (20, 44)])
def test_generator_keeps_the_size(size):
    net = SMALL["generator"]
    images = arguments(net, *size)
    shape = jax.eval_shape(lambda: net.init_with_output(jax.random.key(0), *images)[0])
    assert shape.shape == (1, *size, 3)


def test_generator_output_is_an_image():
    apply, params = lively(SMALL["generator"])
    output = apply(jax.tree.map(lambda x: 3 * x, params))
    assert 0.9 < float(jnp.abs(output).max()) <= 1


@pytest.mark.parametrize(("layers", "field"), [(3, 70), (2, 34), (1, 16)])
def test_receptive_field_of_a_patch(layers, field, monkeypatch):
    """Of the convolutions: an instance norm's statistics see the whole frame."""
    monkeypatch.setattr(discriminator, "instance_norm", lambda x: x)
    net = PatchDiscriminator(features=2, layers=layers)
    frame = draw(1, 112, 128, 3)
    params = draw_like(abstract_params(net, frame))

    @jax.grad
    def patch(frame):
        logits = apply(net, params, frame)
        return logits[0, logits.shape[1] // 2, logits.shape[2] // 2, 0]

    rows, columns = np.nonzero(np.any(np.asarray(jax.jit(patch)(frame)[0]) != 0, axis=-1))
    assert rows.max() - rows.min() + 1 == field
    assert columns.max() - columns.min() + 1 == field


def test_patch_logits_of_the_paper_size():
    net, frame = PatchDiscriminator(), jax.ShapeDtypeStruct((2, 256, 512, 3), jnp.float32)
    logits = jax.eval_shape(lambda x: net.init_with_output(jax.random.key(0), x)[0], frame)
    assert (logits.shape, logits.dtype) == ((2, 30, 62, 1), jnp.float32)


def test_fusion_mask_is_a_probability_of_the_difference():
    net, (raw, warped) = SMALL["fusion"], arguments(SMALL["fusion"])
    params = draw_like(abstract_params(net, raw, warped), gain=4.0)
    mask = jax.jit(net.apply)({"params": params}, raw, warped)
    assert mask.shape == (1, 16, 32, 1)
    assert 0 <= float(mask.min()) < 0.2 and 0.8 < float(mask.max()) <= 1
    # Eq. 2's text: the absolute difference.
    np.testing.assert_allclose(jax.jit(net.apply)({"params": params}, warped, raw), mask, atol=1e-5)
    signed = jax.jit(Fusion(features=4, signed=True).apply)
    there, back = (signed({"params": params}, *x) for x in ((raw, warped), (warped, raw)))
    assert float(jnp.abs(there - back).max()) > 0.1


def test_fusion_starts_where_it_is_told():
    net = Fusion(features=8, bias_init=-3.0)
    images = arguments(net)
    mask, _ = jax.jit(net.init_with_output)(jax.random.key(0), *images)
    assert float(mask.mean()) == pytest.approx(float(jax.nn.sigmoid(-3.0)), rel=0.1)


def vgg_params(tap, **options):
    return abstract_params(Vgg(tap=tap, **options), jax.ShapeDtypeStruct((1, 32, 64, 3), float))


def test_vgg_computes_nothing_beyond_its_tap():
    names = [f"conv{s}_{i}" for s, count in enumerate(VGG16, 1) for i in range(1, count + 1)]
    assert len(names) == 13
    for kind in ("conv", "relu"):
        for last, name in enumerate(names):
            made = vgg_params(name.replace("conv", kind), features=2)
            assert list(made) == names[: last + 1]


def test_vgg_taps_follow_one_another():
    images = arguments(SMALL["vgg"])
    params = draw_like(vgg_params("relu2_1", features=4))

    def at(tap, **options):
        net = Vgg(tap=tap, features=4, **options)
        return jax.jit(net.apply)({"params": params}, *images)

    before, after = at("conv2_1"), at("relu2_1")
    assert before.shape == (1, 8, 16, 8)
    assert float(before.min()) < 0
    np.testing.assert_allclose(after, jax.nn.relu(before), atol=1e-6)
    washed = at("relu2_1", normalise=True)
    np.testing.assert_allclose(washed, instance_norm(after), atol=1e-5)
    # Without style: brightness and contrast of the map are gone.
    np.testing.assert_allclose(washed.mean((1, 2)), 0, atol=1e-5)


def test_vgg_shape_at_its_default_tap():
    frame = jax.ShapeDtypeStruct((1, 256, 512, 3), jnp.float32)
    features = jax.eval_shape(lambda x: Vgg().init_with_output(jax.random.key(0), x)[0], frame)
    assert features.shape == (1, 16, 32, 512)


@pytest.mark.parametrize("tap", ["relu6_1", "relu5_4", "pool3", "relu1_0", ""])
def test_vgg_names_an_unknown_tap(tap):
    with pytest.raises(ValueError, match=f"no tap '{tap}'; conv/relu1_1 .. 5_3 exist"):
        vgg_params(tap, features=2)


@pytest.mark.parametrize("name", SMALL)
def test_bfloat16_is_only_the_convolutions(name):
    """Parameters and outputs stay float32; the result is near the float32 network's, not equal."""
    narrow = SMALL[name].clone(dtype=jnp.bfloat16)
    images = arguments(narrow)
    kept = abstract_params(narrow, *images)
    assert {leaf.dtype for leaf in jax.tree.leaves(kept)} == {jnp.dtype("float32")}
    apply, params = lively(SMALL[name])
    wide, output = apply(params), lively(narrow)[0](params)
    assert output.dtype == wide.dtype == jnp.float32
    distance = float(jnp.linalg.norm(output - wide) / jnp.linalg.norm(wide))
    assert 1e-4 < distance < 0.1


def test_instance_norm_survives_a_large_mean():
    """Mean 1000 times the deviation: E[x^2] - E[x]^2 would keep no digit."""
    rng = np.random.default_rng(0)
    x = rng.normal(1000, [1.0, 2.0], (2, 32, 64, 2)).astype(np.float32)
    exact = x.astype(np.float64)
    exact -= exact.mean((1, 2), keepdims=True)
    exact /= np.sqrt((exact**2).mean((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(instance_norm(jnp.asarray(x)), exact, atol=1e-3)


def test_instance_norm_is_per_sample_and_channel():
    x = draw(2, 8, 16, 3) * jnp.array([1.0, 5.0, 0.1]).reshape(1, 1, 1, 3) + jnp.arange(
        6.0
    ).reshape(2, 1, 1, 3)
    y = instance_norm(x)
    np.testing.assert_allclose(y.mean((1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(y.std((1, 2))[:, :2], 1, rtol=1e-4)
    np.testing.assert_allclose(instance_norm(x[1:]), y[1:], atol=1e-6)
    assert not instance_norm(jnp.full((1, 4, 4, 1), 7.0)).any()
    narrow = instance_norm(x.astype(jnp.bfloat16))
    assert narrow.dtype == jnp.bfloat16
    # The narrow result is the wide one rounded once: the statistics were wide.
    wide = instance_norm(x.astype(jnp.bfloat16).astype(jnp.float32))
    np.testing.assert_array_equal(narrow, wide.astype(jnp.bfloat16))


def test_upconv_is_the_dilated_convolution():
    """The zero-interleaved input that torch's ConvTranspose2d is defined on."""
    x, kernel = draw(2, 5, 7, 3), draw(3, 3, 3, 4, seed=1)

    def dilated(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), ((1, 2), (1, 2)), lhs_dilation=(2, 2),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip

    def phased(x, kernel):
        return apply(UpConv(4), {"kernel": kernel}, x)

    ours, pull_back = jax.vjp(phased, x, kernel)
    theirs, pull_back_theirs = jax.vjp(dilated, x, kernel)
    assert ours.shape == (2, 10, 14, 4)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    cotangent = draw(*ours.shape, seed=2)
    for ours, theirs in zip(pull_back(cotangent), pull_back_theirs(cotangent), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def grids(y):
    """Spread within the blocks of 2x2 pixels inside [1, 2H, 2W, F], over that of all pixels."""
    y = np.asarray(y[0, 2:-2, 2:-2])
    blocks = y.reshape(y.shape[0] // 2, 2, y.shape[1] // 2, 2, -1)
    return float(blocks.std((1, 3)).mean() / max(np.abs(y).max(), 1e-9))


FLAT = jnp.ones((1, 8, 10, 5)) * draw(5, seed=4).reshape(1, 1, 1, 5)


@pytest.mark.parametrize("smooth", [False, True])
def test_even_kernels_draw_no_grid_on_flat_inputs(smooth):
    def drawn(init) -> Any:
        net = UpConv(4, smooth=smooth, kernel_init=init)
        params = net.init(jax.random.key(0), FLAT)["params"]
        return params["kernel"], apply(net, params, FLAT)

    kernel, y = drawn(even_init)
    assert grids(y) < 1e-6
    assert float(jnp.abs(y[0, 4, 4]).min()) > 1e-3, "flat, but not nothing"
    # All that differs from CycleGAN's start is how the taps hang together.
    assert float(even_init(jax.random.key(1), (3, 3, 64, 64)).std()) == pytest.approx(0.02, rel=0.1)
    assert len({round(float(x), 6) for x in kernel[1, 1].ravel()}) == kernel[1, 1].size
    _, y = drawn(jax.nn.initializers.normal(0.02))
    assert (grids(y) < 1e-6) == smooth


@pytest.mark.parametrize("smooth", [False, True])
def test_a_smooth_enlargement_keeps_ramps_whatever_its_kernel(smooth):
    """Second differences of a ramp are 0 but where a grid is drawn."""
    rows, columns = jnp.mgrid[:8, :10]
    ramp = (rows + 2.0 * columns).reshape(1, 8, 10, 1) * FLAT
    y = np.asarray(apply(UpConv(4, smooth=smooth), {"kernel": draw(3, 3, 5, 4)}, ramp))[
        0, 3:-3, 3:-3
    ]
    bends = [float(np.abs(np.diff(y, n=2, axis=axis)).max()) for axis in (0, 1)]
    assert (max(bends) < 1e-4) == smooth


def test_a_smooth_enlargement_is_bilinear_and_a_convolution():
    x, kernel = draw(1, 6, 7, 3), draw(3, 3, 3, 4, seed=1)
    y = apply(UpConv(4, smooth=True), {"kernel": kernel}, x)
    # Every second pixel is one of x, those between are means.
    between = (x + jnp.roll(x, -1, axis=1)) / 2
    tall = jnp.stack([x, between], axis=2).reshape(1, 12, 7, 3)
    between = (tall + jnp.roll(tall, -1, axis=2)) / 2
    wide = jnp.stack([tall, between], axis=3).reshape(1, 12, 14, 3)
    expected = jax.lax.conv_general_dilated(
        wide, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(y[:, 2:-3, 2:-3], expected[:, 2:-3, 2:-3], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "flat"),
    [({}, False), ({"up_init": "even"}, True), ({"upsample": "resize"}, True)],
    ids=str,
)
def test_a_generator_without_a_grid_maps_flat_frames_to_flat_ones(options, flat, monkeypatch):
    """Far from the border, whose mark is left out: instance norm would blow it up."""
    for module in (blocks, generator):
        monkeypatch.setattr(module, "instance_norm", lambda x: x, raising=False)
    net = ResnetGenerator(features=4, blocks=1, **options)
    frame = jnp.full((1, 96, 96, 3), 0.5)
    params = jax.jit(net.init)(jax.random.key(0), frame)["params"]
    params = jax.tree.map(lambda x: 10 * x, params)
    y = np.asarray(jax.jit(net.apply)({"params": params}, frame))[0, 44:52, 44:52]
    assert (np.ptp(y, axis=(0, 1)).max() < 1e-5) == flat
    assert np.abs(y).max() > 1e-3


def test_networks_of_another_enlargement_do_not_fit():
    frames = arguments(SMALL["generator"])
    names = [set(abstract_params(SMALL["generator"].clone(upsample=u), *frames))
             for u in ("transpose", "resize")]  # fmt: skip
    assert names[0] - names[1] == {"up_0", "up_1"}
    assert names[1] - names[0] == {"resize_0", "resize_1"}


@pytest.mark.parametrize("kernel", [3, 7])
def test_reflect_convolution_is_pad_then_convolve(kernel):
    """However it is computed, of the zeros outside no trace is left."""
    x, weights = draw(1, 9, 12, 3), draw(kernel, kernel, 3, 2, seed=1)
    ours = apply(Conv(2, kernel, reflect=True), {"kernel": weights}, x)
    padded = jnp.asarray(np.pad(x, [(0, 0), *[(kernel // 2,) * 2] * 2, (0, 0)], "reflect"))
    np.testing.assert_array_equal(reflect_pad(x, kernel // 2), padded)
    theirs = jax.lax.conv_general_dilated(
        padded, weights, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
