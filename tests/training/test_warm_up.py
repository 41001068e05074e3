"""A run that precedes a run: what the second starts from, and every way to be interrupted."""

from __future__ import annotations

import os
import signal
from typing import Any

import jax
import numpy as np
import pytest
from training import worker
from training.test_checkpoints import assert_same
from training.test_loop import METHOD, train
from training.toy_method import batches

from v2v_jax.methods.imitation import Imitation
from v2v_jax.training.checkpoints import Checkpoints, load_player, saved_steps
from v2v_jax.training.optimizers import make_falling

STEPS = 4


class Warmed(type(METHOD)):
    """The toy, whose painter may learn the identity first."""

    warm_up = "raw"


IMITATION: Any = Imitation(Warmed())


def warm_up(*, stop_after=None, seen=None, steps=STEPS, **options):
    """Arguments of the run before; a signal comes while batch ``stop_after`` is read."""

    def stream(start):
        for number, batch in enumerate(batches(start, seed=1), start):
            if seen is not None:
                seen.append(number)
            if number == stop_after:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    return {
        "method": IMITATION,
        "optimizers": make_falling(IMITATION.players, learning_rate=0.02, steps=STEPS),
        "frozen": {}, "batches": stream, "steps": steps, "ema_decay": 0.0, "log_every": 1,
        "picture_every": 0, "name": "warm-up", **options,
    }  # fmt: skip


def numbers(workdir):
    lines = worker.logged(workdir)
    return [{k: v for k, v in line.items() if k != "steps_per_second"} for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Four steps of warm-up and three of training without a break."""
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, train(workdir, 3, warm_up=warm_up())


def test_the_run_starts_from_the_warmed_weights_and_is_else_as_without(tmp_path, whole):
    workdir, _ = whole
    warmed = Checkpoints(workdir / "warm_up" / "checkpoints")
    assert warmed.latest_step() == STEPS
    ema, _ = load_player(workdir / "warm_up" / "checkpoints")
    started = train(tmp_path / "a", 0, warm_up=warm_up())
    plain = train(tmp_path / "b", 0)
    # After the phase: players, average and nothing else are another state than without it.
    assert_same(started.params["painter"], ema)
    assert_same(started.ema, ema)
    assert_same(started.replace(params=plain.params, ema=plain.ema), plain)
    assert_same(started.params["critic"], plain.params["critic"])
    for a, b in zip(jax.tree.leaves(ema), jax.tree.leaves(plain.ema), strict=True):
        assert np.abs(np.asarray(a) - np.asarray(b)).max() > 0.01


def test_it_has_learnt_the_identity_and_keeps_a_diary_of_its_own(whole):
    workdir, _ = whole
    before, after = numbers(workdir / "warm_up"), numbers(workdir)
    assert [line["step"] for line in before] == [1, 2, 3, 4]
    assert [line["step"] for line in after] == [1, 2, 3]
    for domain in ("source", "target"):
        errors = [line[f"term/to_target/{domain}"] for line in before]
        assert errors[-1] < errors[0]
    assert not any("term/to_target/source" in line for line in after)


@pytest.mark.parametrize("stop_after", [0, 2, STEPS - 1])
def test_a_signal_in_the_phase_resumes_bit_for_bit(tmp_path, whole, stop_after, caplog):
    caplog.set_level("INFO", logger="absl")
    state = train(tmp_path, 3, warm_up=warm_up(stop_after=stop_after))
    # What it trained before it was asked is saved; nothing of the run itself is begun.
    assert int(state.step) == 0 or stop_after == STEPS - 1
    (step,) = saved_steps(tmp_path / "warm_up" / "checkpoints")
    assert step <= STEPS and (step < STEPS) == (not saved_steps(tmp_path / "checkpoints"))
    seen: list[int] = []
    resumed = train(tmp_path, 3, warm_up=warm_up(seen=seen))
    assert not seen or seen[0] == step
    assert_same(resumed, whole[1])
    for folder in (".", "warm_up"):
        assert numbers(tmp_path / folder) == numbers(whole[0] / folder)
    assert "warm-up 4/4" in caplog.text and "step 3/3" in caplog.text


def test_killed_between_the_phases(tmp_path, whole):
    """The warm-up is whole, and of the run itself there is nothing yet."""
    train(tmp_path, 0, warm_up=warm_up())
    assert saved_steps(tmp_path / "checkpoints") == []
    assert_same(train(tmp_path, 3, warm_up=warm_up()), whole[1])


def test_once_begun_the_run_never_looks_back(tmp_path, whole):
    """Resumed after the border: another warm-up, or none, changes nothing."""
    train(tmp_path, 2, warm_up=warm_up())

    def never(start):
        raise AssertionError("the phase is over")

    resumed = train(tmp_path, 3, warm_up=warm_up(steps=99, batches=never))
    assert_same(resumed, whole[1])
    plain = train(tmp_path / "plain", 2)
    later = train(tmp_path / "plain", 2, warm_up=warm_up(batches=never), initial=never)
    assert_same(later, plain)


def test_given_parameters_take_its_place(tmp_path, whole):
    given = jax.device_get(whole[1].ema)
    state = train(tmp_path, 0, initial=lambda: given, warm_up=warm_up())
    assert_same(state.params["painter"], given)
    assert_same(state.ema, given)
    assert not (tmp_path / "warm_up").exists()
    # The state is donated: what was given must not be.
    train(tmp_path, 2, initial=lambda: given)
    assert_same(given, jax.device_get(whole[1].ema))


def test_parameters_of_another_network_are_one_clear_error(tmp_path):
    other = {"to_target": {"kernel": np.zeros((3, 3, 3, 4), np.float32)}}
    with pytest.raises(ValueError, match=r"shall start from does not fit.*to_target/bias is miss"):
        train(tmp_path, 1, initial=lambda: other)


def test_bad_numbers_stop_the_phase_too(tmp_path):
    from v2v_jax.training.journal import NonFiniteError

    options = warm_up(nonfinite_limit=2)
    options["optimizers"] = make_falling(["painter"], learning_rate=float("inf"), steps=STEPS)
    with pytest.raises(NonFiniteError, match="2 steps in a row"):
        train(tmp_path, 1, warm_up=options)
    assert not (tmp_path / "metrics.jsonl").exists()
