"""Meaning from motion: the paper's method, whose discriminators judge frames with their flow.

python -m v2v_jax.main --config=configs/demo.py:motion --workdir=runs/motion

Cost: 18.2 GFLOP a step at 64x128 with demo.py's networks (the paper's method there: 35).
Expect truth/gain 0.2 after 300 steps and 0.3 after 520, sky that stays sky, and the source's edges.
No labels, no trained network: sky stands still and facades rush by in every domain
(docs/meaning.md).
"""


def overlay(config):
    """What docs/meaning.md chose on the built-in world's validation clips."""
    config.image.kind = "local_affine"
    config.discriminator.motion = True
    config.discriminator.norm = "none"
    config.adversarial = "lsgan"
    config.balance = True
    config.weights.gradient_penalty = 7.0
    config.weights.cycle = 1.0
    config.weights.temporal = 1.0
    config.history = max(config.history, 1)
    config.optimizer.learning_rate = 3e-4
    config.optimizer.discriminator_rate = 5e-4
