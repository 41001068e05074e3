"""The synthetic driving world: two unpaired domains with exact labels, flow and occlusion.

``game`` is sunny, clean and saturated under a wide sky; ``street`` is grey, hazy and grainy, with
houses and trees where the game has sky.  Both share the road's geometry.  A clip is a pure function
of (seed, domain, split, index), a frame of that and its number: domains and splits draw from
different seeds and are therefore unpaired by construction.

What stands where (``layouts``) and what it looks like (``looks``) are apart, so a clip of one
domain can be drawn in the other's look: the perfect translation, which no training ever sees.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import NamedTuple

import numpy as np

from v2v_jax.data.world.layouts import LAYOUTS
from v2v_jax.data.world.looks import LOOKS
from v2v_jax.data.world.plots import build_scene
from v2v_jax.data.world.render import Geometry, Painter
from v2v_jax.data.world.textures import Textures, paint_textures

DOMAINS = ("game", "street")
SPLITS = ("train", "val", "test")


class SyntheticClip(NamedTuple):
    """T consecutive frames with their exact geometry."""

    frames: np.ndarray
    """uint8 [T, H, W, 3], RGB."""
    labels: np.ndarray
    """uint8 [T, H, W], Cityscapes train ids."""
    backward: np.ndarray
    """float32 [T-1, H, W, 2] in pixels (dx, dy), on frame t:
    frame_t(p) = frame_{t-1}(p + backward[t-1](p))."""
    forward: np.ndarray
    """float32 [T-1, H, W, 2] in pixels, on frame t-1, pointing to frame t."""
    occluded: np.ndarray
    """bool [T-1, H, W], on frame t: hidden or out of view in frame t-1."""
    shaded: np.ndarray
    """bool [T-1, H, W], on frame t: brightness constancy is not promised (moving shadows, pixels
    that mix two things here or where the flow points)."""


def _grid(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Pixel positions x, y, float32 [H, W]."""
    rows, columns = np.mgrid[: geometry.camera.height, : geometry.camera.width]
    return columns.astype(np.float32), rows.astype(np.float32)


