"""Where clips come from: videos on disk, the synthetic world."""

from __future__ import annotations

import os
import pathlib
from typing import Protocol

import numpy as np
from absl import logging

from v2v_jax.data.media.cache import CachedVideo, cached_video
from v2v_jax.data.media.inputs import list_inputs
from v2v_jax.data.transforms import Arrays
from v2v_jax.data.world.world import World


class Source(Protocol):
    """Videos of one domain, all at one size, read by index and frame."""

    @property
    def lengths(self) -> list[int]:
        """Frames of every video."""
        ...

    @property
    def names(self) -> list[str]:
        """What messages call every video."""
        ...

    @property
    def provides(self) -> frozenset[str]:
        """Which of ``flow``, ``forward_flow`` and ``labels`` `read` hands on besides the frames."""
        ...

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of every frame; None where only reading tells."""
        ...

    def __len__(self) -> int:
        """Number of videos."""
        ...

    def read(self, index: int, start: int, count: int, *, into: np.ndarray | None = None) -> Arrays:
        """Frames start .. start + count - 1 of a video.

        Args:
            index, start, count: which frames of which video.
            into: u8[count, H, W, 3] that becomes ``frames``; None: an array of the source's own,
                which may be a view that nobody may write to.

        Returns:
            ``frames`` u8[count, H, W, 3] and, where known, ``labels`` [count, H, W] (Cityscapes
            train ids), ``flow`` (backward) and ``forward_flow`` f32[count-1, H, W, 2] in pixels;
            where not every flow is known, ``flow_valid`` and ``forward_flow_valid``
            bool[count-1, H, W] say which are.
        """
        ...


def placed(frames: np.ndarray, into: np.ndarray | None) -> np.ndarray:
    """``frames``, copied to ``into`` if there is one: for sources that do not decode in place."""
    if into is None:
        return frames
    into[...] = frames
    return into


class VideoSource:
    """Video files or frame folders, decoded once into a cache on disk.

    A gap in the numbers of a frame folder, or in the times of a video, ends one clip and begins
    the next.

    Args:
        pattern: see `media.inputs.list_inputs`.
        height, width: training size; frames are cropped to its aspect ratio, then resampled.
        cache_dir: where decoded frames are kept, see `media.cache`.
        gap: in median distances of a video's frames; 0: its times do not matter.
        deinterlace: see `media.reader.open_video`.

    Raises:
        FileNotFoundError: nothing matches.
        ValueError: a video that cannot be read to its end.
        OSError: the cache cannot be written.
    """

    provides: frozenset[str] = frozenset()

    def __init__(
        self,
        pattern: str | os.PathLike[str],
        height: int,
        width: int,
        cache_dir: str | os.PathLike[str],
        gap: float = 0,
        *,
        deinterlace: bool = False,
    ) -> None:
        self.size: tuple[int, int] | None = (height, width)
        self._videos: list[CachedVideo] = []
        paths = list_inputs(pattern)
        for number, path in enumerate(paths, start=1):
            video = cached_video(
                path, pathlib.Path(cache_dir), height, width, deinterlace=deinterlace
            )
            self._videos += video.cut(path, gap)
            logging.log_every_n_seconds(
                logging.INFO, "%d of %d videos of %s are ready", 10, number, len(paths), pattern
            )
        self.lengths = [video.length for video in self._videos]
        self.names = [video.name for video in self._videos]
        self.parts = frozenset(n for n, video in enumerate(self._videos) if video.part)

    def __len__(self) -> int:
        return len(self._videos)

    def read(self, index: int, start: int, count: int, *, into: np.ndarray | None = None) -> Arrays:
        """See `Source.read`; without ``into`` the frames are memory mapped and read only."""
        return {"frames": placed(self._videos[index].read(start, count), into)}


class SyntheticSource:
    """Clips of the synthetic world, with exact labels and, unless ``flow`` is False, flow."""

    def __init__(self, world: World, *, flow: bool = True) -> None:
        self._world, self._flow = world, flow
        known = {"labels", "flow", "forward_flow"} if flow else {"labels"}
        self.provides: frozenset[str] = frozenset(known)
        self.size: tuple[int, int] | None = (world.height, world.width)
        self.lengths = [world.length] * len(world)
        self.names = [
            f"clip {index} of the synthetic {world.domain}" for index in range(len(world))
        ]

    def __len__(self) -> int:
        return len(self._world)

    def read(self, index: int, start: int, count: int, *, into: np.ndarray | None = None) -> Arrays:
        """See `Source.read`."""
        clip = self._world.frames(index, start, count, flow=self._flow)
        known = {"frames": placed(clip.frames, into), "labels": np.asarray(clip.labels)}
        if self._flow:
            known |= {"flow": clip.backward, "forward_flow": clip.forward}
        return known
