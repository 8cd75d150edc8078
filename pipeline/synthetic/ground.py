"""The land of one year as a map of surfaces, mines included, and its crops on a day."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.synthetic import noise, spectra
from pipeline.synthetic.growth import Mine, MineState
from pipeline.synthetic.noise import FloatImage, Window
from pipeline.synthetic.spectra import CODE

SurfaceMap = NDArray[np.uint8]
FIELD_M = 190


@dataclass(frozen=True)
class Land:
    """What does not change from year to year, on one grid, from one world seed."""

    window: Window
    seed: int
    wild: FloatImage
    rough: FloatImage
    is_river: NDArray[np.bool_]
    is_village: NDArray[np.bool_]
    is_farmed: NDArray[np.bool_]
    is_road: NDArray[np.bool_]
    field: tuple[NDArray[np.int64], NDArray[np.int64]]
    texture: FloatImage


def land(grid: GeoBox, seed: int) -> Land:
    """Forest, farmland, rivers, villages and roads of a place."""
    window = Window.of(grid)
    wild = noise.fractal(window, 1400, seed + 10)
    rough = noise.fractal(window, 420, seed + 20)
    is_river = np.abs(noise.fractal(window, 3800, seed + 30, 3) - 0.5) < 0.006
    is_road = np.abs(noise.smooth(window, 2300, seed + 40) - 0.5) < 0.004
    houses = noise.white(window, 30, seed + 50)
    is_village = (noise.smooth(window, 900, seed + 60) > 0.86) & (houses > 0.35)
    angle = noise.uniform(window.zone, seed, 70).item()
    u = window.x[None, :] * np.cos(angle) + window.y[:, None] * np.sin(angle)
    v = window.y[:, None] * np.cos(angle) - window.x[None, :] * np.sin(angle)
    bend = (noise.smooth(window, 1100, seed + 80) - 0.5) * 300
    field = (
        np.floor((u + bend) / FIELD_M).astype(np.int64),
        np.floor((v + bend) / (1.7 * FIELD_M)).astype(np.int64),
    )
    texture = 0.6 * noise.white(window, 10, seed + 90) + 0.4 * noise.smooth(window, 35, seed + 91)
    texture = texture.astype(np.float32) - np.float32(0.5)
    return Land(window, seed, wild, rough, is_river, is_village, wild > 0.5, is_road, field, texture)


def surfaces(
    place: Land,
    year: int,
    day_of_year: int,
    latitude: float,
    mines: Iterable[tuple[Mine, MineState]],
) -> SurfaceMap:
    """Surface codes (height, width), indices into `spectra.NAMES`, on a day."""
    codes = _countryside(place, year)
    _grow_crops(codes, place, year, day_of_year, latitude)
    codes[place.is_road] = CODE["village"]
    codes[place.is_village] = CODE["village"]
    codes[place.is_river] = CODE["river"]
    for mine, state in mines:
        _dig(codes, place, mine, state)
    return codes


def _countryside(place: Land, year: int) -> SurfaceMap:
    codes = np.where(place.rough > 0.5, CODE["conifer"], CODE["broadleaf"]).astype(np.uint8)
    codes[(place.wild > 0.45) & (place.rough > 0.6)] = CODE["grass"]
    # Fellings: patches cut in a year of their own, bare for four years.
    cut_year = np.floor(noise.white(place.window, 420, place.seed + 100) * 26).astype(np.int64)
    age = (year - cut_year) % 26
    is_cut = (age < 4) & (noise.smooth(place.window, 170, place.seed + 101) > 0.55)
    codes[is_cut & (codes == CODE["conifer"])] = CODE["clearcut"]
    return codes


def _grow_crops(codes: SurfaceMap, place: Land, year: int, day: int, latitude: float) -> None:
    """Each field grows winter wheat, maize or grass, or lies bare, changing from year to year."""
    row, column = place.field
    crop = noise.uniform(place.window.zone, place.seed + 110, year, row, column)
    sown = noise.uniform(place.window.zone, place.seed + 111, year, row, column)
    own = noise.uniform(place.window.zone, place.seed + 112, row, column)
    wheat = (crop < 0.4) & place.is_farmed
    maize = (crop >= 0.4) & (crop < 0.72) & place.is_farmed
    codes[place.is_farmed] = np.where(own > 0.5, CODE["grass"], CODE["stubble"])[place.is_farmed]
    codes[(crop >= 0.9) & place.is_farmed] = CODE["soil"]
    for is_crop, peak, width, bare in (
        (wheat, 140, 55, "stubble"),
        (maize, 220, 50, "soil"),
    ):
        green = spectra.greenness(day, latitude, peak, width)
        codes[is_crop] = np.where(sown < green, CODE["crop"], CODE[bare])[is_crop]


def _dig(codes: SurfaceMap, place: Land, mine: Mine, state: MineState) -> None:
    """Pit, dumps, tailings, tracks and plant inside the footprint; young growth where reclaimed."""
    window, seed, depth = place.window, mine.seed & 0xFFFFFF, state.depth
    zone = noise.fractal(window, max(350.0, mine.size_m / 2.5), seed, 3)
    inner = CODE["coal"] if mine.is_coal else CODE["pit"]
    kinds = np.full(codes.shape, inner, np.uint8)
    # Benches follow the edge inwards; dumps and ponds lie where the zones say.
    kinds[(depth % 130) < 28] = CODE["dump"]
    kinds[zone > 0.56] = CODE["dump"]
    wet = (zone < 0.36) & (depth > 45)
    kinds[wet] = CODE["tailings"]
    kinds[wet & (zone < 0.31)] = CODE["pond"]
    kinds[np.abs(noise.smooth(window, 520, seed + 7) - 0.5) < 0.014] = CODE["track"]
    is_built = (noise.smooth(window, 300, seed + 8) > 0.88) & (noise.white(window, 40, seed + 9) > 0.4)
    kinds[is_built] = CODE["plant"]
    # Scrub keeps standing in undisturbed corners: footprints are drawn round it.
    scrub = (noise.fractal(window, 160, seed + 10, 2) > 0.72) & (depth < 120)
    kinds[scrub] = CODE["grass"]
    codes[state.footprint] = kinds[state.footprint]
    codes[state.reclaimed] = CODE["young"]
