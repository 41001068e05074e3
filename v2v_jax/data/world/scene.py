"""What the synthetic driving world is made of: the drive, the camera, and flat surfaces.

World axes are metres: X right, Y up (0 is the ground), Z along the road.  Everything consists of
flat surfaces; a surface may move along Z only.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from v2v_jax.data.world.looks import PALETTES, Look
from v2v_jax.data.world.textures import TILE, Textures

PLOT = 12.0
ROAD, KERB, WALK = 6.0, 6.2, 9.2
"""Half widths in metres: carriageway with parking strips, kerbstone, sidewalk."""
FINE = 2
"""Samples per pixel and direction."""
SKY, GROUND, BACKDROP = 0, 1, 2
"""The surfaces every scene begins with; sky and backdrop are infinitely far."""
ROAD_ID, WALK_ID, BUILDING_ID, POLE_ID, SIGN_ID = 0, 1, 2, 5, 7
VEGETATION_ID, TERRAIN_ID, SKY_ID, PERSON_ID, CAR_ID = 8, 9, 10, 11, 13
HORIZON = 0.48
"""Where the horizon lies, as a share of the height."""
FOCAL = 0.6
"""Focal length as a share of the width."""


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


class Camera(NamedTuple):
    """A pinhole; ``axes`` has the rows right, down, forward in world coordinates."""

    position: np.ndarray
    axes: np.ndarray
    focal: float
    height: int
    width: int

    def rays(self, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
        """World rays of unit depth through pixels (x, y), three float32 arrays."""
        u = (x - (self.width - 1) / 2) / self.focal
        v = (y - (self.height - 1) / 2) / self.focal
        right, down, forward = self.axes.astype(np.float32)
        return [forward[k] + u * right[k] + v * down[k] for k in range(3)]

    def affine(self, vectors: np.ndarray) -> np.ndarray:
        """Coefficients of ``vectors . ray`` in (x, y, 1), [S, 3] for [S, 3]."""
        r, d, f = ((vectors * axis).sum(-1) for axis in self.axes)
        cx, cy = (self.width - 1) / 2, (self.height - 1) / 2
        x, y = r / self.focal, d / self.focal
        return np.stack([x, y, f - x * cx - y * cy], -1)


def camera_at(scene: Scene, frame: int, height: int, width: int) -> Camera:
    """The camera of one frame."""
    x, z, yaw, wobble = scene.drive.pose(frame)
    focal = FOCAL * width
    pitch = np.arctan((0.5 - HORIZON) * height / focal) + wobble
    cos, sin, down, up = np.cos(yaw), np.sin(yaw), np.sin(pitch), np.cos(pitch)
    axes = np.array([[cos, 0, -sin], [-sin * down, -up, -cos * down], [sin * up, -down, cos * up]])
    return Camera(np.array([x, scene.camera_height, z]), axes, focal, height, width)


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


class Scene(NamedTuple):
    """Everything a stretch of a clip can see."""

    drive: Drive
    surfaces: Surfaces
    crossings: np.ndarray
    """float64 [N]: Z of the middle of every crossing."""
    skyline: np.ndarray
    """float32 [M]: height over depth of the hills, for X over depth from -3 to 3."""
    clouds: float
    """Where the clouds begin."""
    view: float
    """How far things are drawn, metres."""
    camera_height: float
    """Metres over the road."""

    def crossings_near(self, camera: Camera) -> np.ndarray:
        """Crossings a frame shows, whatever the stretch it is drawn in."""
        ahead = self.crossings - camera.position[2]
        return self.crossings[(ahead > -PLOT) & (ahead < self.view)]


class _Quad(NamedTuple):
    """One surface as the builder keeps it; the fields are those of ``Surfaces``."""

    corners: list
    facing: tuple
    tile: int
    metres: tuple[float, float]
    cutout: bool
    tint: tuple
    label: int
    thing: int
    near: float
    layer: int
    speed: float
    leads: float


class Builder:
    """Collects surfaces and shadows of things one after the other.

    What it draws from a generator must not depend on the look.
    """

    def __init__(self, look: Look, textures: Textures):
        self.look, self.textures = look, textures
        self._quads: list[_Quad] = []
        self._shadows: list[tuple[np.ndarray, float, float]] = []
        self._thing = -1
        for label in (SKY_ID, ROAD_ID, VEGETATION_ID):
            self.begin(label, 0.0, 0)
            self.add([(0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)], 0, facing=(0, 1, 0))

    def begin(
        self, label: int, near: float, layer: int, speed: float = 0.0, leads: float = 0.0
    ) -> None:
        """Starts a thing whose nearest point is at ``near``."""
        self._thing += 1
        self._label, self._near, self._layer = label, near, layer
        self._speed, self._leads = speed, leads

    def pick(self, rng: np.random.Generator, kind: str) -> int:
        """Draws a tile of a kind."""
        tiles = self.textures.kinds[kind]
        return tiles[rng.integers(len(tiles))]

    def paint(self, rng: np.random.Generator) -> int:
        """Draws the number of a car's paint."""
        return int(rng.integers(PALETTES["paints"]))

    def add(
        self,
        corners: list,
        tile: int,
        *,
        facing: tuple,
        tint: float | np.ndarray = 1.0,
        metres: tuple[float, float] = (0.0, 0.0),
        cutout: bool = False,
        label: int | None = None,
    ) -> None:
        """Adds a quad: bottom left, bottom right, top right, top left; ``metres`` per repeat."""
        colour = tuple(tint) if isinstance(tint, np.ndarray) else (tint,) * 3
        label = self._label if label is None else label
        self._quads.append(
            _Quad(corners, facing, tile, metres, cutout, colour, label, self._thing, self._near,
                  self._layer, self._speed, self._leads)
        )  # fmt: skip

    def shade(self, outline: np.ndarray) -> None:
        """Adds the hull of ground points [K, 2] as a shadow of the current thing."""
        hull = cv2.convexHull(outline.astype(np.float32))[:, 0]
        hull = hull[np.minimum(np.arange(8), len(hull) - 1)]
        self._shadows.append((hull, self._speed, self._leads))

    def cast(self, x0: float, x1: float, z0: float, z1: float, height: float) -> None:
        """The sun's shadow of a box, or under a covered sky the dark at its foot."""
        foot = np.array([(x0, z0), (x1, z0), (x1, z1), (x0, z1)])
        self.shade(np.concatenate([foot, foot + height * np.array(self.look.lean)]))

    def finish(self) -> Surfaces:
        """Lays textures and light on everything collected."""
        columns = _Quad(*zip(*self._quads, strict=True))  # pyright: ignore[reportArgumentType]
        corners = np.array(columns.corners, np.float64)
        metres = np.array(columns.metres, np.float64)
        normal, texel = _frame(corners, np.array(columns.facing, np.float64), metres)
        # Row sums, not a matrix product: its rounding depends on how many rows there are.
        sun = np.array([-self.look.lean[0], 1.0, -self.look.lean[1]])
        slant = (normal * (sun / np.linalg.norm(sun))).sum(1, keepdims=True)
        tint = np.array(columns.tint) * (self.look.ambient + self.look.sun * slant)
        outlines, speeds, leads = zip(*self._shadows, strict=True) if self._shadows else ((),) * 3
        return Surfaces(
            corners=corners,
            normal=normal,
            texel=texel,
            tile=np.array(columns.tile),
            repeat=metres[:, 0] > 0,
            cutout=np.array(columns.cutout),
            tint=tint.astype(np.float32),
            label=np.array(columns.label, np.uint8),
            thing=np.array(columns.thing, np.int32),
            near=np.array(columns.near),
            layer=np.array(columns.layer),
            speed=np.array(columns.speed),
            leads=np.array(columns.leads),
            shadows=np.array(outlines, np.float64).reshape(-1, 8, 2),
            shadow_speed=np.array(speeds, np.float64),
            shadow_leads=np.array(leads, np.float64),
        )


def _frame(
    corners: np.ndarray, facing: np.ndarray, metres: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Outward normals [S, 3], and the maps from world points to texels [S, 2, 4]."""
    across, up = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
    width = np.sqrt((across**2).sum(1, keepdims=True))
    across /= width
    up -= (up * across).sum(1, keepdims=True) * across
    height = np.sqrt((up**2).sum(1, keepdims=True))
    up /= height
    normal = np.cross(across, up)
    normal *= np.where((normal * facing).sum(1, keepdims=True) < 0, -1.0, 1.0)
    lengths = np.concatenate([width, height], 1)
    scale = TILE / np.where(metres > 0, metres, lengths)
    texel = np.zeros((len(corners), 2, 4))
    texel[:, 0, :3], texel[:, 1, :3] = across * scale[:, :1], -up * scale[:, 1:]
    texel[:, :, 3] = -(texel[:, :, :3] * corners[:, :1]).sum(-1)
    texel[:, 1, 3] += TILE
    return normal, texel
