"""Clips become rollouts and regions: chunks, flows, windows."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation import fakes

from v2v_jax.evaluation import protocol


@pytest.mark.parametrize("chunk", [1, 7, 62, 100])
def test_chunks_of_any_size_give_the_same_scores(chunk: int):
    clip = fakes.clip()
    whole = protocol.rollout(fakes.HONEST, {}, {}, clip["frames"], clip["flow"], chunk=fakes.LENGTH)
    parts = protocol.rollout(fakes.HONEST, {}, {}, clip["frames"], clip["flow"], chunk=chunk)
    for name in whole._fields:
        assert getattr(parts, name).shape == getattr(whole, name).shape
        # 8-bit frames: a rounding flip is one grey level.
        np.testing.assert_allclose(
            getattr(parts, name).astype(float), getattr(whole, name).astype(float), atol=1.001
        )
    np.testing.assert_array_equal(whole.mask[0], 0.0)


@pytest.mark.parametrize("chunk", [3, 8])
def test_every_frame_is_warped_by_its_own_flow(chunk: int):
    frames = np.zeros((8, fakes.HEIGHT, fakes.WIDTH, 3), np.uint8)
    frames[0, :, 10] = 255  # a line that only copying hands on
    flow = np.zeros((7, fakes.HEIGHT, fakes.WIDTH, 2), np.float32)
    flow[4, ..., 0] = -3.0  # frame 5 looks 3 pixels to the left
    output = protocol.rollout(fakes.SMEARING, {}, {}, frames, flow, chunk=chunk).output
    line = output[:, 0, :, 0].argmax(axis=1)
    assert line.tolist() == [10] * 5 + [13] * 3


def test_regions_of_exact_flow():
    clip = fakes.clip()
    clip["occluded"][5, 3, 4] = True
    regions = protocol.find_regions(clip)
    assert regions.new[5, 3, 4] and not regions.new[4, 3, 4]
    # The camera pans: the last columns come from outside the previous frame.
    assert regions.new[:, :, -fakes.STEP :].all() and not regions.new[:5, :, : -fakes.STEP].any()
    np.testing.assert_array_equal(regions.valid, ~regions.new)


def test_shaded_pixels_leave_the_warping_error_but_are_not_new():
    clip = fakes.clip()
    clip["shaded"] = np.zeros_like(clip["occluded"])
    clip["shaded"][:, :4] = True
    regions = protocol.find_regions(clip)
    assert not regions.valid[:, :4].any() and not regions.new[:, :4, : -fakes.STEP].any()
    assert regions.valid[:, 4:, : -fakes.STEP].all()


def test_a_forward_flow_stands_in_for_the_occlusion():
    clip = fakes.clip()
    del clip["occluded"]
    with pytest.raises(ValueError, match="'pan 0' has flow but no 'occluded' or 'forward'"):
        protocol.find_regions(clip)
    clip["forward"] = -clip["flow"]
    clip["forward"][:, 8:] += 9.0
    regions = protocol.find_regions(clip)
    assert regions.valid[:, :8, : -fakes.STEP].all() and not regions.valid[:, 8:].any()


def test_real_video_is_scored_by_estimated_flow_in_both_directions():
    clip = fakes.clip()
    del clip["flow"], clip["occluded"]
    clip["frames"][20:, 4:8, 4:8] = [255, 0, 0]  # appears out of nothing, once
    asked = []

    def estimate(current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        order = [
            np.flatnonzero((clip["frames"] == x).all((1, 2, 3)))[0] for x in (current, previous)
        ]
        asked.append(tuple(order))
        flow = np.zeros((fakes.HEIGHT, fakes.WIDTH, 2), np.float32)
        flow[..., 0] = fakes.STEP * (order[0] - order[1])
        return flow

    regions = protocol.find_regions(clip, estimate)
    assert {a - b for a, b in asked} == {1, -1} and len(asked) == 2 * (fakes.LENGTH - 1)
    assert regions.valid[:, :, : -fakes.STEP].all() and not regions.valid[:, :, -fakes.STEP :].any()
    # Valid, because the flow is consistent; new all the same, because the colour is.
    assert regions.new[19, 4:8, 4:8].all() and not regions.new[18, 4:8, 4:8].any()
    with pytest.raises(ValueError, match="has no exact flow"):
        protocol.find_regions(clip)


def test_windows_hold_three_to_five_frames_and_never_the_first():
    found = [protocol.frames_at(d, 60) for d in protocol.DISTANCES]
    assert found == [slice(1, 4), slice(8, 13), slice(28, 33), slice(57, 60)]
