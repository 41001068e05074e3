"""Frames, labels and flow of a download at the size of a prepared data set.

Images are averaged over areas (bilinear where they have to grow), labels take the nearest pixel,
flow is averaged like an image and its u and v are scaled by the ratios of width and of height.  A
flow pixel that any unknown source pixel contributes to is unknown.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import cv2
import numpy as np

from v2v_jax.data.transforms import crop_to_aspect

FITS = {
    "squeeze": "the whole frame, its aspect ratio changed if need be (what the papers do)",
    "crop": "the largest centred part with the new aspect ratio",
}


@dataclasses.dataclass(frozen=True)
class Resampler:
    """To ``height`` x ``width``, by one of `FITS`."""

    height: int
    width: int
    fit: str

    def image(self, image: np.ndarray, pixel_aspect: Fraction | int = 1) -> np.ndarray:
        """uint8 [h, w, 3] of pixels pixel_aspect : 1 -> uint8 [height, width, 3]."""
        return self._smooth(self._part(image, pixel_aspect))

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """uint8 [h, w] -> uint8 [height, width], the nearest pixel's."""
        part = self._part(labels)
        return cv2.resize(part, (self.width, self.height), interpolation=cv2.INTER_NEAREST_EXACT)

    def flow(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """u, v float32 [h, w] -> float16 [height, width, 2]; in pixels, NaN where unknown."""
        u, v = self._part(u), self._part(v)
        rows, columns = u.shape
        flow = np.empty((self.height, self.width, 2), np.float32)
        for at, (part, ratio) in enumerate(((u, self.width / columns), (v, self.height / rows))):
            np.multiply(self._smooth_known(part), np.float32(ratio), out=flow[..., at])
        flow[np.isnan(flow[..., 0] + flow[..., 1])] = np.nan
        return flow.astype(np.float16)

    def _smooth_known(self, part: np.ndarray) -> np.ndarray:
        """float32 [h, w]: NaN where any pixel that contributes is."""
        if self._shrinks(part):  # Averages over areas spread a NaN to just those.
            return self._smooth(part)
        # Interpolation also multiplies NaN by weights of 0.
        unknown = np.isnan(part)
        smooth = self._smooth(np.where(unknown, np.float32(0), part))
        smooth[self._smooth(unknown.astype(np.float32)) > 0] = np.nan
        return smooth

    def _part(self, array: np.ndarray, pixel_aspect: Fraction | int = 1) -> np.ndarray:
        if self.fit == "squeeze":
            return array
        return crop_to_aspect(array, self.height, self.width, pixel_aspect)

    def _smooth(self, array: np.ndarray) -> np.ndarray:
        how = cv2.INTER_AREA if self._shrinks(array) else cv2.INTER_LINEAR
        return cv2.resize(array, (self.width, self.height), interpolation=how)

    def _shrinks(self, array: np.ndarray) -> bool:
        return array.shape[0] >= self.height and array.shape[1] >= self.width
