"""Metrics: analytic cases, and parity with the published scripts."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from v2v_jax.evaluation import metrics

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def _moving_texture(length: int = 4, height: int = 12, width: int = 16, step: int = 2):
    """A texture that moves ``step`` pixels to the right per frame, its flow and valid pixels."""
    wide = np.random.default_rng(0).integers(0, 256, (height, width + step * length, 3), np.uint8)
    start = step * length
    frames = np.stack([wide[:, start - step * t : start - step * t + width] for t in range(length)])
    flow = np.zeros((length - 1, height, width, 2), np.float32)
    flow[..., 0] = -step
    valid = np.ones(flow.shape[:3], bool)
    valid[:, :, :step] = False
    return frames, flow, valid


def test_warping_error_is_zero_along_the_exact_flow_and_not_along_another():
    frames, flow, valid = _moving_texture()
    exact = metrics.warping_error(frames, flow, valid)
    assert exact.mean == 0.0 and exact.pairs.shape == (3,)
    assert metrics.warping_error(frames, -flow, valid).mean > 0.05
    assert metrics.warping_error(frames, flow[..., ::-1], valid).mean > 0.05


def test_warping_error_is_the_mean_square_per_channel_over_valid_pixels_then_over_pairs():
    frames = np.zeros((3, 4, 6, 3), np.float32)
    frames[1] = 0.2  # pair 0: 0.04 on every channel
    frames[2, ..., 0] = 0.5  # pair 1: (0.3, 0.2, 0.2)
    flow = np.zeros((2, 4, 6, 2), np.float32)
    valid = np.ones((2, 4, 6), bool)
    # Invalid pixels, however wrong, must not count, nor change the weight of a pair.
    valid[1, :3] = False
    frames[2, :3] = 1.0
    result = metrics.warping_error(frames, flow, valid)
    np.testing.assert_allclose(result.pairs, [0.04, (0.09 + 0.04 + 0.04) / 3], rtol=1e-5)
    assert result.mean == pytest.approx(result.pairs.mean())


def test_warping_error_reads_8_bit_frames_as_unit_range():
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    frames[1] = 51
    zero = np.zeros((1, 4, 4, 2), np.float32)
    error = metrics.warping_error(frames, zero, np.ones((1, 4, 4), bool))
    assert error.mean == pytest.approx(0.04, rel=1e-5)


def test_pairs_without_valid_pixels_are_left_out_and_unknown_flow_does_no_harm():
    frames, flow, valid = _moving_texture()
    valid[1] = False
    flow[1] = np.nan
    result = metrics.warping_error(frames, flow, valid)
    assert np.isnan(result.pairs[1]) and result.mean == 0.0
    assert np.isnan(metrics.warping_error(frames, flow, np.zeros_like(valid)).mean)


def test_warping_error_names_shapes_that_do_not_belong_together():
    frames, flow, valid = _moving_texture()
    with pytest.raises(ValueError, match=r"need flow \(3, 12, 16, 2\)"):
        metrics.warping_error(frames, flow[:2], valid)


def test_lai2018_equals_the_published_script():
    golden = np.load(GOLDEN / "lai2018_warping_error.npz")
    forward, backward = golden["in|fw_flow"], golden["in|bw_flow"]
    occluded = metrics.lai2018_occlusion(forward, backward)
    np.testing.assert_array_equal(occluded, golden["out|occ"] > 0)
    result = metrics.lai2018_warping_error(golden["in|frames_source"], forward, backward)
    np.testing.assert_allclose(result.pairs, golden["out|err_pairs_source"], rtol=1e-5)
    assert result.mean == pytest.approx(float(golden["out|err_source"]), rel=1e-5)


def test_lai2018_counts_a_fully_occluded_pair_as_zero():
    frames, flow, _ = _moving_texture(length=2)
    result = metrics.lai2018_warping_error(frames, flow * 5, flow * 5)
    assert result.pairs.tolist() == [0.0] and result.mean == 0.0


def test_lai2018_leaves_out_motion_boundaries():
    flow = np.zeros((1, 4, 6, 2), np.float32)
    flow[:, :, 3:, 0] = 0.1  # a step of 0.01 squared, over the rule's 0.002
    occluded = metrics.lai2018_occlusion(flow, -flow)
    assert occluded[0].sum(axis=0).tolist() == [0, 0, 4, 0, 0, 0]
    assert not metrics.lai2018_occlusion(flow / 4, -flow / 4).any()


def test_photometric_distance_is_zero_along_the_flow_and_the_rms_elsewhere():
    frames, flow, valid = _moving_texture()
    assert metrics.photometric_distance(frames, flow)[valid].max() < 1e-6
    still = np.zeros((2, 4, 4, 3), np.float32)
    still[1] = [0.3, 0.0, 0.4]
    distance = metrics.photometric_distance(still, np.zeros((1, 4, 4, 2), np.float32))
    np.testing.assert_allclose(distance, np.sqrt(0.25 / 3), rtol=1e-5)


def test_colour_distance_is_euclidean_in_grey_levels():
    black = np.zeros((2, 4, 4, 3), np.uint8)
    colour = np.broadcast_to(np.array([3, 4, 12], np.uint8), black.shape)
    assert metrics.colour_distance(black, colour) == pytest.approx(13.0, rel=1e-5)
    assert metrics.colour_distance(colour, black) == pytest.approx(13.0, rel=1e-5)
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.colour_distance(black, colour[:1])


def test_structure_agreement_ignores_contrast_and_sees_layout():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 8, 16, 5)).astype(np.float32)
    gain = rng.uniform(0.5, 2, (1, 1, 1, 5)).astype(np.float32)
    np.testing.assert_allclose(
        metrics.structure_agreement(features, features * gain + 3), 1.0, atol=1e-6
    )
    np.testing.assert_allclose(metrics.structure_agreement(features, -features), -1.0, atol=1e-6)
    other = rng.normal(size=features.shape)
    assert np.abs(metrics.structure_agreement(features, other)).max() < 0.2


def test_structure_agreement_passes_over_dead_channels():
    features = np.random.default_rng(0).normal(size=(1, 8, 8, 2))
    dead = np.concatenate([features, np.zeros((1, 8, 8, 6))], axis=-1)
    np.testing.assert_allclose(metrics.structure_agreement(dead, dead), 1.0)


def test_confusion_by_hand():
    labels = np.array([[0, 0, 1, 255]])
    predicted = np.array([[0, 1, 255, 1]])
    counts = metrics.confusion(labels, predicted, classes=3)
    assert counts.tolist() == [[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    scores = metrics.segmentation_scores(counts)
    # Class 1: predicted once wrongly, missed once; class 2: absent from both.
    np.testing.assert_allclose(scores.iou, [0.5, 0.0, np.nan])
    assert scores.miou_official == pytest.approx(0.25)
    assert scores.miou_zero_for_absent == pytest.approx(0.5 / 3)
    assert scores.miou_labelled == pytest.approx(0.25)
    assert scores.pixel_accuracy == pytest.approx(1 / 3)
    # Class 0 has two of the three labelled pixels and an IoU of a half; class 1 has none.
    assert scores.fwiou == pytest.approx(2 / 3 * 0.5)


def test_scores_of_nothing_labelled_are_not_a_number():
    nothing = np.full((4, 4), 255)
    assert np.isnan(metrics.segmentation_scores(metrics.confusion(nothing, nothing))[1:]).all()


# From cityscapesScripts 2.3.0: official, zero for absent, labelled only, pixel accuracy.
CITYSCAPES = {
    "mixed_3img": (0.5007580223914879, 0.5007580223914879, 0.5007580223914879, 0.7161876212308235),
    "absent_in_gt_but_predicted": (
        0.47996850967048077,
        0.20209200407178135,
        0.6399580128939744,
        0.82890625,
    ),
}


@pytest.mark.parametrize("case", CITYSCAPES)
def test_segmentation_scores_equal_the_published_scripts(case: str):
    golden = np.load(GOLDEN / "cityscapes_eval.npz")
    counts = metrics.confusion(golden[f"{case}_gt"], golden[f"{case}_pred"])
    official, zero, labelled, accuracy = CITYSCAPES[case]
    scores = metrics.segmentation_scores(counts)
    assert scores.miou_official == pytest.approx(official, rel=1e-12)
    assert scores.miou_zero_for_absent == pytest.approx(zero, rel=1e-12)
    assert scores.miou_labelled == pytest.approx(labelled, rel=1e-12)
    assert scores.pixel_accuracy == pytest.approx(accuracy, rel=1e-12)
