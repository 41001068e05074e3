"""Recycle-GAN on the built-in driving world: frame by frame, taught by predicting frames.

python -m v2v_jax.main --config=configs/demo_recyclegan.py --workdir=runs/demo_recyclegan

The variant ``reCycle``; --config.weights.cycle=0 makes it plain ``recycle``, without cycle and
identity terms.
"""

from configs import demo_cyclegan


def get_config():
    """Upstream's weights; a narrow predictor, as deep as the frames allow."""
    config = demo_cyclegan.get_config()
    config.method = "recyclegan"
    config.data.frames = 3
    config.pool = 0
    # Upstream's 10 holds so short a run back (docs/results).
    config.weights.recycle = 2.0
    config.weights.prediction = 10.0
    config.predictor.features = 16
    return config
