"""RAFT: parity with princeton-vl and torchvision, sizes, the estimator's conventions."""

from __future__ import annotations

import functools
import re

import cv2
import golden_recipe as golden
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_legacy

from v2v_jax.flow.raft import Raft, RaftFlow
from v2v_jax.flow.raft.correlation import correlation_pyramid, look_up
from v2v_jax.flow.raft.upsampling import upsample_bilinear, upsample_convex
from v2v_jax.weights import KINDS, from_torch

# float32 after 1 and after 12 iterations.
TOLERANCE = {1: 1e-5, 12: 2e-4}


@pytest.fixture(scope="module")
def weights(shared):
    return from_torch("raft_small", torch_legacy.read(shared / "weights" / "raft-small.pth"))


@functools.lru_cache
def recipe_weights(kind: str):
    """Weights that need no file: a pure function of torchvision's names."""
    hint = {"feature_encoder.conv.weight": np.zeros(())}
    state = {}
    for key, slot in KINDS[kind](hint).items():
        if not slot.required:
            continue
        value = golden.tensor(f"{kind}.{key}", slot.shape, 1.4)
        if key.endswith("running_mean"):
            value = value - 1
        if key.endswith("running_var"):
            value = 1 + np.abs(value - 1)
        state[key] = value
    return from_torch(kind, state)


@functools.partial(jax.jit, static_argnums=0)
def apply(net, params, first, second):
    return net.apply({"params": params}, first, second)


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """Smooth noise, float32 [height, width, 3] in 0..255."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), 3))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return np.float32(255) * smooth


def pair(height: int, width: int, right: int, down: int, seed: int = 0):
    """(current, previous): the picture has moved by (right, down) since the previous frame."""
    scene = picture(height + 40, width + 40, seed)
    previous = scene[20 : 20 + height, 20 : 20 + width]
    current = scene[20 - down : 20 - down + height, 20 - right : 20 - right + width]
    return jnp.asarray(current)[None], jnp.asarray(previous)[None]


@pytest.mark.parametrize("iterations", TOLERANCE)
def test_small_with_its_published_weights(weights, iterations):
    arrays, _ = golden.load("raft_small")
    first, second = jnp.asarray(arrays["in|tex_a_128x256"], jnp.float32)[:, None]
    flow = apply(Raft(iterations=iterations), weights, first, second)
    truth = arrays[f"out|tex_a_128x256|iters{iterations}|flow"]
    assert golden.distance(golden.nchw(flow), truth) <= TOLERANCE[iterations]


@pytest.mark.parametrize(
    ("kind", "iterations"), [("raft_small", 1), ("raft_small", 4), ("raft_large", 4)]
)
def test_both_sizes_against_torchvision(kind, iterations):
    """tests/golden/raft.npz: torchvision in float64 on the recipe's weights, a batch of 2."""
    with np.load(golden.COPIES / "raft.npz") as arrays:
        truth = arrays[f"{kind}|{iterations}"]
        coarse = golden.nhwc(arrays["coarse"])
    frames = jnp.asarray(coarse.repeat(4, 1).repeat(4, 2), jnp.float32)
    net = Raft(small=kind == "raft_small", iterations=iterations)
    flow = apply(net, recipe_weights(kind), frames[:2], frames[2:])
    assert golden.distance(golden.nchw(flow)[..., ::4, ::4], truth) <= 1e-5


