"""torch's files: both containers, nothing executed; where torch is not installed, a stand-in."""

from __future__ import annotations

import ast
import collections
import os
import pathlib
import pickle
import subprocess
import sys
import types
import warnings
import zipfile

import numpy as np
import pytest

from v2v_jax.weights import read_state_dict

ROOT = pathlib.Path(__file__).parents[2]
STATE = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.ones(2)}
BOTH = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def tensors(torch, state=None):
    """A copy, in the class in which torch's modules give their state."""
    state = STATE if state is None else state
    return collections.OrderedDict((k, torch.from_numpy(v.copy())) for k, v in state.items())


def save(torch, content, path, zipped):
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert zipfile.is_zipfile(path) == zipped
    return path


@BOTH
@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.pth.tar"])
def test_state_dict_alone_and_wrapped(tmp_path, zipped, name):
    torch = pytest.importorskip("torch")
    for content in (
        tensors(torch),
        # As NVIDIA's checkpoints, and as PyTorch Lightning's.
        {"epoch": 0, "state_dict": tensors(torch), "best_EPE": 1e10},
        {"state_dict": {k: torch.nn.Parameter(v) for k, v in tensors(torch).items()}},
    ):
        path = save(torch, content, tmp_path / name, zipped)
        found = read_state_dict(path)
        np.testing.assert_equal(found, STATE)
        assert {value.dtype.name for value in found.values()} == {"float32", "float64"}


@BOTH
def test_tensors_as_torch_0_3_pickled_them(tmp_path, zipped):
    torch = pytest.importorskip("torch")

    class Old:
        def __init__(self, tensor):
            self.tensor = tensor

        def __reduce__(self):
            t = self.tensor
            arguments = t.storage(), t.storage_offset(), t.size(), t.stride()
            return torch._utils._rebuild_tensor, arguments

    old = {name: Old(tensor) for name, tensor in tensors(torch).items()}
    with warnings.catch_warnings(action="ignore"):  # torch, once: typed storages are deprecated
        path = save(torch, old, tmp_path / "w.pth", zipped)
    np.testing.assert_equal(read_state_dict(path), STATE)


@BOTH
def test_views_and_narrow_numbers(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    whole = torch.arange(12.0).reshape(3, 4)
    content = {"t": whole.T, "row": whole[1], "half": whole[:1].half(), "b": whole[:1].bfloat16()}
    content["count"] = torch.tensor(7)
    found = read_state_dict(save(torch, content, tmp_path / "w.pth", zipped))
    np.testing.assert_array_equal(found["t"], whole.numpy().T)
    np.testing.assert_array_equal(found["row"], [4, 5, 6, 7])
    for name in ("half", "b"):
        np.testing.assert_array_equal(found[name], np.array([[0, 1, 2, 3]], np.float32))
        assert found[name].dtype == np.float32
    assert found["count"] == 7 and found["count"].dtype == np.int64


class Malicious:
    """Runs a command when a careless reader unpickles it."""

    def __init__(self, path):
        self.command = f"touch {path}"

    def __reduce__(self):
        return os.system, (self.command,)


@BOTH
def test_a_malicious_pickle_is_refused_and_nothing_runs(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    proof = tmp_path / "it_ran"
    evil = Malicious(proof)
    for content in (
        {**tensors(torch), "b": evil},
        {"state_dict": tensors(torch), "epoch": evil},
        evil,
    ):
        path = save(torch, content, tmp_path / "w.pth", zipped)
        with pytest.raises(ValueError, match="refused, and nothing of it was run") as error:
            read_state_dict(path)
        assert str(error.value).startswith(f"{path}: ")
        assert f"{os.system.__module__}.system" in str(error.value)
        assert "\n" not in str(error.value) and "weights_only" not in str(error.value)
        assert not proof.exists()
    # The trap is a trap.
    subprocess.run([sys.executable, "-c", PICKLED, str(proof)], check=True, cwd=ROOT)
    assert proof.exists()


PICKLED = """
import os, pickle, sys
class Malicious:
    def __reduce__(self): return os.system, ("touch " + sys.argv[1],)
pickle.loads(pickle.dumps(Malicious()))
"""


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_bare_pickle_is_refused(tmp_path, protocol):
    pytest.importorskip("torch")
    proof = tmp_path / "it_ran"
    (tmp_path / "w.pth").write_bytes(pickle.dumps({"a": Malicious(proof)}, protocol))
    with pytest.raises(ValueError, match=r"w\.pth: (refused|cannot be read)") as error:
        read_state_dict(tmp_path / "w.pth")
    assert not proof.exists()
    assert "\n" not in str(error.value)


@BOTH
def test_harmless_objects_are_refused_by_name(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    content = {"state_dict": tensors(torch), "best_EPE": np.float64(3.0)}
    with pytest.raises(ValueError, match=r"holds numpy\S+scalar, .* state dict alone"):
        read_state_dict(save(torch, content, tmp_path / "w.pth", zipped))


@BOTH
def test_what_is_no_state_dict(tmp_path, zipped):
    torch = pytest.importorskip("torch")
    for content in ([1, 2], {"epoch": 3}, {"state_dict": [1]}, torch.ones(3)):
        path = save(torch, content, tmp_path / "w.pth", zipped)
        with pytest.raises(ValueError, match=r"w\.pth: holds no state dict"):
            read_state_dict(path)


@BOTH
@pytest.mark.parametrize("damage", ["empty", "cut", "text", "header", "zeros"])
def test_damage_is_one_line(tmp_path, zipped, damage):
    torch = pytest.importorskip("torch")
    path = save(torch, tensors(torch), tmp_path / "w.pth", zipped)
    whole = path.read_bytes()
    damaged = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "text": b"weights, honestly\n" * 99,
        "header": whole[7:],
        "zeros": bytes(500),
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(ValueError, match=r"w\.pth: cannot be read, is it damaged\? \(.+\)") as e:
        read_state_dict(path)
    assert "\n" not in str(e.value) and "weights_only" not in str(e.value)


@BOTH
def test_torch_is_asked_for_weights_only(tmp_path, monkeypatch, zipped):
    """Where torch is absent too: what it is called with, and that its errors are made readable."""
    calls, path = [], tmp_path / "w.pth.tar"
    path.write_bytes(b"no zip file")
    if zipped:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("archive/data.pkl", b"")

    def load(file, **options):
        calls.append((file, options))
        raise pickle.UnpicklingError("Set weights_only\nUnsupported global: GLOBAL os.system was")

    stand_in = types.ModuleType("torch")
    stand_in.load = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", stand_in)
    with pytest.raises(ValueError, match=r"refused, .* besides tensors it holds os\.system, "):
        read_state_dict(path)
    assert calls == [(path, {"map_location": "cpu", "weights_only": True, "mmap": zipped})]


def test_nothing_in_the_project_loads_torch_files_otherwise():
    """Every ``torch.load`` says weights_only=True; pickles are read nowhere in the package."""
    found = 0
    for folder in ("v2v_jax", "third_party", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                name = ast.unparse(node.func)
                assert name not in ("pickle.load", "pickle.loads", "torch.jit.load"), path
                if name == "torch.load":
                    options = {k.arg: ast.unparse(k.value) for k in node.keywords}
                    assert options.get("weights_only") == "True", path
                    found += 1
    assert found >= 1
