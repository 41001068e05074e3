"""What a video says of itself and keeps: when it was made, and where only if that is asked for.

Nothing else is handed on: names of devices and programs, titles, chapters and the rotation, which
has been applied to the frames.
"""

from __future__ import annotations

from typing import Any

TIME = ("creation_time",)
PLACE = ("location", "location-eng", "com.apple.quicktime.location.ISO6709")


def keep_metadata(source: Any, result: Any, *, location: bool) -> None:
    """From one open PyAV container to one that has no header yet.

    Args:
        source, result: the containers.
        location: also where it was filmed.
    """
    for name in (*TIME, *(PLACE if location else ())):
        value = source.metadata.get(name)
        if value:
            # Only under this name does FFmpeg write the place where players look for it.
            result.metadata["location" if name in PLACE else name] = value
