"""Any two globs of videos or frame folders.

python -m v2v_jax.main --config=configs/videos.py --workdir=runs/mine \
    --config.data.source='a/*.mp4' --config.data.target='b/*.mp4'

Judged with its motion: ``--config=configs/videos.py:motion`` (configs/methods/motion.py).
A baseline instead: ``--config=configs/videos.py:cyclegan`` and the others of configs/methods.
"""

from configs import default, methods

OWN = {"bt": {"content.tap": "conv3_3"}}
"""Random features mean nothing as deep as upstream's relu4_3."""


def get_config(method=""):
    """Half the paper's width and size, for one small GPU or a patient CPU."""
    config = default.get_config()
    config.data.size = (128, 256)
    config.image.features = 32
    config.discriminator.features = 32
    # A network of random weights, asked for by name: give VGG-16 (--config.content.weights=FILE)
    # for what the paper does, with tap relu5_3 and 64 features.
    config.content.weights = "random"
    config.content.tap = "conv3_3"
    config.content.features = 16
    # What keeps the mask honest; measured in docs/smearing.md.
    config.history = 6
    config.cycle_memory = "reconstruction"
    config.gate = True
    config.weights.temporal = 2.5
    return methods.over(config, method, OWN)
