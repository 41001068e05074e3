from __future__ import annotations

import concurrent.futures
import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest

from v2v_jax.data.world.world import World
from v2v_jax.flow.dis import Dis


def texture(height: int = 100, width: int = 200, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return (smooth * 255).astype(np.uint8)


def pair(height: int, width: int, right: int, down: int) -> tuple[np.ndarray, np.ndarray]:
    """(current, previous): the picture has moved by (right, down) since the previous frame."""
    scene = texture()
    previous = scene[20 : 20 + height, 20 : 20 + width]
    current = scene[20 - down : 20 - down + height, 20 - right : 20 - right + width]
    return current, previous


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
@pytest.mark.parametrize("scale", [1.0, 2.0])
@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, -2), (-4, 1)])
def test_a_known_shift_is_found_with_the_sign_of_backward_flow(preset, scale, right, down):
    current, previous = pair(64, 128, right, down)
    flow = Dis(scale, preset)(current, previous)
    assert flow.shape == (64, 128, 2) and flow.dtype == np.float32
    median = np.median(flow[8:-8, 8:-8], axis=(0, 1))
    # Only "medium" refines down to half the resolution; the others stop at a quarter.
    np.testing.assert_allclose(median, [-right, -down], atol=0.1 if preset == "medium" else 0.25)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
def test_small_and_narrow_frames_are_enlarged_inside(scale, preset):
    """In a process of its own: these sizes make OpenCV 5.0's own call crash."""
    code = (
        "import sys, numpy as np; from v2v_jax.flow.dis import Dis\n"
        "dis = Dis(float(sys.argv[1]), sys.argv[2])\n"
        "for size in [(8, 64), (12, 96), (64, 8), (16, 256), (31, 512), (2, 2), (20, 30)]:\n"
        "    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)\n"
        "    flow = dis(frame, np.roll(frame, 1, 1))\n"
        "    assert flow.shape == (*size, 2) and np.isfinite(flow).all(), size\n"
    )
    subprocess.run([sys.executable, "-c", code, str(scale), preset], check=True)
    current, previous = pair(12, 40, 2, 1)
    flow = Dis(scale, "medium")(current, previous)
    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), [-2, -1], atol=0.1)


def test_threads_agree_with_one_thread():
    frames = [texture(64, 128, seed) for seed in range(8)]
    dis = Dis()
    alone = [dis(a, b) for a, b in zip(frames[1:], frames[:-1], strict=True)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(dis, frames[1:] * 4, frames[:-1] * 4))
    for flow, expected in zip(together, alone * 4, strict=True):
        np.testing.assert_array_equal(flow, expected)


def test_it_is_a_value_and_leaves_opencv_alone():
    threads = cv2.getNumThreads()
    current, previous = pair(64, 128, 3, 0)
    copy = pickle.loads(pickle.dumps(Dis(2.0, "fast")))
    assert copy == Dis(2.0, "fast") and hash(copy) == hash(Dis(2.0, "fast"))
    np.testing.assert_array_equal(copy(current, previous), Dis(2.0, "fast")(current, previous))
    assert cv2.getNumThreads() == threads


@pytest.mark.parametrize("domain", ["game", "street"])
def test_it_follows_the_synthetic_world(domain):
    """Against exact flow where both frames see the surface; a zero flow is the yardstick."""
    world, dis = World(domain, height=64, width=128, clips=3, length=4), Dis(2.0)
    errors, motions, medians = [], [], []
    for clip in map(world.frames, range(3)):
        for t in range(1, 4):
            seen, exact = ~clip.occluded[t - 1], clip.backward[t - 1]
            error = np.linalg.norm(dis(clip.frames[t], clip.frames[t - 1]) - exact, axis=-1)[seen]
            errors.append(error.mean())
            medians.append(np.median(error))
            motions.append(np.linalg.norm(exact, axis=-1)[seen].mean())
    assert np.mean(errors) < 0.75 * np.mean(motions)
    assert np.mean(medians) < 0.5


def test_bad_arguments_are_named():
    frame = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match="unknown DIS preset 'best'"):
        Dis(preset="best")
    with pytest.raises(ValueError, match="scale of DIS must be positive"):
        Dis(scale=0)
    with pytest.raises(ValueError, match="two RGB frames"):
        Dis()(frame, frame[:32])
    with pytest.raises(ValueError, match="uint8 frames, not float64"):
        Dis()(frame / 255, frame)
