"""CycleGAN, frame by frame: the paper's first baseline.

python -m v2v_jax.main --config=configs/demo.py:cyclegan --workdir=runs/cyclegan

Cost: 10.2 GFLOP a step of one frame at 64x128 with demo.py's networks.
Expect flicker (5.4 times ours' warping error at 300 steps) and skies read as buildings.
"""


def overlay(config):
    """CycleGAN's own defaults; size, networks, data and budget are the world's."""
    config.method = "cyclegan"
    config.data.frames = 1
    config.flow.kind = "zero"
    config.history = 0
    config.weights.content = 0.0
    config.weights.temporal = 0.0
    config.adversarial = "lsgan"
    config.pool = 50
    config.optimizer.constant = 0.5
