"""Converted files: what they say of themselves is verified, and no altered bit passes."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from weights.state_dicts import state_of

from v2v_jax.weights import from_torch, load, load_state_dict
from v2v_jax.weights.converted import VERSION, checksum, metadata


def write(path, kind="fusion", **changes):
    state = state_of("fusion")
    save_file(state, path, metadata(kind, "net.pth", "0" * 64, state) | changes)
    return state


def test_a_converted_file_loads_as_its_tensors_do(tmp_path):
    state = write(tmp_path / "w.safetensors")
    np.testing.assert_equal(load_state_dict(tmp_path / "w.safetensors", "fusion"), state)
    np.testing.assert_equal(load(tmp_path / "w.safetensors", "fusion"), from_torch("fusion", state))


def test_another_kind_is_named(tmp_path):
    write(tmp_path / "w.safetensors", kind="vgg16")
    with pytest.raises(ValueError, match=r"w\.safetensors: holds vgg16, but fusion is needed$"):
        load(tmp_path / "w.safetensors", "fusion")


def test_another_version_of_the_format_is_named(tmp_path):
    write(tmp_path / "w.safetensors", converter_version=f"{VERSION}0")
    with pytest.raises(ValueError, match=f"by version {VERSION}0 .* reads version {VERSION}: conv"):
        load(tmp_path / "w.safetensors", "fusion")


def test_published_files_say_nothing_of_themselves_and_load(tmp_path):
    state = state_of("fusion")
    save_file(state, tmp_path / "w.safetensors", {"format": "pt"})
    np.savez(tmp_path / "w.npz", **{f"module.{key}": value for key, value in state.items()})
    for name in ("w.safetensors", "w.npz"):
        np.testing.assert_equal(load(tmp_path / name, "fusion"), from_torch("fusion", state))
        np.testing.assert_equal(load_state_dict(tmp_path / name, "fusion"), state)


def test_no_flipped_bit_passes(tmp_path):
    """Two in every byte, header and tensors."""
    state = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.float16)}
    path = tmp_path / "w.safetensors"
    save_file(state, path, metadata("fusion", "net.pth", "ab" * 32, state))
    whole = path.read_bytes()
    # All bits of the header take half a minute, and passed.
    for bit in [8 * i + (i + more) % 8 for i in range(len(whole)) for more in (0, 3)]:
        altered = bytearray(whole)
        altered[bit // 8] ^= 1 << bit % 8
        path.write_bytes(altered)
        with pytest.raises(ValueError, match=r"w\.safetensors: .*(damaged|convert it again)"):
            load_state_dict(path, "fusion")
            pytest.fail(f"bit {bit % 8} of byte {bit // 8} of {len(whole)}")


def test_swapped_tensors_and_reshaped_ones_change_the_checksum():
    a, b = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    known = {"kind": "fusion"}
    sums = {
        checksum(known, state)
        for state in (
            {"a": a, "b": b},
            {"a": b, "b": a},
            {"a": a.T, "b": b},
            {"a": a.reshape(3, 2), "b": b},
            {"a": a.reshape(6), "b": b},
            {"a": a.view(np.int32), "b": b},
            {"a": a},
        )
    }
    assert len(sums) == 6  # a.T and a.reshape(3, 2) are both zeros of one shape.
    assert checksum(known, {"b": b, "a": a}) == checksum(known, {"a": a, "b": b})
    assert checksum({"kind": "vgg16"}, {"a": a}) != checksum(known, {"a": a})


def test_metadata_is_what_other_programs_can_read(tmp_path):
    write(tmp_path / "w.safetensors")
    with safe_open(tmp_path / "w.safetensors", framework="np") as file:
        about = file.metadata()
    assert about["kind"] == "fusion" and about["source"] == "net.pth"
    assert about["source_sha256"] == "0" * 64
    assert about["converter_version"] == VERSION
    assert about["checksum"] == checksum(
        {name: value for name, value in about.items() if name != "checksum"},
        load_file(tmp_path / "w.safetensors"),
    )
