"""Writes tests/golden/raft.npz: torchvision's RAFT in float64 on the recipe's weights.

    .venv/bin/python tools/goldens/make_raft.py      # needs torch and torchvision

Weights are drawn by tests/golden_recipe.py, prefix ``raft_small.`` or ``raft_large.``, gain 1.4;
the flow is stored at every fourth row and column, in torch's layout.
"""

from __future__ import annotations

import pathlib
import sys

import numpy as np
import torch
import torchvision.models.optical_flow as published
from torchvision.models.optical_flow import raft

TESTS = pathlib.Path(__file__).parents[2] / "tests"
sys.path.insert(0, str(TESTS))
from golden_recipe import tensor  # noqa: E402

_ITERATIONS = (1, 4)


def main() -> None:
    """Computes and stores the flows of both nets, batch of 2, 128x136."""
    torch.set_default_dtype(torch.float64)
    single = raft.make_coords_grid
    # The coordinates are float32 by themselves, which grid_sample would refuse.
    raft.make_coords_grid = lambda *a, **k: single(*a, **k).double()
    coarse = np.random.default_rng(7).integers(0, 256, (4, 3, 32, 34), np.uint8)
    frames = torch.from_numpy(coarse.repeat(4, -2).repeat(4, -1)).double()
    arrays = {"coarse": coarse}
    for kind in ("raft_small", "raft_large"):
        net = getattr(published, kind)(weights=None).eval()
        net.load_state_dict({k: _draw(kind, k, v) for k, v in net.state_dict().items()})
        first, second = (frames / 127.5 - 1).chunk(2)
        with torch.no_grad():
            flows = net(first, second, num_flow_updates=max(_ITERATIONS))
        for i in _ITERATIONS:
            arrays[f"{kind}|{i}"] = flows[i - 1][..., ::4, ::4].float().numpy()
    np.savez_compressed(TESTS / "golden" / "raft.npz", **arrays)  # type: ignore[arg-type]


def _draw(kind: str, key: str, like: torch.Tensor) -> torch.Tensor:
    if key.endswith("num_batches_tracked"):
        return like
    value = tensor(f"{kind}.{key}", tuple(like.shape), 1.4)
    if key.endswith("running_mean"):
        value = value - 1
    if key.endswith("running_var"):
        value = 1 + np.abs(value - 1)
    return torch.from_numpy(value)


if __name__ == "__main__":
    main()
