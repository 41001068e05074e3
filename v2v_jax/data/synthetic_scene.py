"""What stands where in the synthetic driving world: looks, the drive, and flat surfaces.

World axes are metres: X right, Y up (0 is the ground), Z along the road.  Everything is made of
flat surfaces; a surface may move along Z only.  Static things are drawn plot by plot
(``PLOT`` metres of road), moving ones slot by slot in a frame that moves with their lane, each from
a seed of its own.  So a scene is endless and any stretch of it can be built alone.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from v2v_jax.data.synthetic_textures import Textures

PLOT = 12.0
ROAD, KERB, WALK = 6.0, 6.2, 9.2
"""Half widths in metres: carriageway with parking strips, kerbstone, sidewalk."""
SKY, GROUND, BACKDROP = 0, 1, 2
"""The surfaces every scene begins with; sky and backdrop are infinitely far."""
ROAD_ID, WALK_ID, BUILDING_ID, POLE_ID, SIGN_ID = 0, 1, 2, 5, 7
VEGETATION_ID, TERRAIN_ID, SKY_ID, PERSON_ID, CAR_ID = 8, 9, 10, 11, 13

Colour = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Look:
    """One domain: colours are RGB 0..255, lengths metres, chances per plot and side of the road."""

    camera_height: float
    sky_top: Colour
    sky_low: Colour
    cloud: Colour
    clouds: float
    road: Colour
    walk: Colour
    terrain: Colour
    marking: Colour
    backdrop: Colour
    backdrop_height: float
    trunk: Colour
    roof: Colour
    red: Colour
    blue: Colour
    glass: Colour
    walls: tuple[Colour, ...]
    leaves: tuple[Colour, ...]
    paints: tuple[Colour, ...]
    haze: float
    """Share of light lost per metre; what is lost becomes ``sky_low``."""
    grain: float
    """Strength of surface texture."""
    noise: float
    """Sensor noise, standard deviation in grey levels."""
    ambient: float
    sun: float
    shadow: float
    """Light left in a shadow."""
    lean: tuple[float, float]
    """Where a shadow falls, metres in X and Z per metre of height."""
    canopy: float
    """Radius of a tree's or person's shadow, share of its width."""
    building: float
    floors: tuple[int, int]
    setback: tuple[float, float]
    """Range of a facade's distance from the road's axis."""
    gap: float
    tree: float
    second_row: float
    bush: float
    parked: float
    traffic: float
    people: float
    sign: float
    view: float = 170.0
    """How far things are drawn."""


LOOKS = {
    "game": Look(
        camera_height=1.25, sky_top=(62, 132, 232), sky_low=(176, 214, 248), cloud=(250, 251, 255),
        clouds=0.75, road=(112, 110, 118), walk=(202, 192, 178), terrain=(104, 182, 66),
        marking=(248, 246, 236), backdrop=(112, 160, 150), backdrop_height=0.03,
        trunk=(122, 84, 52), roof=(196, 84, 56), red=(226, 34, 34), blue=(32, 84, 210),
        glass=(96, 146, 196),
        walls=((238, 214, 160), (236, 176, 128), (226, 226, 218), (214, 150, 132), (160, 196, 214)),
        leaves=((84, 172, 52), (62, 150, 58), (124, 186, 58)),
        paints=((214, 36, 34), (240, 190, 36), (40, 96, 206), (238, 238, 240), (44, 158, 96),
                (236, 120, 30), (52, 52, 60), (150, 60, 170)),
        haze=0.0022, grain=0.35, noise=0.8, ambient=0.74, sun=0.34, shadow=0.62, lean=(0.75, 0.35),
        canopy=0.42,
        building=0.36, floors=(1, 2), setback=(12.5, 16.0), gap=3.0, tree=0.16, second_row=0.1,
        bush=0.35, parked=0.22, traffic=0.3, people=0.14, sign=0.3,
    ),
    "street": Look(
        camera_height=1.5, sky_top=(196, 202, 200), sky_low=(206, 210, 204), cloud=(224, 226, 222),
        clouds=0.35, road=(92, 95, 92), walk=(124, 123, 116), terrain=(88, 98, 70),
        marking=(196, 198, 190), backdrop=(108, 120, 104), backdrop_height=0.16,
        trunk=(62, 56, 48), roof=(104, 84, 76), red=(150, 52, 46), blue=(52, 72, 110),
        glass=(70, 80, 80),
        walls=((150, 140, 120), (132, 120, 108), (168, 160, 142), (118, 112, 104), (142, 118, 102)),
        leaves=((66, 84, 50), (54, 72, 46), (80, 90, 54)),
        paints=((52, 54, 56), (150, 152, 150), (92, 28, 28), (196, 198, 196), (40, 52, 74),
                (76, 82, 74), (110, 112, 114), (28, 29, 31)),
        haze=0.0065, grain=1.0, noise=1.5, ambient=0.92, sun=0.08, shadow=0.6, lean=(0.0, 0.0),
        canopy=0.12,
        building=0.93, floors=(4, 7), setback=(9.8, 11.0), gap=0.4, tree=0.6, second_row=0.5,
        bush=0.15, parked=0.62, traffic=0.38, people=0.4, sign=0.3,
    ),
}  # fmt: skip


class Drive:
    """The camera's path and the car ahead: smooth functions of the frame number."""

    def __init__(self, rng: np.random.Generator):
        self.speed = rng.uniform(0.42, 0.62)
        self._sway, self._phase = rng.uniform(0.1, 0.3), rng.uniform(0, 2 * math.pi, 5)
        self._rate = rng.uniform(0.03, 0.06, 5)
        self._gap = rng.uniform(13, 34)

    def _wave(self, which: int, frame: int) -> float:
        return math.sin(self._rate[which] * frame + self._phase[which])

    def along(self, frame: int) -> float:
        """Distance driven, metres."""
        return self.speed * frame + 0.8 * self._wave(0, frame)

    def pose(self, frame: int) -> tuple[float, float, float, float]:
        """X, Z in metres, yaw and pitch wobble in radians."""
        x = 1.7 + self._sway * self._wave(1, frame)
        yaw = 0.025 * self._wave(2, frame)
        return x, self.along(frame), yaw, 0.004 * self._wave(3, 4 * frame)

    def ahead(self, frame: int) -> float:
        """Z of the leading car's rear bumper."""
        return self.along(frame) + self._gap + 2.5 * self._wave(4, frame)


