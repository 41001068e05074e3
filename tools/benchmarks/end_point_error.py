"""End-point error of the flow estimators on the synthetic world, against its exact flow.

    .venv/bin/python tools/benchmarks/end_point_error.py --size=64x128 \
        --raft_small=raft-small.safetensors

Prints one Markdown row per estimator: mean error in pixels of both domains over all pixels and
over those the previous frame saw, the median, the share above 1 pixel, and the time of one pair.
RAFT takes part for which weights are given.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from tools.benchmarks.timing import timed
from v2v_jax.data.world.world import DOMAINS, SyntheticClip, World
from v2v_jax.flow.dis import Dis
from v2v_jax.flow.raft import RaftFlow
from v2v_jax.weights import from_torch, read_state_dict

Estimate = Callable[[np.ndarray, np.ndarray], np.ndarray]


def main(argv: Sequence[str] | None = None) -> None:
    """Measures every estimator on the same pairs."""
    options = _options(argv)
    height, width = (int(side) for side in options.size.split("x"))
    pairs = f"{options.clips} clips of {options.frames} frames per domain"
    print(f"{pairs}, split {options.split}, {options.size}; end-point error in pixels")
    columns = [f"{domain} {pixels}" for domain in DOMAINS for pixels in ("all", "seen")]
    print(f"| flow | {' | '.join(columns)} | median | > 1 px | ms |")
    print("|" + "---|" * (2 * len(DOMAINS) + 4))
    clips = {domain: _clips(options, domain, height, width) for domain in DOMAINS}
    for name, estimate in _estimators(options).items():
        print(f"| {name} | {_row(estimate, clips)} |", flush=True)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raft_small", type=pathlib.Path, help="file of its weights")
    parser.add_argument("--raft_large", type=pathlib.Path, help="file of its weights")
    parser.add_argument("--size", default="64x128", help="HxW")
    parser.add_argument("--split", default="val")
    parser.add_argument("--clips", type=int, default=8, help="per domain")
    parser.add_argument("--frames", type=int, default=6, help="per clip")
    parser.add_argument("--scales", default="1,2,4", help="enlargements to try")
    parser.add_argument("--iterations", default="12", help="of RAFT, several with commas")
    return parser.parse_args(argv)


def _clips(
    options: argparse.Namespace, domain: str, height: int, width: int
) -> list[SyntheticClip]:
    world = World(domain, options.split, height=height, width=width, clips=options.clips)
    return [world.frames(i, count=options.frames) for i in range(options.clips)]


def _estimators(options: argparse.Namespace) -> dict[str, Estimate]:
    scales = [float(scale) for scale in options.scales.split(",")]
    found: dict[str, Estimate] = {"zero": lambda a, b: np.zeros((*a.shape[:2], 2))}
    found |= {f"DIS scale {scale:g}": Dis(scale) for scale in scales}
    for kind in ("raft_small", "raft_large"):
        path = getattr(options, kind)
        if path is None:
            continue
        params = jax.device_put(from_torch(kind, read_state_dict(path)))
        for scale in scales:
            for iterations in map(int, options.iterations.split(",")):
                flow = RaftFlow(kind == "raft_small", iterations, scale)
                found[f"{kind} scale {scale:g}, {iterations} it."] = _on_uint8(flow, params)
    return found


def _on_uint8(flow: RaftFlow, params: object) -> Estimate:
    compiled = jax.jit(flow)

    def estimate(current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        frames = [jnp.asarray(x, jnp.float32)[None] / 127.5 - 1 for x in (current, previous)]
        return np.asarray(compiled(params, *frames)[0])

    return estimate


def _row(estimate: Estimate, clips: dict[str, list[SyntheticClip]]) -> str:
    means, seen_errors = [], []
    first = clips[DOMAINS[0]][0].frames
    estimate(first[1], first[0])  # compiles
    spent, pairs = 0.0, 0
    for domain in DOMAINS:
        errors, seen = [], []
        for clip in clips[domain]:
            for t in range(1, len(clip.frames)):
                flow, took = timed(functools.partial(estimate, clip.frames[t], clip.frames[t - 1]))
                spent, pairs = spent + took.wall, pairs + 1
                errors.append(np.linalg.norm(flow - clip.backward[t - 1], axis=-1))
                seen.append(errors[-1][~clip.occluded[t - 1]])
        seen_errors.append(np.concatenate(seen))
        means += [np.mean(errors), np.mean(seen_errors[-1])]
    pooled = np.concatenate(seen_errors)
    share = 100 * (pooled > 1).mean()
    figures = " | ".join(f"{mean:.3f}" for mean in means)
    return f"{figures} | {np.median(pooled):.3f} | {share:.1f} % | {1e3 * spent / pairs:.1f}"


if __name__ == "__main__":
    main()
