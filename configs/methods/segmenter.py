"""A segmenter trained on the source domain's labels; --config.segmenter.domain=target: the other's.

python -m v2v_jax.main --config=configs/demo.py:segmenter --workdir=runs/segmenter

Cost: 1.8 GFLOP a step of four frames at 64x128.  Expect the judge that ``:cycada`` asks for.
"""


def overlay(config):
    """Four single frames a step."""
    config.method = "segmentation"
    config.data.labels = True
    config.data.frames, config.data.batch_size = 1, 4
    config.data.temporal_flip = 0.0
    config.flow.kind = "zero"
    config.history = 0
    config.weights.content = 0.0
    config.optimizer.learning_rate = 3e-3
    config.optimizer.b1 = 0.9
    config.optimizer.constant = 0.5
    config.evaluate_every = 0
