"""The loop resumes bit for bit, survives bad numbers and signals, and writes what it should."""

import os
import signal
import threading
from typing import Any

import jax
import numpy as np
import pytest
from training import worker
from training.test_checkpoints import assert_same, make_state
from training.toy_method import FROZEN, ToyMethod, batches

from v2v_jax.training import loop, parallel
from v2v_jax.training.checkpoints import Checkpoints, load_player
from v2v_jax.training.journal import NonFiniteError
from v2v_jax.training.optimizers import make_optimizers
from v2v_jax.training.progress import Progress, duration
from v2v_jax.training.signals import StopRequest

METHOD: Any = ToyMethod()


def train(workdir, steps, *, poisoned=(), seen=None, **options):
    """Trains the toy; ``seen`` collects the batches."""

    def stream(start):
        for batch in batches(start, poisoned=poisoned):
            if seen is not None:
                seen.append(batch["source"]["frames"])
            yield batch

    options = {"batches": stream, "log_every": 1, "picture_every": 0, **options}
    options.setdefault("mesh", parallel.make_mesh(jax.devices()[:1]))
    return loop.train(
        method=METHOD,
        optimizers=make_optimizers(METHOD.players, learning_rate=1e-2),
        frozen=FROZEN,
        steps=steps,
        workdir=workdir,
        **options,
    )


def _numbers(workdir):
    """The logged lines without the clock's."""
    lines = worker.logged(workdir)
    return [{k: v for k, v in line.items() if k != "steps_per_second"} for line in lines]


def test_six_steps_are_three_and_a_resume_and_three(tmp_path):
    seen_whole, seen_first, seen_second = [], [], []
    whole = train(tmp_path / "whole", 6, seen=seen_whole)
    train(tmp_path / "parts", 3, seen=seen_first)
    resumed = train(tmp_path / "parts", 6, seen=seen_second)

    assert int(resumed.step) == 6
    assert_same(resumed, whole)
    for a, b in zip(seen_first[:3] + seen_second[:3], seen_whole, strict=False):
        np.testing.assert_array_equal(a, b)
    assert _numbers(tmp_path / "parts") == _numbers(tmp_path / "whole")
    assert [line["step"] for line in _numbers(tmp_path / "whole")] == [1, 2, 3, 4, 5, 6]


def test_a_finished_run_is_left_alone(tmp_path):
    state = train(tmp_path, 2)
    again = train(tmp_path, 2)
    assert_same(again, state)
    assert len(_numbers(tmp_path)) == 2


def test_training_changes_every_part_of_the_state(tmp_path):
    state, fresh = train(tmp_path, 3), make_state()
    for part in ("params", "opt_state", "ema", "memory"):
        trained, untrained = (jax.tree.leaves(getattr(s, part)) for s in (state, fresh))
        for a, b in zip(trained, untrained, strict=True):
            assert np.any(np.asarray(a) != np.asarray(b)), part


def test_a_bad_batch_changes_nothing_but_the_counters(tmp_path, caplog):
    before = train(tmp_path / "a", 2)
    after = train(tmp_path / "b", 3, poisoned=(2,), checkpoint_every=1)
    assert (int(after.step), int(after.skipped)) == (3, 1)
    assert_same(after.replace(step=before.step, skipped=before.skipped), before)
    assert "step 3: not finite: grad_norm/painter, loss/painter, term/colour;" in caplog.text
    assert "step 3 is not finite: not saved" in caplog.text
    assert Checkpoints(tmp_path / "b" / "checkpoints").latest_step() == 2


def test_the_step_after_a_bad_one_is_good_and_saved(tmp_path):
    state = train(tmp_path, 5, poisoned=(1, 2), checkpoint_every=3, nonfinite_limit=3)
    assert int(state.skipped) == 0
    # Due at step 3, which was bad: saved as soon as possible.
    steps = sorted(int(p.name) for p in (tmp_path / "checkpoints").iterdir())
    assert steps == [4, 5]


