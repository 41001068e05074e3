"""Scores become the paper's tables: means, deviations, orderings, and failures marked as such."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from v2v_jax.evaluation.reporting import bars, tables
from v2v_jax.evaluation.reporting.tables import Result

TITLES = {"base": "Baseline <1>", "ours": "Ours", "copy": "Copies", "absent": "Never run"}
SHOWN = {"base": (1, 2), "ours": (1, 2, 3), "copy": (2,), "absent": (1, 2)}
SKY, BUILDING = 10, 2


def result(row, seed, miou, error, source=0.001):
    counts = np.zeros((19, 20), np.int64)
    counts[SKY, SKY], counts[SKY, BUILDING] = 3, 1
    figures = {
        "miou/output": miou, "fwiou/output": miou, "pixel_accuracy/output": miou,
        "warping_error/output": error, "output_over_source": error / source,
        "warping_error/source": source,
    }  # fmt: skip
    return Result(row, seed, figures, counts)


RESULTS = [
    result("base", 0, 0.2, 0.004),
    result("base", 1, 0.3, 0.006),
    result("ours", 0, 0.4, 0.002),
    result("copy", 0, 0.1, 0.0005),
]


def lines(text, start):
    return [line for line in text.splitlines() if line.startswith(f"| {start}")]


def test_mean_and_sample_deviation_over_seeds():
    text = tables.markdown(RESULTS, TITLES, SHOWN)
    assert lines(text, "Baseline")[0] == (
        "| Baseline <1> | 25.00 ± 7.07 | 25.00 ± 7.07 | 25.00 ± 7.07 | 2 |"
    )
    assert "| 0.005000 ± 0.001414 | 5.00 ± 1.41 | 2 |" in lines(text, "Baseline")[1]
    assert lines(text, "Ours")[0] == "| Ours | 40.00 | 40.00 | 40.00 | 1 |"


def test_rows_stand_in_their_tables_and_only_with_results():
    text = tables.markdown(RESULTS, TITLES, SHOWN)
    assert "Never run" not in text
    assert "Table 3" in text and "Table 6" not in text
    assert "Copies" not in text.split("### Table 2")[0]


def test_an_error_under_the_sources_is_marked_as_smearing():
    text = tables.markdown(RESULTS, TITLES, SHOWN)
    assert lines(text, "Copies †") and "counts as a failure" in text
    assert "†" not in tables.markdown(RESULTS[:3], TITLES, SHOWN)


def test_the_gain_is_a_column_where_there_is_a_truth():
    assert "truth/gain" not in tables.markdown(RESULTS, TITLES, SHOWN)
    gained = [r._replace(figures=r.figures | {"truth/gain": 0.25}) for r in RESULTS if r.seed == 0]
    text = tables.markdown([*gained, *RESULTS[1:2]], TITLES, SHOWN)
    assert lines(text, "Ours")[0] == "| Ours | 40.00 | 40.00 | 40.00 | 0.250 | 1 |"
    assert lines(text, "Ours")[1].endswith("| 2.00 | 0.250 | 1 |")


def test_where_there_is_a_truth_smearing_is_steadier_than_that():
    def of_truth(ratio):
        return [r._replace(figures=r.figures | {"output_over_truth": ratio}) for r in RESULTS]

    # The source may be twice as restless as the truth.
    assert tables.smears(RESULTS, "copy") and not tables.smears(of_truth(1.0), "copy")
    assert tables.smears(of_truth(0.7), "ours") and "than the truth" in tables.markdown(
        of_truth(0.7), TITLES, SHOWN
    )


def test_orderings_are_judged_by_the_figures():
    claims = [
        ("ours", "miou/output", ">", 1.0, "base"),
        ("ours", "miou/output", ">", 2.0, "base"),
        ("ours", "warping_error/output", "<", 0.5, "base"),
        ("ours", "warping_error/output", "<", 0.2, "base"),
        ("ours", "warping_error/output", "<", 1.0, "copy"),
        ("ours", "miou/output", ">", 1.0, "absent"),
    ]
    said = tables.judged(RESULTS, TITLES, claims)
    assert [line.split(":")[0] for line in said] == [
        "- yes", "- **NO**", "- yes", "- **NO**", "- not counted, Copies smears",
    ]  # fmt: skip


def test_the_flips_and_the_whole_matrix():
    text = tables.markdown(RESULTS, TITLES, SHOWN, matrices=("ours", "absent"))
    assert "| Ours | 25.0 % | 0.0 % |" in text
    assert "#### Ours: the whole flip matrix" in text
    assert "| sky | 25.0 | 75.0 |" in text


def test_the_csv_holds_every_run():
    rows = list(csv.DictReader(io.StringIO(tables.as_csv(RESULTS, TITLES))))
    assert [(row["row"], row["seed"]) for row in rows] == [
        ("base", "0"), ("base", "1"), ("ours", "0"), ("copy", "0"),
    ]  # fmt: skip
    assert float(rows[1]["miou/output"]) == 0.3


def test_the_plot_is_drawn_to_scale():
    tree = ET.fromstring(bars.plot_svg(RESULTS, TITLES))
    boxes = [float(node.attrib["width"]) for node in tree.iter() if node.tag.endswith("rect")][1:]
    # Three means of mIoU (0.25, 0.4, 0.1), then of errors; the largest single run fills a panel.
    assert boxes[:3] == pytest.approx([250 * 0.25 / 0.4, 250, 250 * 0.1 / 0.4], abs=0.1)
    assert boxes[3:] == pytest.approx([250 * 5 / 6, 250 * 2 / 6, 250 * 0.5 / 6], abs=0.1)
    assert "Baseline &lt;1&gt;" in bars.plot_svg(RESULTS, TITLES)
    assert len([node for node in tree.iter() if node.tag.endswith("circle")]) == 8
