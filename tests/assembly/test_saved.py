"""Saved configs: fields that came later, fields that changed, the rate of a run that goes on."""

from __future__ import annotations

import json

import pytest
from absl import logging

from configs import default, demo, tables
from v2v_jax.assembly import resuming, saved
from v2v_jax.assembly.modes import optimizers
from v2v_jax.assembly.resuming import changed_fields, warn_of_resuming


@pytest.fixture
def said(monkeypatch):
    lines: list[str] = []
    for level in ("info", "warning"):
        monkeypatch.setattr(logging, level, lambda form, *args: lines.append(form % args))
    saved._say.cache_clear()
    return lines


def as_saved(config) -> dict:
    return json.loads(config.to_json_best_effort())


def test_what_came_later_has_its_default_and_is_said_once(said):
    old = as_saved(demo.get_config())
    for group, field in (("image", "kind"), ("discriminator", "norm"), ("weights", "recycle")):
        del old[group][field]
    del old["balance"], old["warm_up"]
    before = json.dumps(old)
    for _ in range(2):
        config = saved.completed(old)
    assert json.dumps(old) == before
    assert (config.image.kind, config.discriminator.norm) == ("resnet", "instance")
    assert (config.balance, config.warm_up.batch, config.weights.recycle) == (False, 6, 0.0)
    assert config.image.features == 16, "what was saved stays"
    (line,) = said
    for name in ("image.kind", "discriminator.norm", "weights.recycle", "balance", "warm_up"):
        assert name in line
    assert not changed_fields(old, as_saved(demo.get_config()))


def test_a_whole_config_is_left_as_it_is_and_nothing_is_said(said):
    new = as_saved(demo.get_config())
    assert as_saved(saved.completed(new)) == new
    assert not said


def test_fields_that_are_gone_or_of_others_stay(said):
    new = as_saved(demo.get_config()) | {"mine": {"a": 1}}
    assert saved.completed(new).mine.a == 1
    assert not said


def test_a_field_that_changed_is_told_though_others_are_absent(said):
    old = as_saved(demo.get_config())
    del old["balance"], old["image"]["kind"]
    config = demo.get_config()
    config.gate, config.image.kind = False, "local_affine"
    new = as_saved(config)
    assert changed_fields(old, new) == ["gate True -> False", "image.kind resnet -> local_affine"]
    # A field of neither is not compared; of a table's scores there are parts of configs.
    assert not changed_fields({"data": old["data"]}, {"data": new["data"]})


def test_every_config_has_every_field():
    every = saved.defaults().keys()
    for config in (default.get_config(), demo.get_config("bt")):
        assert saved.flat(config).keys() == every
    assert saved.flat(tables.get_config().rows.ours.run).keys() == every


def resumed(monkeypatch, old, step: int, new) -> None:
    """What is said when ``new`` goes on from a checkpoint of ``old``."""
    monkeypatch.setattr(resuming, "load_player", lambda _: ({}, {"config": as_saved(old)}))
    monkeypatch.setattr(resuming, "saved_steps", lambda _: [step])
    warn_of_resuming(as_saved(new), resuming.Path("run"))


def falling(steps: int, constant: float = 0.5, decay_steps: int = 0):
    config = demo.get_config("cyclegan")
    config.steps, config.optimizer.constant = steps, constant
    config.optimizer.decay_steps, config.optimizer.learning_rate = decay_steps, 2e-4
    return config


def test_more_steps_at_a_falling_rate_are_warned_of(monkeypatch, said):
    resumed(monkeypatch, falling(4), 4, falling(8))
    (line,) = said
    assert "falls to 0 at step 8 now, formerly at step 4" in line
    assert "step 5 is trained with 0.0002, by the old schedule it would be 0" in line
    assert "--config.optimizer.decay_steps=4 keeps that" in line
    said.clear()
    # In the midst of a run, too.
    resumed(monkeypatch, falling(100), 75, falling(200))
    assert len(said) == 1 and "0.0002, by the old schedule it would be 0.0001;" in said[0]


@pytest.mark.parametrize(
    ("old", "step", "new"),
    [
        (falling(4, 1.0), 4, falling(8, 1.0)),  # The rate does not fall.
        (falling(4), 2, falling(4)),  # Nothing changed.
        (falling(8), 2, falling(80)),  # Not yet.
        (falling(4), 4, falling(4)),  # Nothing is left to do.
    ],
)
def test_nothing_is_said_where_the_rate_is_the_same(monkeypatch, said, old, step, new):
    resumed(monkeypatch, old, step, new)
    assert not said


def test_the_old_schedule_can_be_kept(monkeypatch, said):
    resumed(monkeypatch, falling(100), 75, falling(200, decay_steps=100))
    assert not [line for line in said if "rate falls" in line]
    assert resuming._rate(as_saved(falling(200, decay_steps=100)), 75) == pytest.approx(1e-4)
    assert resuming._rate(as_saved(falling(200, decay_steps=100)), 150) == 0.0
    assert optimizers(falling(200, decay_steps=100), ("a",)).keys() == {"a"}
