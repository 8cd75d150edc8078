"""Reflectance of surfaces in ten Sentinel-2 bands, and its course over the year.

The values are written by hand, not copied: they follow the well-known shapes of surface
reflectance (the green peak, chlorophyll's absorption at 665 nm, the red edge from 705 to 783 nm,
leaf water lowering 1,610 and 2,190 nm, soils rising steadily to the SWIR, clay and carbonate
lowering 2,190 nm, clear water falling to nothing past 700 nm, suspended sediment lifting 560 to
740 nm, snow bright in the visible and dark in the SWIR, cloud bright throughout). The USGS
Spectral Library Version 7 (Kokaly et al. 2017, doi 10.3133/ds1035) shows measured examples of
each; no sample of it is reproduced here.
"""

import numpy as np
from numpy.typing import NDArray

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
FINE_BANDS = ("B02", "B03", "B04", "B08")
"""Delivered at 10 m; the others at 20 m."""

# Surface reflectance in thousandths:     B2   B3   B4   B5   B6   B7   B8  B8A  B11  B12
SURFACES: dict[str, tuple[int, ...]] = {
    "conifer":                          ( 18,  32,  22,  60, 150, 185, 200, 212, 105,  48),
    "broadleaf":                        ( 24,  52,  28,  90, 270, 345, 365, 385, 185,  82),
    "leafless":                         ( 48,  66,  78, 105, 150, 172, 188, 202, 215, 150),
    "grass":                            ( 36,  70,  52, 115, 240, 285, 300, 320, 230, 130),
    "crop":                             ( 30,  68,  34, 108, 320, 410, 430, 450, 210, 100),
    "stubble":                          ( 78, 110, 145, 175, 205, 225, 245, 262, 320, 255),
    "soil":                             ( 72, 100, 135, 162, 182, 198, 212, 228, 300, 262),
    "river":                            ( 55,  72,  58,  46,  24,  22,  18,  14,   6,   4),
    "village":                          (110, 128, 140, 152, 172, 182, 192, 202, 220, 195),
    "clearcut":                         ( 60,  85, 105, 135, 175, 195, 212, 228, 275, 205),
    "pit":                              (118, 140, 165, 178, 188, 194, 200, 206, 240, 205),
    "coal":                             ( 48,  54,  62,  68,  74,  80,  86,  92, 118, 112),
    "dump":                             (140, 172, 205, 226, 240, 250, 258, 266, 318, 262),
    "tailings":                         (215, 250, 280, 288, 275, 268, 258, 250, 170,  98),
    "pond":                             ( 82, 118, 105,  78,  40,  34,  28,  22,   9,   6),
    "track":                            (150, 178, 205, 218, 228, 234, 240, 246, 285, 250),
    "plant":                            (185, 198, 210, 216, 224, 230, 236, 240, 250, 225),
    "young":                            ( 46,  78,  76, 128, 215, 250, 262, 280, 262, 165),
    "snow":                             (780, 790, 780, 775, 760, 750, 740, 720, 110,  80),
}  # fmt: skip
NAMES = tuple(SURFACES)
CODE = {name: code for code, name in enumerate(NAMES)}
MINE = ("pit", "coal", "dump", "tailings", "pond", "track", "plant")

# What a surface turns into when it is not green, and when it is greenest: (bare, peak, width),
# days of a northern year.
COURSE: dict[str, tuple[str, float, float]] = {
    "broadleaf": ("leafless", 196, 105),
    "grass": ("stubble", 165, 120),
    "young": ("soil", 175, 120),
}
CLOUD = np.array([610, 600, 605, 615, 625, 630, 635, 640, 470, 350], np.float32) / 1000
HAZE = np.array([42, 30, 20, 17, 14, 12, 10, 9, 4, 2], np.float32) / 1000


def table(day_of_year: int, latitude: float) -> NDArray[np.float32]:
    """Reflectance (surface, band) in 0..1 on a day: greenness follows the season, which fades
    towards the equator and turns half a year in the south."""
    values = np.array(list(SURFACES.values()), np.float32) / 1000
    greened = values.copy()
    for name, (bare, peak, width) in COURSE.items():
        green = greenness(day_of_year, latitude, peak, width)
        greened[CODE[name]] = green * values[CODE[name]] + (1 - green) * values[CODE[bare]]
    return greened.astype(np.float32)


def greenness(day_of_year: int, latitude: float, peak: float, width: float) -> float:
    """Share of green, 0..1: a bell of `width` days round `peak` (day of a northern year)."""
    northern = day_of_year if latitude >= 0 else day_of_year + 182.6
    distance = (northern - peak + 182.6) % 365.25 - 182.6
    bell = float(np.exp(-((distance / width) ** 2)))
    seasonal = min(1.0, max(0.0, (abs(latitude) - 10) / 25))
    return 1 - seasonal * (1 - bell)
