"""CyCADA's pixel half on VIPER and Cityscapes: CycleGAN with a semantic loss.

python -m v2v_jax.main --config=configs/viper2city_cycada.py --workdir=runs/viper2city_cycada \
    --config.segmenter.run=runs/viper2city_segmenter

``configs/viper2city_segmenter.py`` trains the segmenter it is judged by.
"""

from configs import viper2city_cyclegan


def get_config():
    """What CyCADA adds; the source's labels say what the translation must be read as."""
    config = viper2city_cyclegan.get_config()
    config.method = "cycada"
    config.weights.semantic = 1.0
    config.data.labels = True
    return config
