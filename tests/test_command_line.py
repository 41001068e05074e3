"""What goes wrong on a command line is one line that says how to mend it."""

from __future__ import annotations

import errno
import json
import logging
import signal

import pytest
from absl import logging as absl_logging
from command import DEMO, refused

from configs import demo
from v2v_jax import command_line
from v2v_jax.command_line import height_width, one_line_errors, unknown_field


@pytest.mark.parametrize(
    ("path", "hints"),
    [
        ("stepz", ["'stepz' in config:", "'steps'"]),
        ("optimizer.learning_rat", ["in config.optimizer:", "'learning_rate'"]),
        ("optimiser.learning_rate", ["'optimiser' in config:", "'optimizer'"]),
        ("weights.zzz", ["it has adversarial, adversarial_prediction, content, cycle"]),
        ("steps.deeper", ["'deeper' in config.steps", "no fields"]),
    ],
)
def test_unknown_field_names_its_nearest_neighbour(path, hints):
    problem = unknown_field(demo.get_config(), path)
    assert problem is not None
    for hint in hints:
        assert hint in problem


def test_known_fields_are_no_problem():
    config = demo.get_config()
    for name in ("steps", "data", "data.size", "optimizer.b1"):
        assert unknown_field(config, name) is None


@pytest.mark.parametrize(
    ("arguments", "hints"),
    [
        ([], ["--mode=train needs --config"]),
        (["--config=configs/demo.py"], ["--mode=train needs --workdir"]),
        (["--config.steps=3"], ["needs --config=FILE"]),
        (["--config=configs/dmo.py"], ["configs/dmo.py", "no such file", "demo.py, "]),
        (["--config", "configs/dmo.py"], ["configs/dmo.py", "no such file"]),
        (["--config=dmo"], ["configs/dmo.py", "no such file", "demo.py, "]),
        (["--config=demo:cycle"], ["no method 'cycle'", "cyclegan, recyclegan, cycada"]),
        (["--config=demo:bt"], ["--mode=train needs --workdir"]),
        (["--config", "demo:bt"], ["--mode=train needs --workdir"]),
        (["--config=configs/demo_bt.py"], ["--mode=train needs --workdir"]),
        (["--config", "demo_bt"], ["--mode=train needs --workdir"]),
        (["--config=none/demo_bt.py"], ["none/demo.py:bt", "no such file"]),
        (["--config=configs/demo_by.py"], ["configs/demo_by.py", "no such file"]),
        ([*DEMO, "--config.stepz=3"], ["'stepz'", "'steps'"]),
        ([*DEMO, "--config.data.siz=3,4"], ["config.data", "'size'"]),
        ([*DEMO, "--config.steps=many"], ["config.steps=many", f"like {demo.get_config().steps}"]),
        ([*DEMO, "--config.steps=1.5"], ["config.steps=1.5", "type int"]),
        ([*DEMO, "--config.weights.cycle=ten"], ["config.weights.cycle=ten", "type float"]),
        ([*DEMO, "--config.truncate=maybe"], ["config.truncate=maybe", "type bool, like False"]),
        ([*DEMO, "--config.data=3"], ["config.data is a group", "batch_size"]),
        ([*DEMO, "--stpe=3"], ["stpe", "step"]),
        ([*DEMO, "--mode=fly"], ["fly", "train|translate|evaluate|table|describe"]),
        ([*DEMO, "a.mp4"], ["'a.mp4'", "quote globs"]),
        (["--mode=translate"], ["needs --workdir"]),
        (["--mode=translate", "--workdir=/x"], ["needs --input"]),
        (["--mode=translate", "--workdir=/x", "--input=a.mp4"], ["needs --output"]),
        (["--mode=evaluate"], ["needs --workdir"]),
        (["--mode=describe"], ["needs --config"]),
    ],
    ids=lambda value: " ".join(value)[-40:],
)
def test_mistyped_commands(capsys, arguments, hints):
    line = refused(capsys, *arguments)
    for hint in hints:
        assert hint in line


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("def get_config(:\n", "SyntaxError"),
        ("def get_config():\n    return 1 / 0\n", "ZeroDivisionError: division by zero"),
        ("def config():\n    return 1\n", "must have get_config()"),
        ("def get_config():\n    raise ValueError('two\\nlines')\n", "ValueError: two lines"),
    ],
)
def test_broken_config_files(tmp_path, capsys, text, hint):
    path = tmp_path / "mine.py"
    path.write_text(text)
    line = refused(capsys, f"--config={path}", "--workdir=/nowhere", "--config.steps=3")
    assert line.startswith(f"error: --config={path}: ")
    assert hint in line


