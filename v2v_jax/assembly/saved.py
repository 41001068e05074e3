"""Configs of saved runs, made whole: fields that came later have their defaults."""

from __future__ import annotations

import copy
import functools
import runpy
from collections.abc import Mapping
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from v2v_jax.arguments import configs_folder
from v2v_jax.assembly.choice import Config


def completed(saved: Mapping[str, Any]) -> Config:
    """A saved config with every field there is today; the rest of the program reads plain fields.

    A default of ``configs/default.py`` is what a run did before there was the field.  What is
    added is said in one line, once per process.

    Args:
        saved: as a checkpoint keeps it; left as it is.
    """
    config: Config = ConfigDict(copy.deepcopy(dict(saved)))
    if added := _fill(config, _defaults(), ""):
        _say(tuple(added))
    return config


@functools.cache
def defaults() -> dict[str, Any]:
    """Every field's default by dotted name."""
    return flat(_defaults())


def flat(config: Mapping[str, Any] | Config, prefix: str = "") -> dict[str, Any]:
    """Fields by dotted name; tuples as the lists that JSON makes of them."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping | ConfigDict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = list(value) if isinstance(value, tuple) else value
    return found


def _fill(config: Config, like: Config, prefix: str) -> list[str]:
    """Adds what is in ``like`` alone; returns names, a whole group's as one."""
    added: list[str] = []
    for name, value in like.items():
        if name not in config:
            config[name] = copy.deepcopy(value)
            added.append(f"{prefix}{name}")
        elif isinstance(value, ConfigDict) and isinstance(config[name], ConfigDict):
            added += _fill(config[name], value, f"{prefix}{name}.")
    return added


@functools.lru_cache(maxsize=100)
def _say(added: tuple[str, ...]) -> None:
    logging.info(
        "the run was saved before these fields existed; they have their defaults: %s",
        ", ".join(added),
    )


@functools.cache
def _defaults() -> Config:
    return runpy.run_path(str(configs_folder() / "default.py"))["get_config"]()
