"""Meaning from labels: the paper's method, whose discriminators judge frames with their labels.

python -m v2v_jax.main --config=configs/demo.py:labels --workdir=runs/labels

Cost: as configs/methods/motion.py's.  For a simulator that gives labels and real video that someone
(or a segmenter) has labelled; in the built-in world it says what knowing more than motion is
worth.  Expect truth/gain above motion's, most of it in the sky (docs/meaning.md).
"""


def overlay(config):
    """Laid over ``motion``'s: what is where instead of how it moves."""
    config.data.labels = True
    config.discriminator.labels = True
    config.discriminator.motion = False
