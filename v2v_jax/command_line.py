"""What goes wrong on a command line, said in one line with the way to mend it."""

from __future__ import annotations

import contextlib
import difflib
import errno
import importlib
import importlib.util
import inspect
import logging as std_logging
import re
import runpy
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from absl import flags, logging

from v2v_jax import arguments

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FIELD = re.compile(r"--?(?:no)?config\.([^=]+)(?:=(.*))?", re.DOTALL)


def parse(argv: Sequence[str]) -> list[str]:
    """Parses as absl does, for ``app.run``; every mistake is one line."""
    try:
        argv = _with_config_file(arguments.tidied(argv))
        rest = flags.FLAGS(argv)
    except Exception as error:  # whatever a config file or flag raises, it is the user's input
        fail(_explained(argv, error))
    # ml_collections keeps a missing file to itself until somebody asks for a field.
    if (path := _config_path(argv)) and not Path(path.partition(":")[0]).is_file():
        fail(_explained(argv, FileNotFoundError(path)))
    try:
        arguments.with_home(flags.FLAGS["config"].value or {})
    except ValueError as error:
        fail(f"--config={path}: {error}")
    return rest


def fail(message: str) -> NoReturn:
    """Prints ``error: message`` and exits with 1."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(1)


def _explained(argv: Sequence[str], error: Exception) -> str:
    """What is wrong with the command line: the config's file, then its fields, then the rest."""
    fields = [match for argument in argv[1:] if (match := _FIELD.fullmatch(argument))]
    path = _config_path(argv)
    if path is None:
        return "--config.… needs --config=FILE as well" if fields else str(error)
    try:
        config = _loaded(path)
    except Exception as broken:
        return f"--config={path}: {broken or type(broken).__name__}"
    for match in fields:
        name, value = match.groups()
        if problem := unknown_field(config, name) or _wrong_type(config, name, value):
            return problem
    return str(error) or type(error).__name__


def _with_config_file(argv: Sequence[str]) -> list[str]:
    """The same arguments, with the file for a config's bare name or former one."""
    given = _config_path(argv)
    path = arguments.renamed(given or "")
    name, colon, variant = path.partition(":")
    if re.fullmatch(r"[A-Za-z_]\w*", name) and not Path(name).is_file():
        path = f"{shipped_configs() / name}.py{colon}{variant}"
    elif path and importlib.util.find_spec("configs") is None:
        shipped_configs()  # A user's own file imports them, too.
    if not path or path == given:
        return list(argv)
    at = next(i for i, a in enumerate(argv) if a.lstrip("-").partition("=")[0] == "config")
    rest = [f"--config={path}", *argv[at + (1 if "=" in argv[at] else 2) :]]
    return [*argv[:at], *rest]


def shipped_configs() -> Path:
    """``arguments.configs_folder``, made fit for its files to be loaded.

    A wheel has no package of the name ``configs``, which is anybody's; there the name stands for
    ``v2v_jax.configs``, so that the files can import each other in both places.
    """
    if (folder := arguments.configs_folder()).parent == Path(__file__).parent:
        sys.modules["configs"] = importlib.import_module("v2v_jax.configs")
    return folder


def _config_path(argv: Sequence[str]) -> str | None:
    for argument, following in zip(argv[1:], [*argv[2:], None], strict=False):
        name, equals, value = argument.lstrip("-").partition("=")
        if name == "config" and argument.startswith("-"):
            return value if equals else following
    return None


def _loaded(path: str) -> Any:
    """The config file's values."""
    file, _, variant = path.partition(":")
    if not Path(file).is_file():
        others = sorted(p.name for p in Path(file).parent.glob("[a-z]*.py"))
        known = f"; {Path(file).parent}/ has {', '.join(others)}" if others else ""
        raise FileNotFoundError(f"no such file{known}")
    try:
        found = runpy.run_path(file)
        make = found.get("get_config", lambda *_: None)
        if variant and not inspect.signature(make).parameters:
            raise ValueError(f"this config has no variants: give --config={file}")
        config = make(variant) if variant else make()
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not hasattr(config, "keys"):
        raise ValueError("the file must have get_config(), which returns a ConfigDict")
    return config


