"""Medians made on Earth Engine's side (`composite: server`): one finished image per period.

Few bytes, and not quite the pipeline's own composite: resampling, mask margin and the choice of
days are the server's. A period's composite is listed as one scene, and its mask says where at
least one clear observation went in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import ee
import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from minebench.errors import WorkError
from pipeline.sensors import classes, sentinel2
from pipeline.sources.earthengine import pixels
from pipeline.sources.protocol import Scene

if TYPE_CHECKING:
    from pipeline.sources.earthengine import Options

PREFIX = "median:"
CLOUD_SCORE_PLUS = "GOOGLE/CLOUD_SCORE_PLUS/V1/S2_HARMONIZED"
COUNT = "clear_count"


def search(options: Options, area: BaseGeometry, start: date, end: date) -> list[Scene]:
    """The period's composite as one scene; only of a period that has images (see `median`)."""
    box = shapely.envelope(area).bounds
    href = f"{PREFIX}{options.collection}:{start}:{end}:" + ",".join(f"{value:.6f}" for value in box)
    return [find(options, href)]


def find(options: Options, href: str) -> Scene:
    """The scene of a composite's `href`."""
    _, collection, start, end, _ = _parts(href)
    first, last = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (start, end))
    return Scene(
        id=f"median_{start}_{end}",
        time=first + (last - first) / 2,
        assets={},
        source="earthengine",
        level="L2A" if "_SR" in collection else "L1C",
        href=href,
        collection=collection,
        dated_by="middle of the period",
    )


def is_composite(scene: Scene) -> bool:
    """Whether a scene is one of these."""
    return scene.href.startswith(PREFIX)


def read(
    options: Options, clear: tuple[int, ...], scene: Scene, bands: Sequence[str], grid: GeoBox,
    own: Callable[[str], str],
) -> NDArray[Any]:  # fmt: skip
    """Bands of the median on `grid`, or for the mask a clear class where anything clear went in, else 0."""
    names = [own(band) for band in bands if band != "SCL"]
    image = median(options, clear, scene.href, names or [own("B02")])
    asked = [*names, COUNT]
    found = pixels.compute(image, grid, asked, 2 * len(asked), scene.id)
    seen = found[-1] > 0
    if list(bands) == ["SCL"]:
        return np.where(seen, _clear_number(clear), 0).astype(np.uint8)[np.newaxis]
    return np.clip(found[:-1], 1, 65535).astype(np.uint16) * seen


def median(options: Options, clear: tuple[int, ...], href: str, bands: Sequence[str]) -> Any:
    """The graph: clear pixels of the period's images, their median a band, and their count. Without any
    image it has no bands, and Earth Engine refuses to compute it."""
    _, name, start, end, box = _parts(href)
    region = ee.Geometry.Rectangle([float(value) for value in box.split(",")])
    images = ee.ImageCollection(name).filterDate(start, end).filterBounds(region)
    if options.cloud == "cloud_score_plus":
        images = images.linkCollection(ee.ImageCollection(CLOUD_SCORE_PLUS), ["cs_cdf"])
    seen = images.map(lambda image: _clear(image, options, clear).select(list(bands)))
    first = seen.select([bands[0]], [COUNT]).count().unmask(0)
    return seen.median().unmask(0).round().addBands(first).toUint16()


def _clear_number(clear: tuple[int, ...]) -> int:
    """The stored class that stands for clear, whatever classes the recipe names."""
    return sentinel2.SCORE_CLEAR if sentinel2.SCORE_CLEAR in clear else clear[0]


def _clear(image: Any, options: Options, clear: tuple[int, ...]) -> Any:
    """An image masked to its clear pixels, by the recipe's classes."""
    if options.cloud == "cloud_score_plus":
        return image.updateMask(image.select("cs_cdf").gte(options.cloud_score))
    stored = image.select("SCL")
    # Only the classes that SCL has: a recipe may name what other sensors tell apart.
    wanted = [number for number in clear if number <= classes.SNOW]
    mask = stored.eq(wanted[0])
    for number in wanted[1:]:
        mask = mask.Or(stored.eq(number))
    return image.updateMask(mask)


def _parts(href: str) -> list[str]:
    parts = href.split(":")
    if len(parts) != 5:
        raise WorkError(f"{href} names no composite.")
    return parts
