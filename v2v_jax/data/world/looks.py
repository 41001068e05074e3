"""How the two domains of the synthetic driving world look: colours, light, haze and noise."""

from __future__ import annotations

import dataclasses

Colour = tuple[float, float, float]

PALETTES = {"walls": 5, "leaves": 3, "paints": 8}
"""How many colours every look has to choose from.  Drawing one of five takes other random numbers
than drawing one of three, and what is drawn next decides where things stand."""


@dataclasses.dataclass(frozen=True)
class Look:
    """One domain's appearance: colours are RGB 0..255, lengths metres.

    Nothing here may decide what stands where: that is ``Layout``.

    Raises:
      ValueError: a palette whose length is not that of ``PALETTES``.
    """

    sky_top: Colour
    sky_low: Colour
    cloud: Colour
    clouds: float
    """How much the clouds cover; where they are is the layout's."""
    road: Colour
    walk: Colour
    terrain: Colour
    marking: Colour
    backdrop: Colour
    trunk: Colour
    roof: Colour
    red: Colour
    blue: Colour
    glass: Colour
    walls: tuple[Colour, ...]
    leaves: tuple[Colour, ...]
    paints: tuple[Colour, ...]
    haze: float
    """Share of light lost per metre; what is lost becomes ``sky_low``."""
    grain: float
    """Strength of surface texture."""
    noise: float
    """Sensor noise, standard deviation in grey levels."""
    ambient: float
    sun: float
    shadow: float
    """Light left in a shadow."""
    lean: tuple[float, float]
    """Where a shadow falls, metres in X and Z per metre of height."""
    canopy: float
    """Radius of a tree's or person's shadow, share of its width."""

    def __post_init__(self):
        for name, count in PALETTES.items():
            if len(getattr(self, name)) != count:
                raise ValueError(
                    f"look: {len(getattr(self, name))} {name}, give {count}: "
                    "another number would move what stands in the world"
                )


LOOKS = {
    "game": Look(
        sky_top=(62, 132, 232), sky_low=(176, 214, 248), cloud=(250, 251, 255),
        clouds=0.75, road=(112, 110, 118), walk=(202, 192, 178), terrain=(104, 182, 66),
        marking=(248, 246, 236), backdrop=(112, 160, 150),
        trunk=(122, 84, 52), roof=(196, 84, 56), red=(226, 34, 34), blue=(32, 84, 210),
        glass=(96, 146, 196),
        walls=((238, 214, 160), (236, 176, 128), (226, 226, 218), (214, 150, 132), (160, 196, 214)),
        leaves=((84, 172, 52), (62, 150, 58), (124, 186, 58)),
        paints=((214, 36, 34), (240, 190, 36), (40, 96, 206), (238, 238, 240), (44, 158, 96),
                (236, 120, 30), (52, 52, 60), (150, 60, 170)),
        haze=0.0022, grain=0.35, noise=0.8, ambient=0.74, sun=0.34, shadow=0.62, lean=(0.75, 0.35),
        canopy=0.42,
    ),
    "street": Look(
        sky_top=(196, 202, 200), sky_low=(206, 210, 204), cloud=(224, 226, 222),
        clouds=0.35, road=(92, 95, 92), walk=(124, 123, 116), terrain=(88, 98, 70),
        marking=(196, 198, 190), backdrop=(108, 120, 104),
        trunk=(62, 56, 48), roof=(104, 84, 76), red=(150, 52, 46), blue=(52, 72, 110),
        glass=(70, 80, 80),
        walls=((150, 140, 120), (132, 120, 108), (168, 160, 142), (118, 112, 104), (142, 118, 102)),
        leaves=((66, 84, 50), (54, 72, 46), (80, 90, 54)),
        paints=((52, 54, 56), (150, 152, 150), (92, 28, 28), (196, 198, 196), (40, 52, 74),
                (76, 82, 74), (110, 112, 114), (28, 29, 31)),
        haze=0.0065, grain=1.0, noise=1.4, ambient=0.92, sun=0.08, shadow=0.6, lean=(0.0, 0.0),
        canopy=0.12,
    ),
}  # fmt: skip
