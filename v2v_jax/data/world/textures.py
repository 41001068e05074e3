"""Procedural textures of the synthetic driving world: one mip-mapped atlas per domain and split.

Every tile is ``TILE`` x ``TILE`` texels, so that one ``cv2.remap`` over the atlas textures all
objects of a frame.  The mip levels lie side by side in one picture; level ``l`` starts at column
``LEVEL_OFFSET[l]`` and its tiles are ``TILE >> l`` wide.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from v2v_jax.data.world.looks import PALETTES, Look

TILE = 64
LEVELS = 5
COLUMNS = 16
LEVEL_OFFSET = np.cumsum([0] + [COLUMNS * (TILE >> level) for level in range(LEVELS - 1)])
NOISE = 256


class Textures(NamedTuple):
    """Everything that is painted on surfaces."""

    atlas: np.ndarray
    """uint8 [rows * TILE, width, 3], RGB, the mip levels side by side."""
    alphas: list[list[np.ndarray]]
    """Per tile, per level: uint8 [TILE >> l, TILE >> l], the silhouette of a cut-out."""
    kinds: dict[str, list[int]]
    """Tile numbers by kind of surface."""
    noise: np.ndarray
    """float32 [NOISE + 1, NOISE + 1]: tileable noise, mean 0, deviation 1, first row repeated."""


def smooth_noise(rng: np.random.Generator, size: int, sigma: float) -> np.ndarray:
    """Tileable Gaussian noise of mean 0 and deviation 1, float32 [size, size]."""
    pad = int(4 * sigma) + 1
    white = rng.standard_normal((size, size)).astype(np.float32)
    blurred = cv2.GaussianBlur(np.pad(white, pad, mode="wrap"), (0, 0), sigma)
    blurred = blurred[pad:-pad, pad:-pad]
    return (blurred - blurred.mean()) / blurred.std()


class _Tile:
    """A canvas of 64 x 64 texels, colours as floats 0..255, with its silhouette."""

    def __init__(self, colour, opaque: bool = True):
        self.rgb = np.empty((TILE, TILE, 3), np.float32)
        self.rgb[:] = colour
        self.alpha = np.full((TILE, TILE), 255 if opaque else 0, np.uint8)

    def box(self, x0, y0, x1, y1, colour):
        self.rgb[y0:y1, x0:x1] = colour
        self.alpha[y0:y1, x0:x1] = 255

    def ellipse(self, x, y, rx, ry, colour):
        rows, columns = np.mgrid[:TILE, :TILE]
        inside = ((columns - x) / rx) ** 2 + ((rows - y) / ry) ** 2 <= 1
        self.rgb[inside] = colour
        self.alpha[inside] = 255

    def grain(self, rng, amplitude, sigma=1.5):
        self.rgb += amplitude * smooth_noise(rng, TILE, sigma)[..., None]
        return self

    def soften(self, sigma=0.7):
        self.rgb = cv2.GaussianBlur(self.rgb, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        return self


def _facade(rng, look) -> _Tile:
    """Four by four windows on a plain wall; tiles repeat, so the wall reaches the border."""
    wall = np.array(look.walls[rng.integers(PALETTES["walls"])], np.float32) * rng.uniform(0.9, 1.1)
    tile = _Tile(wall).grain(rng, 14 * look.grain, 2.0)
    left, top = rng.integers(3, 5), rng.integers(3, 5)
    frame = np.minimum(wall * rng.choice([0.75, 1.2]), 250)
    balcony = rng.random() < 0.3
    for row in range(0, TILE, 16):
        for column in range(0, TILE, 16):
            box = (column + left, row + top, column + 16 - left, row + 14)
            tile.box(box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1, frame)
            glass = np.array(look.glass) * rng.uniform(0.65, 1.35)
            tile.box(*box, glass)
            if rng.random() < 0.3:
                tile.box(box[0], box[1], box[2], box[1] + rng.integers(2, 7), frame * 0.95)
            if balcony:
                tile.box(column + 1, row + 12, column + 15, row + 15, wall * 0.65)
    return tile.soften()


def _shop(rng, look) -> _Tile:
    """A ground floor: wide panes under an awning, repeated along the street."""
    wall = np.array(look.walls[rng.integers(PALETTES["walls"])], np.float32) * 0.75
    tile = _Tile(wall)
    for x in (3, 35):
        tile.box(x, 22, x + 26, 56, np.array(look.glass) * rng.uniform(0.7, 1.3))
        tile.box(x + 12, 22, x + 14, 56, wall * 0.7)
    awning = np.array(look.paints[rng.integers(PALETTES["paints"])], np.float32)
    tile.box(0, 8, TILE, 20, awning * 0.85)
    tile.box(0, 18, TILE, 21, awning * 0.5)
    return tile.soften(0.8)


def _roof(rng, look) -> _Tile:
    tile = _Tile(np.array(look.roof, np.float32) * rng.uniform(0.85, 1.15))
    tile.rgb *= (0.94 + 0.12 * (np.arange(TILE) % 8 < 4))[:, None, None]
    return tile.grain(rng, 6, 2.0).soften(1.0)


def _leaves(tile, rng, look) -> _Tile:
    """Clumps of leaves, lit from above."""
    clumps = 0.7 * smooth_noise(rng, TILE, 3.5) + 0.5 * smooth_noise(rng, TILE, 1.6)
    light = 1.12 - 0.45 * np.linspace(0, 1, TILE)[:, None] + 0.17 * clumps
    leaf = np.array(look.leaves[rng.integers(PALETTES["leaves"])], np.float32)
    tile.rgb = leaf * rng.uniform(0.9, 1.1) * light[..., None].astype(np.float32)
    return tile


def _tree(rng, look) -> _Tile:
    tile = _Tile(0, opaque=False)
    for _ in range(14):
        angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(4, 18)
        size = rng.uniform(7, 12)
        tile.ellipse(32 + radius * np.cos(angle), 24 + 0.7 * radius * np.sin(angle), size, size, 0)
    tile.ellipse(32, 24, 17, 15, 0)
    crown = tile.alpha > 0
    _leaves(tile, rng, look)
    trunk = np.zeros((TILE, TILE), bool)
    trunk[34:, 30:34] = True
    tile.rgb[trunk & ~crown] = look.trunk
    tile.rgb[crown & (np.arange(TILE)[:, None] > 36)] *= 0.82
    tile.alpha[trunk] = 255
    return tile.soften(0.6)


def _bush(rng, look) -> _Tile:
    tile = _Tile(0, opaque=False)
    for x in range(10, 58, 6):
        tile.ellipse(x, 44 - 14 * np.sin(np.pi * x / TILE) + rng.uniform(-6, 6), 11, 18, 0)
    tile.alpha[48:, 6:58] = 255
    return _leaves(tile, rng, look).soften(0.6)


def _person(rng, look) -> _Tile:
    """Stretched onto 0.7 m x 1.75 m: head, coat, arms and striding legs."""
    tile = _Tile(np.array([60, 60, 66]), opaque=False)
    coat = np.array(look.paints[rng.integers(PALETTES["paints"])], np.float32)
    legs = np.array([50, 52, 70], np.float32) * rng.uniform(0.6, 1.5)
    stride = rng.integers(2, 9)
    for side in (-1, 1):
        hip, foot = 32 + 5 * side, 32 + (5 + stride) * side
        cv2.line(tile.alpha, (hip, 36), (foot, 62), 255, 9)
        cv2.line(tile.rgb, (hip, 36), (foot, 62), legs.tolist(), 11)
    tile.box(18, 11, 46, 38, coat)
    tile.box(12, 13, 18, 34, coat * 0.8)
    tile.box(46, 13, 52, 34, coat * 0.8)
    tile.ellipse(32, 6, 9, 6, np.array([205, 160, 130]) * rng.uniform(0.45, 1.05))
    return tile.soften()


def _sign(rng, look) -> _Tile:
    shape = rng.integers(3)
    tile = _Tile(np.array(look.red), opaque=False)
    if shape == 0:
        tile.ellipse(32, 32, 31, 31, look.red)
        tile.ellipse(32, 32, 21, 21, (236, 236, 232))
    elif shape == 1:
        tile.box(2, 2, 62, 62, look.blue)
        tile.box(24, 12, 40, 52, (236, 236, 232))
    else:
        corners = np.array([[2, 60], [62, 60], [32, 4]], np.int32)
        cv2.fillConvexPoly(tile.alpha, corners, 255)
        inner = np.array([[14, 53], [50, 53], [32, 20]], np.int32)
        cv2.fillConvexPoly(tile.rgb, inner, (240, 225, 120))
    return tile.soften()


_TYRE, _RIM = (28, 28, 30), (120, 122, 126)


def _car(rng, look, paint) -> dict[str, _Tile]:
    """The faces of one car: body side, back, front; cabin side and panes."""
    paint = np.array(paint, np.float32)
    dark, glass = (24, 24, 27), np.array(look.glass) * 0.75
    side = _Tile(paint)
    side.box(0, 46, TILE, TILE, dark)
    side.box(0, 40, TILE, 47, paint * 0.62)
    for x in (12, 51):
        side.ellipse(x, 47, 7.5, 17, _TYRE)
        side.ellipse(x, 47, 3.6, 8, _RIM)
    side.box(31, 4, 32, 40, paint * 0.7)
    ends = {}
    for name, lamp in (("back", look.red), ("front", (250, 246, 225))):
        end = _Tile(paint)
        end.box(0, 50, TILE, TILE, dark)
        end.box(0, 36, TILE, 50, paint * 0.6)
        end.box(2, 10, 14, 26, lamp)
        end.box(50, 10, 62, 26, lamp)
        end.box(24, 26, 40, 35, (225, 225, 215) if name == "back" else (40, 40, 44))
        end.box(4, 52, 14, TILE, _TYRE)
        end.box(50, 52, 60, TILE, _TYRE)
        ends[name] = end
    window = _Tile(paint * 0.9)
    window.box(5, 10, 59, 58, glass)
    window.box(31, 8, 34, 60, paint * 0.7)
    pane = _Tile(paint * 0.9)
    pane.box(5, 8, 59, 60, glass)
    pane.box(8, 10, 30, 24, glass * 1.5)
    tiles = {"side": side, "window": window, "pane": pane, **ends}
    return {name: tile.soften(0.9) for name, tile in tiles.items()}


def _bleed(tile: _Tile) -> None:
    """Carries the silhouette's colours outwards, so that filtering meets no black fringe."""
    inside = (tile.alpha > 127).astype(np.float32)
    weight = cv2.GaussianBlur(inside, (0, 0), 5) + 1e-4
    spread = cv2.GaussianBlur(tile.rgb * inside[..., None], (0, 0), 5) / weight[..., None]
    tile.rgb = np.where(inside[..., None] > 0, tile.rgb, spread)