class Surfaces(NamedTuple):
    """S flat surfaces, things' parts in painter's order; row 0..2: sky, ground, backdrop."""

    corners: np.ndarray
    """float64 [S, 4, 3], at frame 0 and, for the leading car, relative to its bumper."""
    normal: np.ndarray
    """float64 [S, 3], outwards."""
    texel: np.ndarray
    """float64 [S, 2, 4]: affine map of world points to tile texels."""
    tile: np.ndarray
    repeat: np.ndarray
    cutout: np.ndarray
    tint: np.ndarray
    """float32 [S, 3]: multiplies the texture; light included."""
    label: np.ndarray
    thing: np.ndarray
    """int32 [S]: which object the surface belongs to."""
    near: np.ndarray
    """float64 [S]: least Z of the thing."""
    layer: np.ndarray
    """0: stands behind everything of layer 1."""
    speed: np.ndarray
    """float64 [S]: metres per frame along Z."""
    leads: np.ndarray
    """float64 [S]: 1 for the leading car, which follows ``Drive.ahead``."""
    shadows: np.ndarray
    """float64 [N, 8, 2]: convex outlines on the ground (X, Z)."""
    shadow_speed: np.ndarray
    shadow_leads: np.ndarray

    def offset(self, drive: Drive, frame: int) -> np.ndarray:
        """Displacement along Z at ``frame``, float64 [S]."""
        return self.speed * frame + self.leads * drive.ahead(frame)

    def shadow_offset(self, drive: Drive, frame: int) -> np.ndarray:
        """Displacement of the shadows along Z at ``frame``, float64 [N]."""
        return self.shadow_speed * frame + self.shadow_leads * drive.ahead(frame)


