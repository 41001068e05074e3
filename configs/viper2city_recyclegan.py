"""Recycle-GAN on VIPER and Cityscapes: frame by frame, taught by predicting frames.

python -m v2v_jax.main --config=configs/viper2city_recyclegan.py \
    --workdir=runs/viper2city_recyclegan

The variant ``reCycle``, which upstream names for VIPER's labels; --config.weights.cycle=0 makes
it plain ``recycle``, without cycle and identity terms.
"""

from configs import viper2city_cyclegan


def get_config():
    """Upstream's weights, and its predictor unet_256."""
    config = viper2city_cyclegan.get_config()
    config.method = "recyclegan"
    config.data.frames = 3
    config.pool = 0
    config.weights.recycle = 10.0
    config.weights.prediction = 10.0
    config.predictor.depth = 8
    return config
