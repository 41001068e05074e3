"""Video files: which output each input becomes, and translating one after the other."""

from __future__ import annotations

import os
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


def plan_outputs(
    inputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    others: Sequence[str | os.PathLike[str]] = (),
) -> list[tuple[Path, Path]]:
    """Which file each input becomes.

    Args:
        inputs: video files or frame folders.
        output: for a single input a file, ``.mp4`` (or ``.mov``, ``.mkv``); otherwise a folder
            (made when needed) that gets ``<stem>.mp4`` of each input.
        others: further files that are read, and hence must not be overwritten either.

    Returns:
        (input, output) pairs in the order of the inputs.

    Raises:
        ValueError: several inputs for one file, two inputs for one name, or an output that would
            overwrite an input.
    """
    sources = [Path(path) for path in inputs]
    target = Path(output)
    suffix = "" if target.is_dir() else target.suffix.lower()
    if suffix in {".mp4", ".mov", ".mkv"}:
        if len(sources) != 1:
            raise ValueError(
                f"{len(sources)} inputs need a folder as output (each becomes <name>.mp4 in it), "
                f"got the file {target}"
            )
        jobs = [(sources[0], target)]
    elif suffix in {".avi", ".gif", ".m4v", ".mpg", ".webm"}:
        raise ValueError(f"{target}: outputs are .mp4 (.mov, .mkv) files, or a folder of them")
    else:
        jobs = [
            (path, target / f"{path.name if path.is_dir() else path.stem}.mp4") for path in sources
        ]
    originals = {Path(path).resolve() for path in (*sources, *others)}
    taken: dict[Path, Path] = {}
    for source, result in jobs:
        if result.resolve() in originals:
            raise ValueError(f"{result} would overwrite an input: choose another output")
        if result in taken:
            raise ValueError(
                f"{taken[result]} and {source} would both become {result}: "
                "rename one or translate them into different folders"
            )
        taken[result] = source
    return jobs


def translate_files(
    translator: Translator,
    jobs: Sequence[tuple[Path, Path]],
    open_reader: Callable[[Path], AbstractContextManager[Reader]],
    open_writer: Callable[[Path, Any, int, int], AbstractContextManager[Writer]],
    *,
    side_by_side: bool = False,
    size: tuple[int, int] | None = None,
) -> None:
    """Translates video files; one that fails does not lose the others.

    Output keeps the input's fps and frame count and, without ``size``, its height and width.

    Args:
        translator: the trained run.
        jobs: (input, output) pairs, see ``plan_outputs``.
        open_reader: path -> context manager of a ``Reader``.
        open_writer: (path, fps, height, width) -> context manager of a ``Writer`` that leaves
            nothing under the final name unless it closes without an error.
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
                with open_writer(result, reader.fps, height, columns) as writer:
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