def test_too_many_bad_batches_in_a_row_stop(tmp_path):
    # The limit counts across a resume only what the state says: here 2 bad, 1 good, 3 bad.
    with pytest.raises(NonFiniteError, match=r"step 7: not finite: .*term/colour.*; 3 steps"):
        train(tmp_path, 100, poisoned=(1, 2, 4, 5, 6), checkpoint_every=1, nonfinite_limit=3)
    assert Checkpoints(tmp_path / "checkpoints").latest_step() == 4
    assert [line["step"] for line in _numbers(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_numbers_are_read_after_the_next_step_is_dispatched(tmp_path, monkeypatch):
    events = []
    compiled, read = loop._compiled, loop.Journal.step

    def traced(jitted, *args):
        step = compiled(jitted, *args)

        def run(state, frozen, batch):
            events.append("dispatch")
            return step(state, frozen, batch)

        return run

    def traced_read(self, step, metrics):
        events.append(f"read {step}")
        read(self, step, metrics)

    monkeypatch.setattr(loop, "_compiled", traced)
    monkeypatch.setattr(loop.Journal, "step", traced_read)
    train(tmp_path, 3)
    assert events == ["dispatch", "dispatch", "read 1", "dispatch", "read 2", "read 3"]


def test_evaluation_and_pictures_reach_the_run_directory(tmp_path, caplog):
    caplog.set_level("INFO", logger="absl")
    asked = []

    def evaluate(state, step):
        asked.append((step, int(state.step)))
        clip = np.zeros((2, 8, 8, 3), np.uint8)
        return {"evaluate/error": 0.25, "evaluate/clip": clip, "evaluate/first": clip[0]}

    train(tmp_path, 5, evaluate=evaluate, evaluate_every=2, picture_every=3, log_every=2)
    assert asked == [(2, 2), (4, 4), (5, 5)]
    lines = _numbers(tmp_path)
    assert [line["step"] for line in lines if "loss/painter" in line] == [2, 4]
    evaluated = [line for line in lines if "evaluate/error" in line]
    assert evaluated == [{"step": step, "evaluate/error": 0.25} for step in (2, 4, 5)]
    names = {p.name for p in (tmp_path / "pictures").iterdir()}
    assert {"sheet_00000003.png", "sheet_00000005.png", "clip_00000003.gif"} <= names
    assert {"evaluate_clip_00000004.gif", "evaluate_first_00000002.png"} <= names
    progress = [r.getMessage() for r in caplog.records if "step/s" in r.getMessage()]
    assert len(progress) == 2
    assert progress[1].startswith("step 4/5  ") and "ETA" in progress[1]
    assert "loss/painter" in progress[1] and "term/colour" in progress[1]
    assert not [r for r in caplog.records if "/orbax/" in r.pathname]


def test_the_checkpoint_knows_what_the_caller_says_and_the_seed(tmp_path):
    train(tmp_path, 1, seed=5, meta={"config": {"method": "toy"}})
    assert load_player(tmp_path / "checkpoints")[1] == {"config": {"method": "toy"}, "seed": 5}
    with pytest.raises(ValueError, match="trained with seed 5, not 6"):
        train(tmp_path, 2, seed=6)


def test_data_that_end_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="the data end after 3 batches"):
        train(tmp_path, 9, batches=lambda start: iter([next(batches(i)) for i in range(3)]))


def test_an_uneven_batch_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="2 clips cannot be divided over 8 devices"):
        train(tmp_path, 2, mesh=parallel.make_mesh())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_exits_with_0_and_the_same_command_resumes(tmp_path, number):
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    process = worker.start(workdir=str(stopped), steps=100_000, sleep=0.02)
    worker.wait_for(lambda: len(worker.logged(stopped)) > 2, process)
    process.send_signal(number)
    code, output = worker.finish(process)
    assert code == 0, output
    assert f"{number.name}: saving after this step" in output
    assert "the same command resumes" in output
    step = Checkpoints(stopped / "checkpoints").latest_step()
    assert step is not None and step > 2

    worker.run(workdir=str(stopped), steps=step + 2)
    worker.run(workdir=str(whole), steps=step + 2)
    like = make_state()
    a, b = (Checkpoints(d / "checkpoints").restore_latest(like) for d in (stopped, whole))
    assert a is not None and b is not None
    assert int(a[0].step) == step + 2
    assert_same(a[0], b[0])
    assert [line["step"] for line in _numbers(stopped)] == list(range(1, step + 3))


def test_bad_numbers_end_the_process_with_an_error(tmp_path):
    options = {"workdir": str(tmp_path), "steps": 50, "poisoned": [3, 4], "checkpoint_every": 1}
    code, output = worker.finish(worker.start(**options, nonfinite_limit=2))
    assert code != 0
    assert "term/colour" in output and "the last checkpoint is good" in output
    assert Checkpoints(tmp_path / "checkpoints").latest_step() == 3


def test_the_second_signal_is_immediate_and_the_handlers_are_put_back():
    former = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with StopRequest() as stop:
        assert not stop.asked(1)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked(2) and stop.asked(3)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            signal.sigtimedwait([], 1.0)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == former
    with StopRequest():
        pass
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == former


def test_outside_the_main_thread_no_handler_is_touched():
    answers = []

    def use():
        with StopRequest() as stop:
            answers.append(stop.asked(1))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert answers == [False]


def test_the_rate_leaves_out_what_is_not_training():
    now = [100.0]
    progress = Progress(steps=100, step=10, clock=lambda: now[0])
    now[0] += 5.0
    with progress.paused():
        now[0] += 1000.0
    assert progress.rate(20) == 2.0
    now[0] += 2.0
    assert progress.rate(21) == 0.5
    line = progress.line(21, 0.5, {"loss/g": 1.23456, "grad_norm/g": 3.0})
    assert line == "step 21/100  0.5 step/s  ETA 2 min 38 s  loss/g 1.235"
    assert [duration(s) for s in (3725, 12.2, float("inf"))] == ["1 h 02 min", "12 s", "unknown"]
