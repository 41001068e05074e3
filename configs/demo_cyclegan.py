"""CycleGAN, frame by frame, on the built-in driving world: the paper's first baseline.

python -m v2v_jax.main --config=configs/demo_cyclegan.py --workdir=runs/demo_cyclegan
"""

from configs import demo


def get_config():
    """CycleGAN's own defaults; the size, networks, data and budget are demo.py's."""
    config = demo.get_config()
    config.method = "cyclegan"
    config.data.frames = 1
    config.flow.kind = "zero"
    config.history = 0
    config.weights.content = 0.0
    config.weights.temporal = 0.0
    config.adversarial = "lsgan"
    config.pool = 50
    config.optimizer.constant = 0.5
    return config
