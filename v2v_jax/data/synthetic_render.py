"""Draws one frame of the synthetic driving world and the geometry behind every pixel.

A surface is flat, so its inverse depth is affine in the pixel's position, and so are its texture
coordinates times the inverse depth.  The painter's algorithm therefore only writes surface numbers
(twice as fine as the frame); depth, texture and flow follow from three or nine numbers per surface.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import cv2
import numpy as np

from v2v_jax.data.synthetic_scene import (
    BACKDROP, GROUND, KERB, PLOT, ROAD, ROAD_ID, SKY, TERRAIN_ID, WALK, WALK_ID,
    Drive, Look, Surfaces,
)  # fmt: skip
from v2v_jax.data.synthetic_textures import (
    COLUMNS, LEVEL_OFFSET, LEVELS, NOISE, TILE, Textures,
)  # fmt: skip

FINE = 2
"""Samples per pixel and direction."""
NEAR = 0.4
BLUR = 1.2
"""Width in pixels over which edges on the ground are filtered."""
HORIZON = 0.48
"""Where the horizon lies, as a share of the height."""
FOCAL = 0.6
"""Focal length as a share of the width."""


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


def camera_at(drive: Drive, look: Look, frame: int, height: int, width: int) -> Camera:
    """The camera of one frame."""
    x, z, yaw, wobble = drive.pose(frame)
    focal = FOCAL * width
    pitch = np.arctan((0.5 - HORIZON) * height / focal) + wobble
    cos, sin, down, up = np.cos(yaw), np.sin(yaw), np.sin(pitch), np.cos(pitch)
    axes = np.array([[cos, 0, -sin], [-sin * down, -up, -cos * down], [sin * up, -down, cos * up]])
    return Camera(np.array([x, look.camera_height, z]), axes, focal, height, width)


@dataclasses.dataclass(frozen=True)
class Geometry:
    """What every pixel of a frame shows; all arrays [H, W]."""

    camera: Camera
    offset: np.ndarray
    """float64 [S]: displacement of every surface along Z."""
    surface: np.ndarray
    thing: np.ndarray
    inverse_depth: np.ndarray
    label: np.ndarray
    mixed: np.ndarray
    """Pixels with two things in them."""
    moving_shadow: np.ndarray


def _place(camera: Camera, s: Surfaces, offset: np.ndarray, view: float):
    """Numbers of the surfaces in front of the camera, far to near, and their view coordinates."""
    relative = s.corners - camera.position
    relative[..., 2] += offset[:, None]
    x, y, z = ((relative * axis).sum(-1) for axis in camera.axes)
    lateral, vertical = camera.width / 2 / camera.focal + 0.05, camera.height / 2 / camera.focal
    outside = (z < NEAR).all(1) | (x > lateral * z).all(1) | (-x > lateral * z).all(1)
    outside |= (y > (vertical + 0.05) * z).all(1) | (-y > (vertical + 0.05) * z).all(1)
    near = s.near + offset
    outside |= (near - camera.position[2] > view) | (s.cutout & (z < 2 * NEAR).any(1))
    outside |= ((s.normal * relative[:, 0]).sum(1) >= 0) & ~s.cutout
    outside[: BACKDROP + 1] = True
    shown = np.flatnonzero(~outside)
    shown = shown[np.lexsort((-near[shown], s.layer[shown]))]
    return shown, np.stack([x, y, z], -1)


def _clip(corners: np.ndarray) -> np.ndarray:
    """Cuts a polygon [K, 3] in view coordinates at the near plane."""
    kept = []
    for a, b in zip(corners, np.roll(corners, -1, 0), strict=True):
        if a[2] >= NEAR:
            kept.append(a)
        if (a[2] >= NEAR) != (b[2] >= NEAR):
            kept.append(a + (b - a) * ((NEAR - a[2]) / (b[2] - a[2])))
    return np.array(kept).reshape(-1, 3)


def _to_fine(camera: Camera, points: np.ndarray) -> np.ndarray:
    """View coordinates [..., 3] to fine pixels, in sixteenths, int32 [..., 2]."""
    centre = np.array([(camera.width - 1) / 2, (camera.height - 1) / 2])
    pixel = centre + camera.focal * points[..., :2] / points[..., 2:]
    fine = (pixel + 0.5) * FINE - 0.5
    return np.clip(np.rint(fine * 16), -(2**24), 2**24).astype(np.int32)


def _fill(picture: np.ndarray, camera: Camera, points: np.ndarray, value: int) -> None:
    points = _clip(points)
    if len(points) >= 3:
        cv2.fillConvexPoly(picture, _to_fine(camera, points), value, cv2.LINE_8, 4)


def _cut(surface: np.ndarray, corners: list, matrix: np.ndarray, alpha: list, number: int) -> None:
    """Writes a cut-out's number where its silhouette is opaque."""
    (left, top), (right, bottom) = corners
    x0, y0 = max(left >> 4, 0), max(top >> 4, 0)
    x1, y1 = min((right >> 4) + 2, surface.shape[1]), min((bottom >> 4) + 2, surface.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    size = max(min(right - left, bottom - top), 1) / 16
    level = min(max(int(math.log2(TILE / size)), 0), LEVELS - 1)
    scale = 0.5**level
    # Texel centres sit at half integers; the two shifts move them, the products the fine grid.
    matrix = matrix * ((scale,), (scale,), (1,))
    matrix[:2] -= 0.5 * matrix[2]
    matrix[:, 2] += matrix[:, 0] * ((x0 + 0.5) / FINE - 0.5)
    matrix[:, 2] += matrix[:, 1] * ((y0 + 0.5) / FINE - 0.5)
    matrix[:, :2] /= FINE
    mask = cv2.warpPerspective(
        alpha[level], matrix, (x1 - x0, y1 - y0),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT,
    )  # fmt: skip
    region = surface[y0:y1, x0:x1]
    region[mask > 127] = number


class Painter:
    """Draws the frames of one clip."""

    def __init__(self, look: Look, textures: Textures, surfaces: Surfaces, crossings: np.ndarray,
                 drive: Drive, height: int, width: int, skyline: np.ndarray):  # fmt: skip
        self.look, self.textures, self.surfaces = look, textures, surfaces
        self.crossings, self.drive, self.skyline = crossings, drive, skyline
        self.height, self.width = height, width
        rows, columns = np.mgrid[: FINE * height, : FINE * width].astype(np.float32)
        self._x = ((columns + 0.5) / FINE - 0.5).ravel()
        self._y = ((rows + 0.5) / FINE - 0.5).ravel()
        self._rows, self._columns = np.mgrid[:height, :width].astype(np.float32)

    def paint(self, frame: int, noise: np.random.Generator) -> tuple[np.ndarray, Geometry]:
        """Draws frame number ``frame``.

        Args:
          frame: its number in the clip.
          noise: the generator of this frame's sensor noise.

        Returns:
          The picture, uint8 [H, W, 3], and its geometry.
        """
        camera = camera_at(self.drive, self.look, frame, self.height, self.width)
        offset = self.surfaces.offset(self.drive, frame)
        shown, corners = _place(camera, self.surfaces, offset, self.look.view)
        affine = self._affine(camera, offset, shown)
        fine = self._number(camera, shown, corners, affine)
        shadow = self._shadows(camera, frame)
        colour = np.empty((fine.size, 3), np.float32)
        flat = fine.ravel()
        self._shade_sky(camera, colour, flat)
        self._shade_ground(camera, colour, flat, affine, shadow.ravel())
        self._shade_things(colour, flat, affine)
        colour = colour.reshape(*fine.shape, 3)
        picture = cv2.resize(colour, (self.width, self.height), interpolation=cv2.INTER_AREA)
        picture += self.look.noise * noise.standard_normal(picture.shape, np.float32)
        picture = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
        return picture, self._geometry(camera, offset, fine, affine, shadow)

    def _affine(self, camera, offset, shown) -> np.ndarray:
        """float32 [9, S]: inverse depth, and u, v times it, affine in the pixel's position."""
        s = self.surfaces
        rows = np.concatenate([[GROUND], shown])
        affine = np.zeros((9, len(s.tile)), np.float32)
        to_corner = s.corners[rows, 0] - camera.position
        to_corner[:, 2] += offset[rows]
        distance = (s.normal[rows] * to_corner).sum(1)
        depth = camera.affine(s.normal[rows]) / distance[:, None]
        affine[:3, rows] = depth.T
        centre = np.repeat(camera.position[None], len(rows), 0)
        centre[:, 2] -= offset[rows]
        for k in (0, 1):
            gradient = s.texel[rows, k, :3]
            constant = (gradient * centre).sum(1) + s.texel[rows, k, 3]
            coordinate = camera.affine(gradient) + constant[:, None] * depth
            affine[3 + 3 * k : 6 + 3 * k, rows] = coordinate.T
        return affine

    def _number(self, camera, shown, corners, affine) -> np.ndarray:
        """The painter's algorithm over surface numbers, int32 [FINE * H, FINE * W]."""
        surface = self._infinity(camera)
        s = self.surfaces
        whole = corners[:, :, 2].min(1) >= NEAR
        pixels = np.zeros((len(whole), 4, 2), np.int32)
        pixels[shown] = _to_fine(camera, np.maximum(corners[shown], [-1e9, -1e9, NEAR]))
        boxes = np.stack([pixels.min(1), pixels.max(1)], 1).tolist()
        matrices = affine[[3, 4, 5, 6, 7, 8, 0, 1, 2]].T.reshape(-1, 3, 3).astype(np.float64)
        cutout, whole, tile = s.cutout.tolist(), whole.tolist(), s.tile.tolist()
        for number in shown.tolist():
            if cutout[number]:
                alpha = self.textures.alphas[tile[number]]
                _cut(surface, boxes[number], matrices[number], alpha, number)
            elif whole[number]:
                cv2.fillConvexPoly(surface, pixels[number], number, cv2.LINE_8, 4)
            else:
                _fill(surface, camera, corners[number], number)
        return surface

    def _infinity(self, camera) -> np.ndarray:
        """Ground, sky and the skyline between them, int32 [FINE * H, FINE * W]."""
        x, y, z = camera.rays(self._x, self._y)
        surface = np.where(y < -1e-6, np.int32(GROUND), np.int32(SKY))
        low = np.flatnonzero((y >= -1e-6) & (y < self.skyline.max() * z))
        place = np.linspace(-3, 3, len(self.skyline))
        skyline = np.interp(x[low] / z[low], place, self.skyline)
        surface[low[y[low] < skyline * z[low]]] = BACKDROP
        return surface.reshape(FINE * self.height, FINE * self.width)

    def _shadows(self, camera, frame) -> np.ndarray:
        """uint8 [FINE * H, FINE * W]: 1 in a standing shadow, 2 and 3 in a moving one."""
        s = self.surfaces
        shadow = np.zeros((FINE * self.height, FINE * self.width), np.uint8)
        moving = np.zeros_like(shadow)
        relative = np.empty((len(s.shadows), 8, 3))
        relative[..., 0] = s.shadows[..., 0] - camera.position[0]
        relative[..., 1] = -camera.position[1]
        along = s.shadow_offset(self.drive, frame) - camera.position[2]
        relative[..., 2] = s.shadows[..., 1] + along[:, None]
        view = np.stack([(relative * axis).sum(-1) for axis in camera.axes], -1)
        near, far = view[..., 2].max(1) > NEAR, view[..., 2].min(1) < 70
        moves = (s.shadow_speed != 0) | (s.shadow_leads != 0)
        whole = view[..., 2].min(1) >= NEAR
        pixels = _to_fine(camera, np.maximum(view, [-1e9, -1e9, NEAR]))
        for number in np.flatnonzero(near & far).tolist():
            canvas = moving if moves[number] else shadow
            if whole[number]:
                cv2.fillConvexPoly(canvas, pixels[number], 1, cv2.LINE_8, 4)
            else:
                _fill(canvas, camera, view[number], 1)
        return shadow + 2 * moving

    def _haze(self, colour, inverse_depth) -> np.ndarray:
        clear = np.exp(-self.look.haze / np.maximum(inverse_depth, 1e-5))[:, None]
        haze = np.array(self.look.sky_low, np.float32)
        return haze + clear * (colour - haze)

    def _shade_sky(self, camera, colour, surface) -> None:
        """Sky and backdrop: functions of the ray's direction alone."""
        look = self.look
        index = np.flatnonzero(surface == SKY)
        x, y, z = camera.rays(self._x[index], self._y[index])
        height = y / np.maximum(z, 0.1)
        low, top = np.array(look.sky_low, np.float32), np.array(look.sky_top, np.float32)
        sky = low + np.clip(1.6 * height, 0, 1)[:, None] ** 0.7 * (top - low)
        height = np.maximum(height, 0.02)
        u, v = x / z / (height + 0.15), 1 / (height + 0.15)
        cloud = 0.7 * self._sample(14 * u, 22 * v) + 0.3 * self._sample(41 * u + 50, 60 * v)
        cover = look.clouds * np.clip(1.1 * cloud - 0.2, 0, 1) * np.clip(12 * height - 0.5, 0, 1)
        sky += cover[:, None] * (np.array(look.cloud, np.float32) - sky)
        colour[index] = sky
        index = np.flatnonzero(surface == BACKDROP)
        x, y, z = camera.rays(self._x[index], self._y[index])
        leaf = self._sample(150 * x / z, 150 * y / z)
        far = np.array(look.backdrop, np.float32) * (1 + 0.05 * leaf)[:, None]
        colour[index] = far + 0.35 * (low - far)

    def _sample(self, u, v) -> np.ndarray:
        """Tileable noise at texel (u, v), any real numbers, float32 [N]."""
        return _remap(self.textures.noise, _wrap(u, NOISE), _wrap(v, NOISE))

    def _shade_ground(self, camera, colour, surface, affine, shadow) -> None:
        """Road, kerb, sidewalk and grass; every edge is filtered over the pixel's footprint."""
        look = self.look
        index = np.flatnonzero(surface == GROUND)
        px, py = self._x[index], self._y[index]
        a, b, c = affine[:3, GROUND]
        inverse_depth = np.maximum(a * px + b * py + c, 1e-4)
        ray = camera.rays(px, py)
        depth = 1 / inverse_depth
        x = np.float32(camera.position[0]) + ray[0] * depth
        z = np.float32(camera.position[2]) + ray[2] * depth
        wide = depth * np.float32(BLUR / camera.focal)
        deep = wide * depth / np.float32(camera.position[1])
        road, off = self._road(x, z, wide, deep)
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
        ground *= np.where(shadow[index] > 0, np.float32(look.shadow), np.float32(1))[:, None]
        colour[index] = self._haze(ground, inverse_depth)

    def _road(self, x, z, wide, deep) -> tuple[np.ndarray, np.ndarray]:
        """Asphalt with its markings, and how far a point is from every crossing, 0..1."""
        look = self.look
        grain = self._grain(x, z, deep, 5.0, 3.0) + 0.7 * self._grain(x, z, deep, 0.9, 2.5)
        tracks = np.cos(np.float32(2 * np.pi / 1.75) * x)
        road = np.array(look.road, np.float32) * (
            1 + look.grain * (0.055 * grain - 0.03 * tracks))[:, None]  # fmt: skip
        off = np.ones_like(x)
        stripes = np.zeros_like(x)
        for middle in self.crossings:
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

    def _shade_things(self, colour, surface, affine) -> None:
        """All textured surfaces in one gather from the atlas."""
        s = self.surfaces
        index = np.flatnonzero(surface > BACKDROP)
        number, px, py = surface[index], self._x[index], self._y[index]
        ax, ay, ac, ux, uy, uc, vx, vy, vc = (row[number] for row in affine)
        inverse_depth = np.maximum(ax * px + ay * py + ac, 1e-5)
        depth = 1 / inverse_depth
        u, v = (ux * px + uy * py + uc) * depth, (vx * px + vy * py + vc) * depth
        spread = (ux - u * ax) ** 2 + (vx - v * ax) ** 2 + (uy - u * ay) ** 2 + (vy - v * ay) ** 2
        level = 0.5 * np.log2(spread * depth * depth * np.float32(0.5 / FINE) + 1e-6)
        level = np.clip(level, 0, LEVELS - 1.001)
        repeat = s.repeat[number]
        u, v = np.where(repeat, _wrap(u, TILE), u), np.where(repeat, _wrap(v, TILE), v)
        rgb = self._texture(s.tile[number], u, v, level)
        colour[index] = self._haze(rgb * s.tint[number], inverse_depth)

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

    def _geometry(self, camera, offset, fine, affine, shadow) -> Geometry:
        """Votes the four samples of every pixel."""
        a, b, c, d = (fine[i::FINE, j::FINE] for i in (0, 1) for j in (0, 1))
        pair = np.where((b == c) | (b == d), b, np.where(c == d, c, a))
        surface = np.where((a == b) | (a == c) | (a == d), a, pair)
        s = self.surfaces
        thing = s.thing[surface]
        mixed = np.zeros(surface.shape, bool)
        for sample in (a, b, c, d):
            mixed |= s.thing[sample] != thing
        ax, ay, ac = (row[surface] for row in affine[:3])
        inverse_depth = np.maximum(ax * self._columns + ay * self._rows + ac, 0)
        label = s.label[surface]
        ground = surface == GROUND
        ray = camera.rays(self._columns, self._rows)
        depth = 1 / np.maximum(inverse_depth, 1e-4)
        x = np.abs(camera.position[0] + ray[0] * depth)
        z = camera.position[2] + ray[2] * depth
        off = ground & (x > ROAD)
        for middle in self.crossings:
            off &= np.abs(z - middle) > 0.42 * PLOT
        label[off] = WALK_ID
        label[off & (x > WALK)] = TERRAIN_ID
        label[ground & ~off] = ROAD_ID
        moving = shadow.reshape(self.height, FINE, self.width, FINE).max((1, 3)) >= 2
        return Geometry(camera, offset, surface, thing, inverse_depth, label, mixed,
                        moving & ground)  # fmt: skip


def _remap(picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``cv2.remap`` over flat lists of positions, in rows short enough for OpenCV."""
    count, width = len(x), 256
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
