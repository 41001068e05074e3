"""Recycle-GAN over CycleGAN's settings: frame by frame, taught by predicting frames.

python -m v2v_jax.main --config=configs/demo.py:recyclegan --workdir=runs/recyclegan

Cost: 25.5 GFLOP a step of three frames at 64x128 with demo.py's networks.
Expect CycleGAN's meaning with a little less flicker.
The variant ``reCycle``, upstream's for VIPER; --config.weights.cycle=0 makes it plain ``recycle``,
without cycle and identity terms.
"""


def overlay(config):
    """Upstream's weights."""
    config.method = "recyclegan"
    config.data.frames = 3
    config.pool = 0
    config.weights.recycle = 10.0
    config.weights.prediction = 10.0
