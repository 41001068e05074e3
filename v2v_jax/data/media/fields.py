"""Interlaced video: its two fields told apart, made one picture, or written as they came."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.error
import av.filter
import numpy as np

from v2v_jax.data.media.packets import exact

_BOTTOM_FIRST = (3, 5)
"""FFmpeg's AV_FIELD_BB and AV_FIELD_BT."""


def field_order(frame: Any, context: Any) -> str | None:
    """Which field of a video comes first, "tff" or "bff"; None: it is progressive.

    Args:
        frame: the first one, as PyAV decodes it.
        context: PyAV's codec context of the stream; older PyAVs do not know the order, and most
            video has its top field first.
    """
    if not frame.interlaced_frame:
        return None
    return "bff" if int(getattr(context, "field_order", 0) or 0) in _BOTTOM_FIRST else "tff"


def deinterlaced(frames: Iterator[Any], first: str) -> Iterator[Any]:
    """Every interlaced frame as one progressive picture, by FFmpeg's bwdif; others as they are.

    Args:
        frames: PyAV's decoded frames; as many come out, each with its time stamp.
        first: the field that comes first, see `field_order`; "auto": as each frame says.
    """
    graph: Any = None
    size: tuple[int, int, str] | None = None
    stamps: list[tuple[Any, Any]] = []
    options = f"mode=send_frame:parity={first}:deint=interlaced"
    for frame in frames:
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if graph is None or size != _kind(frame):
            if graph is not None:
                graph.vpush(None)
                yield from _pulled(graph, stamps)
            graph, size = _graph(frame, [("bwdif", options)]), _kind(frame)
        stamps.append((frame.pts, frame.time_base))
        graph.vpush(frame)
        yield from _pulled(graph, stamps)
    if graph is not None:
        graph.vpush(None)
        yield from _pulled(graph, stamps)


def _pulled(graph: Any, stamps: list[tuple[Any, Any]]) -> Iterator[Any]:
    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        # The filter counts in half ticks, and needs a time where the file has none.
        pts, base = stamps.pop(0)
        frame.pts, frame.time_base = pts, base
        yield frame


def _graph(frame: Any, steps: list[tuple[str, str]]) -> Any:
    base = frame.time_base or Fraction(1, 25)
    graph = av.filter.Graph()
    begin = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format.name,
        time_base=exact(base),
    )
    nodes = [graph.add(name, options) for name, options in steps]
    graph.link_nodes(begin, *nodes, graph.add("buffersink")).configure()
    return graph


def _kind(frame: Any) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


class FieldWriter:
    """RGB pictures of two fields as frames that say so; chroma is averaged within each field.

    Args:
        order: "tff" or "bff".
        pix_fmt: of the frames that come out, BT.709 in the limited range.
    """

    def __init__(self, order: str, pix_fmt: str) -> None:
        self._steps = [
            ("scale", "interl=1:out_color_matrix=bt709:out_range=tv"),
            ("format", pix_fmt),
            ("setfield", order),
        ]
        self._graph: Any = None

    def frame(self, picture: np.ndarray) -> Any:
        """uint8 [H, W, 3] RGB -> PyAV's frame."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        if self._graph is None:
            self._graph = _graph(frame, self._steps)
        self._graph.vpush(frame)
        return self._graph.vpull()


def can_hold_fields(height: int, pix_fmt: str) -> bool:
    """Whether H.264 can code pictures of this height as two fields."""
    return height % (4 if pix_fmt == "yuv420p" else 2) == 0
