"""What stands along the road of the synthetic driving world, and where.

Static things are drawn plot by plot (``PLOT`` metres of road), moving ones group by group in a
frame that moves with their lane, each from a seed of its own.  So a road is endless and any stretch
of it can be built alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from v2v_jax.data.world.layouts import Layout
from v2v_jax.data.world.looks import Look
from v2v_jax.data.world.scene import (
    BUILDING_ID,
    CAR_ID,
    PERSON_ID,
    PLOT,
    POLE_ID,
    SIGN_ID,
    VEGETATION_ID,
    Builder,
    Drive,
    Scene,
)  # fmt: skip
from v2v_jax.data.world.textures import Textures

_FRONT = (0, 0, -1)


def _upright(x0, x1, y0, y1, z) -> list:
    return [(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)]


def _wall(x, y0, y1, z0, z1) -> list:
    return [(x, y0, z0), (x, y0, z1), (x, y1, z1), (x, y1, z0)]


def _house(b: Builder, layout: Layout, rng: np.random.Generator, side: int, z: float) -> None:
    """A box with windows; low ones carry a gabled roof, high ones shops and a cornice."""
    walls = b.look.walls
    x = side * rng.uniform(*layout.setback)
    z0 = z + layout.gap * rng.uniform(0.2, 1)
    z1 = z + PLOT - layout.gap * rng.uniform(0, 0.8)
    floors = int(rng.integers(layout.floors[0], layout.floors[1] + 1))
    storey = rng.uniform(2.9, 3.4)
    height, back = floors * storey, x + side * rng.uniform(8, 12)
    tile, tint = b.pick(rng, "facade"), rng.uniform(0.88, 1.1)
    b.begin(BUILDING_ID, z0, 0)
    columns = max(1, round((z1 - z0) / 3))
    repeat = (4 * (z1 - z0) / columns, 4 * storey)
    inward = (-side, 0, 0)
    b.add(_wall(x, 0, height, z0, z1), tile, facing=inward, tint=tint, metres=repeat)
    front = _upright(min(x, back), max(x, back), 0, height, z0)
    b.add(front, tile, facing=_FRONT, tint=tint, metres=(repeat[0], repeat[1]))
    if floors <= 2:
        roof, ridge = b.pick(rng, "roof"), (x + back) / 2
        eave, peak = x - side * 0.4, height + rng.uniform(1.8, 2.8)
        gable = [(x, height, z0), (back, height, z0), (ridge, peak, z0), (ridge, peak, z0)]
        b.add(gable, 0, facing=_FRONT, tint=np.array(walls[0]) / 255 * tint)
        slope = [(eave, height - 0.2, z0 - 0.3), (eave, height - 0.2, z1), (ridge, peak, z1),
                 (ridge, peak, z0 - 0.3)]  # fmt: skip
        b.add(slope, roof, facing=(-side, 1, 0), metres=(3.0, 3.0))
    else:
        shop, edge = b.pick(rng, "shop"), np.array(walls[2]) / 255 * rng.uniform(0.6, 1.0)
        width = abs(back - x)
        b.add(_wall(x, 0, storey, z0, z1), shop, facing=inward, metres=((z1 - z0) / 2, storey))
        b.add(_upright(front[0][0], front[1][0], 0, storey, z0), shop, facing=_FRONT,
              metres=(width / 2, storey))  # fmt: skip
        top = (height - 0.4, height + 0.3)
        b.add(_wall(x, *top, z0, z1), 0, facing=inward, tint=edge)
        b.add(_upright(front[0][0], front[1][0], *top, z0), 0, facing=_FRONT, tint=edge)
    b.cast(x, back, z0, z1, height)


def _cutout(b, rng, kind, label, x, z, width, height, layer=1, speed=0.0, foot=0.0) -> None:
    """A standing picture that faces down the road."""
    b.begin(label, z, layer, speed)
    quad = _upright(x - width / 2, x + width / 2, foot, foot + height, z)
    b.add(quad, b.pick(rng, kind), facing=_FRONT, tint=rng.uniform(0.9, 1.1), cutout=True)
    angles = np.arange(8) * math.pi / 4
    ring = np.stack([np.cos(angles), np.sin(angles)], 1) * (b.look.canopy * width)
    b.shade(ring + (x, z) + 0.62 * height * np.array(b.look.lean))


def _post(b: Builder, rng: np.random.Generator, x: float, z: float, lamp: bool) -> None:
    """A lamp post with its arm over the road, or a pole that carries a sign."""
    grey = np.full(3, rng.uniform(0.3, 0.5))
    height, half = (7.0, 0.09) if lamp else (2.5, 0.05)
    b.begin(POLE_ID, z, 1)
    b.add(_upright(x - half, x + half, 0, height, z), 0, facing=_FRONT, tint=grey)
    b.cast(x - half, x + half, z - half, z + half, height)
    if lamp:
        reach = x - math.copysign(2.2, x)
        arm = _upright(min(x, reach), max(x, reach), height - 0.15, height, z)
        b.add(arm, 0, facing=_FRONT, tint=grey)
    else:
        sign = _upright(x - 0.42, x + 0.42, 1.9, 2.74, z - 0.05)
        b.add(sign, b.pick(rng, "sign"), facing=_FRONT, cutout=True, label=SIGN_ID)


def _car(b, rng, x, z, towards: bool, speed=0.0, leads=0.0) -> None:
    """A body and a cabin; ``towards`` turns its front to the camera."""
    paint = b.paint(rng)
    part = {name: b.textures.kinds[f"car_{name}"][paint]
            for name in ("side", "back", "front", "window", "pane")}  # fmt: skip
    tint = np.array(b.look.paints[paint]) / 255
    length, half, roof = rng.uniform(3.9, 4.6), rng.uniform(0.84, 0.92), rng.uniform(1.4, 1.65)
    deck, z1 = 0.86, z + length
    b.begin(CAR_ID, z, 1, speed, leads)
    end = part["front"] if towards else part["back"]
    for s in (-1, 1):
        b.add(_wall(x + s * half, 0, deck, z, z1), part["side"], facing=(s, 0, 0))
    top = [(x - half, deck, z), (x + half, deck, z), (x + half, deck, z1), (x - half, deck, z1)]
    b.add(top, 0, facing=(0, 1, 0), tint=tint)
    b.add(_upright(x - half, x + half, 0, deck, z), end, facing=_FRONT)
    c0, c1 = (z + 1.1, z1 - 0.5) if towards else (z + 0.5, z1 - 1.1)
    r0, r1 = c0 + (0.75 if towards else 0.5), c1 - (0.5 if towards else 0.75)
    low, high = half, half - 0.17
    for s in (-1, 1):
        flank = [(x + s * low, deck, c0), (x + s * low, deck, c1), (x + s * high, roof, r1),
                 (x + s * high, roof, r0)]  # fmt: skip
        b.add(flank, part["window"], facing=(s, 0, 0))
    pane = [(x - low, deck, c0), (x + low, deck, c0), (x + high, roof, r0), (x - high, roof, r0)]
    lid = [(x - high, roof, r0), (x + high, roof, r0), (x + high, roof, r1), (x - high, roof, r1)]
    b.add(lid, 0, facing=(0, 1, 0), tint=tint)
    b.add(pane, part["pane"], facing=_FRONT)
    b.cast(x - half - 0.1, x + half + 0.1, z - 0.1, z1 + 0.1, 1.2)


def _plot(
    b: Builder, layout: Layout, rng: np.random.Generator, side: int, z: float, number: int
) -> None:
    """One plot on one side of the road."""
    if rng.random() < layout.second_row:
        size = rng.uniform(7, 10)
        x = side * (layout.setback[1] + rng.uniform(1, 5))
        _cutout(b, rng, "tree", VEGETATION_ID, x, z + PLOT - 0.05, size, size, layer=0)
    if rng.random() < layout.building:
        _house(b, layout, rng, side, z)
    if rng.random() < layout.bush:
        wide = rng.uniform(1.6, 3)
        _cutout(b, rng, "bush", VEGETATION_ID, side * rng.uniform(10, 11.5), z + rng.uniform(1, 11),
                wide, 0.6 * wide)  # fmt: skip
    if (number + (side > 0)) % 2 == 0:
        _post(b, rng, side * 6.6, z + 1.0, lamp=True)
    elif rng.random() < layout.sign:
        _post(b, rng, side * 6.7, z + rng.uniform(1, 5), lamp=False)
    for slot in (0, 1):
        if rng.random() < layout.tree:
            size = rng.uniform(4.5, 7.5)
            _cutout(
                b,
                rng,
                "tree",
                VEGETATION_ID,
                side * rng.uniform(7.0, 7.6),
                z + 3 + 5.5 * slot + rng.uniform(0, 2),
                size,
                size * rng.uniform(1, 1.2),
            )
        if rng.random() < layout.parked:
            _car(b, rng, side * rng.uniform(4.75, 4.95), z + 0.4 + 5.9 * slot, towards=side < 0)


def build_scene(
    layout: Layout,
    look: Look,
    textures: Textures,
    seed: Callable[..., np.random.Generator],
    first: int,
    last: int,
) -> Scene:
    """Builds everything that frames ``first`` to ``last`` can see.

    Args:
      layout: what stands where.
      look: its colours and shadows.
      textures: its tiles.
      seed: a generator for the words given, the clip's own.
      first: first frame number.
      last: last frame number.

    Returns:
      The scene.
    """
    b, drive = Builder(look, textures), Drive(seed(0))
    start, stop = drive.along(first) - PLOT, drive.along(last) + layout.view
    every, phase = (int(word) for word in seed(1).integers((6, 0), (10, 6)))
    crossings = []
    for number in range(math.floor(start / PLOT) - 1, math.ceil(stop / PLOT)):
        if number % every == phase:
            crossings.append((number + 0.5) * PLOT)
            continue
        rng = seed(2, number % 2**32)
        for side in (-1, 1):
            _plot(b, layout, rng, side, number * PLOT, number)
    reach = (first, last, start, stop)
    _procession(b, seed, 3, reach, -1.75, -1.1 * drive.speed, 16.0, layout.traffic, _traffic)
    for lane, (x, speed) in enumerate([(7.9, 0.075), (8.6, -0.08), (-7.9, 0.08), (-8.6, -0.07)]):
        _procession(b, seed, 8 + lane, reach, x, speed, 6.0, layout.people, _walker)
    if seed(7).random() < 0.7:
        _car(b, seed(7, 1), 1.75, 0.0, towards=False, leads=1.0)
    rng = seed(4)
    wave = np.cumsum(rng.standard_normal(240)) * 0.12
    skyline = layout.backdrop_height * (1 + 0.5 * np.tanh(wave - wave.mean()))
    return Scene(
        drive, b.finish(), np.array(crossings), skyline.astype(np.float32), rng.uniform(0, 18),
        layout.view, layout.camera_height,
    )  # fmt: skip


def _traffic(b, rng, x, z, speed) -> None:
    _car(b, rng, x + rng.uniform(-0.15, 0.15), z + rng.uniform(0, 9), speed < 0, speed)


def _walker(b, rng, x, z, speed) -> None:
    height = rng.uniform(1.6, 1.85)
    _cutout(b, rng, "person", PERSON_ID, x + rng.uniform(-0.2, 0.2), z + rng.uniform(0, 5),
            0.38 * height, height, speed=speed)  # fmt: skip


def _procession(b, seed, tag, reach, x, speed, slot, chance, place) -> None:
    """Fills one lane's slots, which all move at the same speed and so never collide."""
    first, last, start, stop = reach
    low = start - max(speed * first, speed * last)
    high = stop - min(speed * first, speed * last)
    group = 4
    for number in range(math.floor(low / slot / group) - 1, math.ceil(high / slot / group)):
        rng = seed(tag, number % 2**32)
        for place_in_group in np.flatnonzero(rng.random(group) < chance).tolist():
            place(b, rng, x, (group * number + place_in_group) * slot, speed)
