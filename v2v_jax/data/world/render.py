"""Draws one frame of the synthetic driving world and the geometry behind every pixel.

A surface is flat, so its inverse depth is affine in the pixel's position, and so are its texture
coordinates times the inverse depth.  The painter's algorithm therefore only writes surface numbers
(twice as fine as the frame); depth, texture and flow follow from three or nine numbers per surface.
"""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np

from v2v_jax.data.world.looks import Look
from v2v_jax.data.world.scene import (
    BACKDROP,
    FINE,
    GROUND,
    PLOT,
    ROAD,
    ROAD_ID,
    SKY,
    TERRAIN_ID,
    WALK,
    WALK_ID,
    Camera,
    Scene,
    Surfaces,
    camera_at,
)
from v2v_jax.data.world.shading import Shading
from v2v_jax.data.world.textures import LEVELS, TILE, Textures

NEAR = 0.4


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

    def __init__(self, look: Look, textures: Textures, scene: Scene, height: int, width: int):
        self.look, self.textures, self.scene = look, textures, scene
        self.surfaces, self.height, self.width = scene.surfaces, height, width
        self.shading = Shading(look, textures, scene)
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
        camera = camera_at(self.scene, frame, self.height, self.width)
        offset = self.surfaces.offset(self.scene.drive, frame)
        shown, corners = _place(camera, self.surfaces, offset, self.scene.view)
        affine = self._affine(camera, offset, shown)
        fine = self._number(camera, shown, corners, affine)
        shadow = self._shadows(camera, frame)
        colour = self._colour(camera, affine, fine, shadow)
        picture = cv2.resize(colour, (self.width, self.height), interpolation=cv2.INTER_AREA)
        picture += self.look.noise * noise.standard_normal(picture.shape, np.float32)
        picture = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
        return picture, self._geometry(camera, offset, fine, affine, shadow)

    def _colour(self, camera, affine, fine, shadow) -> np.ndarray:
        """float32 [FINE * H, FINE * W, 3]."""
        colour, number = np.empty((fine.size, 3), np.float32), fine.ravel()
        sky, ground, backdrop, things = (
            np.flatnonzero(mask)
            for mask in (number == SKY, number == GROUND, number == BACKDROP, number > BACKDROP)
        )
        shading, x, y = self.shading, self._x, self._y
        colour[sky] = shading.sky(camera, x[sky], y[sky])
        colour[backdrop] = shading.backdrop(camera, x[backdrop], y[backdrop])
        shadowed = shadow.ravel()[ground] > 0
        colour[ground] = shading.ground(camera, affine, x[ground], y[ground], shadowed)
        colour[things] = shading.things(affine, number[things], x[things], y[things])
        return colour.reshape(*fine.shape, 3)

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
        skyline = self.scene.skyline
        surface = np.where(y < -1e-6, np.int32(GROUND), np.int32(SKY))
        low = np.flatnonzero((y >= -1e-6) & (y < skyline.max() * z))
        place = np.linspace(-3, 3, len(skyline))
        height = np.interp(x[low] / z[low], place, skyline)
        surface[low[y[low] < height * z[low]]] = BACKDROP
        return surface.reshape(FINE * self.height, FINE * self.width)

    def _shadows(self, camera, frame) -> np.ndarray:
        """uint8 [FINE * H, FINE * W]: 1 in a standing shadow, 2 and 3 in a moving one."""
        s = self.surfaces
        shadow = np.zeros((FINE * self.height, FINE * self.width), np.uint8)
        moving = np.zeros_like(shadow)
        relative = np.empty((len(s.shadows), 8, 3))
        relative[..., 0] = s.shadows[..., 0] - camera.position[0]
        relative[..., 1] = -camera.position[1]
        along = s.shadow_offset(self.scene.drive, frame) - camera.position[2]
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
        for middle in self.scene.crossings_near(camera):
            off &= np.abs(z - middle) > 0.42 * PLOT
        label[off] = WALK_ID
        label[off & (x > WALK)] = TERRAIN_ID
        label[ground & ~off] = ROAD_ID
        moving = shadow.reshape(self.height, FINE, self.width, FINE).max((1, 3)) >= 2
        return Geometry(camera, offset, surface, thing, inverse_depth, label, mixed,
                        moving & ground)  # fmt: skip
