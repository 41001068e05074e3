"""Colours of the synthetic driving world: sky, ground and textured things.

Every pattern is fixed to the world (or, infinitely far, to the direction) and filtered over the
pixel's footprint, so that a frame warped by the exact flow is the next frame.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from v2v_jax.data.world.looks import Look
from v2v_jax.data.world.scene import FINE, GROUND, KERB, PLOT, ROAD, WALK, Camera, Scene
from v2v_jax.data.world.textures import COLUMNS, LEVEL_OFFSET, LEVELS, NOISE, TILE, Textures

BLUR = 1.2
"""Width in pixels over which edges on the ground are filtered."""


@dataclasses.dataclass(frozen=True)
class Shading:
    """Colours of lists of pixels (x, y) of one clip, float32 [N, 3], 0..255."""

    look: Look
    textures: Textures
    scene: Scene

    def _haze(self, colour, inverse_depth) -> np.ndarray:
        clear = np.exp(-self.look.haze / np.maximum(inverse_depth, 1e-5))[:, None]
        haze = np.array(self.look.sky_low, np.float32)
        return haze + clear * (colour - haze)

    def sky(self, camera: Camera, px: np.ndarray, py: np.ndarray) -> np.ndarray:
        """A gradient under clouds: functions of the ray's direction alone."""
        look = self.look
        x, y, z = camera.rays(px, py)
        height = y / np.maximum(z, 0.1)
        low, top = np.array(look.sky_low, np.float32), np.array(look.sky_top, np.float32)
        sky = low + np.clip(1.6 * height, 0, 1)[:, None] ** 0.7 * (top - low)
        height = np.maximum(height, 0.02)
        # Clouds lie on a ceiling; its lift keeps them from shrinking to nothing at the horizon.
        u = x / np.maximum(z, 0.1) / (height + 0.15) + np.float32(self.scene.clouds)
        v = 1 / (height + 0.15)
        cloud = 0.7 * self._sample(14 * u, 22 * v) + 0.3 * self._sample(41 * u + 50, 60 * v)
        cover = look.clouds * np.clip(1.1 * cloud - 0.2, 0, 1) * np.clip(12 * height - 0.5, 0, 1)
        return sky + cover[:, None] * (np.array(look.cloud, np.float32) - sky)

    def backdrop(self, camera: Camera, px: np.ndarray, py: np.ndarray) -> np.ndarray:
        """Wooded hills, infinitely far."""
        x, y, z = camera.rays(px, py)
        leaf = self._sample(150 * x / z, 150 * y / z)
        far = np.array(self.look.backdrop, np.float32) * (1 + 0.05 * leaf)[:, None]
        return far + np.float32(0.35) * (np.array(self.look.sky_low, np.float32) - far)

    def _sample(self, u, v) -> np.ndarray:
        """Tileable noise at texel (u, v), any real numbers, float32 [N]."""
        return _remap(self.textures.noise, _wrap(u, NOISE), _wrap(v, NOISE))

    def ground(self, camera: Camera, affine: np.ndarray, px, py, shadow) -> np.ndarray:
        """Road, kerb, sidewalk and grass; ``shadow`` bool [N]."""
        look = self.look
        a, b, c = affine[:3, GROUND]
        inverse_depth = np.maximum(a * px + b * py + c, 1e-4)
        ray = camera.rays(px, py)
        depth = 1 / inverse_depth
        x = np.float32(camera.position[0]) + ray[0] * depth
        z = np.float32(camera.position[2]) + ray[2] * depth
        wide = depth * np.float32(BLUR / camera.focal)
        deep = wide * depth / np.float32(camera.position[1])
        road, off = self._road(camera, x, z, wide, deep)
        aside = np.abs(x)
        walk = off * _step(aside - ROAD, wide)
        grass = off * _step(aside - WALK, wide)
        kerb = walk - off * _step(aside - KERB, wide)
        paving = np.array(look.walk, np.float32) * self._paving(x, z, wide, deep)[:, None]
        ground = road + walk[:, None] * (paving - road)
        ground += (0.35 * kerb)[:, None] * (255 - ground)
        green = self._grain(x, z, deep, 2.2, 1.0) + self._grain(x + 3, z, deep, 0.5, 1.0)
        turf = np.array(look.terrain, np.float32) * (1 + 0.07 * green)[:, None]
        ground += grass[:, None] * (turf - ground)
        ground *= np.where(shadow, np.float32(look.shadow), np.float32(1))[:, None]
        return self._haze(ground, inverse_depth)

    def _road(self, camera, x, z, wide, deep) -> tuple[np.ndarray, np.ndarray]:
        """Asphalt with its markings, and how far a point is from every crossing, 0..1."""
        look = self.look
        grain = self._grain(x, z, deep, 5.0, 3.0) + 0.7 * self._grain(x, z, deep, 0.9, 2.5)
        tracks = np.cos(np.float32(2 * np.pi / 1.75) * x)
        road = np.array(look.road, np.float32) * (
            1 + look.grain * (0.055 * grain - 0.03 * tracks))[:, None]  # fmt: skip
        off = np.ones_like(x)
        stripes = np.zeros_like(x)
        for middle in self.scene.crossings_near(camera):
            distance = np.abs(z - middle)
            off = np.minimum(off, _step(distance - 0.42 * PLOT, deep))
            band = _step(distance - 0.44 * PLOT, deep) * _step(0.72 * PLOT - distance, deep)
            stripes = np.maximum(stripes, band)
        zebra = stripes * _dashes(x + 0.25, 1.0, 0.5, wide) * _step(5.5 - np.abs(x), wide)
        free = off * (1 - stripes)
        paint = _line(x, 0.16, wide) * _dashes(z, 6.0, 3.0, deep) * free
        paint = np.maximum(paint, _line(np.abs(x) - 3.6, 0.12, wide) * free)
        paint = np.maximum(paint, zebra) * (0.9 + 0.04 * grain * look.grain)
        return road + paint[:, None] * (np.array(look.marking, np.float32) - road), off

    def _grain(self, x, z, deep, metres, stretch) -> np.ndarray:
        """Noise with features of ``metres``, faded out before it could alias."""
        scale = np.float32(5 / metres)
        fade = np.exp(-((2.5 * deep / (metres * stretch)) ** 2))
        return fade * self._sample(scale * x, scale / stretch * z)

    def _paving(self, x, z, wide, deep) -> np.ndarray:
        joints = np.maximum(_dashes(x, 1.0, 0.08, wide), _dashes(z, 1.5, 0.1, deep))
        return 1 - 0.3 * joints + 0.04 * self.look.grain * self._grain(x, z, deep, 1.2, 2.0)

    def things(self, affine: np.ndarray, number: np.ndarray, px, py) -> np.ndarray:
        """All textured surfaces in one gather from the atlas; ``number`` int32 [N]."""
        s = self.scene.surfaces
        ax, ay, ac, ux, uy, uc, vx, vy, vc = (row[number] for row in affine)
        # A polygon's rim can lie a little beyond its plane's horizon: nothing is drawn 500 m away.
        inverse_depth = np.maximum(ax * px + ay * py + ac, 2e-3)
        depth = 1 / inverse_depth
        u, v = (ux * px + uy * py + uc) * depth, (vx * px + vy * py + vc) * depth
        spread = (ux - u * ax) ** 2 + (vx - v * ax) ** 2 + (uy - u * ay) ** 2 + (vy - v * ay) ** 2
        level = 0.5 * np.log2(spread * depth * depth * np.float32(0.5 / FINE) + 1e-6)
        level = np.clip(level, 0, LEVELS - 1.001)
        repeat = s.repeat[number]
        u, v = np.where(repeat, _wrap(u, TILE), u), np.where(repeat, _wrap(v, TILE), v)
        rgb = self._texture(s.tile[number], u, v, level)
        return self._haze(rgb * s.tint[number], inverse_depth)

    def _texture(self, tile, u, v, level) -> np.ndarray:
        """Trilinear texture lookup, float32 [N, 3]."""
        row, column = np.divmod(tile, COLUMNS)
        lower = level.astype(np.int32)
        samples = []
        for step in (lower, lower + 1):
            scale = np.float32(0.5) ** step.astype(np.float32)
            size = TILE * scale
            x = np.clip(u * scale, 0.5, size - 0.5) + LEVEL_OFFSET[step] + column * size - 0.5
            y = np.clip(v * scale, 0.5, size - 0.5) + row * size - 0.5
            samples.append(_remap(self.textures.atlas, x, y).astype(np.float32))
        return samples[0] + (level - lower)[:, None] * (samples[1] - samples[0])


