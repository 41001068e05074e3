"""The report is one complete, self-contained, well-formed file that says what failed."""

from __future__ import annotations

import base64
import html.parser
import json
import pathlib
import re
from typing import Any

import cv2
import numpy as np
import pytest

from v2v_jax.evaluation.reporting.curves import _thinned, curve_svg, read_metrics
from v2v_jax.evaluation.reporting.report import write_report
from v2v_jax.evaluation.reporting.rows import distance_rows, format_cell, video_rows
from v2v_jax.evaluation.reporting.verdicts import Verdict, verdicts

GIF = b"GIF89a" + bytes(20)
FIGURES = {
    "warping_error/source": 0.0004,
    "warping_error/raw": 0.002,
    "warping_error/output": 0.0002,
    "mask_agree": 0.9,
    "mask_new": 0.4,
    "raw_over_output": 10.0,
    "output_over_source": 0.5,
    "share_target/output": 0.1,
    "like_target_least/output": 0.9,
    "at_1/structure/output": 0.8,
    "at_60/structure/output": 0.4,
    "at_60/mask": 0.5,
}
VOID = {"meta", "img", "line", "circle", "path", "wbr"}


class _Page(html.parser.HTMLParser):
    """Collects tags and text; fails on tags that are not closed in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def _metrics(folder: pathlib.Path) -> pathlib.Path:
    path = folder / "metrics.jsonl"
    lines = [
        {"step": step, "loss/generator": 5.0 / step, "term/content": 0.5, "eval/mask": 0.4}
        for step in range(1, 40)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _report(folder: pathlib.Path, **changes: Any) -> tuple[str, _Page]:
    path = folder / "deep" / "report.html"
    arguments: dict[str, Any] = {
        "title": "game <to> street",
        "config": {"weights": {"gan": 1.0}, "name": "<demo>"},
        "metrics_jsonl": _metrics(folder),
        "scores": verdicts(FIGURES),
        "tables": {"By distance": distance_rows(FIGURES), "Videos": video_rows(FIGURES)},
        "pictures": {
            "mask": np.eye(8, dtype=np.uint8),
            "output": np.zeros((3, 8, 16, 3), np.uint8),
        },
        "clips": {"side by side": GIF, "film": b"\0\0\0\x18ftypmp42" + bytes(8)},
        "notes": ["content features come from RANDOM weights"],
        "facts": {"steps": 1500.0},
    }
    write_report(path, **{**arguments, **changes})
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    text = path.read_text()
    return text, _Page(text)


def test_the_page_is_well_formed_escaped_and_self_contained(tmp_path):
    text, page = _report(tmp_path)
    assert "game <to> street" in page.text and "'<demo>'" in page.text
    assert "<to>" not in text and "<demo>" not in text
    tags = {tag for tag, _ in page.attributes}
    assert not tags & {"script", "link", "iframe", "object"}
    for _, attributes in page.attributes:
        for name in ("src", "href", "data", "poster"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "url(" not in text and "@import" not in text


def test_failures_and_notes_are_loud(tmp_path):
    _, page = _report(tmp_path)
    assert "2 of 6 checks failed" in page.text
    assert page.text.count("FAILURE") == 2
    assert "SMEARING" in page.text and "layout is lost" in page.text
    assert "RANDOM weights" in page.text
    good = [Verdict("steady", 2.0, 1.5, True, "hardly steadier")]
    _, page = _report(tmp_path, scores=good, notes=[])
    # How it moves says nothing about what it shows.
    assert "all checks passed" not in page.text and "FAILURE" not in page.text
    assert "1 checks of motion passed, meaning was not checked" in page.text
    good.append(Verdict("alike", 0.9, 0.4, True, "flipped", of_meaning=True))
    _, page = _report(tmp_path, scores=good, notes=[])
    assert "all checks passed" in page.text and "FAILURE" not in page.text
    assert "hardly" not in page.text


def test_pictures_come_back_with_their_colours(tmp_path):
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[..., 0] = 200  # red
    strip = np.stack([picture, picture // 2])
    text, _ = _report(tmp_path, pictures={"one": picture, "two": strip})
    found = [
        np.asarray(cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR))
        for data in re.findall(r"data:image/png;base64,([^\"]+)", text)
    ]
    assert found[0][0, 0].tolist() == [0, 0, 200]
    assert found[1].shape == (4, 13, 3) and found[1][0, 7].tolist() == [0, 0, 100]
    assert found[1][0, 6].tolist() == [255, 255, 255]


def test_unknown_pictures_and_clips_are_named_and_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match=r"picture 'odd' must be uint8 .* got float32 \(4, 4\)"):
        _report(tmp_path, pictures={"odd": np.zeros((4, 4), np.float32)})
    with pytest.raises(ValueError, match="clip 'odd' is neither GIF, MP4 nor WebM"):
        _report(tmp_path, clips={"odd": b"RIFF"})
    assert not (tmp_path / "deep").exists()


def test_empty_sections_are_left_out(tmp_path):
    _, page = _report(
        tmp_path, metrics_jsonl=None, scores=[], tables=None, pictures=None, clips=None, config={}
    )
    for title in ("Curves", "Pictures", "Evaluation", "The clip", "Configuration", "checks"):
        assert title not in page.text


def test_tables_hold_every_row_under_its_column(tmp_path):
    rows = [{"distance": 1.0, "error/raw": 0.25}, {"distance": 60.0, "error/output": 0.000123}]
    text, _ = _report(tmp_path, tables={"T": rows}, scores=[])
    cells = re.findall(r"<td>(.*?)</td>", text)
    assert cells == ["1", "0.25", "-", "60", "-", "0.000123"]
    assert '<th class="group" colspan="2">error</th>' in text


def test_cells_are_short_and_keep_small_numbers():
    figures = (0.000264, 0.5, 1234567.0, 0.0, float("nan"), "text", 3e-8)
    found = [format_cell(figure) for figure in figures]
    assert found == ["0.000264", "0.5", "1.235e+06", "0", "-", "text", "3.0e-08"]


def test_metrics_of_a_resumed_and_killed_run(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 2, "a": 2.0}\n{"step": 1, "a": 1.0}\n\n{"step": 2, "a": NaN, "b": 5}\n'
        '{"step": 2, "a": 3.0}\n{"step": 3, "a'
    )
    curves = read_metrics(path)
    assert curves["a"][0].tolist() == [1, 2] and curves["a"][1].tolist() == [1, 3]
    assert curves["b"][1].tolist() == [5]
    path.write_text('{"a": 1}\n{"step": 1}\n')
    with pytest.raises(ValueError, match=r"metrics.jsonl, line 1: not a metrics object"):
        read_metrics(path)
    with pytest.raises(FileNotFoundError, match="train first"):
        read_metrics(tmp_path / "none.jsonl")


def _points(svg: str, kind: str) -> np.ndarray:
    data = re.search(rf'<path class="{kind}" d="([^"]*)"', svg)
    assert data is not None
    return np.array(re.findall(r"[ML]([\d.]+) ([\d.]+)", data[1]), float)


def test_a_curve_is_drawn_where_its_values_are():
    steps = np.arange(11.0)
    svg = curve_svg("loss", (steps, steps * 2))
    points = _points(svg, "faint")
    assert len(points) == 11
    # Equal steps to the right, equal steps up: SVG's y grows downwards.
    np.testing.assert_allclose(np.diff(points[:, 0]), np.diff(points[:, 0])[0], atol=0.11)
    np.testing.assert_allclose(np.diff(points[:, 1]), np.diff(points[:, 1])[0], atol=0.11)
    assert points[0, 1] > points[-1, 1]
    assert ">20</text>" in svg and ">0</text>" in svg


@pytest.mark.parametrize("values", [[3.0] * 5, [0.0], [float("nan")] * 3, [1, float("inf"), 2]])
def test_flat_single_and_broken_curves_are_drawn_without_a_fault(values):
    svg = curve_svg("x", (np.arange(len(values), dtype=float), np.array(values, float)))
    assert svg.startswith("<svg") and "nan" not in svg and 'd="Mnan' not in svg


def test_long_curves_are_averaged_down_and_reach_the_last_step():
    steps = np.arange(8_400.0)
    svg = curve_svg("x", (steps, np.where(steps % 3, 1.0, 4.0) + steps / 100))
    points = _points(svg, "faint")
    assert len(points) <= 400 and len(svg) < 20_000
    # 21 steps a point, 7 of them high: only the trend is left.
    assert np.all(np.diff(points[:, 1]) <= 0)
    np.testing.assert_allclose(_thinned(steps, np.where(steps % 3, 1.0, 4.0))[1], 2.0)
    assert ">8,399</text>" in svg
