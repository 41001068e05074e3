"""The long-clip protocol ranks methods whose faults are known."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from v2v_jax.evaluation import metrics, protocol, scoring
from v2v_jax.evaluation.reporting.verdicts import Verdict, distance_rows, format_figures, verdicts
from v2v_jax.evaluation.scoring import Judges
from v2v_jax.methods.base import Method
from v2v_jax.ops.warp import backward_warp
from v2v_jax.types import Array, Carry, Translation

LENGTH, HEIGHT, WIDTH, STEP = 62, 16, 32, 2
FLICKER = 0.2


@dataclasses.dataclass(frozen=True)
class Fake:
    """A method with a constant fault: ``mask`` 0..1 where visible, ``mask_new`` elsewhere.

    ``flicker`` brightens every other raw frame; the count of frames travels in the carry, so a
    carry that is not handed on shows.
    """

    mask: float = 0.0
    mask_new: float = 0.0
    flicker: float = 0.0

    players: tuple[str, ...] = ("generator",)
    directions: tuple[str, ...] = ("to_target",)

    def init(self, rng: Array, batch: Any) -> dict[str, Any]:
        return {"generator": {}}

    def init_memory(self, batch: Any) -> dict[str, Any]:
        return {}

    def losses(self, params: Any, frozen: Any, memory: Any, batch: Any, rng: Array) -> Any:
        raise NotImplementedError

    def initial_carry(self, frames: Array) -> Any:
        zero = jnp.zeros_like(frames[:, 0])
        return Carry(source=zero, output=zero, started=jnp.zeros(1, bool)), jnp.zeros((), jnp.int32)

    def translate(
        self, generator: Any, frozen: Any, carry: Any, frames: Array, flow: Array | None = None
    ) -> tuple[Any, Array]:
        carry, result = self.rollout(generator, frozen, carry, frames, flow)
        return carry, result.output

    def rollout(
        self, generator: Any, frozen: Any, carry: Any, frames: Array, flow: Array | None = None
    ) -> tuple[Any, Translation]:
        assert flow is not None

        def step(carry: Any, inputs: Any) -> Any:
            (memory, count), (frame, flow) = carry, inputs
            raw = jnp.clip(frame + self.flicker * (count % 2 * 2 - 1), -1, 1)
            warped, visible = backward_warp(memory.output, flow)
            warped = jnp.where(memory.started[:, None, None, None], warped, raw)
            mask = jnp.where(visible > 0, self.mask, self.mask_new) * (count > 0)
            output = mask * warped + (1 - mask) * raw
            memory = Carry(source=frame, output=output, started=jnp.ones_like(memory.started))
            result = Translation(output, raw, warped, mask, flow, visible)
            return (memory, count + 1), result

        def time_first(x: Array) -> Array:
            return x.swapaxes(0, 1)

        carry, result = jax.lax.scan(step, carry, (time_first(frames), time_first(flow)))
        return carry, jax.tree.map(time_first, result)


# Any: a frozen dataclass has read-only attributes, the protocol declares plain ones.
IDENTITY: Any = Fake()
FLICKERING: Any = Fake(flicker=FLICKER)
SMEARING: Any = Fake(mask=1.0, mask_new=1.0, flicker=FLICKER)
HONEST: Any = Fake(mask=0.7, mask_new=0.05, flicker=FLICKER)


def _clip(seed: int = 0, length: int = LENGTH) -> Any:
    """A camera that pans over coloured blocks with sensor noise; exact flow, labels by colour."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 3, (HEIGHT // 4, (WIDTH + STEP * length) // 4 + 1))
    wide = blocks.repeat(4, 0).repeat(4, 1)
    palette = np.array([[40, 60, 70], [120, 130, 110], [200, 180, 190]])
    labels = np.stack([wide[:, STEP * t : STEP * t + WIDTH] for t in range(length)])
    noise = rng.normal(0, 3, (length, HEIGHT, WIDTH, 1))
    flow = np.zeros((length - 1, HEIGHT, WIDTH, 2), np.float32)
    flow[..., 0] = STEP
    return {
        "name": f"pan {seed}",
        "frames": np.clip(palette[labels] + noise, 0, 255).astype(np.uint8),
        "flow": flow,
        "occluded": np.zeros(flow.shape[:3], bool),
        "labels": labels.astype(np.uint8),
    }


def _features(frames: np.ndarray) -> np.ndarray:
    return frames.astype(np.float32)


def _segment(frames: np.ndarray) -> np.ndarray:
    return np.digitize(frames.mean(-1), [90, 155]).astype(np.uint8)


def _street_share(frames: np.ndarray) -> float:
    return float(np.mean(frames.mean((1, 2, 3)) > 0))


JUDGES = Judges(_features, _segment, _street_share)


