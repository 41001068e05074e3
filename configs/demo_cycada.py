"""CyCADA's pixel half on the built-in driving world: CycleGAN with a semantic loss.

python -m v2v_jax.main --config=configs/demo_cycada.py --workdir=runs/demo_cycada \
    --config.segmenter.run=runs/demo_segmenter

``configs/demo_segmenter.py`` trains the segmenter it is judged by.
"""

from configs import demo_cyclegan


def get_config():
    """What CyCADA adds; the source's labels say what the translation must be read as."""
    config = demo_cyclegan.get_config()
    config.method = "cycada"
    # Upstream's 1 drowns the rest of so short a run (docs/results): patterns that please the judge.
    config.weights.semantic = 0.2
    config.data.labels = True
    return config