@pytest.mark.parametrize("size", ["12", "1,2,3", "a,b", "-4,8", "12x24"])
def test_size_is_height_and_width(capsys, size):
    with pytest.raises(SystemExit):
        height_width(size.split(","))
    assert "--size=256,512" in capsys.readouterr().err
    assert height_width(["256", " 512"]) == (256, 512)
    assert height_width(None) is None


def _raise(error: BaseException):
    raise error


def test_our_errors_are_lines_and_bugs_keep_their_traceback(capsys):
    # The function's globals say whose line it is.
    ours = {"__name__": "v2v_jax.somewhere", "error": ValueError("first\nsecond")}
    with pytest.raises(SystemExit) as stopped, one_line_errors():
        exec("def f():\n    raise error\nf()", ours)
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: first second\n"
    with pytest.raises(json.JSONDecodeError), one_line_errors():
        json.loads("no json")
    with pytest.raises(TypeError), one_line_errors():
        exec("def f():\n    raise TypeError('a bug')\nf()", ours)


def test_errors_of_files_name_the_file(tmp_path, capsys):
    with pytest.raises(SystemExit), one_line_errors():
        (tmp_path / "none" / "x").write_text("")
    expected = f"error: {tmp_path}/none/x: No such file or directory\n"
    assert capsys.readouterr().err == expected


def test_a_full_disk_says_so(capsys):
    with pytest.raises(SystemExit), one_line_errors():
        _raise(OSError(errno.ENOSPC, "No space left on device"))
    assert capsys.readouterr().err.startswith("error: No space left on device: free some space")


def test_a_full_device_says_what_to_shrink(capsys):
    with pytest.raises(SystemExit), one_line_errors():
        _raise(RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes"))
    assert "out of memory" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_unwind_and_say_so_in_a_line(capsys, number, request):
    former = signal.signal(signal.SIGTERM, mine := lambda *_: None)
    request.addfinalizer(lambda: signal.signal(signal.SIGTERM, former))
    cleaned = []
    with pytest.raises(SystemExit) as stopped, one_line_errors():
        try:
            # To this very thread: another one could take a signal sent to the process.
            signal.raise_signal(number)
            pytest.fail("the signal did not unwind")
        finally:
            cleaned.append(True)
    assert stopped.value.code == 128 + number
    assert cleaned
    assert capsys.readouterr().err.count("\n") == 1
    assert signal.getsignal(signal.SIGTERM) is mine


def test_log_lines_are_short():
    record = logging.LogRecord("absl", logging.INFO, "/a/b.py", 3, "step %d", (4,), None)
    record.created = 0.0
    format_ = command_line._Lines().format
    assert format_(record).partition(" ")[2] == "step 4"
    record.levelno, record.levelname = logging.WARNING, "WARNING"
    assert format_(record).partition(" ")[2] == "warning: step 4"
    record.msg, record.args = "two\nlines", ()
    try:
        _raise(ValueError("known"))
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)
    assert format_(record).partition(" ")[2] == "warning: two lines"


def test_readable_logs_keep_a_higher_verbosity():
    before = absl_logging.get_verbosity()
    try:
        absl_logging.set_verbosity(absl_logging.DEBUG)
        command_line.readable_logs()
        assert absl_logging.get_verbosity() == absl_logging.DEBUG
        absl_logging.set_verbosity(absl_logging.ERROR)
        command_line.readable_logs()
        assert absl_logging.get_verbosity() == absl_logging.INFO
    finally:
        absl_logging.set_verbosity(before)