@pytest.mark.parametrize(("small", "count"), [(True, 990_162), (False, 5_257_536)])
def test_parameters(small, count):
    """All published ones but the dead biases, plus the large net's running statistics."""
    net, frame = Raft(small), jnp.zeros((1, 64, 64, 3))
    initial = jax.eval_shape(net.init, jax.random.key(0), frame, frame)["params"]
    params = recipe_weights("raft_small" if small else "raft_large")
    assert jax.tree.map(jnp.shape, initial) == jax.tree.map(jnp.shape, params)
    # In front of the feature encoder's norms: the stem's, the blocks', two shortcuts'.
    blocks = (32 + 8 + 8, 64 + 16 + 16, 96 + 24 + 24) if small else (128, 192, 256)
    dead = (32 + 64 + 96 if small else 64 + 96 + 128) + 2 * sum(blocks)
    running = sum(
        leaf.size
        for path, leaf in jax.tree.leaves_with_path(params)
        if path[-1].key in ("mean", "variance")
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count - dead + running


def brute_window(image: np.ndarray, x: float, y: float, radius: int) -> np.ndarray:
    """Bilinear samples of [H, W], zero outside, x outermost."""
    columns, rows = np.arange(image.shape[1]), np.arange(image.shape[0])
    steps = np.arange(-radius, radius + 1)
    across = np.maximum(0, 1 - np.abs(x + steps[:, None] - columns))
    down = np.maximum(0, 1 - np.abs(y + steps[:, None] - rows))
    return (across @ image.T @ down.T).ravel()


@pytest.mark.parametrize(("height", "width"), [(9, 16), (8, 8), (3, 5), (1, 1)])
def test_lookup_against_its_definition(height, width):
    """Upstream's form: pool the correlations, then sample; also far outside and on empty levels."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 2, height, width, 6)).astype(np.float32)
    centres = rng.uniform(-4, [width + 3, height + 3], size=(2, height, width, 2))
    centres[0, 0, 0], centres[-1, -1, -1] = (1e8, -1e8), (width + 3.25, height + 1.75)
    centres = centres.astype(np.float32)
    found = jax.jit(lambda a, b, c: look_up(correlation_pyramid(a, b, 3), c, 3))(
        first, second, jnp.asarray(centres)
    )
    assert found.shape == (2, height, width, 4 * 49)
    expected = np.zeros(found.shape)
    for n, i, j in np.ndindex(2, height, width):
        image = np.einsum("yxc,c->yx", second[n].astype(np.float64), first[n, i, j]) / 6**0.5
        for level in range(4):
            x, y = centres[n, i, j] / 2.0**level
            window = brute_window(image, x, y, 3) if image.size else np.zeros(49)
            expected[n, i, j, 49 * level : 49 * (level + 1)] = window
            h, w = (size // 2 for size in image.shape)
            blocks = image[: 2 * h, : 2 * w].reshape(h, 2, w, 2)
            image = blocks.mean((1, 3))
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_upsampling_keeps_constants_and_lines():
    flow = jnp.broadcast_to(jnp.array([1.5, -2.0])[None, None, None], (1, 3, 5, 2))
    constant = np.tile([12.0, -16.0], (1, 24, 40, 1))
    np.testing.assert_allclose(upsample_bilinear(flow), constant, rtol=1e-6)
    ramp = jnp.stack(jnp.meshgrid(jnp.arange(5.0), jnp.arange(3.0)), axis=-1)[None]
    fine = upsample_bilinear(ramp)
    np.testing.assert_allclose(fine[0, 7, :, 0], 8 * np.linspace(0, 4, 40), rtol=1e-5)
    np.testing.assert_allclose(fine[0, :, 7, 1], 8 * np.linspace(0, 2, 24), rtol=1e-5)
    assert upsample_bilinear(flow[:, :1, :1]).shape == (1, 8, 8, 2)
    # Weights that pick the left neighbour (index 3) everywhere but in the last sub-row.
    logits = np.full((1, 3, 5, 9, 8, 8), -1e9, np.float32)
    logits[..., 3, :7, :] = logits[..., 4, 7, :] = 1e9
    convex = upsample_convex(ramp, jnp.asarray(logits.reshape(1, 3, 5, -1)))
    np.testing.assert_allclose(convex[0, 8, :, 0], 8 * np.repeat([0, 0, 1, 2, 3], 8))
    np.testing.assert_allclose(convex[0, 15, :, 0], 8 * np.repeat([0, 1, 2, 3, 4], 8))


def test_any_size_is_the_padded_frame_cropped():
    frames = [jnp.asarray(picture(20, 27, seed))[None] for seed in (1, 2)]
    net, params = Raft(iterations=2), recipe_weights("raft_small")
    flow = apply(net, params, *frames)
    assert flow.shape == (1, 20, 27, 2) and jnp.isfinite(flow).all()
    # 20 + 4 and 27 + 5, the odd one after.
    padded = [jnp.pad(x, ((0, 0), (2, 2), (2, 3), (0, 0)), mode="edge") for x in frames]
    np.testing.assert_array_equal(flow, apply(net, params, *padded)[:, 2:-2, 2:-3])


def test_a_batch_is_its_items():
    frames = jnp.asarray(np.stack([picture(24, 32, seed) for seed in range(4)]))
    net, params = Raft(iterations=2), recipe_weights("raft_small")
    together = apply(net, params, frames[:2], frames[2:])
    for i in range(2):
        alone = apply(net, params, frames[i : i + 1], frames[i + 2 : i + 3])
        assert golden.distance(together[i], np.asarray(alone[0])) <= 1e-5


def test_float64_agrees_with_float32(weights):
    """On a pair that no golden holds; float64 stands in for the truth."""
    first, second = pair(64, 128, 5, -2, seed=3)
    single = apply(Raft(), weights, first, second)
    with jax.enable_x64(True):
        params, a, b = jax.tree.map(lambda x: jnp.asarray(x, "float64"), (weights, first, second))
        double = apply(Raft(), params, a, b)
        assert double.dtype == jnp.float64
    assert golden.distance(single, np.asarray(double)) <= TOLERANCE[12]


def test_bfloat16_convolutions(weights):
    first, second = pair(64, 128, 5, -2, seed=3)
    single = apply(Raft(), weights, first, second)
    half = apply(Raft(dtype=jnp.bfloat16), weights, first, second)
    assert half.dtype == jnp.float32
    assert 1e-4 < golden.distance(half, np.asarray(single)) < 0.1
    net = Raft(dtype=jnp.bfloat16)
    text = str(jax.make_jaxpr(net.apply)({"params": weights}, first, second))
    for operation, kind in (("conv_general_dilated", "bf16"), ("dot_general", "f32")):
        assert set(re.findall(rf":(\w+)\[[\d,]*\] = {operation}\b", text)) == {kind}


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_the_estimator_finds_a_known_shift(weights, scale):
    """From [-1, 1]; backward flow in pixels of the given frames, from any size."""
    current, previous = (x / 127.5 - 1 for x in pair(70, 124, 4, -3))
    flow = jax.jit(RaftFlow(scale=scale))(weights, current, previous)
    assert flow.shape == (1, 70, 124, 2) and flow.dtype == jnp.float32
    median = np.median(flow[0, 16:-16, 16:-16], axis=(0, 1))
    np.testing.assert_allclose(median, [-4, 3], atol=0.15)
    if scale == 1:
        exact = apply(Raft(), weights, (current + 1) * 127.5, (previous + 1) * 127.5)
        np.testing.assert_allclose(flow, exact, atol=1e-3)


def test_the_estimator_passes_no_gradient():
    frames, params = jnp.zeros((1, 16, 16, 3)), recipe_weights("raft_small")
    estimate = RaftFlow(iterations=1)
    gradient = jax.grad(lambda x: estimate(params, x, frames + 0.1).sum())
    np.testing.assert_array_equal(jax.jit(gradient)(frames), 0)


def test_bad_arguments_are_named():
    frames = jnp.zeros((1, 64, 64, 3))
    for second in (frames[:, :32], frames[0]):
        with pytest.raises(ValueError, match="RAFT needs two batches of RGB frames"):
            Raft().init(jax.random.key(0), frames, second)
    with pytest.raises(ValueError, match="at least 1 iteration, not 0"):
        Raft(iterations=0).init(jax.random.key(0), frames, frames)
    with pytest.raises(ValueError, match="at least 1 iteration, not 0"):
        RaftFlow(iterations=0)
    with pytest.raises(ValueError, match="scale of RAFT must be positive, not -1"):
        RaftFlow(scale=-1)
