"""CycleGAN, frame by frame, on VIPER and Cityscapes: the paper's first baseline.

python -m v2v_jax.main --config=configs/viper2city_cyclegan.py --workdir=runs/viper2city_cyclegan
"""

from configs import viper2city


def get_config():
    """CycleGAN's own defaults; the size, networks, data and budget are viper2city.py's."""
    config = viper2city.get_config()
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
