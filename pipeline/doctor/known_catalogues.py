"""What is known of each catalogue: its `source` in a recipe, where and when to query it, what to expect.

Places have ground that changes little, or the property that a check is about. Dates are years back, so that
their images are in the archives. A new catalogue is one entry here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from minebench.cube import encoding
from minebench.errors import UnknownName
from pipeline.sensors.profile import Sensor


@dataclass(frozen=True)
class Question:
    """A place (longitude, latitude) and dates, from `start` to before `end`."""

    place: tuple[float, float]
    start: date
    end: date


@dataclass(frozen=True)
class KnownScene:
    """A scene whose item was reported to state a wrong offset.

    `words` is the offset (digital numbers) that the item's metadata say is to be subtracted, `pixels` the one
    that its pixels contain. Neighbouring scenes are searched within `around` degrees of the place.
    """

    id: str
    at: Question
    words: int
    pixels: int
    report: str
    around: float = 0.6


@dataclass(frozen=True)
class EngineQuestions:
    """Years, periods and bands of the checks that only Earth Engine has."""

    score_years: tuple[int, ...] = (2016, 2018, 2024)
    """Years in which Cloud Score+ should have each Sentinel-2 image."""
    nothing: tuple[date, date] = (date(2014, 1, 1), date(2015, 1, 1))
    """A period before the first image (from, to before)."""
    composite: tuple[date, date] = (date(2023, 1, 1), date(2024, 1, 1))
    """The period of the large median (from, to before)."""
    composite_km: float = 10.0
    """Side of the large median's square, kilometres."""
    composite_bands: tuple[str, ...] = (
        "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12",
    )  # fmt: skip


@dataclass(frozen=True)
class Catalogue:
    """What is known of a catalogue before it is queried.

    `source` is the recipe's `source`. `offset` is the offset (digital numbers) that the metadata of a scene
    from 2022 on should state, None where metadata are not trusted. `before` are earlier dates (from, to
    before) to compare pixels with, for which the offset is certain. A check whose question is None is left
    out.
    """

    name: str
    about: str
    source: Mapping[str, Any] = field(repr=False)
    sensor: Sensor = field(repr=False)
    ask: Question
    offset: int | None = None
    before: tuple[date, date] | None = None
    known: KnownScene | None = None
    crowded: Question | None = None
    """A place where four tiles meet, for a whole year."""
    water: Question | None = None
    """Dark water."""
    places: tuple[tuple[float, float], ...] = ()
    """Places (longitude, latitude) whose files should all be read with one token."""
    engine: EngineQuestions | None = None
    """Questions for Earth Engine alone."""


VIENNA, CAIRO, LAS_VEGAS = (16.41, 48.21), (31.24, 30.05), (-115.14, 36.17)
"""Large cities change little with the seasons."""
SUMMER, EARLIER = (date(2024, 6, 1), date(2024, 8, 1)), (date(2021, 6, 1), date(2021, 8, 1))
FOUR_TILES = Question((16.40, 47.80), date(2023, 1, 1), date(2024, 1, 1))
"""South of Vienna, at easting 605 km and northing 5,295 km of zone 33."""
LAKE = Question((13.55, 47.87), date(2024, 6, 1), date(2024, 9, 1))
"""Attersee: deep, clear and dark."""
TWENTY = tuple((14.0 + 0.5 * east, 46.5 + 0.5 * north) for north in range(4) for east in range(5))
SENTINEL_2 = Sensor(bands=("B02", "B03", "B04", "B08"), rgb=("B04", "B03", "B02"), resolution=10, snap=20)
LANDSAT = Sensor(bands=("blue", "green", "red", "nir08"), rgb=("red", "green", "blue"), resolution=30)
NAIP = Sensor(profile="naip", bands=("R", "G", "B"), rgb=("R", "G", "B"), dtype="uint8", resolution=1)
EMBEDDING = Sensor(bands=encoding.BANDS[:4], rgb=encoding.BANDS[:3], dtype="int8", resolution=10)
NAIP_YEARS = Question(LAS_VEGAS, date(2017, 1, 1), date(2024, 1, 1))
LANDSAT_DATES = Question(LAS_VEGAS, *SUMMER)
EARTH_SEARCH = "https://earth-search.aws.element84.com/v1"
PLANETARY_COMPUTER = "https://planetarycomputer.microsoft.com/api/stac/v1"


def _stac(href: str, collection: str, **more: Any) -> dict[str, Any]:
    return {"name": "stac", "href": href, "collections": [collection], **more}


