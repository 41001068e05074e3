"""What stands where in the two domains of the synthetic driving world, whatever it looks like."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Layout:
    """One domain's geometry: lengths in metres, chances per plot and side of the road.

    Labels, flow and occlusion follow from it alone; a ``Look`` only colours them.
    """

    camera_height: float
    backdrop_height: float
    """Mean height of the hills over their distance."""
    building: float
    floors: tuple[int, int]
    setback: tuple[float, float]
    """Range of a facade's distance from the road's axis."""
    gap: float
    tree: float
    second_row: float
    bush: float
    parked: float
    traffic: float
    people: float
    sign: float
    view: float = 170.0
    """How far things are drawn."""


LAYOUTS = {
    "game": Layout(
        camera_height=1.25, backdrop_height=0.03,
        building=0.42, floors=(1, 2), setback=(12.5, 16.0), gap=3.0, tree=0.16, second_row=0.1,
        bush=0.35, parked=0.22, traffic=0.3, people=0.14, sign=0.3,
    ),
    "street": Layout(
        camera_height=1.5, backdrop_height=0.16,
        building=0.93, floors=(4, 7), setback=(9.8, 11.0), gap=0.4, tree=0.6, second_row=0.5,
        bush=0.15, parked=0.62, traffic=0.38, people=0.4, sign=0.3,
    ),
}  # fmt: skip
