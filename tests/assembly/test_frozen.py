"""Networks that are not trained: by config, from a file or random by name, never captured."""

from __future__ import annotations

import functools
import logging
import os
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from assembly.test_assembly import plain, tiny
from safetensors.numpy import save_file
from weights.state_dicts import state_of

from v2v_jax import assembly
from v2v_jax.assembly import flows, networks, pretrained
from v2v_jax.assembly.resuming import changed_fields
from v2v_jax.nets.vgg import VGG16, VGG19
from v2v_jax.training.state import init_state
from v2v_jax.training.step import train_step
from v2v_jax.weights import KINDS, from_torch
from v2v_jax.weights.converted import metadata

NEURAL = list(flows.NEURAL)
RANDOM = {"flow.weights": "random", "flow.scale": 1.0}


def converted(path: Path, kind: str) -> dict[str, np.ndarray]:
    state = state_of(kind)
    save_file(state, path, metadata(kind, "published.pth", "0" * 64, state))
    return state


@pytest.fixture(scope="module")
def raft_file(tmp_path_factory) -> tuple[str, dict[str, np.ndarray]]:
    """A converted RAFT-small and its state dict."""
    path = tmp_path_factory.mktemp("weights") / "raft.safetensors"
    return str(path), converted(path, "raft_small")


def flowing(**changes: Any) -> Any:
    """A tiny config without the content network, which takes long to draw."""
    return tiny(**{"weights.content": 0.0, "flow.kind": "raft_small"} | changes)


@pytest.mark.parametrize("kind", NEURAL)
@pytest.mark.parametrize("path", ["", "weights/gone.safetensors", "gone.pth"])
def test_a_missing_file_says_where_it_is_from_its_size_and_the_command(kind, path):
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        assembly.frozen(flowing(**{"flow.kind": kind, "flow.weights": path}))
    message, about = str(error.value), pretrained.PUBLISHED[kind]
    target = path if path.endswith("rs") else f"{kind}.safetensors"
    assert message.startswith(f"{path}: no such file" if path else "config.flow.weights is empty")
    command = f"python -m v2v_jax.weights.convert {kind} {about.file} {target}`"
    for hint in (about.file, about.size, about.origin, command, "--config.flow.weights=random"):
        assert hint in message
    assert re.search(r"\d+ MB", message) and "\n" not in message


def test_published_networks_are_those_a_config_can_ask_for():
    assert pretrained.PUBLISHED.keys() == flows.NEURAL.keys() | networks.CONTENT.keys()


@pytest.mark.parametrize(("net", "stages"), [("vgg16", VGG16), ("vgg19", VGG19)])
def test_content_net_by_name_with_its_own_weights(tmp_path, net, stages):
    converted(tmp_path / "w.safetensors", net)
    changes = {"content.net": net, "content.tap": "relu3_1", "content.features": 64}
    config = tiny(**changes, **{"content.weights": str(tmp_path / "w.safetensors")})
    made = assembly.method(config)
    assert made.content.stages == stages  # type: ignore[attr-defined]
    loaded = assembly.frozen(config)["content"]
    whole = from_torch(net, state_of(net))
    assert list(loaded) == [name for name in whole if name <= "conv3_1"]
    np.testing.assert_equal(loaded, {name: whole[name] for name in loaded})
    other = {"vgg16": "vgg19", "vgg19": "vgg16"}[net]
    config.content.net = other
    with pytest.raises(ValueError, match=rf"w\.safetensors: holds {net}, but {other} is needed"):
        assembly.frozen(config)
    config.content.net = "vgg11"
    with pytest.raises(ValueError, match="'vgg11' is none of vgg16, vgg19"):
        assembly.method(config)


def test_vgg19_has_the_taps_that_vgg16_lacks():
    config = tiny(**{"content.tap": "relu5_4", "content.net": "vgg19"})
    assert "conv5_4" in assembly.description(config)["frozen"]["content"]
    with pytest.raises(ValueError, match="no tap 'relu5_4'"):
        assembly.description(tiny(**{"content.tap": "relu5_4"}))


