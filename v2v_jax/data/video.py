"""Videos in and out from Python: ``open_video`` reads one, ``VideoWriter`` writes one."""

from __future__ import annotations

from v2v_jax.data.media.reader import open_video
from v2v_jax.data.media.writer import VideoWriter

__all__ = ["VideoWriter", "open_video"]
