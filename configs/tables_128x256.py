"""The miniature tables at twice the size, with ten times the steps and three seeds: for a GPU.

python -m v2v_jax.main --mode=table --config=configs/tables_128x256.py --workdir=runs/tables_128x256
"""

from typing import Any

from configs import tables

STEPS = 10 * tables.STEPS


def get_config():
    """``configs/tables.py``; what is measured in pixels grows with the frames."""
    config: Any = tables.get_config()
    config.seeds = (0, 1, 2)
    for row in config.rows.values():
        row.run.steps = STEPS
        row.run.data.size = (128, 256)
        row.run.discriminator.layers = 3  # 70x70 pixels
        row.run.flow.scale = 1.0  # DIS sees as many pixels as there
        row.run.checkpoint_every, row.run.log_every = 500, 250
    return config
