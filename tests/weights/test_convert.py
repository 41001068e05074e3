"""The converter: strict, whole or not at all, and its files load as the published ones do."""

from __future__ import annotations

import hashlib
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from flownet2_port import params_from_torch
from safetensors import safe_open
from safetensors.numpy import save_file
from weights.state_dicts import state_of

from v2v_jax.weights import KINDS, from_torch, load, load_state_dict
from v2v_jax.weights.convert import CONVERTERS, main

ROOT = Path(__file__).parents[2]


def publish(path, kind="fusion", **extra):
    """A published file in a container that needs no torch; returns its state dict."""
    state = state_of(kind)
    np.savez(path, **state, **extra)  # type: ignore[arg-type]
    return state


@pytest.mark.parametrize("kind", KINDS)
def test_a_converted_file_loads_as_the_published_one(tmp_path, capsys, kind):
    source, target = tmp_path / "net.npz", tmp_path / "new" / "net.safetensors"
    state = state_of(kind)
    np.savez(source, **{f"module.{key}": value for key, value in state.items()})
    assert main([kind, str(source), str(target)]) == 0
    np.testing.assert_equal(load(target, kind), from_torch(kind, state))
    with safe_open(target, framework="np") as file:
        about = file.metadata()
    assert (about["kind"], about["source"]) == (kind, "net.npz")
    assert about["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    printed = capsys.readouterr().out
    assert printed.startswith(f"{target}: {kind}, {len(state)} tensors, ")
    # Others may read it, as with any file one makes.
    (tmp_path / "plain").touch()
    assert stat.filemode(target.stat().st_mode) == stat.filemode(
        (tmp_path / "plain").stat().st_mode
    )


def test_every_kind_the_project_promises():
    assert set(CONVERTERS) >= {
        "flownet2", "flownet2_c", "flownet2_s", "flownet2_sd", "raft_small", "raft_large",
        "vgg16", "vgg19", "cyclegan_generator", "patchgan", "fusion",
    }  # fmt: skip
    for kind, convert in CONVERTERS.items():
        with pytest.raises(ValueError, match=f"{kind}: .*missing"):
            convert({})


def test_what_a_network_does_not_need_is_left_out(tmp_path):
    classifier = {"classifier.6.bias": np.zeros(1000, np.float32)}
    state = publish(tmp_path / "vgg.npz", "vgg16", **classifier)
    assert main(["vgg16", str(tmp_path / "vgg.npz"), str(tmp_path / "vgg.safetensors")]) == 0
    np.testing.assert_equal(load_state_dict(tmp_path / "vgg.safetensors", "vgg16"), state)


def test_a_converted_file_converts_again_but_not_to_another_kind(tmp_path, capsys):
    names = [str(tmp_path / name) for name in ("a.npz", "b.safetensors", "c.safetensors")]
    state = publish(names[0])
    assert main(["fusion", *names[:2]]) == main(["fusion", *names[1:]]) == 0
    np.testing.assert_equal(load_state_dict(names[2], "fusion"), state)
    assert main(["vgg16", names[1], names[2]]) == 1
    assert "b.safetensors: holds fusion, but vgg16 is needed" in capsys.readouterr().err
    np.testing.assert_equal(load_state_dict(names[2], "fusion"), state)


def test_check_says_where_every_tensor_goes_and_writes_nothing(tmp_path, capsys):
    publish(tmp_path / "net.npz", "cyclegan_generator")
    before = sorted(tmp_path.iterdir())
    assert main(["--check", "cyclegan_generator", str(tmp_path / "net.npz")]) == 0
    lines = [re.split(r" {2,}| (?=float)", line) for line in capsys.readouterr().out.splitlines()]
    found = {line[0]: line[1:] for line in lines[:-1]}
    assert len(found) == len(state_of("cyclegan_generator"))
    assert found["model.1.weight"] == ["[2, 3, 7, 7]", "float32", "stem/kernel"]
    assert found["model.1.bias"] == ["[2]", "float32", "(no effect)"]
    assert found["model.10.conv_block.5.weight"][-1] == "block_0/conv_1/kernel"
    assert found["model.16.weight"][-1] == "up_0/kernel"
    assert found["model.23.bias"] == ["[3]", "float32", "head/bias"]
    params = from_torch("cyclegan_generator", state_of("cyclegan_generator"))
    numbers = sum(leaf.size for layer in params.values() for leaf in flat(layer))
    assert f"{numbers:,} parameters; nothing written" in "  ".join(lines[-1])
    assert sorted(tmp_path.iterdir()) == before


def flat(tree):
    return [x for v in tree.values() for x in flat(v)] if isinstance(tree, dict) else [tree]


@pytest.mark.parametrize("options", [["--check"], []])
def test_every_problem_is_named_and_nothing_written(tmp_path, capsys, options):
    source, target = tmp_path / "net.npz", tmp_path / "net.safetensors"
    state = state_of("fusion") | {"surplus": np.zeros(3, np.int64)}
    del state["fusion.1.weight"]
    state["fusion.2.bias"] = np.zeros(2, np.float32)
    np.savez(source, **state)
    assert main([*options, "fusion", str(source), str(target)]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {source}: fusion: this is not its state dict: ")
    for problem in ("missing fusion.1.weight;", "unexpected surplus;", "fusion.2.bias has shape"):
        assert problem in printed.err
    assert printed.err.count("\n") == 1
    assert ("surplus" in printed.out) == bool(options)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("source", "target", "hint"),
    [
        ("none.npz", "b.safetensors", "none.npz: no such file of weights"),
        ("a.npz", "b.npz", "b.npz: the converted file must be named *.safetensors"),
        ("a.npz", "a.npz/b.safetensors", "cannot write"),
        ("broken.npz", "b.safetensors", "broken.npz: cannot be read, is it damaged?"),
    ],
)
def test_bad_paths_are_one_line(tmp_path, capsys, source, target, hint):
    publish(tmp_path / "a.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK")
    assert main(["fusion", str(tmp_path / source), str(tmp_path / target)]) == 1
    error = capsys.readouterr().err
    assert hint in error and error.count("\n") == 1
    assert not (tmp_path / "b.safetensors").exists()


def test_usage_lists_the_kinds_and_wants_a_target(tmp_path, capsys):
    for arguments, hint in ((["resnet", "a", "b"], "'vgg19'"), (["vgg16", "a"], "or --check")):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
        assert hint in capsys.readouterr().err


def test_killed_half_way_leaves_nothing_under_the_final_name(tmp_path):
    """SIGKILL while the file is written; the next run sweeps what is left."""
    source, target = tmp_path / "net.npz", tmp_path / "net.safetensors"
    publish(source)
    dying = (
        "import os, signal, sys\n"
        "from v2v_jax.weights import convert as tool\n"
        "def save(state, path, about):\n"
        "    path.write_bytes(b'half a file')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "tool.save_file = save\n"
        "tool.main(sys.argv[1:])\n"
    )
    arguments = ["-c", dying, "fusion", str(source), str(target)]
    killed = subprocess.run([sys.executable, *arguments], cwd=ROOT, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert not target.exists()
    assert len(list(tmp_path.iterdir())) == 2, "a leftover to sweep"
    assert main(["fusion", str(source), str(target)]) == 0
    assert sorted(tmp_path.iterdir()) == [source, target]
    load(target, "fusion")


def test_a_full_disk_is_one_line_and_keeps_the_former_file(tmp_path, capsys, monkeypatch):
    source, target = tmp_path / "net.npz", tmp_path / "net.safetensors"
    publish(source)
    assert main(["fusion", str(source), str(target)]) == 0
    former = target.read_bytes()

    def full(state, path, about):
        path.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("v2v_jax.weights.convert.save_file", full)
    assert main(["fusion", str(source), str(target)]) == 1
    assert f"cannot write {target}: [Errno 28] No space left" in capsys.readouterr().err
    assert target.read_bytes() == former and sorted(tmp_path.iterdir()) == [source, target]


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_torch_files(tmp_path, capsys, zipped):
    torch = pytest.importorskip("torch")
    source, target = tmp_path / "net.pth.tar", tmp_path / "net.safetensors"
    state = state_of("fusion")
    content = {"epoch": 0, "best_EPE": 1e10, "state_dict": {}}
    content["state_dict"] |= {f"module.{k}": torch.from_numpy(v) for k, v in state.items()}
    torch.save(content, source, _use_new_zipfile_serialization=zipped)
    assert main(["fusion", str(source), str(target)]) == 0
    np.testing.assert_equal(load_state_dict(target, "fusion"), state)
    target.unlink()
    torch.save({"a": CodeInside()}, source, _use_new_zipfile_serialization=zipped)
    for options in ([], ["--check"]):
        assert main([*options, "fusion", str(source), str(target)]) == 1
        assert "refused, and nothing of it was run" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [source]


class CodeInside:
    def __reduce__(self):
        return Path.touch, (Path("it_ran"),)


@pytest.mark.slow
def test_flownet2_s_at_full_size(tmp_path, capsys):
    """38,676,506 parameters: the stand-alone network sees 6 channels."""
    state = dict(flownet2_state("flownet2_s"))
    save_file(state, tmp_path / "s.safetensors")
    source, target = str(tmp_path / "s.safetensors"), str(tmp_path / "new.safetensors")
    assert main(["flownet2_s", source, target]) == 0
    assert "38,676,506 parameters" in capsys.readouterr().out
    found = load_state_dict(target, "flownet2_s")
    np.testing.assert_equal(
        params_from_torch(found, "flownet2_s"), params_from_torch(state, "flownet2_s")
    )
    assert main(["flownet2", source, target]) == 1
    assert "missing flownetc.conv1.0.bias" in capsys.readouterr().err


@pytest.mark.slow
def test_nvidias_checkpoint_converts_in_3_gb(tmp_path):
    """620 MB in the container before torch 1.6."""
    torch = pytest.importorskip("torch")
    state = {name: torch.from_numpy(value) for name, value in flownet2_state("flownet2")}
    content = {"epoch": 0, "state_dict": state, "best_EPE": 1e10}
    source, target = tmp_path / "FlowNet2_checkpoint.pth.tar", tmp_path / "new.safetensors"
    torch.save(content, source, _use_new_zipfile_serialization=False)
    assert source.stat().st_size > 650_000_000
    measured = (
        "import resource, sys; from v2v_jax.weights.convert import main; "
        "code = main(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
    )
    arguments = ["-c", measured, "flownet2", str(source), str(target)]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "220 tensors, 162,518,834 parameters" in done.stdout
    assert int(done.stdout.split()[-1]) * 1024 <= 3 * 10**9
    assert load_state_dict(target, "flownet2").keys() == state.keys()


def flownet2_state(kind):
    """Name and values, in the published shapes."""
    from flownet2_port.torch_names import _slots

    draw = np.random.default_rng(0)
    for name, (shape, *_) in _slots(kind):
        yield name, draw.standard_normal(shape, dtype=np.float32)
