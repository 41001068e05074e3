"""The versions this release was tested with, and one line about those that are not among them."""

from __future__ import annotations

import importlib.metadata
import logging
import platform
import re

TESTED = {
    "jax": ">=0.10.1,<0.13",
    "flax": ">=0.12.8,<0.13",
    "optax": ">=0.2.8,<0.3",
    "orbax-checkpoint": ">=0.12.8,<0.13",
    "grain": ">=0.2.18,<0.3",
    "tensorflow-datasets": ">=4.9.10,<5",
    "ml-collections": ">=1.1,<2",
    "clu": "==0.0.12",
    "absl-py": ">=2.1,<3",
    "av": ">=18,<20",
    "numpy": ">=2.0,<3",
    "opencv-python-headless": ">=4.10.0.84,<6",
    "pillow": ">=10,<14",
    "safetensors": ">=0.5,<1",
    "tensorboardX": ">=2.6.5,<3",
}
"""The dependencies of pyproject.toml, word for word: a checkout need not be installed."""
PYTHON = ">=3.11,<3.14"


def warn_of_untested() -> None:
    """Logs one line that names every installed package outside its tested range, if any is."""
    found = {"Python": (platform.python_version(), PYTHON)}
    for name, tested in TESTED.items():
        try:
            found[name] = (importlib.metadata.version(name), tested)
        except importlib.metadata.PackageNotFoundError:
            continue  # Whoever imports it says so.
    strange = [
        f"{name} {version} (tested: {tested})"
        for name, (version, tested) in found.items()
        if not within(version, tested)
    ]
    if strange:
        # Not warnings.warn: it prints a second line, of our own source.
        logging.getLogger("v2v_jax").warning(
            "v2v_jax has not been tested with %s: if something fails, install a tested version",
            ", ".join(strange),
        )


def within(version: str, tested: str) -> bool:
    """Whether "0.12.1" is within ">=0.10.1,<0.13"; a pre-release counts as its release."""
    number = _number(version)
    for bound in tested.split(","):
        sign, limit = re.split(r"(?<=[=<])(?=\d)", bound)
        if sign == ">=" and number < _number(limit):
            return False
        if sign == "<" and number >= _number(limit):
            return False
        if sign == "==" and number != _number(limit):
            return False
    return True


def _number(version: str) -> tuple[int, ...]:
    """Gives (2,) for "2.0.0rc1", so that it equals "2"."""
    release = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in release.group().split(".")] if release else [0]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
