"""What a command line means before absl reads it: home folders, fields that are given twice."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PATHS = ("config", "workdir", "input", "output", "stabilise", "processed", "init_from", "beside")
"""Flags whose values are paths; fields of the config are looked through by ``with_home``."""
_FIELD = re.compile(r"--?(config\.[^=]+)(=.*)?", re.DOTALL)
_FLAG = re.compile(r"--?[A-Za-z_]")
_FORMER = re.compile(
    r"(|.*/)(demo|viper2city)_(bt|cycada|cyclegan|recyclegan|segmenter)(|\.py)", re.DOTALL
)
"""Configs that once were files of their own, a world and a method in each."""


def configs_folder() -> Path:
    """The folder of the configs that came with this package: of the checkout, or of the wheel."""
    ours = Path(__file__).parent / "configs"
    return ours if ours.is_dir() else Path(__file__).parents[1] / "configs"


def renamed(path: str) -> str:
    """What a config's former name (``configs/demo_cyclegan.py``) is now; said in a line.

    Any other path comes back as it is, also of a file that somebody has under such a name.
    """
    match = _FORMER.fullmatch(path)
    known = configs_folder() / f"{Path(path).stem}.py"
    if match is None or os.path.lexists(path) or known.exists():
        return path
    folder, world, method, suffix = match.groups()
    new = f"{folder}{world}{suffix}:{method}"
    print(f"--config={path} is --config={new} now: use that name", file=sys.stderr)
    return new


def tidied(argv: Sequence[str]) -> list[str]:
    """The same command line with ``~`` expanded, and of a field that is given twice the last.

    A shell leaves the ``~`` of ``--workdir=~/runs`` alone, and ml_collections adds up tuples that
    are given twice.

    Raises:
        ValueError: the home of a user that does not exist.
    """
    return _last_of_each(_with_home_paths(list(argv)))


def _with_home_paths(argv: list[str]) -> list[str]:
    before = ""
    for at, argument in enumerate(argv):
        name, equals, value = argument.partition("=")
        if at and equals and name.startswith("-") and name.lstrip("-") in PATHS:
            argv[at] = f"{name}={expanded(value)}"
        elif before.startswith("-") and before.lstrip("-") in PATHS:
            argv[at] = expanded(argument)
        before = argument
    return argv


def _last_of_each(argv: list[str]) -> list[str]:
    words: dict[tuple[Any, ...], list[str]] = {}
    at = 0
    while at < len(argv):
        field = _FIELD.fullmatch(argv[at]) if at else None
        # --config.truncate stands alone, --config.steps 3 does not.
        alone = field is None or field[2] or argv[at + 1 : at + 2] == []
        following = [] if alone or _FLAG.match(argv[at + 1]) else [argv[at + 1]]
        key = (at,) if field is None else (field[1],)
        words.pop(key, None)
        words[key] = [argv[at], *following]
        at += len(words[key])
    return [word for group in words.values() for word in group]


def expanded(path: str) -> str:
    """``path`` with the home folder it begins with.

    Raises:
        ValueError: the home of a user that does not exist.
    """
    full = os.path.expanduser(path)
    first = full.partition("/")[0]
    if not full.startswith("~") or glob.has_magic(first) or os.path.lexists(full):
        return full
    raise ValueError(
        f"{path}: there is no user whose home {first} would be; write ./{path} for a file or "
        "folder of that name"
    )


def with_home(config: Any) -> None:
    """Expands ``~`` in every text of a config, in place: nothing but a path begins with one.

    Raises:
        ValueError: the home of a user that does not exist.
    """
    for name in config:
        value = config[name]
        if hasattr(value, "keys"):
            with_home(value)
        elif isinstance(value, str) and value.startswith("~"):
            config[name] = expanded(value)


def wrong_kind(config: Any, mode: str) -> str | None:
    """Why a mode cannot do with a config, a run's or a table's with its rows; None if it can."""
    rows = "rows" in config and "method" not in config
    if mode == "table" and not rows:
        return "--mode=table needs a config that has rows, such as --config=configs/tables.py"
    if mode == "table" or not rows:
        return None
    known = ", ".join(list(config["order"] if "order" in config else config["rows"])[:3])
    return (
        f"--mode={mode} takes the config of one run, and this one is of a table of many ({known}, "
        "…): give it to --mode=table, or a run's own, such as --config=configs/demo.py"
    )
