"""Stage `archive`: a static STAC 1.1 catalog of synthetic Sentinel-2 L2A scenes, and its truth.

archive/catalog.json                      root
archive/footprints.parquet                true footprints: site_id, year, geometry
archive/<site_id>/collection.json         scenes of one site's surroundings
archive/<site_id>/<scene>/<scene>.json    item; its assets beside it, one COG a band

Where the recipe asks for 8-bit RGB it is aerial images instead (`aerial`), a folder of dated GeoTIFFs:

archive/dates.csv                         file and date of every image
archive/<site_id>/<site_id>_<date>.tif    one image
"""

import json
import logging
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.features import shapes
from shapely.geometry.base import BaseGeometry

from pipeline import __version__
from pipeline.archive import aerial, ground, growth, noise, overpass, spectra, weather
from pipeline.archive.growth import Mine
from pipeline.core import tables
from pipeline.core.files import replacing, sha256, write_json
from pipeline.core.layout import Benchmark, prune
from pipeline.core.periods import Period
from pipeline.core.runner import each_site
from pipeline.geo import cog, geodesy, grid
from pipeline.recipe import Recipe, Synthetic
from pipeline.sensors.sentinel2 import ASSETS, COMMON_NAMES
from pipeline.sites.lay_out import to_lonlat

log = logging.getLogger(__name__)
MARGIN_M = 300
"""Granules reach this far beyond the AOI."""
COLLECTION = "sentinel-2-l2a"
CODE = (sys.modules[__name__], aerial, ground, growth, noise, overpass, spectra, weather)
Moment = tuple[float, int | str]
EXTENSIONS = [
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
]


def build(benchmark: Benchmark, recipe: Recipe, workers: int, scheduler: str | None) -> int:
    """Make the archive for the recipe's sites; sites whose inputs did not change stay as they
    are. Returns how many were made."""
    benchmark.archive.mkdir(parents=True, exist_ok=True)
    if not isinstance(recipe.source, Synthetic):
        write_json(
            {"source": json.loads(recipe.source.model_dump_json())},
            benchmark.archive / "source.json",
        )
        return 0
    sites = tables.read_geo(benchmark.table("sites"), "sites")
    prune(benchmark.archive, set(sites.site_id))
    made = each_site(
        "archive",
        [(benchmark, recipe, row, _mines_near(row, sites, recipe)) for row in sites.itertuples()],
        _make_site,
        workers,
        scheduler,
    )
    if recipe.sensor.dtype == "uint8":
        aerial.write_list(benchmark.archive, list(sites.site_id))
    else:
        _write_root(benchmark, recipe, list(sites.site_id))
    footprints = pd.concat(
        [gpd.read_parquet(benchmark.archive / s / "footprints.parquet") for s in sites.site_id]
    )
    tables.write(gpd.GeoDataFrame(footprints, crs=4326), benchmark.archive / "footprints.parquet")
    return sum(made)


def _mines_near(site: Any, sites: gpd.GeoDataFrame, recipe: Recipe) -> list[Mine]:
    """The mines that reach into a site's granule, its own first; outlines in the site's UTM."""
    assert isinstance(recipe.source, Synthetic)
    around = _granule_grid(site, recipe).boundingbox
    area = shapely.box(*around.bbox).buffer(growth.REACH_M)
    first = _windows(site, recipe)[0][1].year
    found = []
    for row in sorted(sites.itertuples(), key=lambda row: row.site_id != site.site_id):
        outline = _outline(row, recipe)
        if row.site_id != site.site_id:
            if abs(geodesy.centre(row.geometry)[1] - geodesy.centre(site.geometry)[1]) > 1:
                continue
            outline = geodesy.project(geodesy.project(outline, row.epsg, 4326), 4326, site.epsg)
            if not outline.intersects(area):
                continue
        seed = int(noise.mix(recipe.source.seed, *row.site_id.encode()) & np.uint64(0x7FFFFFFF))
        found.append(Mine(outline, seed, first))
    return found


def _outline(site: Any, recipe: Recipe) -> BaseGeometry:
    """A site's footprint in its UTM zone; where none is known, a round one in the AOI's middle."""
    if site.footprint is not None and not site.footprint.is_empty:
        return geodesy.project(site.footprint, 4326, site.epsg)
    box = grid.of_site(site, recipe.sensor.resolution).boundingbox
    middle = shapely.Point((box.left + box.right) / 2, (box.bottom + box.top) / 2)
    return middle.buffer(0.18 * min(box.span_x, box.span_y))


