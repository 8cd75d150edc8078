"""Web-mercator tiles in dated releases (z/x/y addresses), such as a wayback archive's.

A release's date is the day it was published; its images are older, by an unknown time and not the
same everywhere. `dated_by` says so in the table of scenes.
"""

import io
import math
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from PIL import Image, UnidentifiedImageError
from pydantic import Field, model_validator
from rasterio.enums import Resampling
from shapely.geometry.base import BaseGeometry

from minebench.errors import InputError, WorkError
from minebench.files import replacing, write_json
from pipeline.core import eight_bits, limits
from pipeline.geo import geodesy, window
from pipeline.sensors.profile import Profile, Sensor
from pipeline.sources.protocol import Asset, Remote, Scene, Setting, Source, Upstream
from pipeline.web import client

TILE = 256
"""Side of a tile, pixels."""
HALF_WORLD_M = math.pi * 6_378_137
"""Half the width of the web-mercator square."""
BANDS = ("R", "G", "B")
CACHE = "tiles"
"""Folder of tiles under the benchmark's data."""
LARGEST_TILE = 2**20
"""Bytes; a tile of 256 pixels without compression has a quarter of that."""


class Options(Remote):
    """Web-mercator tiles in dated releases, RGB. A release's date is not the day of its images."""

    personal: ClassVar[frozenset[str]] = frozenset({"parallel", "key_from", "per_second", "may_be_passed_on"})
    name: Literal["xyz"]
    template: str
    """Address with {z}, {x}, {y}, {release} and, for a key from the environment, {key}."""
    releases: dict[str, str] = Field(min_length=1)
    """Date (YYYY-MM-DD) to the release's name in the address."""
    zoom: int = Field(ge=0, le=23)
    attributed_to: str = Field(alias="attribution")
    terms: str
    """Address of the terms of use."""
    may_be_passed_on: bool = False
    """Whether the terms let the images be published."""
    key_from: str | None = None
    """Environment variable with the key."""
    per_second: float = Field(default=10, gt=0)
    """Most requests a second."""
    parallel: int = Field(default=4, ge=1, le=16)

    @model_validator(mode="after")
    def _check(self) -> "Options":
        for place in ("{z}", "{x}", "{y}"):
            if place not in self.template:
                raise ValueError(f"template lacks {place}")
        if ("{key}" in self.template) != (self.key_from is not None):
            raise ValueError("key_from and {key} in template go together")
        if not self.template.startswith(("https://", "http://")):
            raise ValueError("template must be an http(s) address")
        for day in self.releases:
            date.fromisoformat(day)
        return self

    def open(self, setting: Setting) -> Source:
        return XyzSource(self, setting.sensor, setting.data / CACHE)

    def asked(self, site_id: str, setting: Setting) -> list[Any]:
        return [self.model_dump(mode="json", exclude=set(self.personal), by_alias=True)]

    def announce(self, setting: Setting) -> None:
        show_terms(self, setting.data / CACHE)

    def expected(self, first: date, last: date, profile: Profile) -> int:
        return sum(str(first) <= day < str(last) for day in self.releases)

    def requests_a_second(self) -> float:
        return self.per_second

    def attribution(self, profile: Profile, years: str) -> list[Upstream]:
        return [
            Upstream(
                self.attributed_to,
                "images",
                "terms of use",
                self.attributed_to,
                self.terms,
                self.may_be_passed_on,
            )
        ]

    def providers(self) -> list[dict[str, Any]]:
        return [{"name": self.attributed_to, "roles": ["producer", "licensor"], "url": self.terms}]


