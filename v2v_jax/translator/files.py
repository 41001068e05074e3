"""Video files, translated one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from absl import logging

from v2v_jax.translator.translator import Translator


class Reader(Protocol):
    """An open video (``data.media.reader.VideoReader``): its frames, uint8 [H, W, 3], in order."""

    @property
    def fps(self) -> Any: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def frames_estimate(self) -> int | None: ...
    def __iter__(self) -> Iterator[np.ndarray]: ...


class Writer(Protocol):
    """A video being written (``data.media.writer.VideoWriter``): final only when it closes well."""

    def write(self, frame: np.ndarray) -> Any: ...


def translate_files(
    translator: Translator,
    jobs: Sequence[tuple[Path, Path]],
    open_reader: Callable[[Path], AbstractContextManager[Reader]],
    open_writer: Callable[..., AbstractContextManager[Writer]],
    *,
    side_by_side: bool = False,
    size: tuple[int, int] | None = None,
) -> None:
    """Translates video files; one that fails does not lose the others.

    Output keeps the input's times and frame count and, without ``size``, its height and width.

    Args:
        translator: the trained run.
        jobs: (input, output) pairs, see ``plans.plan_outputs``.
        open_reader: path -> context manager of a ``Reader``.
        open_writer: (path, fps, height, width, like=the open reader) -> context manager of a
            ``Writer`` that leaves nothing under the final name unless it closes without an error.
        side_by_side: write source | output, twice as wide; of pairs original | processed | output.
        size: (height, width) to translate and write at.

    Raises:
        OSError, ValueError, RuntimeError: what a single job raised.
        OSError: several jobs of which some failed, all named with their reasons; the others are
            finished.
    """
    failures: list[tuple[Path, Exception]] = []
    for number, (source, result) in enumerate(jobs, start=1):
        logging.info("%d of %d: %s -> %s", number, len(jobs), source, result)
        try:
            with open_reader(source) as reader:
                height, width = size or (reader.height, reader.width)
                columns = width * (translator.channels // 3 + 1) if side_by_side else width
                with open_writer(result, reader.fps, height, columns, like=reader) as writer:
                    translator.translate_stream(
                        reader,
                        writer.write,
                        side_by_side=side_by_side,
                        size=size,
                        total=reader.frames_estimate,
                    )
        # Bad files, full disks and exhausted devices are this job's; anything else is a bug.
        except (OSError, ValueError, RuntimeError) as error:
            if len(jobs) == 1:
                raise
            logging.error("%s failed: %s", source, error)
            failures.append((source, error))
    if failures:
        reasons = "; ".join(f"{source}: {error}" for source, error in failures)
        raise OSError(f"{len(failures)} of {len(jobs)} videos failed: {reasons}")