def _granule_grid(site: Any, recipe: Recipe) -> GeoBox:
    """10 m grid of the site's surroundings, on the 20 m raster."""
    left, bottom, right, top = grid.of_site(site, recipe.sensor.resolution).boundingbox.bbox
    bounds = (left - MARGIN_M, bottom - MARGIN_M, right + MARGIN_M, top + MARGIN_M)
    sensor = recipe.sensor.model_copy(update={"resolution": 10.0, "snap": 20.0})
    return grid.snapped(bounds, int(site.epsg), sensor)


def _windows(site: Any, recipe: Recipe) -> list[tuple[Period, date, date]]:
    latitude = geodesy.centre(site.geometry)[1]
    season = recipe.selection.season.at(latitude) if recipe.selection.season else None
    return [(period, *period.search_window(season)) for period in recipe.periods.periods()]


def _make_site(task: tuple[Benchmark, Recipe, Any, list[Mine]]) -> bool:
    """Make one site's collection unless the one there has the same fingerprint."""
    benchmark, recipe, site, mines = task
    assert isinstance(recipe.source, Synthetic)
    folder = benchmark.archive / site.site_id
    area, windows = _granule_grid(site, recipe), _windows(site, recipe)
    outlines = [(m.outline.wkt, m.seed, m.first_year) for m in mines]
    inputs = [
        recipe.source.model_dump(),
        str(area),
        [(str(a), str(b)) for _, a, b in windows],
        outlines,
        recipe.sensor.resolution,
    ]
    fingerprint = tables.fingerprint(inputs, CODE)
    if tables.fingerprint_of(folder / "collection.json") == fingerprint:
        return False
    if recipe.sensor.dtype == "uint8":
        with replacing(folder) as temporary:
            temporary.mkdir()
            times = aerial.write_images(temporary, site, recipe, mines, windows)
            area = aerial.grid_of(site, recipe)
            _write_truth(temporary, site.site_id, area, mines, times)
            write_json({"minebench:fingerprint": fingerprint}, temporary / "collection.json")
        return True
    place = geodesy.centre(site.geometry)
    plan = list(overpass.granules(area, place, windows, recipe.source.scenes_per_period, recipe.source.seed))
    with replacing(folder) as temporary:
        temporary.mkdir()
        items = _write_scenes(temporary, plan, mines, recipe.source)
        _write_truth(temporary, site.site_id, area, mines, _times(plan))
        _write_collection(temporary, site, items, fingerprint)
    return True


def _times(plan: Sequence[overpass.Granule]) -> list[Moment]:
    """Times of the mines' states, with how an annotation of each is dated: a year, or a month."""
    if not plan[0].monthly:
        years = [granule.time.year for granule in plan]
        return [(float(year), year) for year in range(min(years), max(years) + 1)]
    return sorted({(granule.when, f"{granule.time:%Y-%m}") for granule in plan})


def _write_scenes(
    folder: Path, plan: Sequence[overpass.Granule], mines: list[Mine], source: Synthetic
) -> list[dict[str, Any]]:
    """Render and write every granule; the land is made once for each granule's grid."""
    items = []
    by_grid: dict[GeoBox, list[overpass.Granule]] = {}
    for granule in plan:
        by_grid.setdefault(granule.grid, []).append(granule)
    for area, granules in by_grid.items():
        wide = area.pad(overpass.APRON)
        place = ground.land(wide, source.seed)
        grown = [(m, growth.states(m, wide, [when for when, _ in _times(plan)])) for m in mines]
        cache: dict[Any, Any] = {}
        for granule in granules:
            image = overpass.picture(granule, place, grown, cache)
            items.append(_write_scene(folder, granule, image))
    return sorted(items, key=lambda item: item["id"])


def _write_scene(folder: Path, granule: overpass.Granule, image: overpass.Picture) -> dict[str, Any]:
    scene = folder / granule.id
    scene.mkdir()
    assets = {}
    coarse = grid.coarsened(granule.grid, 20)
    for band, numbers in image.bands.items():
        fine = band in spectra.FINE_BANDS
        assets[ASSETS[band]] = _asset(
            scene / f"{band}.tif",
            numbers,
            granule.grid if fine else coarse,
            0,
            _band_field(band, granule),
        )
    assets["scl"] = _asset(scene / "SCL.tif", image.scl, coarse, 0, {"name": "SCL"})
    truth = _asset(scene / "true_mask.tif", image.truth, coarse, 255, {"name": "truth"})
    assets["true_mask"] = {
        **truth,
        "title": "True mask: " + str(overpass.TRUTH),
        "roles": ["metadata"],
    }
    item = _item(granule, image.cloud_cover, assets)
    write_json(item, scene / f"{granule.id}.json")
    return item


