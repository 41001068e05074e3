"""What CONTRIBUTING and README tell a newcomer to open is there."""

from __future__ import annotations

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FILE = re.compile(r"`((?:v2v_jax|configs|tools|tests|docs)/[\w./]+\.\w+)`")


def section(document: str, title: str) -> str:
    """The text under a heading, to the next one of its rank."""
    return (ROOT / document).read_text().split(f"## {title}", 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize(
    ("document", "title", "least"),
    [("CONTRIBUTING.md", "Where do I add", 13), ("README.md", "Reading the code", 10)],
)
def test_named_files_exist(document, title, least):
    text = section(document, title)
    named = FILE.findall(text)
    assert len(named) >= least
    assert not [name for name in named if not (ROOT / name).is_file()]


def test_every_question_is_answered_by_a_file():
    rows = [
        line for line in section("CONTRIBUTING.md", "Where do I add").splitlines() if "|" in line
    ]
    for row in rows[2:]:
        assert FILE.search(row), row
