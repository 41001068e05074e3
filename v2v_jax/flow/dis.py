"""Flow without weights: OpenCV's Dense Inverse Search, on the host, inside the data pipeline."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import cv2
import numpy as np

# Below it OpenCV 5.0's DIS crashes or asserts, depending on aspect ratio and preset.
_MIN_SIDE = 32
_PRESETS = ("ultrafast", "fast", "medium")
_estimators = threading.local()


@dataclasses.dataclass(frozen=True)
class Dis:
    """Dense Inverse Search (Kroeger et al., 2016), a `HostFlow`.

    Picklable, since it holds nothing but its two settings, and safe to call from several threads:
    OpenCV's estimator keeps buffers between calls, so every thread has one of its own.

    Attributes:
        scale: the flow is estimated on frames enlarged by this factor; 2 finds finer motion in
            small frames, at four times the cost.  The flow stays in pixels of the given frames.
        preset: "ultrafast", "fast" or "medium".

    Raises:
        ValueError: an unknown preset or a scale that is not positive.
    """

    scale: float = 1.0
    preset: str = "medium"

    def __post_init__(self) -> None:
        if self.preset not in _PRESETS:
            raise ValueError(f"unknown DIS preset {self.preset!r}: choose one of {_PRESETS}")
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"the scale of DIS must be positive, not {self.scale}")

    def __call__(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """Backward flow: current(p) ~ previous(p + flow(p)).

        Args:
            current, previous: uint8 [H, W, 3], RGB; any size (small ones are enlarged inside).

        Returns:
            float32 [H, W, 2], (dx, dy) in pixels of the given frames.

        Raises:
            ValueError: the two frames differ in shape or are not uint8 RGB.
        """
        _check(current, previous)
        height, width = current.shape[:2]
        scale = max(self.scale, _MIN_SIDE / min(height, width))
        old, new = (width, height), (round(width * scale), round(height * scale))
        flow = _estimator(self.preset).calc(_grey(current, new), _grey(previous, new), None)
        if new == old:
            return flow
        flow = np.asarray(cv2.resize(flow, old, interpolation=_interpolation(new, old)))
        return flow * np.array([width / new[0], height / new[1]], dtype=np.float32)


def _check(current: np.ndarray, previous: np.ndarray) -> None:
    if current.shape != previous.shape or current.ndim != 3 or current.shape[-1] != 3:
        raise ValueError(
            "DIS needs two RGB frames [H, W, 3] of one size, "
            f"not {list(current.shape)} and {list(previous.shape)}"
        )
    if current.dtype != np.uint8 or previous.dtype != np.uint8:
        raise ValueError(f"DIS needs uint8 frames, not {current.dtype} and {previous.dtype}")


def _grey(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    old = (grey.shape[1], grey.shape[0])
    return grey if size == old else cv2.resize(grey, size, interpolation=_interpolation(old, size))


def _interpolation(old: tuple[int, int], new: tuple[int, int]) -> int:
    """Averaging when both sides shrink, else cubic: area resampling repeats pixels on enlarging."""
    shrinks = new[0] <= old[0] and new[1] <= old[1]
    return cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC


def _estimator(preset: str) -> Any:
    """This thread's estimator."""
    if not hasattr(_estimators, preset):
        # The creator has kept this name from OpenCV 4 to 5; the presets' constants are 0, 1, 2.
        setattr(_estimators, preset, cv2.DISOpticalFlow_create(_PRESETS.index(preset)))  # type: ignore
    return getattr(_estimators, preset)
