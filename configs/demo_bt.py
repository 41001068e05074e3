"""Blind Temporal consistency on the built-in driving world, over a trained demo_cyclegan.

Its published weights are gone from the web: training it is the only way to have it.

python -m v2v_jax.main --config=configs/demo_bt.py --workdir=runs/demo_bt \
    --config.stabiliser.run=runs/demo_cyclegan
"""

from configs import demo


def get_config():
    """Upstream's objective, a small TransformNet; a rate and a content weight for few steps."""
    config = demo.get_config()
    config.method = "blind_temporal"
    config.history = 0
    config.data.frames = 6
    config.stabiliser.features, config.stabiliser.blocks = 16, 2
    config.content.normalise = False
    config.weights.short_term = config.weights.long_term = 100.0
    # Upstream's 10 and 1e-4 are for longer runs; 10 and 1e-3 steadied half as much (docs/results).
    config.weights.content = 1.0
    config.optimizer.learning_rate = 3e-3
    config.optimizer.b1 = 0.9
    return config
