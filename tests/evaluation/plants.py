"""Ways to fail, planted one at a time in the perfect translation of a built-in clip."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

from v2v_jax.data.world import World
from v2v_jax.evaluation.protocol import Rollout

SKY, BUILDING, ROAD = 10, 2, 0
LENGTH = 14
LUMA = np.array([0.299, 0.587, 0.114])


class Planted(NamedTuple):
    """What a broken method would have made of a clip."""

    output: np.ndarray
    raw: np.ndarray
    mask: np.ndarray

    def rollout(self) -> Rollout:
        return Rollout(self.output, self.raw, self.mask)


def clip(seed: int = 0) -> Any:
    """The first frames of a held-out drive, with everything that is known about it."""
    world = World("game", "test", seed=seed, clips=1, length=LENGTH)
    made, truth = world.frames(0), world.perfect("street").frames(0)
    return {
        "name": "planted", "frames": made.frames, "flow": made.backward, "occluded": made.occluded,
        "shaded": made.shaded, "labels": made.labels, "truth": truth.frames,
    }  # fmt: skip


def plain(video: np.ndarray) -> Planted:
    """A method without a memory: every frame as the generator made it."""
    return Planted(video, video, np.zeros(video.shape[:3], np.float32))


def perfect(clip: Any) -> Planted:
    return plain(clip["truth"])


def untranslated(clip: Any) -> Planted:
    return plain(clip["frames"])


def flipped_sky(clip: Any) -> Planted:
    """Facades in the sky, and buildings of the sky's grey."""
    truth, labels = clip["truth"], clip["labels"]
    height, width = labels.shape[1:]
    wall = facade()
    facades = np.tile(wall, (height // len(wall), width // len(wall), 1))
    video = np.where((labels == SKY)[..., None], facades, truth)
    video[labels == BUILDING] = truth[labels == SKY].mean(0)
    return plain(video)


def facade(side: int = 16) -> np.ndarray:
    """A patch of a street's house, uint8 [side, side, 3]."""
    world = World("street", clips=8, length=2)
    for index in range(len(world)):
        frame = world.frames(index, 0, 1)
        house = cv2.erode((frame.labels[0] == BUILDING).astype(np.uint8), np.ones((side, side)))
        rows, columns = np.nonzero(house[side:-side, side:-side])
        if len(rows):
            top, left = rows[0] + side // 2, columns[0] + side // 2
            return frame.frames[0, top : top + side, left : left + side]
    raise AssertionError("no house is large enough")


def smeared(clip: Any) -> Planted:
    """The first frame carried along the flow, which the image generator would have done better."""
    truth = clip["truth"]
    rows, columns = np.mgrid[: truth.shape[1], : truth.shape[2]].astype(np.float32)
    carried = [truth[0]]
    for flow in clip["flow"]:
        x, y = columns + flow[..., 0], rows + flow[..., 1]
        carried.append(
            cv2.remap(carried[-1], x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        )
    return Planted(np.stack(carried), truth, np.full(truth.shape[:3], 0.98, np.float32))


def blurred(clip: Any, deviation: float = 1.0) -> Planted:
    return plain(np.stack([cv2.GaussianBlur(f, (0, 0), deviation) for f in clip["truth"]]))


def slightly_blurred(clip: Any) -> Planted:
    return blurred(clip, 0.7)


def grid(clip: Any, side: int = 1) -> Planted:
    """Dots of ``side`` pixels in the sky."""
    rows, columns = np.mgrid[: clip["truth"].shape[1], : clip["truth"].shape[2]] // side
    dots = 16 * ((rows % 2 == 0) & (columns % 2 == 0))[None, ..., None]
    darker = np.maximum(clip["truth"].astype(int) - dots, 0).astype(np.uint8)
    return plain(np.where((clip["labels"] == SKY)[..., None], darker, clip["truth"]))


def wide_grid(clip: Any) -> Planted:
    return grid(clip, 2)


def dither(clip: Any) -> Planted:
    """Dots of single pixels over everything."""
    everywhere = clip | {"labels": np.full_like(clip["labels"], SKY)}
    return grid(everywhere, 1)


def inverted_markings(clip: Any) -> Planted:
    """As much darker than the road as they should be brighter."""
    video = clip["truth"].copy()
    for frame, truth, source, label in zip(
        video, clip["truth"], clip["frames"], clip["labels"], strict=True
    ):
        road = np.median(truth[label == ROAD], axis=0)
        grey = source @ LUMA
        marked = (label == ROAD) & (grey > np.median(grey[label == ROAD]) + 60)
        frame[marked] = np.clip(2 * road - truth[marked], 0, 255)
    return plain(video)


def grey(clip: Any) -> Planted:
    return plain(np.full_like(clip["truth"], 128))


def average(clip: Any) -> Planted:
    """Every frame's mean colour."""
    mean = clip["truth"].mean(axis=(1, 2), keepdims=True)
    return plain(np.broadcast_to(mean, clip["truth"].shape).astype(np.uint8))


def frozen(clip: Any) -> Planted:
    """The first frame for ever."""
    return plain(np.repeat(clip["truth"][:1], len(clip["truth"]), axis=0))


def flickering(clip: Any, levels: int = 12) -> Planted:
    beat = levels * (np.arange(len(clip["truth"])) % 2)[:, None, None, None]
    return plain(np.clip(clip["truth"].astype(int) + beat, 0, 255).astype(np.uint8))


def restless(clip: Any) -> Planted:
    """A flicker that is hardly seen."""
    return flickering(clip, 4)


def muted(clip: Any) -> Planted:
    """Contrast of nine tenths, so that what moves, moves less."""
    truth = clip["truth"].astype(np.float32)
    mean = truth.mean(axis=(0, 1, 2))
    return plain(np.round(mean + 0.93 * (truth - mean)).astype(np.uint8))


def blind_mask(clip: Any) -> Planted:
    """Half of every pixel is carried, wherever the past can be seen or not."""
    return perfect(clip)._replace(mask=np.full(clip["truth"].shape[:3], 0.5, np.float32))
