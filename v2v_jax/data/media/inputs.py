"""Which videos and frame folders a path or glob names."""

from __future__ import annotations

import fnmatch
import glob
import os
import pathlib
import unicodedata

from v2v_jax.data.media.frame_folder import IMAGE_SUFFIXES, natural_key, pictures
from v2v_jax.data.media.frame_names import say

VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg",
    ".m2v", ".vob", ".3gp", ".3g2", ".flv", ".wmv", ".asf", ".ogv", ".mxf", ".gif",
)  # fmt: skip


def list_inputs(pattern: str | os.PathLike[str]) -> list[pathlib.Path]:
    """The videos a pattern stands for, in numeric order.

    A folder that holds videos is a folder of videos, whatever pictures lie beside them (covers,
    thumbnails); that they are not read is said in a line.  Names that exist are names, whatever
    characters of globs are in them: ``clips [2019]/*.mp4``.

    Args:
        pattern: a video file, a folder of frames, a folder of videos or of frame folders, or a
            glob of any of these (``**`` included).

    Returns:
        Video files and frame folders, at least one, none of them opened yet.

    Raises:
        FileNotFoundError: nothing matches.
        ValueError: something matches that is neither, or single pictures instead of their folder.
    """
    text = os.path.expanduser(os.fspath(pattern))
    path = pathlib.Path(text)
    if path.is_dir():
        found = _inside(path)
    elif path.exists():  # As it is, whatever its suffix.
        found = [path]
    else:
        found = _of_matches(_matching(path), text)
    if not found:
        kinds = ", ".join(suffix[1:] for suffix in VIDEO_SUFFIXES)
        raise FileNotFoundError(
            f"no video matches {text!r}: looked for video files ({kinds}) and folders of png or "
            f"jpg frames in {pathlib.Path.cwd()}{_further_below(path)}"
        )
    return sorted(dict.fromkeys(found), key=lambda p: (str(p.parent), natural_key(p)))


def _further_below(folder: pathlib.Path) -> str:
    """Which pattern finds what lies deeper in a folder that holds nothing itself; "" for none."""
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        place, below = pathlib.Path(base), pathlib.Path(base).relative_to(folder).parts
        if any(is_video(place / name) for name in names):
            return f"; there are videos further below: give {folder}/**/* with their suffix"
        if below and pictures(place):
            pattern = "/".join([*("*" for _ in below[1:]), below[-1]])
            return f"; there are frames further below: give {folder}/{pattern}"
    return ""


def is_video(path: pathlib.Path) -> bool:
    """Whether a file's name is that of a video; hidden ones are none."""
    named = path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")
    return named and not path.is_dir()


def _inside(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folder itself, if it is one of frames, or the videos and frame folders in it."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    videos = [entry for entry in entries if is_video(entry)]
    beside = pictures(folder)
    if beside and not videos and len(beside) > 1:
        return [folder]
    folders = [entry for entry in entries if entry.is_dir() and _is_frame_folder(entry)]
    if beside and not (videos or folders):
        return [folder]
    if beside:
        many = f"{len(beside)} pictures" if len(beside) > 1 else f"the picture {beside[0].name}"
        what = "videos" if videos else "folders of frames"
        say(f"{folder} is read as a folder of {what}, without {many} beside them")
    if videos and folders:
        names = ", ".join(sorted(entry.name for entry in folders)[:3])
        say(
            f"{folder}: beside its {len(videos)} videos, folders of pictures are read as videos, "
            f"too ({len(folders)}: {names}); a pattern such as {folder}/*.mp4 leaves them out"
        )
    return videos + folders


def _is_frame_folder(folder: pathlib.Path) -> bool:
    return bool(pictures(folder)) and not any(map(is_video, folder.iterdir()))


def _matching(pattern: pathlib.Path) -> list[pathlib.Path]:
    """What a glob matches, folder by folder: a part that exists stands for itself."""
    found = [pathlib.Path(pattern.anchor)]
    for part in pattern.relative_to(pattern.anchor).parts:
        found = list(dict.fromkeys(path for base in found for path in _children(base, part)))
    return found


def _children(base: pathlib.Path, part: str) -> list[pathlib.Path]:
    if os.path.lexists(base / part):  # A link to nothing says so when it is opened.
        return [base / part]
    # The second time, brackets are brackets: "take [1]*.mp4".
    for pattern in (part, part.replace("[", "[[]")) if glob.has_magic(part) else ():
        matches = glob.glob(os.path.join(glob.escape(str(base)), pattern), recursive=True)
        if matches:
            return [pathlib.Path(match) for match in matches]
    return _alike(base, part)


def _alike(base: pathlib.Path, part: str) -> list[pathlib.Path]:
    """What a name or pattern stands for if case and the way accents are stored do not matter.

    Cameras write ``GX01.MP4``, and what a Mac packed has its accents apart from their letters.
    """
    if part == "**" or not base.is_dir():
        return []
    wanted, magic = _plain(part), glob.has_magic(part)
    found = [
        entry
        for entry in sorted(base.iterdir())
        if not entry.name.startswith(".")
        and (fnmatch.fnmatchcase(_plain(entry.name), wanted) or _plain(entry.name) == wanted)
    ]
    if found and (magic or len(found) == 1):
        say(f"nothing is called {part!r} in {base}: taken is {found[0].name!r}, spelt otherwise")
        return found
    return []


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _of_matches(matches: list[pathlib.Path], pattern: str) -> list[pathlib.Path]:
    """The videos of a glob's matches; pictures beside videos are left out."""
    found: list[pathlib.Path] = []
    single = [p for p in matches if p.suffix.lower() in IMAGE_SUFFIXES and not p.is_dir()]
    for match in (path for path in matches if path not in set(single)):
        inside = _inside(match) if match.is_dir() else [match] if is_video(match) else []
        if not inside:
            raise ValueError(
                f"{pattern!r} matches {match}, which is neither a video nor a folder of frames: "
                "narrow the pattern, for example to *.mp4"
            )
        found += inside
    if single and not any(map(is_video, found)):
        raise ValueError(
            f"{pattern!r} matches single pictures ({single[0].name}): give the folder of frames "
            "itself"
        )
    if single:
        say(f"{pattern!r} also matches {len(single)} pictures, which are left out")
    return found
