"""A segmenter on the built-in driving world, trained on the source domain's labels.

python -m v2v_jax.main --config=configs/demo_segmenter.py --workdir=runs/demo_segmenter
"""

from configs import demo


def get_config():
    """Four single frames a step; --config.segmenter.domain=target learns the other domain's."""
    config = demo.get_config()
    config.method = "segmentation"
    config.data.labels = True
    config.data.frames = 1
    config.data.batch_size = 4
    config.data.temporal_flip = 0.0
    config.flow.kind = "zero"
    config.history = 0
    config.weights.content = 0.0
    config.optimizer.learning_rate = 3e-3
    config.optimizer.b1 = 0.9
    config.optimizer.constant = 0.5
    config.evaluate_every = 0
    config.steps = 400
    return config
