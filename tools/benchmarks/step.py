"""The training step of two trees of this project, in turns: losses and seconds.

    git worktree add /tmp/before SOME_COMMIT
    .venv/bin/python tools/benchmarks/step.py --old=/tmp/before --config=configs/demo.py:motion

Either tree runs in a process of its own, which compiles the step and then takes one when asked,
so that neighbouring steps meet the same other programs.  Both begin with the same state and see
the same batches.  Prints seconds (medians over rounds and the rounds' ratios), processor time
(user and system, over all threads), page faults, and how far the losses are apart, relatively: at
the first step, where both trees have the same parameters, and the most later on, where every
step's rounding has gone through the optimisers of those before.  Exits with 1 if the first step's
losses differ by more than 1e-5, or the speed-up is under ``--limit``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.benchmarks.timing import CORES, Seconds, interleaved, median, ratios

HERE = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-5
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


def main(argv: Sequence[str] | None = None) -> int:
    """Compares, or with ``--worker`` is one of the two compared; returns the exit status."""
    parser = argparse.ArgumentParser(description="The training step of two trees, in turns.")
    parser.add_argument("--old", type=Path, default=HERE, help="the tree to compare with")
    parser.add_argument("--new", type=Path, default=HERE)
    parser.add_argument("--config", default="configs/demo.py:motion")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--limit", type=float, default=0.0, help="least speed-up; 0: none asked")
    parser.add_argument("--small_pages", action="store_true", help="without huge pages, both")
    parser.add_argument("--worker", action="store_true", help="internal")
    args, overrides = parser.parse_known_args(argv)
    if args.worker:
        _work(args.config, overrides)
        return 0
    return _compare(args, overrides)


def _compare(args: argparse.Namespace, overrides: list[str]) -> int:
    environment = {} if args.small_pages else HUGE_PAGES
    sides = {
        name: _Side(tree, [f"--config={args.config}", *overrides], environment)
        for name, tree in (("old", args.old), ("new", args.new))
    }
    load = os.getloadavg()[0]
    spent = interleaved({n: side.step for n, side in sides.items()}, args.rounds, warm_up=2)
    print(f"{args.config} {' '.join(overrides)}; {CORES} cores, {environment or 'small pages'}")
    print(f"load of the machine {load:.1f} before, {os.getloadavg()[0]:.1f} after; ", end="")
    print(f"medians of {args.rounds} rounds")
    for name, side in sides.items():
        cpu = statistics.median(one.cpu for one in spent[name])
        faults = statistics.median(one["faults"] for one in side.told[2:])
        print(
            f"{name}: {median(spent[name]):.3f} s, processor time {cpu:.3f} s, "
            f"{faults:.0f} page faults, compiled in {side.compiled:.0f} s"
        )
    wall, cpu = (ratios([o[k] for o in spent["old"]], [n[k] for n in spent["new"]]) for k in (0, 1))
    print(
        f"speed-up {wall.median:.2f} (rounds {wall.least:.2f} to {wall.most:.2f}), "
        f"of processor time {cpu.median:.2f}"
    )
    apart = [_apart(*pair) for pair in zip(sides["old"].told, sides["new"].told, strict=True)]
    print(f"losses apart at step 1 {apart[0][0]:.1e} ({apart[0][1]}), ", end="")
    print(f"up to step {len(apart)} at most {max(apart)[0]:.1e} ({max(apart)[1]})")
    return 0 if apart[0][0] <= TOLERANCE and wall.median >= args.limit else 1


def _apart(old: dict[str, Any], new: dict[str, Any]) -> tuple[float, str]:
    """The largest relative difference of two steps' losses, and which loss it is."""
    if old["losses"].keys() != new["losses"].keys():
        raise SystemExit("step: the two trees have different losses; compare the same config")
    return max(
        (abs(new["losses"][name] - value) / max(abs(value), 1e-6), name)
        for name, value in old["losses"].items()
    )


class _Side:
    """A process that holds one tree's compiled step.

    Attributes:
        told: what it told of every step, in order.
        compiled: seconds.
    """

    def __init__(self, tree: Path, flags: list[str], environment: dict[str, str]):
        path = os.pathsep.join([str(tree), str(tree / "third_party"), str(HERE)])
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", *flags], text=True, cwd=tree,
            env={**os.environ, **environment, "PYTHONPATH": path},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.told: list[dict[str, Any]] = []
        self.compiled = self._hear()["compiled"]

    def _hear(self) -> dict[str, Any]:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit("step: a tree's process ended; its message stands above")
        return json.loads(line)

    def step(self) -> Seconds:
        """One step of training."""
        assert self.process.stdin is not None
        print(file=self.process.stdin, flush=True)
        self.told.append(self._hear())
        return Seconds(self.told[-1]["wall"], self.told[-1]["cpu"])


def _work(config: str, overrides: list[str]) -> None:
    """Compiles the step of the tree that PYTHONPATH names first, then takes one for every line."""
    import jax

    run, state, frozen, batches = prepared(config, overrides)
    first = next(batches)
    start = time.perf_counter()
    compiled = run.lower(state, frozen, first).compile()
    _tell(compiled=time.perf_counter() - start)
    batch = first
    for _ in sys.stdin:
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        state, metrics = jax.block_until_ready(compiled(state, frozen, batch))
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        losses = {n: float(v) for n, v in metrics.items() if n.startswith(("loss", "term"))}
        _tell(wall=wall, cpu=cpu, faults=after.ru_minflt - before.ru_minflt, losses=losses)
        batch = next(batches)


def _tell(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def prepared(config: str, overrides: list[str]) -> tuple[Any, Any, Any, Any]:
    """As ``training.loop`` makes them: the jitted step, its first state, frozen, and batches."""
    import functools

    import jax
    from absl import flags
    from ml_collections import config_flags

    from v2v_jax import assembly
    from v2v_jax.training import parallel
    from v2v_jax.training.state import init_state
    from v2v_jax.training.step import train_step

    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values)
    values(["step", f"--config={config}", *overrides])
    workdir = Path(tempfile.mkdtemp(prefix="v2v_jax_step_"))
    told = assembly.training(values["config"].value, workdir)
    mesh = parallel.make_mesh()
    batches = (parallel.put_batch(batch, mesh) for batch in told["batches"](0))
    first = next(batches)
    method, optimizers = told["method"], told["optimizers"]
    fresh = functools.partial(init_state, method=method, optimizers=optimizers)
    state = parallel.jit_init(lambda batch: fresh(jax.random.key(0), batch), mesh)(first)
    step = functools.partial(
        train_step, method=method, optimizers=optimizers, ema_decay=told["ema_decay"]
    )
    frozen = parallel.put_replicated(told["frozen"], mesh)
    return parallel.jit_step(step, mesh), state, frozen, batches


if __name__ == "__main__":
    sys.exit(main())
