"""Truncated and bit-flipped downloads: an error that names the file, never a wrong frame."""

from __future__ import annotations

import pathlib
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from data import raw_trees

from v2v_jax.data.prepare.__main__ import main
from v2v_jax.data.raw import viper
from v2v_jax.data.raw.formats import decode_flow, decode_image, decode_labels
from v2v_jax.data.raw.members import Member, list_members
from v2v_jax.data.raw.reading import RawSource
from v2v_jax.data.records.dataset import RecordSource

IMAGE = raw_trees.texture(3, 40, 64)
LABELS = raw_trees.viper_labels(1)


def flow() -> bytes:
    rng = np.random.default_rng(0)
    return raw_trees.flow_npz(*rng.normal(size=(2, 9, 16)))


FORMATS: dict[str, tuple[bytes, Callable]] = {
    "png": (raw_trees.picture(IMAGE, "png"), decode_image),
    "jpg": (raw_trees.picture(IMAGE, "jpg"), decode_image),
    "palette": (raw_trees.palette_png(LABELS, raw_trees.viper_colours()), decode_labels),
    "npz": (flow(), decode_flow),
}


def loose(data: bytes, folder: pathlib.Path) -> Member:
    path = folder / "001_00001.x"
    path.write_bytes(data)
    return Member("001_00001.x", path, len(data), 0)


def flips(data: bytes, count: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    for position in rng.integers(0, len(data), count):
        flipped = bytearray(data)
        flipped[position] ^= 1 << rng.integers(8)
        yield bytes(flipped)


def equal(one, other) -> bool:
    pairs = zip(one, other, strict=True) if isinstance(one, tuple) else [(one, other)]
    return all(a.shape == b.shape and (a == b).all() for a, b in pairs)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_file_is_an_error_that_names_it(tmp_path, kind):
    data, decode = FORMATS[kind]
    decode(loose(data, tmp_path))
    for length in [0, 1, 5, *range(10, len(data), max(1, len(data) // 60)), len(data) - 1]:
        with pytest.raises(ValueError, match=r"001_00001\.x") as raised:
            decode(loose(data[:length], tmp_path))
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["png", "palette", "npz"])
def test_a_flipped_bit_is_an_error_or_harmless(tmp_path, kind):
    data, decode = FORMATS[kind]
    expected, errors = decode(loose(data, tmp_path)), 0
    for flipped in flips(data, 120):
        try:
            assert equal(decode(loose(flipped, tmp_path)), expected)
        except ValueError as error:
            assert "001_00001.x" in str(error)
            errors += 1
    assert errors > 60


@pytest.mark.parametrize("decode", [decode_image, decode_labels])
def test_a_png_with_another_ones_pixels_is_an_error(tmp_path, decode):
    """Valid in every way but for its checksum, which decoders may overlook."""
    one, other = (raw_trees.grey_png(np.full((40, 64), value, np.uint8)) for value in (3, 4))
    checksum = slice(-16, -12)  # In front of the last chunk.
    with pytest.raises(ValueError, match=r"001_00001\.x: damaged \(a checksum"):
        decode(loose(other[:-16] + one[checksum] + other[-12:], tmp_path))


def test_a_jpeg_that_was_truncated_before_it_was_zipped_is_an_error(tmp_path):
    data = FORMATS["jpg"][0]
    raw_trees.write_zip({"001_00001.jpg": data[:-40] + bytes(40)}, tmp_path / "raw" / "a.zip")
    (member,) = list_members(tmp_path / "raw")
    with pytest.raises(ValueError, match=r"a\.zip:001_00001\.jpg: truncated"):
        decode_image(member)


def test_a_loose_jpeg_with_a_gap_is_an_error(tmp_path):
    """As a torn copy has it.  A single flipped bit can pass: see zips, which have a checksum."""
    data = raw_trees.picture(raw_trees.texture(3, 120, 160), "jpg")
    decode_image(loose(data, tmp_path))
    for start in range(700, len(data) - 1100, len(data) // 20):
        with pytest.raises(ValueError, match=r"001_00001\.x: damaged"):
            decode_image(loose(data[:start] + data[start + 1000 :], tmp_path))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flipped_bit_in_a_zip_is_never_a_wrong_frame(tmp_path, method):
    path = tmp_path / "raw" / "train_img.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", method) as archive:
        for number in range(3):
            image = raw_trees.texture(number, 16, 32)
            archive.writestr(f"train/img/001/001_{number:05}.jpg", raw_trees.picture(image, "jpg"))
    whole = path.read_bytes()
    good = {m.path: decode_image(m) for m in list_members(path.parent)}
    errors = 0
    for flipped in flips(whole, 150):
        path.write_bytes(flipped)
        try:
            members = list_members(path.parent)
        except ValueError as error:
            assert "train_img.zip" in str(error)
            errors += 1
            continue
        for member in members:
            try:
                image = decode_image(member)
            except ValueError as error:
                assert "train_img.zip" in str(error)
                errors += 1
                continue
            assert equal(image, good[member.path])
    assert errors > 75


@pytest.mark.parametrize("unpacked", [True, False])
def test_a_damaged_download_through_prepare(tmp_path, unpacked, capsys):
    """Every fourth file is damaged: what comes out is what the whole download gives."""
    files = raw_trees.viper({"train/001": 24}, backward=True)
    write = raw_trees.write_tree if unpacked else raw_trees.write_zips
    options = ["--partial", "--size=27,48"]
    main(["viper", f"--raw={write(files, tmp_path / 'whole')}", f"--out={tmp_path}/1", *options])
    rng = np.random.default_rng(1)
    if unpacked:
        for name in sorted(files)[::4]:
            cut = int(rng.integers(0, len(files[name])))
            files[name] = files[name][:cut] + bytes(rng.integers(0, 256, 3, np.uint8))
        raw_trees.write_tree(files, tmp_path / "raw")
    else:
        for archive in raw_trees.write_zips(files, tmp_path / "raw").iterdir():
            data = bytearray(archive.read_bytes())
            directory = data.index(b"PK\1\2")
            for position in rng.integers(0, directory, 6):
                data[position] ^= 1 << rng.integers(8)
            archive.write_bytes(data)
    main(["viper", f"--raw={tmp_path}/raw", f"--out={tmp_path}/2", *options])
    assert "files were skipped" in capsys.readouterr().out
    good, bad = RecordSource(tmp_path / "1"), RecordSource(tmp_path / "2")
    whole = good.read(0, 0, 24)
    assert 8 <= sum(bad.lengths) < 24
    for index, clip in enumerate(bad.clips):
        got, first = bad.read(index, 0, clip.frames), clip.number - 1
        now = slice(first, first + clip.frames)
        np.testing.assert_array_equal(got["frames"], whole["frames"][now])
        labelled = (got["labels"] != 255).any((1, 2))
        np.testing.assert_array_equal(got["labels"][labelled], whole["labels"][now][labelled])
        pairs = slice(first, first + clip.frames - 1)
        for name in ("flow", "forward_flow"):
            known = got[f"{name}_valid"].any((1, 2))
            np.testing.assert_array_equal(got[name][known], whole[name][pairs][known])


def test_the_full_resolution_reader_names_what_is_damaged(tmp_path):
    files = raw_trees.viper({"train/001": 3})
    files["train/flow/001/001_00002.npz"] = files["train/flow/001/001_00002.npz"][:-50]
    root = raw_trees.write_tree(files, tmp_path / "raw")
    source = RawSource(viper.find(root, partial=True), "train")
    source.read(0, 0, 2)
    with pytest.raises(ValueError, match=r"001_00002\.npz: not a flow npz"):
        source.read(0, 1, 2)
