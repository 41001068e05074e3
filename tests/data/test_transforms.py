from __future__ import annotations

import numpy as np
import pytest

from v2v_jax.data.transforms import Window, crop_to_aspect, draw, fit, reverse_time, windows
from v2v_jax.data.world.world import World


def test_fit_crops_to_the_aspect_ratio_and_does_not_squeeze():
    """A disc stays round."""
    rows, columns = np.mgrid[0:270, 0:480]
    disc = np.where((rows - 135) ** 2 + (columns - 240) ** 2 < 80**2, 255, 0)
    small = fit(np.repeat(disc[..., None], 3, -1).astype(np.uint8), 64, 128)
    assert small.shape == (64, 128, 3) and small.dtype == np.uint8
    inside = small[..., 0] > 127
    assert abs(inside.any(0).sum() - inside.any(1).sum()) <= 1
    assert inside.any(0).sum() == pytest.approx(160 * 64 / 240, abs=2)


@pytest.mark.parametrize(("height", "width"), [(270, 480), (160, 320), (100, 90), (33, 500)])
def test_the_crop_is_centred_and_as_large_as_possible(height, width):
    frame = np.zeros((height, width, 3), np.uint8)
    frame[height // 2, width // 2] = 255
    part = crop_to_aspect(frame, 64, 128)
    assert part.shape[0] == height or part.shape[1] == width
    assert part.shape[1] == pytest.approx(2 * part.shape[0], abs=2)
    row, column = np.argwhere(part[..., 0])[0]
    assert abs(row - part.shape[0] // 2) <= 1 and abs(column - part.shape[1] // 2) <= 1


def test_fit_averages_and_keeps_what_already_fits():
    stripes = np.zeros((64, 128, 3), np.uint8)
    stripes[:, ::2] = 200
    np.testing.assert_array_equal(fit(stripes, 32, 64), 100)
    np.testing.assert_array_equal(fit(stripes, 64, 128), stripes)
    enlarged = fit(np.array([[[0] * 3, [100] * 3]], np.uint8), 4, 8)
    assert len(np.unique(enlarged)) > 2, "enlarging interpolates"


@pytest.mark.parametrize("span", [1, 3, 7])
def test_windows_partition_every_start(span):
    lengths = [7, 8, 20, 61]
    entries = windows(lengths, span)
    for video, length in enumerate(lengths):
        mine = [entry for entry in entries if entry.video == video]
        assert len(mine) == length // span
        starts = [start for entry in mine for start in range(entry.first, entry.stop)]
        assert starts == list(range(length - span + 1))
        sizes = {entry.stop - entry.first for entry in mine}
        assert max(sizes) - min(sizes) <= 1 and min(sizes) >= 1


def test_draws_are_uniform_and_independent_of_the_flip_probability():
    window = Window(0, 3, 7)
    draws = [draw(window, 0.3, np.random.default_rng(i)) for i in range(2000)]
    starts = np.bincount([one.start for one in draws], minlength=8)
    assert starts[:3].sum() == starts[7:].sum() == 0
    assert np.abs(starts[3:7] - 500).max() < 90
    assert np.mean([one.backwards for one in draws]) == pytest.approx(0.3, abs=0.04)
    assert not any(draw(window, 0.0, np.random.default_rng(i)).backwards for i in range(50))
    assert all(draw(window, 1.0, np.random.default_rng(i)).backwards for i in range(50))
    assert [draw(window, 1.0, np.random.default_rng(i)).start for i in range(50)] == [
        one.start for one in draws[:50]
    ]


def test_the_reversed_clip_has_the_exact_flow_of_the_reversed_clip():
    """Warping frame t - 1 of the reversed clip by its flow gives frame t, as for the original."""
    clip = World("game", height=32, width=64, clips=1, length=6).frames(0)
    given = {
        "frames": clip.frames,
        "labels": clip.labels,
        "flow": clip.backward,
        "forward_flow": clip.forward,
    }
    flipped = reverse_time(given)
    rows, columns = np.mgrid[0:32, 0:64].astype(np.float32)

    def disagreement(played: dict[str, np.ndarray], name: str) -> float:
        """Share of pixels whose label changes when followed one frame back."""
        wrong = []
        for t, flow in enumerate(played[name], start=1):
            x, y = columns + flow[..., 0], rows + flow[..., 1]
            inside = (x >= 0) & (x <= 63) & (y >= 0) & (y <= 31)
            nearest = np.rint(y[inside]).astype(int), np.rint(x[inside]).astype(int)
            wrong.append(np.mean(played["labels"][t - 1][nearest] != played["labels"][t][inside]))
        return float(np.mean(wrong))

    def error(played: dict[str, np.ndarray], name: str) -> float:
        """Median colour distance to the frame before, followed along the flow."""
        distances = []
        for t, flow in enumerate(played[name], start=1):
            x, y = columns + flow[..., 0], rows + flow[..., 1]
            inside = (x >= 0) & (x <= 63) & (y >= 0) & (y <= 31) & (np.hypot(*flow.T).T > 0.7)
            nearest = np.rint(y[inside]).astype(int), np.rint(x[inside]).astype(int)
            before = played["frames"][t - 1][nearest].astype(int)
            distances.append(np.abs(before - played["frames"][t][inside]).mean(-1))
        return float(np.mean(np.concatenate(distances)))

    np.testing.assert_array_equal(flipped["frames"], clip.frames[::-1])
    np.testing.assert_array_equal(flipped["labels"], clip.labels[::-1])
    assert error(flipped, "flow") < 0.7 * error(flipped, "forward_flow")
    assert error(flipped, "flow") == pytest.approx(error(given, "flow"), rel=0.4)
    assert disagreement(flipped, "flow") < 0.05
    twice = reverse_time(flipped)
    for name in given:
        np.testing.assert_array_equal(twice[name], given[name])


def test_reversal_is_exact_on_an_accelerating_pattern():
    """Frame t is shifted by t² pixels: each pair has a flow of its own, so order matters."""
    shifts = np.array([0, 1, 4, 9])
    base = np.random.default_rng(0).integers(0, 256, (8, 32, 3), np.uint8)
    frames = np.stack([np.roll(base, shift, 1) for shift in shifts])
    steps = np.diff(shifts)
    flow = np.zeros((3, 8, 32, 2), np.float32)
    flow[..., 0] = -steps[:, None, None]
    flipped = reverse_time({"frames": frames, "flow": flow, "forward_flow": -flow})
    for t in range(1, 4):
        columns = (np.arange(32) + flipped["flow"][t - 1, 0, :, 0].astype(int)) % 32
        np.testing.assert_array_equal(flipped["frames"][t - 1][:, columns], flipped["frames"][t])


def test_one_flow_direction_alone_becomes_the_other():
    frames, flow = np.zeros((2, 4, 4, 3), np.uint8), np.ones((1, 4, 4, 2), np.float32)
    assert set(reverse_time({"frames": frames, "flow": flow})) == {"frames", "forward_flow"}
