"""ConfigDict -> objects: the only reader of the config below ``main``.

Everything concrete (networks, methods, flows, sources) is imported here and nowhere else.
"""

from __future__ import annotations

from v2v_jax.assembly.methods import METHODS, method, restore_method
from v2v_jax.assembly.modes import description, evaluation, training, translation
from v2v_jax.assembly.networks import frozen, host_flow
from v2v_jax.assembly.stabilising import stabilise, stabilised

__all__ = [
    "METHODS",
    "description",
    "evaluation",
    "frozen",
    "host_flow",
    "method",
    "restore_method",
    "stabilise",
    "stabilised",
    "training",
    "translation",
]
