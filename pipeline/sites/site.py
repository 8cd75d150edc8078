"""A site as a value: its place, its AOI and its grid, decided once."""

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from minebench import tables
from minebench.layout import BenchmarkPaths
from minebench.periods import Period
from pipeline.geo import gdal, geodesy, grid
from pipeline.recipe import Recipe


@dataclass(frozen=True)
class Site:
    """One site. `geometry` is the AOI and `footprint` the listed mines' outline, both in EPSG:4326;
    `grid` is the GeoBox that all its dates are read onto. Ungeoreferenced tiles have epsg 0."""

    site_id: str
    name: str | None
    country: str | None
    production: str | None
    area_km2: float
    mines: int
    epsg: int
    grid: GeoBox
    pixel_m2: float
    geometry: BaseGeometry = field(repr=False, compare=False)
    footprint: BaseGeometry | None = field(repr=False, compare=False)
    elsewhere: BaseGeometry | None = field(default=None, repr=False, compare=False)
    """Ground of the AOI that another site counts, in EPSG:4326."""
    part: int = 1
    parts: int = 1
    """Which of its mine's sites it is, and how many there are."""
    production_start: int | None = None
    """The year in which the mine list says that production began; None where it is not known."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, pixels."""
        return self.grid.height, self.grid.width

    @property
    def pixel_km2(self) -> float:
        return self.pixel_m2 / 1e6

    @cached_property
    def place(self) -> tuple[float, float]:
        """Longitude and latitude of the AOI's centre."""
        return geodesy.centre(self.geometry)

    @property
    def label(self) -> str:
        """What people call it."""
        if self.name and self.parts > 1:
            return f"{self.name} ({self.part} of {self.parts})"
        return self.name or self.site_id

    def aoi(self, area: GeoBox | None = None) -> NDArray[np.bool_]:
        """Pixels (y, x) of the AOI on the site's grid, or on another, by their centres; all of a
        site without a place."""
        if not self.epsg:
            return np.ones((area or self.grid).shape, bool)
        return self._inside(self.geometry, area or self.grid)

    def counted(self) -> NDArray[np.bool_] | None:
        """Pixels (y, x) that no other site counts; None where that is all of them."""
        if self.elsewhere is None:
            return None
        return ~self._inside(self.elsewhere, self.grid)

    def _inside(self, shape: BaseGeometry, area: GeoBox) -> NDArray[np.bool_]:
        """Pixels (y, x) of `area` whose centres lie in a shape (EPSG:4326)."""
        outline = geodesy.project(shape, 4326, self.epsg)
        with gdal.working():
            return rasterize([outline], out_shape=area.shape, transform=area.transform).astype(bool)

    def search_window(self, period: Period, recipe: Recipe) -> tuple[date, date]:
        """Days to search for a period's scenes: its season on the site's hemisphere."""
        return period.search_window(self._season(recipe))

    def span(self, period: Period, recipe: Recipe) -> tuple[date, date]:
        """A period's days here, from the first to before the second; `search_window` lies within."""
        return period.span(self._season(recipe))

    def _season(self, recipe: Recipe) -> tuple[int, int] | None:
        season = recipe.selection.season
        return season.at(self.place[1]) if season and self.epsg else None

    def layout(self) -> list[Any]:
        """What decides where its pixels lie, for fingerprints."""
        transform = self.grid.transform
        return [self.epsg, transform.c, transform.f, *self.shape]


def of(row: Any, resolution: float) -> Site:
    """A site from its row in `sites`."""
    box = grid.of_site(row, resolution)
    return Site(
        site_id=row.site_id, name=_text(row.name), country=_text(row.country),
        production=_text(row.production), area_km2=float(row.area_km2), mines=int(row.mines),
        epsg=int(row.epsg), grid=box, pixel_m2=grid.pixel_m2(box, resolution), geometry=row.geometry,
        footprint=row.footprint, elsewhere=getattr(row, "elsewhere", None),
        part=int(getattr(row, "part", 1)), parts=int(getattr(row, "parts", 1)),
        production_start=_whole(getattr(row, "production_start", None)),
    )  # fmt: skip


def _whole(value: Any) -> int | None:
    return None if value is None or pd.isna(value) else int(value)


def _text(value: Any) -> str | None:
    return None if value is None or pd.isna(value) else str(value)


def listed(table: gpd.GeoDataFrame, recipe: Recipe) -> list[Site]:
    """The sites of a table, in its order."""
    return [of(row, recipe.sensor.resolution) for row in table.itertuples()]


def read(benchmark: BenchmarkPaths) -> gpd.GeoDataFrame:
    """The table of sites. WorkError where it is missing."""
    return tables.read_geo(benchmark.table("sites"), "sites")


def load(benchmark: BenchmarkPaths, recipe: Recipe) -> list[Site]:
    """All sites of a benchmark."""
    return listed(read(benchmark), recipe)