class _Builder:
    """Collects surfaces and shadows of things one after the other."""

    def __init__(self, look: Look, textures: Textures):
        self.look, self.textures = look, textures
        self.rows: list[tuple] = []
        self.corners: list[list] = []
        self.facing: list[tuple] = []
        self.shadows: list[tuple[np.ndarray, float, float]] = []
        self.things = 3
        for label in (SKY_ID, ROAD_ID, VEGETATION_ID):
            self.begin(label, 0.0, 0)
            self.thing = len(self.rows)
            self.add([(0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)], 0, facing=(0, 1, 0))

    def begin(self, label: int, near: float, layer: int, speed: float = 0.0, leads: float = 0.0):
        self.things += 1
        self.thing, self.label, self.near, self.layer = self.things, label, near, layer
        self.speed, self.leads = speed, leads

    def pick(self, rng: np.random.Generator, kind: str) -> int:
        tiles = self.textures.kinds[kind]
        return tiles[rng.integers(len(tiles))]

    def add(self, corners, tile, *, facing, tint=1.0, metres=(0.0, 0.0), cutout=False, label=None):
        """Adds a quad: bottom left, bottom right, top right, top left; ``metres`` per repeat."""
        self.corners.append(corners)
        self.facing.append(facing)
        label = self.label if label is None else label
        tint = (tint,) * 3 if isinstance(tint, float) else tuple(tint)
        self.rows.append(
            (
                tile,
                metres,
                cutout,
                tint,
                label,
                self.thing,
                self.near,
                self.layer,
                self.speed,
                self.leads,
            )  # fmt: skip
        )

    def shade(self, outline: np.ndarray) -> None:
        """Adds the hull of ground points [K, 2] as a shadow of the current thing."""
        hull = cv2.convexHull(outline.astype(np.float32))[:, 0]
        hull = hull[np.minimum(np.arange(8), len(hull) - 1)]
        self.shadows.append((hull, self.speed, self.leads))

    def cast(self, x0, x1, z0, z1, height) -> None:
        """The sun's shadow of a box, or under a covered sky the dark at its foot."""
        foot = np.array([(x0, z0), (x1, z0), (x1, z1), (x0, z1)])
        self.shade(np.concatenate([foot, foot + height * np.array(self.look.lean)]))

    def finish(self) -> Surfaces:
        corners = np.array(self.corners, np.float64)
        tile, metres, cutout, tint, label, thing, near, layer, speed, leads = zip(
            *self.rows, strict=True
        )
        u = corners[:, 1] - corners[:, 0]
        up = corners[:, 3] - corners[:, 0]
        u_length = np.linalg.norm(u, axis=1)
        u /= u_length[:, None]
        up -= (up * u).sum(1, keepdims=True) * u
        v_length = np.linalg.norm(up, axis=1)
        up /= v_length[:, None]
        normal = np.cross(u, up)
        facing = np.array(self.facing, np.float64)
        normal *= np.where((normal * facing).sum(1) < 0, -1.0, 1.0)[:, None]
        per_repeat = np.array(metres, np.float64)
        lengths = np.stack([u_length, v_length], 1)
        scale = 64.0 / np.where(per_repeat > 0, per_repeat, lengths)
        texel = np.zeros((len(corners), 2, 4))
        texel[:, 0, :3], texel[:, 1, :3] = u * scale[:, :1], -up * scale[:, 1:]
        texel[:, :, 3] = -(texel[:, :, :3] * corners[:, 0, None]).sum(-1)
        texel[:, 1, 3] += 64.0
        colour = np.array(tint, np.float64)
        sun = np.array([-self.look.lean[0], 1.0, -self.look.lean[1]])
        light = self.look.ambient + self.look.sun * (normal @ (sun / np.linalg.norm(sun)))
        return Surfaces(
            corners, normal, texel, np.array(tile), per_repeat[:, 0] > 0, np.array(cutout),
            (colour * light[:, None]).astype(np.float32), np.array(label, np.uint8),
            np.array(thing, np.int32), np.array(near), np.array(layer), np.array(speed),
            np.array(leads),
            np.array([row[0] for row in self.shadows], np.float64).reshape(-1, 8, 2),
            np.array([row[1] for row in self.shadows]), np.array([row[2] for row in self.shadows]),
        )  # fmt: skip


_FRONT = (0, 0, -1)


def _upright(x0, x1, y0, y1, z) -> list:
    return [(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)]


def _wall(x, y0, y1, z0, z1) -> list:
    return [(x, y0, z0), (x, y0, z1), (x, y1, z1), (x, y1, z0)]


