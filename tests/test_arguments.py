"""Home folders, fields given twice, and the kind of config on a command line."""

from __future__ import annotations

import sys
import warnings

import pytest
from absl.testing import flagsaver
from command import DEMO, ROOT, refused

from configs import demo
from v2v_jax import arguments, command_line, main
from v2v_jax.data.prepare.__main__ import parse as prepare_parse


def parsed(monkeypatch, *argv: str):
    """The config that a command line stands for."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["main", *argv])
    with flagsaver.flagsaver(), warnings.catch_warnings():
        # How ml_collections loads a file.
        warnings.filterwarnings("ignore", r"the load_module\(\)", DeprecationWarning)
        command_line.parse(["main", *argv])
        return {name: main.flags.FLAGS[name].value for name in arguments.PATHS}


def test_home_is_expanded_in_every_flag_and_field(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.py").write_text(
        "from configs import demo\n"
        "def get_config(name=''):\n"
        "    config = demo.get_config(name)\n"
        "    config.data.cache = '~/cache'\n"
        "    return config\n"
    )
    flags = [f"--{name}=~/{name}" for name in arguments.PATHS if name not in ("config", "workdir")]
    found = parsed(
        monkeypatch, "--config=~/mine.py:cyclegan", "--workdir", "~/run", *flags,
        "--config.data.source=~/a/*.mp4", "--config.segmenter.run", "~",
    )  # fmt: skip
    assert found["workdir"] == f"{tmp_path}/run"
    for name in flags:
        name = name[2:].partition("=")[0]
        assert found[name] == f"{tmp_path}/{name}"
    config = found["config"]
    assert config.method == "cyclegan" and config.data.cache == f"{tmp_path}/cache"
    assert config.data.source == f"{tmp_path}/a/*.mp4" and config.segmenter.run == str(tmp_path)
    given = prepare_parse(["videos", "--raw=~/a", "--out=~/b"])
    assert (given.raw, given.out) == (f"{tmp_path}/a", f"{tmp_path}/b")
    given = prepare_parse(["viper", "--raw=a", "--out=b", "--class_map=~/c.csv"])
    assert given.class_map == f"{tmp_path}/c.csv"


def test_home_of_nobody(capsys, tmp_path, monkeypatch):
    line = refused(capsys, *DEMO, "--workdir=~nobody-of-this-name/runs")
    assert "~nobody-of-this-name/runs: there is no user" in line and "write ./~nobody" in line
    line = refused(capsys, *DEMO, "--workdir=/x", "--config.data.cache=~nobody-of-this-name")
    assert "there is no user" in line
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~backup.mp4").write_text("")
    assert arguments.expanded("~backup.mp4") == "~backup.mp4"
    assert arguments.expanded("~*.mp4") == "~*.mp4"


@pytest.mark.parametrize(
    "given",
    [
        ["--config.data.size=8,8", "--config.data.size=16,32"],
        ["--config.data.size=16,32", "--config.data.size=16,32"],
        ["--config.data.size", "8,8", "--config.steps=1", "--config.data.size", "(16, 32)"],
        ["--config.data.size", "8,8", "--config.data.size=16,32"],
        ["-config.data.size=8,8", "--config.truncate", "--config.data.size=16,32"],
    ],
)
def test_of_a_field_that_is_given_twice_the_last_counts(monkeypatch, given):
    config = parsed(monkeypatch, "--config=demo", "--config.steps=7", *given)["config"]
    assert tuple(config.data.size) == (16, 32)
    assert config.steps == (1 if "--config.steps=1" in given else 7)
    assert config.truncate == ("--config.truncate" in given)


def test_a_field_without_a_value_keeps_the_flag_behind_it():
    argv = ["main", "--config.truncate", "-workdir=x", "--config.truncate", "--config.b", "-1"]
    assert arguments.tidied(argv) == ["main", "-workdir=x", "--config.truncate", "--config.b", "-1"]


@pytest.mark.parametrize(
    ("given", "hints"),
    [
        (["--config=tables:cyclegan"], ["no variants", "--config=", "configs/tables.py"]),
        (["--config=tables", "--mode=describe"], ["--mode=describe takes", "cyclegan", "table"]),
        (["--config=tables", "--workdir=/x"], ["--mode=train takes the config of one run"]),
        (["--config=tables", "--workdir=/x", "--mode=evaluate"], ["--mode=evaluate takes"]),
        (["--config=demo", "--workdir=/x", "--mode=table"], ["needs a config that has rows"]),
    ],
    ids=lambda given: " ".join(given)[:40],
)
def test_configs_of_another_kind(capsys, given, hints):
    line = refused(capsys, *given)
    assert "Traceback" not in line and "TypeError" not in line
    for hint in hints:
        assert hint in line
    assert arguments.wrong_kind(demo.get_config(), "train") is None


@pytest.mark.parametrize("world", ["demo", "viper2city"])
@pytest.mark.parametrize("method", ["bt", "cycada", "cyclegan", "recyclegan", "segmenter"])
def test_configs_of_former_names_are_found_and_their_new_ones_said(
    tmp_path, monkeypatch, capsys, world, method
):
    old = f"{world}_{method}"
    for path, new in (
        (f"configs/{old}.py", f"configs/{world}.py:{method}"),
        (f"/a/configs/{old}.py", f"/a/configs/{world}.py:{method}"),
        (old, f"{world}:{method}"),
    ):
        assert arguments.renamed(path) == new
        said = f"--config={path} is --config={new} now: use that name\n"
        assert capsys.readouterr().err == said
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{old}.py").touch()
    for path in (f"{old}.py", "configs/demo.py", "demo:bt", "", f"{old}.py:bt", f"{old}.yaml"):
        assert arguments.renamed(path) == path
    assert capsys.readouterr().err == ""