def test_flow_weights_of_a_converted_file_and_of_a_published_one(tmp_path, raft_file):
    path, state = raft_file
    config = flowing(**{"flow.weights": path})
    expected = from_torch("raft_small", state)
    np.testing.assert_equal(assembly.frozen(config)["flow"], expected)
    np.savez(tmp_path / "raft.npz", **{f"module.{k}": v for k, v in state.items()})
    config.flow.weights = str(tmp_path / "raft.npz")
    np.testing.assert_equal(assembly.frozen(config)["flow"], expected)
    # A file that has changed is read again.
    state = state | {"fnet.conv2.bias": state["fnet.conv2.bias"] + 1}
    np.savez(tmp_path / "raft.npz", **state)
    os.utime(tmp_path / "raft.npz", ns=(1, 1))
    np.testing.assert_equal(assembly.frozen(config)["flow"], from_torch("raft_small", state))


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"flow.kind": "raft_large"}, "holds raft_small, but raft_large is needed"),
        ({"flow.kind": "raft_small", "damage": True}, "damaged"),
        ({"flow.kind": "raft_small", "wrong": True}, "w.npz: raft_small: this is not its state"),
    ],
    ids=str,
)
def test_a_file_that_does_not_fit_is_named(tmp_path, raft_file, changes, hint):
    path, _ = raft_file
    if changes.pop("damage", False):
        altered = bytearray(Path(path).read_bytes())
        altered[-1] ^= 1
        path = str(tmp_path / "w.safetensors")
        Path(path).write_bytes(altered)
    if changes.pop("wrong", False):
        path = str(tmp_path / "w.npz")
        np.savez(path, a=np.zeros(3))
    with pytest.raises(ValueError, match=hint) as error:
        assembly.frozen(flowing(**changes, **{"flow.weights": path}))
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("kind", NEURAL)
def test_description_knows_the_shapes_without_a_file(kind):
    config = tiny(**{"flow.kind": kind, "flow.weights": "gone.safetensors"})
    described = assembly.description(config)
    assert "flow" not in described["batch"]["source"]
    if kind in KINDS:
        shapes = jax.tree.map(np.shape, from_torch(kind, state_of(kind)))
        assert jax.tree.map(np.shape, described["frozen"]["flow"]) == shapes


def test_both_random_networks_are_named_aloud(caplog):
    config = tiny(**{"flow.kind": "raft_small", **RANDOM})
    note = networks.random_weights_note(config)
    assert note is not None
    assert "content.weights='random'" in note and "flow.weights='random'" in note
    assert "VGG-16's published" in note and "RAFT-small's published" in note
    with caplog.at_level(logging.WARNING, "absl"):
        first = assembly.frozen(config)
        config.seed = 7
        second = assembly.frozen(config)
    assert caplog.text.count(note) == 2
    assert jax.tree.all(jax.tree.map(np.array_equal, first, second))
    config.weights.content = 0.0
    assert networks.random_weights_note(config) == flows.random_note(config)
    config.flow.kind = "dis"  # Then nobody looks at its weights.
    assert networks.random_weights_note(config) is None
    assert assembly.frozen(config) == {"content": {}, "flow": {}, "segmenter": {}, "translator": {}}


def test_a_run_trained_with_neural_flow_translates_with_it(raft_file, caplog):
    path, state = raft_file
    saved = plain(tiny(**{"flow.kind": "raft_small", "flow.weights": path}))
    restored = assembly.restore_method(saved)
    assert restored.host_flow is None
    assert restored.method == assembly.method(tiny(**{"flow.kind": "raft_small"}))
    np.testing.assert_equal(restored.frozen, {"flow": from_torch("raft_small", state)})
    saved["flow"]["weights"] = "moved.safetensors"
    with pytest.raises(FileNotFoundError, match=r"^moved\.safetensors: no such file.*raft-small"):
        assembly.restore_method(saved)
    saved["flow"]["weights"] = "random"
    with caplog.at_level(logging.WARNING, "absl"):
        assembly.restore_method(saved)
    assert "RANDOM" in caplog.text and "content" not in caplog.text


def test_a_run_of_the_version_before_flow_weights_still_loads():
    saved = plain(tiny())
    del saved["flow"]["weights"]
    assert assembly.restore_method(saved).frozen == {"flow": {}}
    assert changed_fields(saved, plain(tiny())) == []


def test_moving_the_flow_weights_is_no_change_but_random_ones_are():
    before, after = (plain(tiny(**{"flow.weights": path})) for path in ("a.npz", "b.npz"))
    assert changed_fields(before, after) == []
    after["flow"]["weights"] = "random"
    assert changed_fields(before, after) == ["flow.weights a.npz -> random"]


@pytest.mark.parametrize(
    ("kind", "precision"), [("flownet2", "float32"), ("raft_small", "bfloat16")]
)
def test_one_estimator_in_the_traced_step_and_its_parameters_are_arguments(
    monkeypatch, kind, precision
):
    """One application, of (K - 1) B 2 pairs; gradients flow into the generators only."""
    net, calls = type(flows.NEURAL[kind].net), []
    original = net.__call__

    def counted(self, *frames, **options):
        calls.append([frame.shape for frame in frames])
        return original(self, *frames, **options)

    config = tiny(**{"flow.kind": kind, "data.batch_size": 2, "precision": precision}, **RANDOM)
    described = assembly.description(config)
    monkeypatch.setattr(net, "__call__", counted)
    method, optimizers = described["method"], described["optimizers"]
    batch, frozen = described["batch"], described["frozen"]
    state = jax.eval_shape(
        functools.partial(init_state, method=method, optimizers=optimizers),
        jax.random.key(0),
        batch,
    )
    calls.clear()
    step = functools.partial(train_step, method=method, optimizers=optimizers)
    program = jax.make_jaxpr(step)(state, frozen, batch)
    assert len(calls) == 1
    assert {shape[0] for shape in calls[0]} == {(3 - 1) * 2 * 2}
    # A captured parameter would be a constant of the program.
    assert sum(np.size(value) for value in program.consts) < 10_000
    count = sum(np.prod(x.shape, dtype=int) for x in jax.tree.leaves(frozen["flow"]))
    assert count > 900_000