def _pack(tiles: list[_Tile]) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    rows = -(-len(tiles) // COLUMNS)
    atlas = np.zeros(
        (rows * TILE, LEVEL_OFFSET[-1] + COLUMNS * (TILE >> (LEVELS - 1)), 3), np.uint8
    )
    alphas = []
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        _bleed(tile)
        levels = []
        for level in range(LEVELS):
            size = TILE >> level
            rgb = cv2.resize(tile.rgb, (size, size), interpolation=cv2.INTER_AREA)
            x, y = LEVEL_OFFSET[level] + column * size, row * size
            atlas[y : y + size, x : x + size] = np.clip(rgb + 0.5, 0, 255)
            levels.append(cv2.resize(tile.alpha, (size, size), interpolation=cv2.INTER_AREA))
        alphas.append(levels)
    return atlas, alphas


_PAINTERS = (
    ("facade", _facade, 16),
    ("shop", _shop, 6),
    ("roof", _roof, 3),
    ("tree", _tree, 10),
    ("bush", _bush, 4),
    ("person", _person, 10),
    ("sign", _sign, 8),
)


def paint_textures(look: Look, entropy: list[int]) -> Textures:
    """Paints a domain's tiles.

    Args:
      look: palette and grain.  It changes neither the silhouettes nor where on a tile a window
        or on the ground's noise a cloud is: those are the entropy's.
      entropy: words that seed the painting; equal words and looks give equal textures.

    Returns:
      The atlas, the silhouettes, the tile numbers by kind, and the ground's noise.
    """
    rng = np.random.default_rng(np.random.SeedSequence(entropy))
    tiles: list[_Tile] = [_Tile((255, 255, 255))]
    kinds: dict[str, list[int]] = {"plain": [0]}

    def add(kind: str, tile: _Tile) -> None:
        kinds.setdefault(kind, []).append(len(tiles))
        tiles.append(tile)

    for kind, painter, count in _PAINTERS:
        for _ in range(count):
            add(kind, painter(rng, look))
    for paint in look.paints:
        for name, tile in _car(rng, look, paint).items():
            add(f"car_{name}", tile)
    atlas, alphas = _pack(tiles)
    noise = np.pad(smooth_noise(rng, NOISE, 1.6), (0, 1), mode="wrap")
    return Textures(atlas, alphas, kinds, noise)
