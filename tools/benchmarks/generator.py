"""Generator against torch on this machine's CPU: same weights, same frame, interleaved.

    make torch && .venv/bin/python tools/benchmarks/generator.py

Prints the medians of forward and of forward + gradient with respect to all parameters, float32,
and their ratios.  Run it on an idle machine: interleaving alone is not fair, because torch's
threads wait for each other at every layer and lose more to other programs.
Exits with 1 if a ratio is over its limit (forward 1.5, gradient 2) or the outputs differ.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tools.benchmarks.timing import clocked, fastest, interleaved, median
from v2v_jax.nets.generator import ResnetGenerator
from v2v_jax.weights import from_torch

LIMITS = {"forward": 1.5, "gradient": 2.0}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the comparison; returns the exit status."""
    parser = argparse.ArgumentParser(description="Generator against torch.")
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    try:
        import torch
    except ImportError:
        print("benchmark_generator: needs torch to compare with; run `make torch`", file=sys.stderr)
        return 1
    frame = np.random.default_rng(0).uniform(-1, 1, (1, args.height, args.width, 3))
    torch.manual_seed(0)
    runs, difference = _prepare(frame.astype(np.float32), args.features)
    print(f"{args.height}x{args.width}, {args.features} features, float32, jax {jax.__version__}, ")
    print(f"torch {torch.__version__} on {torch.get_num_threads()} threads, {args.rounds} rounds")
    print(f"relative L2 between the outputs: {difference:.1e}")
    turns = {name: clocked(run) for name, run in runs.items()}
    seconds = interleaved(turns, args.rounds, warm_up=1)
    passed = difference < 1e-5
    for name, limit in LIMITS.items():
        ours, theirs = seconds[f"jax {name}"], seconds[f"torch {name}"]
        ratio = median(ours) / median(theirs)
        print(
            f"{name:9} jax {median(ours):.3f} s  torch {median(theirs):.3f} s  ratio {ratio:.2f}, "
            f"of the fastest runs {fastest(ours) / fastest(theirs):.2f}  (limit {limit})"
        )
        passed &= ratio <= limit
    return 0 if passed else 1


def _prepare(frame: np.ndarray, features: int) -> tuple[dict[str, Callable[[], None]], float]:
    """Four closures that each run to completion, and the outputs' relative difference."""
    import torch

    from tools.benchmarks.torch_reference import generator

    theirs = generator(features)
    state = {name: tensor.detach().numpy() for name, tensor in theirs.state_dict().items()}
    params = jax.tree.map(jnp.asarray, from_torch("cyclegan_generator", state))
    net = ResnetGenerator(features=features)
    ours_in, theirs_in = jnp.asarray(frame), torch.from_numpy(frame.transpose(0, 3, 1, 2).copy())

    def apply(params: Any, x: jax.Array) -> Any:
        return net.apply({"params": params}, x)

    forward = jax.jit(apply)
    gradient = jax.jit(jax.grad(lambda p, x: jnp.sum(jnp.square(apply(p, x)))))

    def torch_forward() -> None:
        with torch.inference_mode():
            theirs(theirs_in)

    def torch_gradient() -> None:
        theirs.zero_grad(set_to_none=True)
        theirs(theirs_in).square().sum().backward()

    with torch.inference_mode():
        expected = theirs(theirs_in).numpy().transpose(0, 2, 3, 1)
    error = np.linalg.norm(forward(params, ours_in) - expected) / np.linalg.norm(expected)
    return {
        "jax forward": lambda: jax.block_until_ready(forward(params, ours_in)),
        "torch forward": torch_forward,
        "jax gradient": lambda: jax.block_until_ready(gradient(params, ours_in)),
        "torch gradient": torch_gradient,
    }, float(error)


if __name__ == "__main__":
    sys.exit(main())
