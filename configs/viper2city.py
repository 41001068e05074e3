"""The paper: VIPER to Cityscapes at 256x512, FlowNet2 in the graph.

python -m v2v_jax.data.prepare viper --raw=downloads/viper --out=data/viper
python -m v2v_jax.data.prepare cityscapes --raw=downloads/cityscapes --out=data/cityscapes
python -m v2v_jax.main --config=configs/viper2city.py --workdir=runs/viper2city \
    --config.data.source=data/viper --config.data.target=data/cityscapes \
    --config.content.weights=vgg16.safetensors --config.flow.weights=flownet2.safetensors

Judged with its motion: ``--config=configs/viper2city.py:motion`` (configs/methods/motion.py).
A baseline instead: ``--config=configs/viper2city.py:cyclegan`` and the others of configs/methods.
"""

from configs import default, methods

OWN = {"recyclegan": {"predictor.depth": 8}}
"""Upstream's predictor at this size: unet_256."""


def get_config(method=""):
    """The defaults are the paper's values."""
    config = default.get_config()
    config.data.kind = "records"
    config.flow.kind = "flownet2"
    return methods.over(config, method, OWN)
