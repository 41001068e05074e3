"""The ranges are said once in pyproject.toml and kept word for word where they are checked."""

from __future__ import annotations

import importlib.metadata
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

from v2v_jax import versions

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_what_is_checked_is_what_is_installed():
    ranges = [re.fullmatch(r"([\w-]+)(.*)", line) for line in PROJECT["dependencies"]]
    assert {found[1]: found[2] for found in ranges if found} == versions.TESTED
    lowest = PROJECT["requires-python"]
    assert versions.PYTHON.startswith(lowest + ",")
    classified = [line.split()[-1] for line in PROJECT["classifiers"] if "Python :: 3." in line]
    assert all(versions.within(name, versions.PYTHON) for name in classified)
    assert not versions.within(f"3.{len(classified) + 11}", versions.PYTHON)


@pytest.mark.parametrize(
    ("version", "tested", "inside"),
    [
        ("0.12.1", ">=0.10.1,<0.13", True),
        ("0.10.1", ">=0.10.1,<0.13", True),
        ("0.10.0", ">=0.10.1,<0.13", False),
        ("0.9.9", ">=0.10.1,<0.13", False),
        ("0.13.0", ">=0.10.1,<0.13", False),
        ("0.13.0rc1", ">=0.10.1,<0.13", False),
        ("2", ">=2.0,<3", True),
        ("2.5.0.dev20261101+g123", ">=2.0,<3", True),
        ("5.0.0.93", ">=4.10,<6", True),
        ("0.0.12", "==0.0.12", True),
        ("0.0.13", "==0.0.12", False),
    ],
)
def test_ranges(version, tested, inside):
    assert versions.within(version, tested) is inside


def test_what_is_tested_is_not_spoken_of(caplog):
    versions.warn_of_untested()
    assert not caplog.records


def test_importing_names_what_is_outside_in_one_line(tmp_path):
    for name, version in (("av", "99.1"), ("jax", "0.4.30")):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import v2v_jax"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert "jax 0.4.30 (tested: >=0.10.1,<0.13), av 99.1 (tested: >=18,<20)" in line
    assert "numpy" not in line and importlib.metadata.version("numpy")