def _figures(method: Method) -> dict[str, float]:
    clips = [_clip(0), _clip(1)]
    pairs = [
        dict(scoring.evaluate(method, {}, {}, [clip], flow_for_method=clip["flow"], judges=JUDGES))
        for clip in clips
    ]
    return {name: float(np.mean([p[name] for p in pairs])) for name in pairs[0]}


def _failed(figures: dict[str, float]) -> set[str]:
    return {verdict.name for verdict in verdicts(figures) if not verdict.passed}


def test_a_video_handed_through_scores_as_its_source():
    figures = _figures(IDENTITY)
    assert figures["warping_error/source"] > 1e-4
    for video in ("raw", "output"):
        error = figures[f"warping_error/{video}"]
        assert error == pytest.approx(figures["warping_error/source"], rel=1e-6)
    assert figures["colour_distance"] == 0.0 and figures["smeared_clips"] == 0.0
    assert figures["at_60/structure/output"] == pytest.approx(1.0)
    assert figures["at_60/miou/output"] > 0.99


def test_copying_its_past_is_flagged_although_its_warping_error_is_the_lowest():
    figures = _figures(SMEARING)
    assert figures["warping_error/output"] < 0.2 * figures["warping_error/source"]
    assert figures["smeared_clips"] == 1.0  # the mean over two evaluations of one clip each
    assert "output's warping error / source's" in _failed(figures)
    assert "mask in newly visible regions" in _failed(figures)
    assert "structure agreement, frame 60 / frame 1" in _failed(figures)
    text = format_figures(figures)
    assert "FAILURE  output's warping error / source's" in text and "SMEARING" in text


def test_copying_loses_the_layout_with_the_distance_from_the_start():
    rows: Any = distance_rows(_figures(SMEARING))
    assert [row["frame distance"] for row in rows] == [1, 10, 30, 60]
    assert rows[0]["structure/output"] > 0.85 and rows[3]["structure/output"] < 0.3
    assert rows[0]["miou/output"] > rows[3]["miou/output"] + 0.3
    assert rows[3]["structure/raw"] > 0.99 and rows[3]["miou/raw"] > 0.8


def test_flicker_has_a_high_error_everywhere():
    figures = _figures(FLICKERING)
    # Every pair differs by 2 * FLICKER in [-1, 1], so by FLICKER in [0, 1].
    for video in ("raw", "output"):
        error = figures[f"warping_error/{video}"]
        assert error == pytest.approx(FLICKER**2 + figures["warping_error/source"], rel=0.1)
    assert figures["at_30/warping_error/output"] == pytest.approx(error, rel=0.05)
    assert figures["raw_over_output"] == pytest.approx(1.0)
    assert "raw's warping error / output's" in _failed(figures)


def test_an_honest_method_passes_every_check():
    figures = _figures(HONEST)
    assert figures["mask_agree"] == pytest.approx(0.7)
    assert figures["mask_new"] == pytest.approx(0.05)
    assert _failed(figures) == set()
    assert "FAILURE" not in format_figures(figures)
    assert figures["raw_over_output"] > 1.5


@pytest.mark.parametrize("chunk", [1, 7, 62, 100])
def test_chunks_of_any_size_give_the_same_scores(chunk: int):
    clip = _clip()
    whole = protocol.rollout(HONEST, {}, {}, clip["frames"], clip["flow"], chunk=LENGTH)
    parts = protocol.rollout(HONEST, {}, {}, clip["frames"], clip["flow"], chunk=chunk)
    for name in whole._fields:
        assert getattr(parts, name).shape == getattr(whole, name).shape
        # 8-bit frames: a rounding flip is one grey level.
        np.testing.assert_allclose(
            getattr(parts, name).astype(float), getattr(whole, name).astype(float), atol=1.001
        )
    np.testing.assert_array_equal(whole.mask[0], 0.0)


@pytest.mark.parametrize("chunk", [3, 8])
def test_every_frame_is_warped_by_its_own_flow(chunk: int):
    frames = np.zeros((8, HEIGHT, WIDTH, 3), np.uint8)
    frames[0, :, 10] = 255  # a line that only copying hands on
    flow = np.zeros((7, HEIGHT, WIDTH, 2), np.float32)
    flow[4, ..., 0] = -3.0  # frame 5 looks 3 pixels to the left
    output = protocol.rollout(SMEARING, {}, {}, frames, flow, chunk=chunk).output
    line = output[:, 0, :, 0].argmax(axis=1)
    assert line.tolist() == [10] * 5 + [13] * 3


def test_regions_of_exact_flow():
    clip = _clip()
    clip["occluded"][5, 3, 4] = True
    regions = protocol.find_regions(clip)
    assert regions.new[5, 3, 4] and not regions.new[4, 3, 4]
    # The camera pans: the last columns come from outside the previous frame.
    assert regions.new[:, :, -STEP:].all() and not regions.new[:5, :, :-STEP].any()
    np.testing.assert_array_equal(regions.valid, ~regions.new)