def unknown_field(config: Any, path: str) -> str | None:
    """Why ``path`` ("data.size") is no field of the config, and the nearest one; None if it is."""
    node: Any = config
    parts = path.split(".")
    for depth, part in enumerate(parts):
        names = list(node.keys()) if hasattr(node, "keys") else []
        if part not in names:
            where = ".".join(["config", *parts[:depth]])
            near = difflib.get_close_matches(part, names, n=1, cutoff=0.4)
            hint = f"it has {', '.join(sorted(names))}" if names else "it has no fields"
            hint = f"did you mean {near[0]!r}?" if near else hint
            return f"unknown config field {part!r} in {where}: {hint}"
        node = node[part]
    return None


def _wrong_type(config: Any, path: str, value: str | None) -> str | None:
    """Why ``value`` cannot stand in that field; None if it can."""
    default = config
    for part in path.split("."):
        default = default[part]
    if hasattr(default, "keys"):
        return f"config.{path} is a group, set one of its fields: {', '.join(sorted(default))}"
    if value is None:
        return None
    readers = {bool: _boolean, int: int, float: float}
    try:
        readers.get(type(default), str)(value)
    except ValueError:
        kind = type(default).__name__
        return f"config.{path}={value}: must be of type {kind}, like {default!r}"
    return None


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "t", "1", "false", "f", "0"):
        raise ValueError(text)
    return text.lower() in ("true", "t", "1")


def required(flag: flags.FlagHolder) -> Any:
    """The flag's value; exits with one line if it was not given."""
    if flag.value in (None, ""):
        what = flags.FLAGS[flag.name].help.rstrip(".")
        fail(f"--mode={flags.FLAGS['mode'].value} needs --{flag.name} ({what}); see --help")
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
    """Bad input, a full disk and signals end in one line; bugs keep their traceback."""
    # Unwinds, so that half-written files are removed; training has a handler of its own.
    former = signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        logging.debug("the error's origin", exc_info=True)
        message = _readable(error)
        if message is None:
            raise
        fail(message)
    finally:
        signal.signal(signal.SIGTERM, former or signal.SIG_DFL)


def _terminated(number: int, frame: Any) -> NoReturn:
    print("terminated", file=sys.stderr)
    raise SystemExit(128 + number)


def _readable(error: Exception) -> str | None:
    """The error for a user; None where the line that raised is a library's: a bug to be seen."""
    if "RESOURCE_EXHAUSTED" in str(error):
        return "the device is out of memory: take smaller frames (--config.data.size, --size)"
    if isinstance(error, OSError):
        if error.errno in _NO_SPACE:
            what = f"{error.filename}: " if error.filename else ""
            return f"{what}{error.strerror}: free some space and start the same command again"
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    trace, name = error.__traceback__, ""
    while trace is not None:
        name, trace = trace.tb_frame.f_globals.get("__name__", ""), trace.tb_next
    return str(error) if name.startswith("v2v_jax") else None


class _Lines(std_logging.Formatter):
    """``12:34:56 message``; what is no mere information says so."""

    def format(self, record: std_logging.LogRecord) -> str:
        level = "" if record.levelno <= std_logging.INFO else f"{record.levelname.lower()}: "
        # A library logs the trace of what is raised, and said in a line, a moment later.
        cause = record.exc_info if logging.level_debug() else None
        trace = f"\n{self.formatException(cause)}" if cause else ""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        return f"{clock} {level}{' '.join(record.getMessage().splitlines())}{trace}"


def readable_logs() -> None:
    """Logs information as short lines; ``--verbosity=1`` shows more."""
    logging.set_verbosity(max(logging.get_verbosity(), logging.INFO))
    logging.get_absl_handler().setFormatter(_Lines())
    # "Unable to initialize backend 'tpu'" is no news on a machine without one.
    std_logging.getLogger("jax._src.xla_bridge").setLevel(std_logging.WARNING)
