"""Writes tests/golden/gradients.npz: torch's float64 gradients of small published networks.

    make torch && .venv/bin/python tools/goldens/make_gradients.py

The networks are the published ones with few features; weights, input and cotangent are drawn by
the recipe of tests/golden_recipe.py; the loss is the sum of output * cotangent.  Stored in
float32, in torch's layout, under torch's names.
"""

from __future__ import annotations

import pathlib
import sys

import numpy as np
import torch

from tools.benchmarks.torch_reference import discriminator, generator

TESTS = pathlib.Path(__file__).parents[2] / "tests"
sys.path.insert(0, str(TESTS))
from golden_recipe import tensor  # noqa: E402


def main() -> None:
    """Computes and stores output and gradients of both networks."""
    arrays = _arrays("cyclegan_generator", generator(features=4, blocks=2), (1, 3, 32, 48))
    arrays |= _arrays("patchgan", discriminator(features=3), (1, 3, 64, 48))
    np.savez_compressed(TESTS / "golden" / "gradients.npz", **arrays)  # type: ignore[arg-type]


def _arrays(kind: str, net: torch.nn.Module, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    for name, parameter in net.named_parameters():
        parameter.data = torch.from_numpy(tensor(f"{kind}.{name}", tuple(parameter.shape), 1.0))
    x = torch.from_numpy(tensor(f"{kind}.x", shape, 1.0)).double().requires_grad_()
    output = net.double()(x)
    cotangent = torch.from_numpy(tensor(f"{kind}.cotangent", tuple(output.shape), 1.0))
    (output * cotangent).sum().backward()
    found = {name: parameter.grad for name, parameter in net.named_parameters()}
    found |= {"x": x.grad, "output": output.detach()}
    return {f"{kind}|{name}": value.float().numpy() for name, value in found.items()}


if __name__ == "__main__":
    main()
