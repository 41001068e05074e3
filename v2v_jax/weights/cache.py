"""Where tools put weights that a config asks for by name."""

from __future__ import annotations

import os
import pathlib


def cached(kind: str) -> pathlib.Path:
    """``$XDG_CACHE_HOME/v2v_jax/weights/<kind>.safetensors``, whether it is there or not.

    Args:
        kind: of network, a key of `v2v_jax.weights.KINDS`.
    """
    home = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification has relative paths ignored.
    root = pathlib.Path(home) if os.path.isabs(home) else pathlib.Path("~/.cache").expanduser()
    return root / "v2v_jax" / "weights" / f"{kind}.safetensors"