def _remap(picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``cv2.remap`` over flat lists of positions, in rows short enough for OpenCV."""
    count, width = len(x), 512
    rows = max(1, -(-count // width))
    maps = np.zeros((2, rows * width), np.float32)
    maps[0, :count], maps[1, :count] = x, y
    maps = maps.reshape(2, rows, width)
    values = cv2.remap(picture, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values.reshape(rows * width, *picture.shape[2:])[:count]


def _wrap(place: np.ndarray, period: int) -> np.ndarray:
    """``np.mod``, some times faster, float32."""
    place = place.astype(np.float32, copy=False)
    return place - np.float32(period) * np.floor(place * np.float32(1 / period))


def _step(distance, footprint) -> np.ndarray:
    """The share of a pixel of width ``footprint`` that lies beyond an edge."""
    return np.clip(distance / footprint + 0.5, 0, 1)


def _line(distance, width, footprint) -> np.ndarray:
    """The share of a pixel that a line of ``width`` covers."""
    half = 0.5 * width
    return _step(distance + half, footprint) - _step(distance - half, footprint)


def _dashes(place, period, length, footprint) -> np.ndarray:
    """The share of a pixel covered by dashes of ``length`` every ``period``."""

    def covered(end):
        whole = np.floor(end / period)
        return whole * length + np.minimum(end - whole * period, length)

    return (covered(place + 0.5 * footprint) - covered(place - 0.5 * footprint)) / footprint
