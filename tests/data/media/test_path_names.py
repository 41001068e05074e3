"""A path is a path, whatever FFmpeg, globs or the C library make of some of its characters."""

from __future__ import annotations

import os
import pathlib

import av
import numpy as np
import pytest

from v2v_jax.data.atomic import Partial
from v2v_jax.data.media.cache import cached_video
from v2v_jax.data.media.frame_folder import FolderWriter
from v2v_jax.data.media.inputs import list_inputs
from v2v_jax.data.media.reader import open_video
from v2v_jax.data.media.writer import VideoWriter
from v2v_jax.data.records.format import example

LONG = "動" * 80  # 240 bytes; ".mp4" makes 244.
NAMES = (
    "2019-05-01T12:30:05", "file:a", "clips [1]", "50%d", "-y", "a b'c\"d", LONG,
    "第一集." + "長" * 70,
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_written_and_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 32, 3), np.uint8)
    with VideoWriter(f"{name}.mp4", 25, 16, 32) as film, FolderWriter(name) as folder:
        for frame in frames:
            film.write(frame)
            folder.write(frame)
    for path in (f"{name}.mp4", name):
        with open_video(path) as reader:
            assert len(list(reader)) == 3
        assert list_inputs(path) == [pathlib.Path(path)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"{name}.mp4"])


def test_names_in_other_encodings(tmp_path):
    """Of old disks and zips; Python holds the bytes that are no UTF-8 as surrogates."""
    name = os.fsdecode(b"caf\xe9")
    frames = np.zeros((3, 16, 32, 3), np.uint8)
    with VideoWriter(tmp_path / f"{name}.mp4", 25, 16, 32) as film, FolderWriter(
        tmp_path / name, f"{name}%d.png"
    ) as folder:  # fmt: skip
        for frame in frames:
            film.write(frame)
            folder.write(frame)
    for path in (tmp_path / f"{name}.mp4", tmp_path / name):
        assert cached_video(path, tmp_path / "cache", 16, 32).length == 3
    assert example(name, 0, {}) and list_inputs(tmp_path / f"{name}*.mp4")


def test_what_a_killed_writer_of_a_long_name_left_is_swept(tmp_path):
    first = Partial(tmp_path / f"{LONG}.mp4")
    first._release()  # As a kill does.
    second = Partial(tmp_path / f"{LONG}.mp4")
    assert [path.name for path in tmp_path.iterdir()] == [second.path.name]
    assert len(second.path.name.encode()) < 255 and second.path.suffix == ".mp4"
    second.discard()


CODECS = {
    ".mpg": "mpeg1video", ".ts": "mpeg2video", ".m2ts": "mpeg2video", ".MTS": "libx264",
    ".3gp": "mpeg4", ".flv": "flv", ".wmv": "wmv2", ".gif": "gif",
}  # fmt: skip


@pytest.mark.parametrize("suffix", CODECS)
def test_files_of_cameras_and_recorders_are_read_from_their_folder(tmp_path, suffix):
    kind = {".MTS": "mpegts", ".m2ts": "mpegts"}.get(suffix)
    with av.open(str(tmp_path / f"clip{suffix}"), "w", format=kind) as container:
        stream = container.add_stream(CODECS[suffix], rate=25)
        stream.width, stream.height = 64, 32
        stream.pix_fmt = "rgb8" if suffix == ".gif" else "yuv420p"
        for index in range(10):
            picture = np.full((32, 64, 3), 20 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    (path,) = list_inputs(tmp_path)
    with open_video(path) as reader:
        frames = list(reader)
    assert len(frames) == 10 and frames[0].shape == (32, 64, 3)
