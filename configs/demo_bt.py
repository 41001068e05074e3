"""Blind Temporal consistency on the built-in driving world, over a trained demo_cyclegan.

Its published weights are gone from the web: training it is the only way to have it.

python -m v2v_jax.main --config=configs/demo_bt.py --workdir=runs/demo_bt \
    --config.stabiliser.run=runs/demo_cyclegan
"""

from configs import demo


def get_config():
    """Upstream's objective; a small TransformNet, and a rate for few steps."""
    config = demo.get_config()
    config.method = "blind_temporal"
    config.history = 0
    config.data.frames = 6
    config.stabiliser.features, config.stabiliser.blocks = 16, 2
    config.content.normalise = False
    config.weights.short_term = config.weights.long_term = 100.0
    config.weights.content = 10.0
    config.optimizer.learning_rate = 1e-3
    config.optimizer.b1 = 0.9
    config.steps = 240
    return config
