"""Which videos and frame folders a path or glob names."""

from __future__ import annotations

import glob
import os
import pathlib

from v2v_jax.data.media.frame_folder import (
    IMAGE_SUFFIXES,
    list_frames,
    natural_key,
)

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")


def list_inputs(pattern: str | os.PathLike[str]) -> list[pathlib.Path]:
    """The videos a pattern stands for, in numeric order.

    Args:
        pattern: a video file, a folder of frames, a folder of videos or of frame folders, or a
            glob of videos or frame folders (``**`` included).

    Returns:
        Video files and frame folders, at least one, none of them opened yet.

    Raises:
        FileNotFoundError: nothing matches.
        ValueError: something matches that is neither, or single pictures instead of their folder.
    """
    text = os.path.expanduser(os.fspath(pattern))
    path = pathlib.Path(text)
    if path.is_dir() and not list_frames(path):
        found = [p for p in path.iterdir() if _is_input(p) and not p.name.startswith(".")]
    elif path.exists():  # First, since a name may contain the glob's own characters.
        found = [path]
    else:
        found = [pathlib.Path(match) for match in glob.glob(text, recursive=True)]
        for match in found:
            _check_match(match, text)
    if not found:
        kinds = ", ".join(suffix[1:] for suffix in VIDEO_SUFFIXES)
        raise FileNotFoundError(
            f"no video matches {text!r}: looked for video files ({kinds}) and folders of png or "
            f"jpg frames in {pathlib.Path.cwd()}"
        )
    return sorted(found, key=lambda p: (str(p.parent), natural_key(p)))


def _is_input(path: pathlib.Path) -> bool:
    if path.is_dir():
        return bool(list_frames(path))
    return path.suffix.lower() in VIDEO_SUFFIXES


def _check_match(path: pathlib.Path, pattern: str) -> None:
    if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
        raise ValueError(
            f"{pattern!r} matches single pictures ({path.name}): give the folder of frames itself"
        )
    if not _is_input(path):
        raise ValueError(
            f"{pattern!r} matches {path}, which is neither a video nor a folder of frames: "
            "narrow the pattern, for example to *.mp4"
        )
