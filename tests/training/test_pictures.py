"""Pictures show what the arrays say."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from v2v_jax.training.pictures import (
    contact_sheet,
    flow_to_color,
    gif_bytes,
    png_bytes,
    side_by_side,
    to_uint8,
)


def _frames(image: Any) -> int:
    return image.n_frames


def _shape(clip):
    assert clip is not None
    return clip.shape


def _one(dx, dy, **options):
    return flow_to_color(np.full((1, 1, 2), (dx, dy), np.float32), **options)[0, 0].astype(int)


def test_the_colour_wheel():
    np.testing.assert_array_equal(_one(0, 0), [255, 255, 255])
    np.testing.assert_array_equal(_one(5, 0), [255, 0, 0])
    left, down, up = _one(-5, 0), _one(0, 5), _one(0, -5)
    assert left[0] == 0 and left[1] > 100 and left[2] == 255
    assert down[0] == 255 and down[1] > 200 and down[2] == 0
    assert up[2] > 200 and up[1] == 0
    # Shorter is paler, longer than the scale darker.
    assert (_one(5, 0, max_magnitude=10) == [255, 128, 128]).all()
    assert (_one(20, 0, max_magnitude=10) < [192, 1, 1]).all()
    np.testing.assert_array_equal(_one(np.nan, 0), [0, 0, 0])


def test_the_wheel_has_no_seam_and_every_direction_its_colour():
    angles = np.linspace(0, 2 * np.pi, 361)
    flow = np.stack([np.cos(angles), np.sin(angles)], -1)[None]
    colors = flow_to_color(flow, 1.0)[0].astype(int)
    assert np.abs(np.diff(colors, axis=0)).max() <= 15
    np.testing.assert_allclose(colors[0], colors[-1], atol=1)
    assert len(np.unique(colors[:-1:10], axis=0)) == 36


def test_ranges_of_images_masks_and_flow():
    image = np.array([-1.0, 0.0, 1.0]).reshape(1, 1, 1, 3)
    np.testing.assert_array_equal(to_uint8(image)[0, 0, 0], [0, 128, 255])
    mask = np.array([0.0, 1.0, 7.0, np.nan]).reshape(1, 1, 4, 1)
    np.testing.assert_array_equal(to_uint8(mask)[0, 0, :, 0], [0, 255, 255, 0])
    # One scale for the whole clip: half the motion is half the colour.
    flow = np.array([[4.0, 0.0], [2.0, 0.0]]).reshape(2, 1, 1, 2)
    np.testing.assert_array_equal(to_uint8(flow)[:, 0, 0], [[255, 0, 0], [255, 128, 128]])
    with pytest.raises(ValueError, match="not 5"):
        to_uint8(np.zeros((1, 2, 2, 5)))


def test_a_sheet_has_a_row_per_picture_in_the_order_of_the_method():
    values = {"output": 1.0, "source": -1.0, "raw": 0.0}
    pictures = {k: np.full((3, 8, 16, 3), v, np.float32) for k, v in values.items()}
    pictures["mask"] = np.ones((2, 8, 16, 1), np.float32)
    sheet = contact_sheet(pictures)
    height = 16 + 8 * 12  # a caption and the frame, enlarged to 192 columns
    assert sheet.shape == (4 * height, 3 * 192, 3) and sheet.dtype == np.uint8
    middles = [int(sheet[i * height + 16 + 40, 100, 0]) for i in range(4)]
    assert middles == [0, 128, 255, 255]  # source, raw, mask, output
    assert sheet[2 * height + 50, -1].max() == 0  # the mask has one frame less
    assert all(sheet[i * height : i * height + 16].max() > 150 for i in range(4))  # captions


def test_the_clip_shows_every_source_beside_its_output():
    clip = {name: np.zeros((3, 4, 6, 3), np.float32) for name in ("a/source", "a/output")}
    assert _shape(side_by_side(clip | {"a/raw": np.zeros((3, 4, 6, 3))})) == (3, 4, 12, 3)
    two = clip | {name.replace("a", "b"): value for name, value in clip.items()}
    assert _shape(side_by_side(two)) == (3, 8, 12, 3)
    assert side_by_side({"source": clip["a/source"], "mask": np.zeros((3, 4, 6, 1))}) is None


def test_gif_and_png_open_again():
    frames = np.random.default_rng(0).integers(0, 256, (5, 8, 12, 3), np.uint8)
    with Image.open(io.BytesIO(gif_bytes(frames, fps=10))) as gif:
        assert (_frames(gif), gif.size, gif.info["duration"]) == (5, (12, 8), 100)
        assert gif.info["loop"] == 0
    with Image.open(io.BytesIO(png_bytes(frames[0]))) as png:
        np.testing.assert_array_equal(np.asarray(png), frames[0])


def test_a_still_clip_keeps_its_frames():
    with Image.open(io.BytesIO(gif_bytes(np.zeros((4, 8, 8, 3), np.uint8), fps=5))) as gif:
        assert gif.info["duration"] * _frames(gif) == 800
