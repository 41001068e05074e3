"""Blind Temporal consistency on VIPER, over the frames of a trained CycleGAN.

Its published weights are gone from the web: training it is the only way to have it.

python -m v2v_jax.main --config=configs/viper2city_bt.py --workdir=runs/viper2city_bt \
    --config.stabiliser.run=runs/viper2city_cyclegan
"""

from configs import viper2city


def get_config():
    """Upstream's objective and training; the data and the flow are viper2city.py's."""
    config = viper2city.get_config()
    config.method = "blind_temporal"
    config.data.batch_size = 4
    config.data.frames = 11
    config.content.tap = "relu4_3"
    config.content.normalise = False
    config.weights.short_term = config.weights.long_term = 100.0
    config.weights.content = 10.0
    config.optimizer.learning_rate = 1e-4
    config.optimizer.b1 = 0.9
    return config
