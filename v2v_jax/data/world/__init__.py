"""The built-in driving world: two unpaired domains with exact labels, flow and occlusion."""

from v2v_jax.data.world.world import World

__all__ = ["World"]
