"""The paper: VIPER to Cityscapes at 256x512.

python -m v2v_jax.main --config=configs/viper2city.py --workdir=runs/viper2city \
    --config.data.source='viper/train/*' --config.data.target='cityscapes/train/*' \
    --config.content.weights=vgg16.safetensors

Source and target are globs of videos or frame folders.
"""

from configs import default


def get_config():
    """The defaults are the paper's values."""
    return default.get_config()