def _house(b: _Builder, rng: np.random.Generator, side: int, z: float) -> None:
    """A box with windows; low ones carry a gabled roof, high ones shops and a cornice."""
    look = b.look
    x = side * rng.uniform(*look.setback)
    z0 = z + look.gap * rng.uniform(0.2, 1)
    z1 = z + PLOT - look.gap * rng.uniform(0, 0.8)
    floors = int(rng.integers(look.floors[0], look.floors[1] + 1))
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
        b.add(gable, 0, facing=_FRONT, tint=np.array(look.walls[0]) / 255 * tint)
        slope = [(eave, height - 0.2, z0 - 0.3), (eave, height - 0.2, z1), (ridge, peak, z1),
                 (ridge, peak, z0 - 0.3)]  # fmt: skip
        b.add(slope, roof, facing=(-side, 1, 0), metres=(3.0, 3.0))
    else:
        shop, edge = b.pick(rng, "shop"), np.array(look.walls[2]) / 255 * rng.uniform(0.6, 1.0)
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


def _post(b: _Builder, rng: np.random.Generator, x: float, z: float, lamp: bool) -> None:
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
    paint = int(rng.integers(len(b.look.paints)))
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


def _plot(b: _Builder, rng: np.random.Generator, side: int, z: float, number: int) -> None:
    """One plot on one side of the road."""
    look = b.look
    if rng.random() < look.second_row:
        size = rng.uniform(7, 10)
        x = side * (look.setback[1] + rng.uniform(1, 5))
        _cutout(b, rng, "tree", VEGETATION_ID, x, z + PLOT - 0.05, size, size, layer=0)
    if rng.random() < look.building:
        _house(b, rng, side, z)
    if rng.random() < look.bush:
        wide = rng.uniform(1.6, 3)
        _cutout(b, rng, "bush", VEGETATION_ID, side * rng.uniform(10, 11.5), z + rng.uniform(1, 11),
                wide, 0.6 * wide)  # fmt: skip
    if (number + (side > 0)) % 2 == 0:
        _post(b, rng, side * 6.6, z + 1.0, lamp=True)
    elif rng.random() < look.sign:
        _post(b, rng, side * 6.7, z + rng.uniform(1, 5), lamp=False)
    for slot in (0, 1):
        if rng.random() < look.tree:
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
        if rng.random() < look.parked:
            _car(b, rng, side * rng.uniform(4.75, 4.95), z + 0.4 + 5.9 * slot, towards=side < 0)


def build_scene(
    look: Look, textures: Textures, seed: Callable[..., np.random.Generator], drive: Drive,
    first: int, last: int,
) -> tuple[Surfaces, np.ndarray]:  # fmt: skip
    """Builds everything that frames ``first`` to ``last`` can see.

    Args:
      look: the domain.
      textures: its tiles.
      seed: a generator for the words given, the clip's own.
      drive: the camera's path.
      first: first frame number.
      last: last frame number.

    Returns:
      The surfaces, and the Z of the middle of every crossing, float64 [N].
    """
    b = _Builder(look, textures)
    start, stop = drive.along(first) - PLOT, drive.along(last) + look.view
    every, phase = (int(word) for word in seed(1).integers((6, 0), (10, 6)))
    crossings = []
    for number in range(math.floor(start / PLOT) - 1, math.ceil(stop / PLOT)):
        if number % every == phase:
            crossings.append((number + 0.5) * PLOT)
            continue
        rng = seed(2, number % 2**32)
        for side in (-1, 1):
            _plot(b, rng, side, number * PLOT, number)
    reach = (first, last, start, stop)
    _procession(b, seed, 3, reach, -1.75, -1.1 * drive.speed, 16.0, look.traffic, _traffic)
    for lane, (x, speed) in enumerate([(7.9, 0.075), (8.6, -0.08), (-7.9, 0.08), (-8.6, -0.07)]):
        _procession(b, seed, 8 + lane, reach, x, speed, 6.0, look.people, _walker)
    if seed(7).random() < 0.7:
        _car(b, seed(7, 1), 1.75, 0.0, towards=False, leads=1.0)
    return b.finish(), np.array(crossings)


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
