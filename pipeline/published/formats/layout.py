"""How somebody publishes a benchmark's files: what a reader of a layout gives.

A layout lists the sites that files hold and reads their pixels and labels; nothing is searched, chosen,
resampled or tiled anew. Files that are tiles without a place become sites of many tiles, one below the
other in one cube, so that the windows of `tile` are the tiles as published.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

Pair = tuple[str, str]


@dataclass(frozen=True)
class Found:
    """A site as the files have it. `images` are its periods' files with their days (first, last);
    `tiles` are the names of its tiles, from the top, where it is a stack of tiles."""

    name: str
    shape: tuple[int, int]
    images: Mapping[str, "Dated"]
    split: str
    grid: GeoBox | None = None
    country: str | None = None
    tiles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dated:
    """One period's image: what it is called, and its first and last possible day of acquisition."""

    file: str
    first: date
    last: date
    dated_by: str = "file name"

    @property
    def day(self) -> date | None:
        """The day of acquisition, where it is known."""
        return self.first if self.first == self.last else None


@dataclass(frozen=True)
class Facts:
    """What a layout says of a benchmark, as parts of its recipe."""

    title: str
    sensor: Mapping[str, Any]
    periods: Mapping[str, Any]
    tiling: Mapping[str, Any]
    labels: Mapping[str, Any]
    pairs: Any
    citation: str
    left_out: tuple[str, ...] = field(default=())
    """What was not taken in, and why."""
    notes: tuple[str, ...] = field(default=())
    """What was taken for granted."""


class Layout(Protocol):
    """How somebody publishes a benchmark's files. `version` is raised when the same files come out
    otherwise."""

    version: int

    def facts(self) -> Facts:
        """The recipe's parts. InputError names the file that does not fit."""
        ...

    def sites(self) -> list[Found]:
        """Every site, by name."""
        ...

    def image(self, site: Found, label: str) -> NDArray[Any]:
        """Pixels of a period (band, y, x), nodata 0."""
        ...

    def seen(self, site: Found, label: str) -> NDArray[np.bool_] | None:
        """Where a picture of a period has data (y, x), by its file's mask, alpha or nodata value; None
        where the file says nothing: then it has data everywhere, black too."""
        ...

    def mask(self, site: Found, label: str) -> NDArray[np.uint8] | None:
        """Footprint of a period (y, x) in {0, 1, 255}, where footprints are published."""
        ...

    def changes(self, site: Found) -> dict[Pair, NDArray[np.uint8]]:
        """Published change masks (y, x) in {0, 1, 255} by pair of periods; empty without."""
        ...

    def aoi(self, site: Found) -> NDArray[np.bool_] | None:
        """The area that was labelled (y, x), where it is published."""
        ...

    def files(self, site: Found) -> list[Path]:
        """The files that a site's images and labels are read from."""
        ...


def site_of(layout: Layout, site_id: str) -> Found:
    """A site by its name."""
    return next(site for site in layout.sites() if site.name == site_id)


def stamp(layout: Layout, site: Found) -> list[Any]:
    """What tells whether a site's files, labels too, are those of the last run: names, sizes, times."""
    stats = [(path.name, path.stat()) for path in layout.files(site)]
    return [site.tiles, *((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)]
