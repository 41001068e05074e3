"""Reading one field of the config that names something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Config = Any
"""An ``ml_collections.ConfigDict``, whose fields type checkers cannot know."""


def choice(config: Config, field: str, choices: Mapping[str, Any]) -> Any:
    """What ``config``'s field names among ``choices``; ValueError names them all."""
    value = config[field]
    if value not in choices:
        raise ValueError(f"config field {field!r}: {value!r} is none of {', '.join(choices)}")
    return choices[value]
