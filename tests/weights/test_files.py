"""Reading weights from files."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from safetensors.numpy import save_file

from v2v_jax.weights import read_state_dict

STATE = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.ones(2)}


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("w.safetensors", lambda path: save_file(STATE, path)),
        ("w.npz", lambda p: np.savez(p, **STATE)),
    ],
)
def test_round_trip(tmp_path, name, save):
    save(tmp_path / name)
    np.testing.assert_equal(read_state_dict(tmp_path / name), STATE)
    np.testing.assert_equal(read_state_dict(str(tmp_path / name)), STATE)


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz"])
@pytest.mark.parametrize("keep", [0, 40])
def test_damaged_file_is_one_line_with_its_name(tmp_path, name, keep):
    whole = tmp_path / f"whole_{name}"
    save_file(STATE, whole) if name.endswith("safetensors") else np.savez(whole, **STATE)
    (tmp_path / name).write_bytes(whole.read_bytes()[:keep])
    _assert_damaged(tmp_path / name)


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz"])
def test_file_of_another_kind(tmp_path, name):
    (tmp_path / name).write_text("weights, honestly\n" * 9)
    _assert_damaged(tmp_path / name)


def _assert_damaged(path):
    with pytest.raises(ValueError, match="damaged") as error:
        read_state_dict(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no such file"):
        read_state_dict(tmp_path / "none.npz")


def test_unknown_suffix_lists_the_known(tmp_path):
    with pytest.raises(ValueError, match=r"w\.onnx: weights are read from \.safetensors, \.npz"):
        read_state_dict(tmp_path / "w.onnx")


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed")
def test_torch_file_without_torch_names_the_extra(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"")
    with pytest.raises(ImportError, match=r"pip install 'v2v_jax\[convert\]'"):
        read_state_dict(tmp_path / "w.pth")
