"""FlowNet2 forward and the forms of its correlation, on JAX's default device.

    .venv/bin/python tools/benchmarks/flow.py [--height 256 --width 512 --batch 1 --dtype float32]

Prints, for one forward in one jit: compile time, XLA's count of FLOPs, peak temporary memory, time
and FLOP/s; beside torch's time on the same weights where torch is there (`make torch`) and JAX runs
on the CPU.  Then the same figures for each way to write the correlation.  XLA counts the body of a
scan once: the FLOPs of the shifts are 1/21 of their work.  Weights are random.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flownet2_port import FlowNet2, correlate, params_from_torch

from tools.benchmarks import correlation
from tools.benchmarks.timing import Seconds, clocked, fastest, interleaved, median, timed

FORMS = {
    "tiles (used)": correlate,
    "row products": correlation.row_products,
    "shifts, scan": correlation.shifts_under_scan,
    "all pairs": correlation.all_pairs,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs both comparisons."""
    parser = argparse.ArgumentParser(description="FlowNet2 and its correlation.")
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    device = jax.devices()[0]
    print(f"jax {jax.__version__} on {device.device_kind}, {args.batch}x{args.height}x{args.width}")
    _correlations(args)
    _forward(args)


def _correlations(args: argparse.Namespace) -> None:
    shape = (2, args.batch, args.height // 8, args.width // 8, 256)
    a, b = jnp.asarray(np.random.default_rng(0).standard_normal(shape), args.dtype)
    truth = correlate(a, b)
    for name, form in FORMS.items():
        run, facts = _compiled(form, a, b)
        error = float(jnp.linalg.norm(form(a, b) - truth) / jnp.linalg.norm(truth))
        seconds = interleaved({name: clocked(run)}, args.rounds, warm_up=1)[name]
        print(f"correlation, {name:13} {_milliseconds(seconds)}  {facts}  differs {error:.0e}")


def _forward(args: argparse.Namespace) -> None:
    net = FlowNet2(None if args.dtype == "float32" else jnp.dtype(args.dtype))
    shape = (2, args.batch, args.height, args.width, 3)
    frames = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    model = _torch_model() if jax.default_backend() == "cpu" else None
    if model is None:
        params = jax.jit(net.init)(jax.random.key(0), *frames[:, :, :64, :64])["params"]
    else:
        state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
        params = jax.tree.map(jnp.asarray, params_from_torch(state))
    run, facts = _compiled(
        lambda p, a, b: net.apply({"params": p}, a, b), params, *map(jnp.asarray, frames)
    )
    runs = {"jax": run}
    if model is not None:
        import torch

        inputs = [torch.from_numpy(np.moveaxis(frame, -1, 1).copy()) for frame in frames]
        runs["torch"] = torch.inference_mode()(lambda: model(*inputs))
        flow, expected = np.asarray(run()), np.moveaxis(runs["torch"]().numpy(), 1, -1)
        error = np.linalg.norm(flow - expected) / np.linalg.norm(expected)
        print(f"FlowNet2, relative L2 between jax ({args.dtype}) and torch: {error:.1e}")
    turns = {name: clocked(run) for name, run in runs.items()}
    seconds = interleaved(turns, args.rounds, warm_up=1)
    print(f"FlowNet2 forward, jax    {_milliseconds(seconds['jax'])}  {facts}")
    if model is not None:
        ratio = median(seconds["jax"]) / median(seconds["torch"])
        print(
            f"FlowNet2 forward, torch  {_milliseconds(seconds['torch'])}  jax / torch {ratio:.2f}"
        )


def _torch_model() -> Any:
    try:
        import torch
    except ImportError:
        return None
    from tools.benchmarks.torch_flownet2 import flownet2

    torch.manual_seed(0)
    model = flownet2().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.ndim == 4:
            # torch's own initialisation shrinks the flow to nothing within a few layers.
            parameter.normal_(std=1.4 / parameter[0].numel() ** 0.5)
    return model


def _compiled(function: Callable[..., Any], *inputs: Any) -> tuple[Callable[[], Any], str]:
    """A closure that runs to completion, and what the compiler says about it."""
    program: Any
    program, took = timed(lambda: jax.jit(function).lower(*inputs).compile())
    cost, memory = program.cost_analysis(), program.memory_analysis()
    gigaflops = cost.get("flops", float("nan")) / 1e9
    megabytes = memory.temp_size_in_bytes / 1e6
    facts = f"{gigaflops:7.2f} GFLOP  {megabytes:6.0f} MB temporary  compiled in {took.wall:.1f} s"
    return lambda: jax.block_until_ready(program(*inputs)), facts


def _milliseconds(seconds: list[Seconds]) -> str:
    return f"{1e3 * median(seconds):8.1f} ms (fastest {1e3 * fastest(seconds):.1f})"


if __name__ == "__main__":
    main()