def test_shaded_pixels_leave_the_warping_error_but_are_not_new():
    clip = _clip()
    clip["shaded"] = np.zeros_like(clip["occluded"])
    clip["shaded"][:, :4] = True
    regions = protocol.find_regions(clip)
    assert not regions.valid[:, :4].any() and not regions.new[:, :4, :-STEP].any()
    assert regions.valid[:, 4:, :-STEP].all()


def test_a_forward_flow_stands_in_for_the_occlusion():
    clip = _clip()
    del clip["occluded"]
    with pytest.raises(ValueError, match="'pan 0' has flow but no 'occluded' or 'forward'"):
        protocol.find_regions(clip)
    clip["forward"] = -clip["flow"]
    clip["forward"][:, 8:] += 9.0
    regions = protocol.find_regions(clip)
    assert regions.valid[:, :8, :-STEP].all() and not regions.valid[:, 8:].any()


def test_real_video_is_scored_by_estimated_flow_in_both_directions():
    clip = _clip()
    del clip["flow"], clip["occluded"]
    clip["frames"][20:, 4:8, 4:8] = [255, 0, 0]  # appears out of nothing, once
    asked = []

    def estimate(current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        order = [
            np.flatnonzero((clip["frames"] == x).all((1, 2, 3)))[0] for x in (current, previous)
        ]
        asked.append(tuple(order))
        flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
        flow[..., 0] = STEP * (order[0] - order[1])
        return flow

    regions = protocol.find_regions(clip, estimate)
    assert {a - b for a, b in asked} == {1, -1} and len(asked) == 2 * (LENGTH - 1)
    assert regions.valid[:, :, :-STEP].all() and not regions.valid[:, :, -STEP:].any()
    # Valid, because the flow is consistent; new all the same, because the colour is.
    assert regions.new[19, 4:8, 4:8].all() and not regions.new[18, 4:8, 4:8].any()
    with pytest.raises(ValueError, match="has no exact flow"):
        protocol.find_regions(clip)


def test_a_host_estimator_feeds_the_method():
    clip = _clip()
    flow = iter(clip["flow"])
    by_estimator = scoring.evaluate_clip(
        HONEST, {}, {}, clip, flow_for_method=lambda current, previous: next(flow)
    )
    by_array = scoring.evaluate_clip(HONEST, {}, {}, clip, flow_for_method=clip["flow"])
    assert by_estimator.values == by_array.values


def test_short_clips_are_refused_with_the_way_out():
    clip = _clip(length=12)
    with pytest.raises(ValueError, match="'pan 0' has 12 frames, distance 60 needs as many"):
        scoring.evaluate_clip(IDENTITY, {}, {}, clip, flow_for_method=clip["flow"])
    scores = scoring.evaluate_clip(
        IDENTITY, {}, {}, clip, flow_for_method=clip["flow"], distances=(1, 10)
    )
    assert "at_10/mask" in scores.values


def test_windows_hold_three_to_five_frames_and_never_the_first():
    found = [protocol.frames_at(d, 60) for d in protocol.DISTANCES]
    assert found == [slice(1, 4), slice(8, 13), slice(28, 33), slice(57, 60)]


def test_segmentation_is_pooled_over_clips_and_figures_are_averaged():
    clips = [_clip(0), _clip(1)]
    flow = clips[0]["flow"]
    figures = dict(scoring.evaluate(HONEST, {}, {}, clips, flow_for_method=flow, judges=JUDGES))
    single = [
        scoring.evaluate_clip(HONEST, {}, {}, clip, flow_for_method=flow, judges=JUDGES)
        for clip in clips
    ]
    assert figures["clips"] == 2
    errors = [scores.values["warping_error/output"] for scores in single]
    assert figures["warping_error/output"] == pytest.approx(np.mean(errors))
    pooled = single[0].counts["at_60/miou/output"] + single[1].counts["at_60/miou/output"]
    accuracy = np.diagonal(pooled).sum() / pooled.sum()
    assert figures["at_60/pixel_accuracy/output"] == pytest.approx(accuracy)
    # Whole clips, every frame.
    whole = scoring.pooled_counts(single, "output")
    assert whole is not None and whole.sum() == 2 * LENGTH * HEIGHT * WIDTH
    assert figures["pixel_accuracy/output"] == pytest.approx(np.trace(whole) / whole.sum())
    scores = metrics.segmentation_scores(whole)
    assert figures["miou/output"] == scores.miou_official
    assert figures["fwiou/output"] == scores.fwiou
    with pytest.raises(ValueError, match="no clips"):
        dict(scoring.evaluate(HONEST, {}, {}, [], flow_for_method=None))


def test_a_figure_that_is_not_a_number_has_not_passed():
    assert not Verdict("x", float("nan"), 0.5, False, "").passed
    assert Verdict("x", 0.5, 0.5, False, "").passed and Verdict("x", 0.5, 0.5, True, "").passed
