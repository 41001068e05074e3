"""Blind Temporal consistency over a trained run's frames; its published weights are gone.

python -m v2v_jax.main --config=configs/demo.py:bt --workdir=runs/bt \
    --config.stabiliser.run=runs/cyclegan

Cost: 6.9 GFLOP a step of six frames at 64x128 with demo.py's networks.
Expect a fifth less warping error than the run's own after 300 steps (the paper: 59 % less).
"""


def overlay(config):
    """Upstream's objective and training; the data and the flow are the world's."""
    config.method = "blind_temporal"
    config.data.batch_size, config.data.frames = 4, 11
    config.history = 0
    config.content.tap, config.content.normalise = "relu4_3", False
    config.weights.short_term = config.weights.long_term = 100.0
    config.weights.content = 10.0
    config.optimizer.learning_rate = 1e-4
    config.optimizer.b1 = 0.9
