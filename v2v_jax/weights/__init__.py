"""See v2v_jax/types.py for axes, ranges and units."""
