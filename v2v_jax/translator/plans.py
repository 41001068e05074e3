"""Which output each input becomes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

PICTURES = {".png", ".jpg", ".jpeg"}
VIDEOS = {".mp4", ".mov", ".mkv"}
# Versions (out.v2), numbers (out.3) and single letters (out.d) are names of folders.
_KIND = re.compile(r"\.(?!v\d+$)(?=.*[a-z])[a-z0-9]{2,5}")


def plan_outputs(
    inputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    others: Sequence[str | os.PathLike[str]] = (),
    *,
    frames: str | None = None,
) -> list[tuple[Path, Path]]:
    """Which file each input becomes, or which pictures.

    Args:
        inputs: video files or frame folders.
        output: for a single input a file, ``.mp4`` (or ``.mov``, ``.mkv``); numbered pictures,
            ``frames/%05d.png``, of several inputs each in a folder of its own below; otherwise a
            folder (made when needed) that gets ``<stem>.mp4`` of each input.  Inputs of one name
            keep the folders below the one that they have in common.
        others: further files that are read, and hence must not be overwritten either.
        frames: "png" or "jpg": the folder gets ``<stem>/%06d.png`` of each input instead.

    Returns:
        (input, output) pairs in the order of the inputs.

    Raises:
        ValueError: several inputs for one file, two inputs for one name, an output that would
            overwrite an input, or one of a kind that is not written.
    """
    sources, target = [Path(path) for path in inputs], Path(output)
    suffix = "" if _is_folder(output) else target.suffix.lower()
    if suffix in PICTURES and "%" in target.name:
        single = len(sources) == 1
        results = [target] if single else _below(target.parent, sources, f"/{target.name}")
    elif suffix in VIDEOS:
        if len(sources) != 1:
            raise ValueError(
                f"{len(sources)} inputs need a folder as output (each becomes <name>.mp4 in it), "
                f"got the file {target}"
            )
        if frames:
            raise ValueError(f"--frames={frames} writes pictures: give a folder, not {target}")
        results = [target]
    elif _KIND.fullmatch(suffix):
        hint = f"pictures are {target.with_name('%05d' + suffix)}; " if suffix in PICTURES else ""
        raise ValueError(
            f"{target}: outputs are .mp4 (.mov, .mkv) files, or a folder of them; {hint}if it is "
            f"to be a folder, write {target}/"
        )
    else:
        results = _below(target, sources, f"/%06d.{frames}" if frames else ".mp4")
    return _checked(sources, results, others)


def _is_folder(output: str | os.PathLike[str]) -> bool:
    return os.fspath(output).endswith(("/", os.sep)) or Path(output).is_dir()


def _below(folder: Path, sources: list[Path], ending: str) -> list[Path]:
    """``<folder>/<stem><ending>`` of each; those of one name keep their folders."""
    whole = [Path(os.path.abspath(path)) for path in sources]
    names = [path.name if path.is_dir() else path.stem for path in whole]
    flat = [folder / f"{name}{ending}" for name in names]
    read = {path.resolve() for path in sources}
    if len(set(flat)) == len(flat) or any(path.resolve() in read for path in flat):
        return flat
    common = os.path.commonpath([path.parent for path in whole])
    apart = [path.parent.relative_to(common) for path in whole]
    return [folder / part / f"{name}{ending}" for part, name in zip(apart, names, strict=True)]


def _checked(
    sources: list[Path], results: list[Path], others: Sequence[str | os.PathLike[str]]
) -> list[tuple[Path, Path]]:
    originals = {Path(path).resolve() for path in (*sources, *others)}
    taken: dict[Path, Path] = {}
    for source, result in zip(sources, results, strict=True):
        place = result.parent if "%" in result.name else result
        if {result.resolve(), place.resolve()} & originals:
            raise ValueError(f"{result} would overwrite an input: choose another output")
        if result in taken:
            raise ValueError(
                f"{taken[result]} and {source} would both become {result}: "
                "rename one or translate them into different folders"
            )
        taken[result] = source
    return list(zip(sources, results, strict=True))
