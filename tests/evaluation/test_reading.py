"""What each class is read as, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from v2v_jax.evaluation import metrics
from v2v_jax.evaluation.reading import reading_figures
from v2v_jax.evaluation.reporting.rows import reading_rows, sky_line, text_tables

SKY, BUILDING, ROAD, LIGHT = 10, 2, 0, 6


def counts():
    """Of ten pixels of sky six are right, three buildings, one a light that stands nowhere."""
    labels = np.array([[SKY] * 10 + [ROAD] * 4 + [BUILDING] * 3])
    read = np.array([[SKY] * 6 + [BUILDING] * 3 + [LIGHT] + [ROAD] * 4 + [BUILDING] * 3])
    return metrics.confusion(labels, read)


def figures():
    labels = np.array([[SKY] * 10 + [ROAD] * 4 + [BUILDING] * 3])
    right = metrics.confusion(labels, labels)
    return dict(reading_figures({"output": counts(), "truth": right}))


def test_shares_and_iou_of_every_class():
    found = figures()
    assert found["class_sky/read_right/output"] == 0.6
    assert found["class_sky/as_building/output"] == 0.3
    assert found["class_sky/iou/output"] == 0.6
    assert found["class_building/iou/output"] == 0.5
    assert found["class_building/read_right/output"] == 1
    # Read and labelled nowhere: it counts in mIoU, and has no pixels that could be right.
    assert found["class_traffic_light/iou/output"] == 0
    assert "class_traffic_light/read_right/output" not in found
    assert not [name for name in found if name.startswith("class_car")]
    iou = [value for name, value in found.items() if name.endswith("iou/output")]
    assert np.mean(iou) == pytest.approx(metrics.segmentation_scores(counts()).miou_official)


def test_the_line_names_the_ceiling():
    line = "sky read as sky / as building: output 60.0% / 30.0%, truth 100.0% / 0.0%"
    assert sky_line(figures()) == line
    assert text_tables(figures())[-1] == line
    assert sky_line({"mask": 0.5}) == ""


def test_one_row_per_class_with_the_videos_beside_each_other():
    rows = {row["class"]: row for row in reading_rows(figures())}
    assert list(rows) == ["road", "building", "traffic light", "sky"]
    assert list(rows["sky"]) == [
        "class", "iou/output", "iou/truth", "read_right/output", "read_right/truth",
    ]  # fmt: skip
    assert rows["sky"]["iou/truth"] == 1
