"""Unpaired video-to-video translation that keeps meaning and motion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from v2v_jax import versions

if TYPE_CHECKING:
    from v2v_jax.translator import Translator as Translator

__all__ = ["Translator"]

versions.warn_of_untested()


def __getattr__(name: str) -> Any:
    """Loads the public names on first use: importing v2v_jax alone must not import jax."""
    if name != "Translator":
        raise AttributeError(f"module 'v2v_jax' has no attribute {name!r}")
    from v2v_jax import assembly, translator

    # The translator's layer knows no config; only here do the two meet.
    translator.Translator.factory = staticmethod(assembly.restore_method)
    globals()[name] = translator.Translator
    return translator.Translator


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
