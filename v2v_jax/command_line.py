"""What goes wrong on a command line, said in one line with the way to mend it."""

from __future__ import annotations

import contextlib
import difflib
import re
import runpy
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from absl import flags, logging

_CONFIG_FILE = re.compile(r"^--?config=(.+)")
_OVERRIDE = re.compile(r"^--?(?:no)?config\.([^=]+)")


def parse(argv: Sequence[str]) -> list[str]:
    """Parses as absl does, for ``app.run``; an unknown config field names its nearest neighbour."""
    try:
        return flags.FLAGS(argv)
    except Exception as error:  # whatever a config file or flag raises, it is the user's input
        fail(_explained(argv, error))


def fail(message: str) -> NoReturn:
    """Prints ``error: message`` and exits with 1."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(1)


def _explained(argv: Sequence[str], error: Exception) -> str:
    config = _loaded_config(argv)
    for argument in argv[1:] if config is not None else []:
        match = _OVERRIDE.match(argument)
        if match and (problem := unknown_field(config, match.group(1))):
            return problem
    text = str(error) or type(error).__name__
    if "earlier failure" in text:
        return f"--config: {text.rpartition(']: ')[2]}; give a file of configs/"
    return text


def _loaded_config(argv: Sequence[str]) -> Any:
    """The config file's values, where the file itself can be loaded."""
    for argument in argv:
        if match := _CONFIG_FILE.match(argument):
            path, _, variant = match.group(1).partition(":")
            with contextlib.suppress(Exception):
                make = runpy.run_path(path)["get_config"]
                return make(variant) if variant else make()
    return None


def unknown_field(config: Any, path: str) -> str | None:
    """Why ``path`` ("data.size") is no field of the config, and the nearest one; None if it is."""
    node: Any = config
    parts = path.split(".")
    for depth, part in enumerate(parts):
        names = list(node.keys()) if hasattr(node, "keys") else []
        if part not in names:
            where = ".".join(["config", *parts[:depth]])
            near = difflib.get_close_matches(part, names, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(names))}"
            return f"unknown config field {part!r} in {where}: {hint}"
        node = node[part]
    return None


def required(flag: flags.FlagHolder, mode: str) -> Any:
    """The flag's value; exits with one line if it was not given."""
    if flag.value in (None, ""):
        fail(f"--mode={mode} needs --{flag.name}; see --help")
    return flag.value


def height_width(values: Sequence[str] | None) -> tuple[int, int] | None:
    """``["256", "512"]`` -> (256, 512)."""
    if values is None:
        return None
    if len(values) != 2 or not all(value.strip().isdigit() for value in values):
        fail(f"--size={','.join(values)}: give height,width, for example --size=256,512")
    height, width = (int(value) for value in values)
    return height, width


def no_positional(argv: Sequence[str]) -> None:
    """Words without a flag are a mistake (a space after ``=``, an unquoted glob)."""
    if len(argv) > 1:
        fail(f"unexpected argument {argv[1]!r}: quote globs, and write --flag=value")


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Bad input and a full disk end in one line and exit code 1; bugs keep their traceback."""
    try:
        yield
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        logging.debug("the error's origin", exc_info=True)
        if not _is_ours(error):
            raise
        fail(str(error))


def _is_ours(error: BaseException) -> bool:
    """Whether the line that raised is this project's; a library's error is a bug to be seen."""
    trace = error.__traceback__
    name = ""
    while trace is not None:
        name, trace = trace.tb_frame.f_globals.get("__name__", ""), trace.tb_next
    return name.startswith("v2v_jax") or isinstance(error, OSError)
