"""Meaning from labels: the paper's method, whose discriminators judge frames with their labels.

python -m v2v_jax.main --config=configs/demo.py:labels --workdir=runs/labels

Cost: seven minutes for the demo's 260 steps on two CPU cores.  For a simulator that gives labels
and real video that someone (or a segmenter) has labelled; in the built-in world it says what
knowing more than motion is worth.  Expect truth/gain 0.6 after 200 steps (docs/meaning.md).
"""


def overlay(config):
    """Laid over ``motion``'s: what is where instead of how it moves, and how each class looks."""
    config.data.labels = True
    config.discriminator.labels = True
    config.discriminator.motion = False
    config.image.kind = "local_matrix"
    config.weights.style = 4.0
    config.weights.adversarial = 0.3
    config.weights.gradient_penalty = 5.0
    # What is to lose its clouds cannot keep them for the way back.
    config.weights.cycle = 0.0
    config.optimizer.learning_rate = 8e-4
    config.optimizer.discriminator_rate = 8e-4
