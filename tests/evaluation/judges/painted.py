"""Pictures of block layouts in two domains, which differ in palette only."""

from __future__ import annotations

import numpy as np

SIZE = (32, 64)


def layout(seed: int, count: int = 1) -> np.ndarray:
    """uint8 [N, H, W], three classes in blocks of 8 pixels."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 3, (count, SIZE[0] // 8, SIZE[1] // 8))
    return blocks.repeat(8, 1).repeat(8, 2).astype(np.uint8)


def painted(labels: np.ndarray, palette: list[list[int]], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 4, (*labels.shape, 3))
    return np.clip(np.array(palette)[labels] + noise, 0, 255).astype(np.uint8)


WARM = [[150, 90, 40], [210, 170, 90], [90, 50, 30]]
COLD = [[40, 90, 150], [90, 170, 210], [30, 50, 90]]