def _shift(points: Geometry, other: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Where a frame's surface points appear in another frame.

    Args:
      points: the frame whose pixels are followed.
      other: the frame they are looked up in, of the same scene.

    Returns:
      Flow in pixels, float32 [H, W, 2], and the inverse depth there, float32 [H, W].
    """
    camera, target = points.camera, other.camera
    columns, rows = _grid(points)
    ray = camera.rays(columns, rows)
    moved = (other.offset - points.offset).astype(np.float32)[points.surface]
    step = (camera.position - target.position).astype(np.float32)
    # Scaled by the inverse depth, so that what is infinitely far needs no case of its own.
    x, y, z = (ray[k] + points.inverse_depth * step[k] for k in range(3))
    z += points.inverse_depth * moved
    right, down, forward = target.axes.astype(np.float32)
    depth = np.maximum(forward[0] * x + forward[1] * y + forward[2] * z, 1e-3)
    u = (right[0] * x + right[1] * y + right[2] * z) / depth
    v = (down[0] * x + down[1] * y + down[2] * z) / depth
    centre = (target.width - 1) / 2, (target.height - 1) / 2
    flow = np.stack(
        [target.focal * u + centre[0] - columns, target.focal * v + centre[1] - rows], -1
    )
    return flow, points.inverse_depth / depth


def _seams(geometry: Geometry) -> np.ndarray:
    """Bool [H, W]: the 2 x 2 samples from here right and down are not one thing."""
    thing = np.pad(geometry.thing, (0, 1), mode="edge")
    mixed = np.pad(geometry.mixed, (0, 1), mode="edge")
    here = thing[:-1, :-1]
    seam = mixed[:-1, :-1] | mixed[1:, :-1] | mixed[:-1, 1:] | mixed[1:, 1:]
    for other in (thing[1:, :-1], thing[:-1, 1:], thing[1:, 1:]):
        seam = seam | (other != here)
    return seam


def _follow(before: Geometry, after: Geometry) -> tuple[np.ndarray, ...]:
    """Backward flow, forward flow, occluded and shaded of two consecutive frames."""
    backward, expected = _shift(after, before)
    forward, _ = _shift(before, after)
    height, width = after.surface.shape
    columns, rows = _grid(after)
    x, y = columns + backward[..., 0], rows + backward[..., 1]
    outside = (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    nearest = np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)
    # Faces of one thing share edges: across them only the depth tells hidden from next door.
    gap = np.abs(before.inverse_depth[nearest] - expected)
    same = (before.surface[nearest] == after.surface) | (
        (before.thing[nearest] == after.thing) & (gap <= 0.05 * expected)
    )
    corner = y.astype(np.intp), x.astype(np.intp)
    shaded = after.mixed | after.moving_shadow
    shaded |= _seams(before)[corner] | before.moving_shadow[nearest]
    return backward, forward, outside | ~same, shaded


@functools.lru_cache(maxsize=8)
def _textures(domain: str, look: str, split: str, seed: int) -> Textures:
    # The domain's stream whatever the look: silhouettes decide labels, and a window, a cloud or
    # the third of eight paints should stay what it is under other colours.
    return paint_textures(LOOKS[look], [seed, DOMAINS.index(domain), SPLITS.index(split), 2**31])


@dataclasses.dataclass(frozen=True)
class World:
    """One domain and split of the world.

    Attributes:
      domain: ``game`` or ``street``.
      split: ``train``, ``val`` or ``test``.
      seed: the world's seed, not negative.
      height: rows of a frame.
      width: columns of a frame; the field of view is the same for every width.
      clips: number of clips.
      length: frames per clip.
      look: the domain whose colours, light, haze and noise the frames have; None for ``domain``.
        Labels, flow and occlusion are the same bit for bit whatever the look; ``shaded`` is not,
        as shadows belong to the look.

    Raises:
      ValueError: an unknown domain, split or look, a negative seed, or a size below 1 (8 for
        frames).
    """

    domain: str
    split: str = "train"
    seed: int = 0
    height: int = 64
    width: int = 128
    clips: int = 64
    length: int = 90
    look: str | None = None

    def __post_init__(self):
        look = self.domain if self.look is None else self.look
        for name, value, choices in (
            ("domain", self.domain, DOMAINS), ("split", self.split, SPLITS), ("look", look, DOMAINS)
        ):  # fmt: skip
            if value not in choices:
                raise ValueError(f"unknown {name} {value!r}: choose one of {', '.join(choices)}")
        for name, least in (("seed", 0), ("height", 8), ("width", 8), ("clips", 1), ("length", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be at least {least}")

    def __len__(self) -> int:
        """Number of clips."""
        return self.clips

    def perfect(self, look: str) -> World:
        """These clips in another look: what an ideal translation of them would be.

        Args:
          look: ``game`` or ``street``.

        Raises:
          ValueError: an unknown look.
        """
        return dataclasses.replace(self, look=look)

    def frames(
        self, index: int, start: int = 0, count: int | None = None, *, flow: bool = True
    ) -> SyntheticClip:
        """Renders frames ``start`` to ``start + count - 1`` of a clip.

        Args:
          index: the clip, 0 to ``len(self) - 1``.
          start: its first frame wanted.
          count: how many frames; None for all that are left.
          flow: False to leave flow and masks out, as of no pairs of frames; nothing else differs.

        Returns:
          The frames with labels, flow and masks.  Any stretch equals the same stretch of the whole
          clip bit for bit.

        Raises:
          IndexError: there is no such clip.
          ValueError: the stretch does not lie inside the clip.
        """
        if not 0 <= index < self.clips:
            raise IndexError(f"clip {index} of a world of {self.clips}: choose 0..{self.clips - 1}")
        count = self.length - start if count is None else count
        if start < 0 or count < 1 or start + count > self.length:
            raise ValueError(
                f"frames {start}..{start + count - 1} of a clip of {self.length} frames: "
                "start must not be negative, count at least 1, and both within the clip"
            )
        painter = self._painter(index, start, start + count - 1)
        drawn = [
            painter.paint(frame, self._generator(index, 0, frame))
            for frame in range(start, start + count)
        ]
        pictures, geometries = zip(*drawn, strict=True)
        pairs = [_follow(*pair) for pair in itertools.pairwise(geometries)] if flow else []
        shape = (len(pairs), self.height, self.width)
        backward, forward, occluded, shaded = zip(*pairs, strict=True) if pairs else ((),) * 4
        return SyntheticClip(
            np.stack(pictures),
            np.stack([geometry.label for geometry in geometries]),
            np.array(backward, np.float32).reshape(*shape, 2),
            np.array(forward, np.float32).reshape(*shape, 2),
            np.array(occluded, bool).reshape(shape),
            np.array(shaded, bool).reshape(shape),
        )

    def _generator(self, index: int, *words: int) -> np.random.Generator:
        tags = [self.seed, DOMAINS.index(self.domain), SPLITS.index(self.split), index, *words]
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(tags)))

    def _painter(self, index: int, first: int, last: int) -> Painter:
        name = self.domain if self.look is None else self.look
        look, textures = LOOKS[name], _textures(self.domain, name, self.split, self.seed)
        seed = functools.partial(self._generator, index, 1)
        scene = build_scene(LAYOUTS[self.domain], look, textures, seed, first, last)
        return Painter(look, textures, scene, self.height, self.width)
