"""Trained translators for other programs: whole videos, live streams, files, the pure function.

    from v2v_jax import Translator

    translator = Translator.load("runs/demo")             # to_target, the latest good checkpoint
    street = translator(game)                             # uint8 [T, H, W, 3] both ways

    state = translator.start(height=720, width=1280)      # or live, one frame at a time
    frame, state = translator.step(frame, state)

Every way runs the same recurrence with the carry handed on, so all give the same video.
"""

from v2v_jax.translator.files import translate_files
from v2v_jax.translator.pairs import open_pair, pair_up
from v2v_jax.translator.plans import plan_outputs
from v2v_jax.translator.stream import StreamState
from v2v_jax.translator.translator import Restored, Translator

__all__ = [
    "Restored",
    "StreamState",
    "Translator",
    "open_pair",
    "pair_up",
    "plan_outputs",
    "translate_files",
]
