"""The small table of runs beside each other says for each what the others' rows say."""

from __future__ import annotations

import numpy as np

from v2v_jax.evaluation.nearness import SPECTRA
from v2v_jax.evaluation.reporting.beside import SOURCE, TRUTH, Run, beside_rows, videos

VIDEO = np.zeros((2, 4, 4, 3), np.uint8)
BAND = "spectrum/0.05–0.15"


def figures(gain: float, miou: float) -> dict[str, float]:
    found = {
        "truth/gain": gain, "miou/source": 0.2, "miou/output": miou, "miou/truth": 0.4,
        "warping_error/source": 4.0, "warping_error/output": 3.0, "warping_error/truth": 2.0,
        "class_sky/truth/l1/source": 40.0, "class_sky/truth/l1/output": 10.0,
        "class_sky/read_right/output": 0.7, "class_sky/read_right/truth": 0.9,
    }  # fmt: skip
    return found | {f"{name}/{v}": 0.5 for name in SPECTRA for v in ("source", "output")}


def test_source_runs_and_truth_in_one_table():
    runs = [Run("here", figures(0.2, 0.3), VIDEO), Run("shipped", figures(0.6, 0.36), VIDEO)]
    rows = beside_rows(runs)
    assert [row["video"] for row in rows] == [SOURCE, "here", "shipped", TRUTH]
    assert [row["truth gain"] for row in rows] == [0, 0.2, 0.6, 1]
    assert [row["mIoU/of truth's"] for row in rows] == [0.5, 0.75, 0.9, 1]
    assert [row["warping error/of truth's"] for row in rows] == [2, 1.5, 1.5, 1]
    assert [row["warping error/of source's"] for row in rows] == [1, 0.75, 0.75, 0.5]
    assert [row["sky/L1"] for row in rows] == [40, 10, 10, 0]
    assert [row.get("sky/read as sky") for row in rows] == [None, 0.7, 0.7, 0.9]
    assert [row[BAND] for row in rows] == [0.5, 0.5, 0.5, 1]


def test_without_a_truth_there_is_what_can_be_said():
    real = {"warping_error/source": 4.0, "warping_error/output": 3.0}
    rows = beside_rows([Run("here", real, VIDEO)])
    assert rows[1] == {"video": "here", "warping error/of source's": 0.75}
    assert [row["video"] for row in rows] == [SOURCE, "here"]


def test_the_videos_stand_in_the_tables_order():
    runs = [Run("here", {}, VIDEO), Run("shipped", {}, VIDEO)]
    assert list(videos(VIDEO, runs, VIDEO)) == [SOURCE, "here", "shipped", TRUTH]
    assert list(videos(VIDEO, runs, None)) == [SOURCE, "here", "shipped"]