class XyzSource:
    """See `pipeline.sources.protocol.Source`. A release is a scene; pixels with data are clear.

    Notes on masking. A tile that the server does not have (404) and transparent pixels are nodata;
    every other pixel is an image, and black in it is a colour (`pipeline.core.eight_bits`).
    """

    mask_band: str | None = None

    def __init__(self, options: Options, sensor: Sensor, cache: Path) -> None:
        if unknown := set(sensor.bands) - set(BANDS):
            raise InputError(f"sensor.bands: web tiles have {', '.join(BANDS)}, and no {min(unknown)}.")
        if not sensor.encoding.is_picture:
            raise InputError("sensor.dtype: web tiles are uint8.")
        self.options, self.resolution, self.cache = options, sensor.resolution, cache
        self.parallel = options.parallel
        self.key = os.environ.get(options.key_from or "", "")
        if options.key_from and not self.key:
            raise InputError(f"source.key_from: the environment has no {options.key_from}.")

    def search(self, area: BaseGeometry, start: date, end: date) -> list[Scene]:
        zoom = zoom_for(geodesy.centre(area)[1], self.resolution, self.options.zoom)
        days = sorted(day for day in self.options.releases if start <= date.fromisoformat(day) < end)
        return [self.find(f"{day}/{zoom}") for day in days]

    def find(self, href: str) -> Scene:
        day, _, zoom = href.partition("/")
        if day not in self.options.releases or not zoom.isdigit():
            raise WorkError(f"source.releases has no {day} any more.")
        asset = Asset(href, world(int(zoom)))
        return Scene(
            id=f"{day}_{self.options.releases[day]}",
            time=datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC),
            assets=dict.fromkeys(BANDS, asset),
            source="xyz",
            href=href,
            dated_by="release",
        )

    def native(self, scene: Scene, band: str) -> GeoBox:
        grid = scene.assets[band].grid
        assert grid is not None
        return grid

    def read(self, scene: Scene, bands: Sequence[str], grid: GeoBox) -> NDArray[Any]:
        order = [BANDS.index(band) for band in bands]
        area = window.covering(self.native(scene, bands[0]), grid)
        if area is None:
            return np.zeros((len(bands), *grid.shape), np.uint16)
        return window.placed(self._mosaic(scene, area)[order], area, grid, Resampling.bilinear)

    def requests(self, bands: Sequence[str], grid: GeoBox) -> int:
        _, lat = geodesy.centre(grid.extent.to_crs("EPSG:4326").geom)
        pixel = ground_m(lat, zoom_for(lat, self.resolution, self.options.zoom))
        sides = (math.ceil(size * self.resolution / pixel / TILE) + 1 for size in grid.shape)
        return math.prod(sides)

    def _mosaic(self, scene: Scene, area: GeoBox) -> NDArray[np.uint16]:
        """The tiles' pixels (3, y, x), one higher, on a part of the web-mercator grid."""
        day, _, zoom = scene.href.partition("/")
        rows, columns = world(int(zoom)).overlap_roi(area, tol=1e-3)
        top, left = rows.start, columns.start
        tiles = list(_touched(top, left, area.shape))
        with ThreadPoolExecutor(limits.threads_for(self.parallel)) as pool:
            jobs = [pool.submit(copy_context().run, self._tile, day, int(zoom), x, y) for y, x in tiles]
            images = [job.result() for job in jobs]
        result = np.zeros((3, *area.shape), np.uint16)
        for (y, x), image in zip(tiles, images, strict=True):
            _paste(result, image, y * TILE - top, x * TILE - left)
        return result

    def _tile(self, day: str, zoom: int, x: int, y: int) -> NDArray[np.uint16]:
        """One tile (3, 256, 256), one higher, from the cache or the server; nodata 0."""
        release = self.options.releases[day]
        path = self.cache / quote(release, safe="") / str(zoom) / str(x) / str(y)
        name = f"Tile {zoom}/{x}/{y} of release {release}"
        if not path.is_file():
            places = {"z": zoom, "x": x, "y": y, "release": release, "key": self.key}
            limits.wait_for_turn(client.host(self.options.template), self.options.per_second)
            try:
                url = self.options.template.format(**places)
                content = client.get(url, limit=LARGEST_TILE, parallel=self.parallel).content
            except client.Gone:
                content = b""
            except client.Refused as error:
                # The address may hold the key: the tile's name stands for it.
                raise WorkError(f"{name} is refused (HTTP {error.status}).") from None
            if content:
                _decoded(content, name)
            with replacing(path) as temporary:
                temporary.write_bytes(content)
        content = path.read_bytes()
        return _decoded(content, name) if content else np.zeros((3, TILE, TILE), np.uint16)


def world(zoom: int) -> GeoBox:
    """The web-mercator grid of a zoom level."""
    side = TILE * 2**zoom
    size = 2 * HALF_WORLD_M / side
    return GeoBox((side, side), Affine(size, 0, -HALF_WORLD_M, 0, -size, HALF_WORLD_M), "EPSG:3857")


def ground_m(latitude: float, zoom: int) -> float:
    """Side of a pixel on the ground, metres: web mercator stretches by 1 / cos(latitude)."""
    return 2 * HALF_WORLD_M * math.cos(math.radians(latitude)) / (TILE * 2**zoom)


def zoom_for(latitude: float, resolution: float, highest: int) -> int:
    """The coarsest level, up to `highest`, whose pixels on the ground are at least as fine as
    `resolution` (metres)."""
    fits = (zoom for zoom in range(highest + 1) if ground_m(latitude, zoom) <= resolution)
    return next(fits, highest)


def show_terms(options: Options, cache: Path) -> None:
    """Say once a benchmark whose tiles these are and under which terms; keep it on record."""
    record = cache / "TERMS.json"
    terms = {"attribution": options.attributed_to, "terms": options.terms, "template": options.template}
    if record.is_file() and f'"{options.terms}"' in record.read_text():
        return
    print(f"fetch: tiles of {options.attributed_to}; their terms of use: {options.terms}", file=sys.stderr)
    write_json(terms, record)


def _touched(top: int, left: int, shape: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Row and column of every tile that a window of the world's grid touches."""
    for y in range(top // TILE, (top + shape[0] - 1) // TILE + 1):
        for x in range(left // TILE, (left + shape[1] - 1) // TILE + 1):
            yield y, x


def _paste(result: NDArray[np.uint16], image: NDArray[np.uint16], row: int, column: int) -> None:
    """Put a tile at its place, as far as it lies inside."""
    height, width = result.shape[1:]
    top, left = max(0, row), max(0, column)
    bottom, right = min(height, row + TILE), min(width, column + TILE)
    result[:, top:bottom, left:right] = image[:, top - row : bottom - row, left - column : right - column]


def _decoded(content: bytes, name: str) -> NDArray[np.uint16]:
    """A PNG, JPEG or WebP tile as (3, 256, 256), one higher; transparent pixels 0."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as image:
            if image.size != (TILE, TILE):
                raise WorkError(f"{name} is {image.size[0]} by {image.size[1]} pixels, not {TILE}.")
            pixels = np.asarray(image.convert("RGBA"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise WorkError(f"{name} is not an image.") from None
    rgb = eight_bits.raised(pixels[..., :3], pixels[..., 3:] > 0)
    return np.ascontiguousarray(rgb.transpose(2, 0, 1))


_conforms: type[Source] = XyzSource