def _band_field(band: str, granule: overpass.Granule) -> dict[str, Any]:
    offset = -0.1 if granule.offset else 0
    return {
        "name": band,
        "eo:common_name": COMMON_NAMES[band],
        "raster:scale": 0.0001,
        "raster:offset": offset,
    }


def _asset(
    path: Path, pixels: NDArray[Any], area: GeoBox, nodata: int, band: dict[str, Any]
) -> dict[str, Any]:
    """Write a COG and describe it."""
    cog.write(path, pixels[np.newaxis], area, nodata)
    return {
        "href": f"./{path.name}",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data"],
        "bands": [band],
        "data_type": str(pixels.dtype),
        "nodata": nodata,
        "gsd": area.resolution.x,
        "proj:shape": list(area.shape),
        "proj:transform": list(area.transform)[:6],
        "file:size": path.stat().st_size,
        "file:checksum": "1220" + sha256(path),
    }


def _item(granule: overpass.Granule, cloud_cover: float, assets: dict[str, Any]) -> dict[str, Any]:
    outline = shapely.box(*granule.grid.boundingbox.bbox)
    geometry = to_lonlat(outline, int(granule.grid.crs.epsg))
    light = granule.sun
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": EXTENSIONS,
        "id": granule.id,
        "collection": COLLECTION,
        "geometry": json.loads(shapely.to_geojson(geometry)),
        "bbox": list(geometry.bounds),
        "properties": {
            "datetime": granule.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "title": "Synthetic scene: not an observation",
            "platform": granule.platform,
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "eo:cloud_cover": cloud_cover,
            "proj:code": f"EPSG:{granule.grid.crs.epsg}",
            "sat:relative_orbit": granule.orbit,
            "view:sun_elevation": round(90 - light.zenith, 3),
            "view:sun_azimuth": round(light.azimuth, 3),
            "s2:processing_baseline": granule.baseline,
            "earthsearch:boa_offset_applied": granule.offset_removed,
            "synthetic:shift_m": list(granule.shift_m),
        },
        "links": [
            {"rel": "root", "href": "../../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../collection.json", "type": "application/json"},
            {"rel": "collection", "href": "../collection.json", "type": "application/json"},
        ],
        "assets": assets,
    }


def _write_truth(
    folder: Path, site_id: str, area: GeoBox, mines: list[Mine], times: Sequence[Moment]
) -> None:
    """True footprints at each time as polygons along pixel edges of the grid."""
    grown = [growth.states(m, area, sorted({when for when, _ in times})) for m in mines]
    rows = []
    for when, dated in times:
        footprint = np.zeros(area.shape, np.uint8)
        for states in grown:
            footprint[states[when].footprint] = 1
            footprint[states[when].reclaimed] = 0
        found = shapes(footprint, mask=footprint.astype(bool), transform=area.transform)
        outline = shapely.union_all([shapely.geometry.shape(polygon) for polygon, _ in found])
        rows.append({"site_id": site_id, "year": dated, "geometry": to_lonlat(outline, int(area.crs.epsg))})
    tables.write(gpd.GeoDataFrame(rows, geometry="geometry", crs=4326), folder / "footprints.parquet")


def _write_collection(folder: Path, site: Any, items: list[dict[str, Any]], fingerprint: str) -> None:
    boxes = np.array([item["bbox"] for item in items])
    times = sorted(item["properties"]["datetime"] for item in items)
    collection = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": COLLECTION,
        "title": f"Synthetic Sentinel-2 L2A around {site.site_id}",
        "description": "Synthetic scenes in the form of Sentinel-2 L2A. They are not observations.",
        "license": "CC0-1.0",
        "extent": {
            "spatial": {"bbox": [[*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist()]]},
            "temporal": {"interval": [[times[0], times[-1]]]},
        },
        "minebench:fingerprint": fingerprint,
        "minebench:version": __version__,
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
            *(
                {
                    "rel": "item",
                    "href": f"./{item['id']}/{item['id']}.json",
                    "type": "application/geo+json",
                }
                for item in items
            ),
        ],
    }
    write_json(collection, folder / "collection.json")


def _write_root(benchmark: Benchmark, recipe: Recipe, site_ids: list[str]) -> None:
    children = [
        {"rel": "child", "href": f"./{site_id}/collection.json", "type": "application/json"}
        for site_id in site_ids
    ]
    root = {
        "type": "Catalog",
        "stac_version": "1.1.0",
        "id": f"{benchmark.name}-synthetic-archive",
        "title": "Synthetic Sentinel-2 archive",
        "description": f"Made by minebench {__version__} for '{recipe.title}'. Not observations.",
        "links": [{"rel": "root", "href": "./catalog.json", "type": "application/json"}, *children],
    }
    write_json(root, benchmark.archive / "catalog.json")