CATALOGUES: dict[str, Catalogue] = {
    one.name: one
    for one in (
        Catalogue(
            "earth-search", "Earth Search v1, sentinel-2-l2a: GeoTIFF, no account",
            _stac(EARTH_SEARCH, "sentinel-2-l2a"), SENTINEL_2, Question(VIENNA, *SUMMER),
            before=(date(2021, 2, 1), date(2021, 4, 15)),
            known=KnownScene(
                "S2B_33UXP_20250302_0_L2A", Question(VIENNA, date(2025, 3, 2), date(2025, 3, 3)), 1000, 0,
                "Element84/earth-search #71",
            ),
            crowded=FOUR_TILES, water=LAKE,
        ),
        Catalogue(
            "earth-search-c1", "Earth Search v1, sentinel-2-c1-l2a: ESA's Collection 1, no account",
            _stac(EARTH_SEARCH, "sentinel-2-c1-l2a"), SENTINEL_2, Question(VIENNA, *SUMMER),
            offset=1000, before=EARLIER, crowded=FOUR_TILES, water=LAKE,
        ),
        Catalogue(
            "earth-search-landsat", "Earth Search v1, landsat-c2-l2: keys of AWS, readers pay",
            _stac(EARTH_SEARCH, "landsat-c2-l2"), LANDSAT, LANDSAT_DATES,
        ),
        Catalogue(
            "earth-search-naip", "Earth Search v1, naip: keys of AWS, readers pay",
            _stac(EARTH_SEARCH, "naip"), NAIP, NAIP_YEARS,
        ),
        Catalogue(
            "planetary-computer", "Planetary Computer, sentinel-2-l2a: GeoTIFF, tokens, no account",
            _stac(PLANETARY_COMPUTER, "sentinel-2-l2a"), SENTINEL_2, Question(VIENNA, *SUMMER),
            offset=1000, before=EARLIER, places=TWENTY,
        ),
        Catalogue(
            "planetary-computer-landsat", "Planetary Computer, landsat-c2-l2: tokens, no account",
            _stac(PLANETARY_COMPUTER, "landsat-c2-l2"), LANDSAT, LANDSAT_DATES,
        ),
        Catalogue(
            "planetary-computer-naip", "Planetary Computer, naip: tokens, no account",
            _stac(PLANETARY_COMPUTER, "naip"), NAIP, NAIP_YEARS,
        ),
        Catalogue(
            "copernicus-data-space", "Copernicus Data Space, sentinel-2-l2a: JPEG 2000, S3 keys",
            _stac("https://stac.dataspace.copernicus.eu/v1", "sentinel-2-l2a", parallel=4), SENTINEL_2,
            Question(VIENNA, *SUMMER), offset=1000, before=EARLIER,
        ),
        Catalogue(
            "digital-earth-africa", "Digital Earth Africa, s2_l2a: GeoTIFF, public bucket",
            _stac("https://explorer.digitalearth.africa/stac", "s2_l2a"), SENTINEL_2,
            Question(CAIRO, *SUMMER), before=EARLIER,
        ),
        Catalogue(
            "usgs", "USGS, landsat-c2l2-sr: a login, or by its bucket keys of AWS, readers pay",
            _stac("https://landsatlook.usgs.gov/stac-server", "landsat-c2l2-sr"), LANDSAT, LANDSAT_DATES,
        ),
        Catalogue(
            "earthengine", "Earth Engine, Sentinel-2 with Cloud Score+: account and project",
            {"name": "earthengine", "cloud": "cloud_score_plus"}, SENTINEL_2, Question(VIENNA, *SUMMER),
            offset=0, before=EARLIER, engine=EngineQuestions(),
        ),
        Catalogue(
            "earthengine-embeddings", "Earth Engine, Satellite Embedding: account and project",
            {"name": "earthengine", "collection": "GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL", "cloud": "none"},
            EMBEDDING, Question(VIENNA, date(2023, 1, 1), date(2024, 1, 1)),
        ),
        Catalogue(
            "source-cooperative", "Source Cooperative, Satellite Embedding as COGs: no account",
            {"name": "source_coop"}, EMBEDDING, Question(VIENNA, date(2023, 1, 1), date(2024, 1, 1)),
        ),
    )
}  # fmt: skip


def named(name: str) -> Catalogue:
    """Return the catalogue with a name. UnknownName lists the names there are."""
    if name not in CATALOGUES:
        raise UnknownName(f"There is no catalogue '{name}'; choose one of {', '.join(CATALOGUES)}.")
    return CATALOGUES[name]
