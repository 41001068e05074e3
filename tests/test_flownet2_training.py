"""The paper's training step with FlowNet2 in the graph, at 64x128, for real."""

from __future__ import annotations

import json
import math

import jax
import numpy as np
import pytest
from assembly.test_assembly import tiny

from configs import demo
from v2v_jax import Translator, assembly
from v2v_jax.training.loop import train

STEPS = 2


@pytest.mark.slow
def test_the_papers_step_runs_with_flownet2_in_the_graph(tmp_path):
    """162,518,834 frozen parameters, random by name; the flow is the step's own."""
    config = tiny(
        demo,
        **{
            "data.size": (64, 128), "flow.kind": "flownet2", "flow.weights": "random",
            "data.batch_size": 8, "steps": STEPS, "log_every": 1, "checkpoint_every": STEPS,
            "picture_every": STEPS,
        },
    )  # fmt: skip
    arguments = assembly.training(config, tmp_path)
    assert sum(leaf.size for leaf in jax.tree.leaves(arguments["frozen"]["flow"])) == 162_518_834
    batch = next(arguments["batches"](0))
    assert all("flow" not in clip for clip in batch.values())
    state = train(**arguments)
    assert int(state.step) == STEPS and int(state.skipped) == 0
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    terms = {name: value for line in lines for name, value in line.items() if "temporal" in name}
    assert {"term/to_target/temporal", "term/to_source/temporal"} <= terms.keys()
    assert all(math.isfinite(value) and value > 0 for value in terms.values())
    video = np.random.default_rng(0).integers(0, 256, (3, 64, 128, 3), np.uint8)
    assert Translator.load(tmp_path)(video).shape == video.shape
