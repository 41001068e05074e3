"""A clip in the other domain's look: the same geometry bit for bit, and no old pixel moved."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import zlib

import cv2
import numpy as np
import pytest

from v2v_jax.data.world import World
from v2v_jax.data.world.looks import LOOKS, PALETTES
from v2v_jax.data.world.textures import paint_textures
from v2v_jax.data.world.world import DOMAINS, SPLITS

GOLDEN = json.loads((pathlib.Path(__file__).parents[2] / "golden" / "world.json").read_text())
GEOMETRY = ("labels", "backward", "forward", "occluded")
AVX2 = 11
"""OpenCV's CPU_AVX2, which its Python module does not name."""
PAIRS = [DOMAINS, DOMAINS[::-1]]


def digest(array: np.ndarray) -> int:
    return zlib.crc32(array.tobytes())


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("named", [False, True], ids=["look=None", "look=domain"])
def test_the_domains_are_what_they_were_before_looks_were_split_off(name, named):
    """Digests by the code of commit d13c91e: domain, split, seed, size, clip, start + count."""
    domain, split, seed, size, index, stretch = name.split()
    height, width = map(int, size.split("x"))
    start, count = map(int, stretch.split("+"))
    world = World(domain, split, int(seed), height, width, look=domain if named else None)
    clip = world.frames(int(index), start, count)._asdict()
    if not cv2.checkHardwareSupport(AVX2):
        clip.pop("frames")  # OpenCV's remap and resize round otherwise there; geometry does not.
    assert {field: digest(array) for field, array in clip.items()} == {
        field: GOLDEN[name][field] for field in clip
    }


@pytest.mark.parametrize("domain, look", PAIRS)
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    "seed, height, width", [(0, 64, 128), (7, 33, 71), (123456, 96, 40), (2**31, 20, 200)]
)
def test_geometry_is_the_layouts_whatever_the_look(domain, look, split, seed, height, width):
    world = World(domain, split, seed, height, width)
    for index, start, count in ((0, 0, 2), (5, 57, 3)):
        own = world.frames(index, start, count)
        other = world.perfect(look).frames(index, start, count)
        for field in GEOMETRY:
            np.testing.assert_array_equal(getattr(own, field), getattr(other, field), field)
        assert (own.frames != other.frames).mean() > 0.8


@pytest.mark.parametrize("domain, look", PAIRS)
def test_no_field_of_a_look_moves_anything(domain, look, monkeypatch):
    """Not only today's two looks: each field on its own, pushed far from where it is."""
    world = World(domain, seed=3, height=32, width=64)
    before = world.frames(2, 30, 2)
    changed = dataclasses.replace(world, look=look)
    for field in dataclasses.fields(LOOKS[look]):
        value = getattr(LOOKS[look], field.name)
        value = value[::-1] if isinstance(value, tuple) else 0.3 * value + 0.1
        monkeypatch.setitem(LOOKS, look, dataclasses.replace(LOOKS[look], **{field.name: value}))
        _forget_textures()
        after = changed.frames(2, 30, 2)
        for name in GEOMETRY:
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name), field.name)
    monkeypatch.undo()
    _forget_textures()


def _forget_textures() -> None:
    from v2v_jax.data.world import world

    world._textures.cache_clear()


def test_silhouettes_and_noise_are_the_entropys_and_colours_the_looks():
    one, other = (paint_textures(LOOKS[domain], [1, 2, 3]) for domain in DOMAINS)
    assert one.kinds == other.kinds
    for levels, others in zip(one.alphas, other.alphas, strict=True):
        for alpha, its in zip(levels, others, strict=True):
            np.testing.assert_array_equal(alpha, its)
    np.testing.assert_array_equal(one.noise, other.noise)
    assert (one.atlas != other.atlas).mean() > 0.2


def test_the_perfect_translation_is_as_colourful_as_the_looks_own_domain():
    """Class by class; plain colours also tell how far away, in the haze, a layout's trees are."""
    worlds = [World("game"), World("game", look="street"), World("street")]
    source, truth, target = (_colourfulness(world) for world in worlds)
    for label in (0, 1, 8, 10):
        assert abs(truth[label] - target[label]) < 0.3 * abs(truth[label] - source[label])


def _colourfulness(world: World) -> dict[int, float]:
    """Largest less smallest channel of every class's mean colour."""
    clips = [world.frames(index, 20, 1) for index in range(6)]
    frames, labels = (np.concatenate([clip[k] for clip in clips]) for k in (0, 1))
    return {int(label): np.ptp(frames[labels == label].mean(0)) for label in np.unique(labels)}


@pytest.mark.parametrize("palette", PALETTES)
def test_a_palette_of_another_length_is_refused(palette):
    colours = getattr(LOOKS["game"], palette)
    with pytest.raises(ValueError, match=f"{len(colours) - 1} {palette}, give {len(colours)}"):
        dataclasses.replace(LOOKS["game"], **{palette: colours[1:]})


def test_an_unknown_look_is_one_clear_line():
    for bad in (lambda: World("game", look="dusk"), lambda: World("game").perfect("dusk")):
        with pytest.raises(ValueError, match=r"^unknown look 'dusk': choose one of game, street$"):
            bad()


def test_perfect_changes_the_look_alone():
    world = World("street", "val", 4, 16, 32, 3, 9)
    assert dataclasses.replace(world.perfect("game"), look=None) == world
    assert World("street", "val", 4, 16, 32, 3, 9, "game") == world.perfect("game")
