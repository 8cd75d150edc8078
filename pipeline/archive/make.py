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
from collections.abc import Sequence
from dataclasses import dataclass
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
from pipeline.archive import aerial, ground, growth, noise, overpass, spectra
from pipeline.archive.growth import Mine
from pipeline.core import receipts, tables
from pipeline.core.errors import InputError
from pipeline.core.files import replacing, sha256, write_json
from pipeline.core.layout import Benchmark
from pipeline.core.periods import Period
from pipeline.core.runner import Spread, Step, each_step, prune
from pipeline.geo import cog, geodesy, grid
from pipeline.recipe import Recipe
from pipeline.sensors.sentinel2 import ASSETS, COMMON
from pipeline.sites import site as sites
from pipeline.sites.site import Site
from pipeline.sources import synthetic

log = logging.getLogger(__name__)
MARGIN_M = 300
"""Granules reach this far beyond the AOI."""
COLLECTION = "sentinel-2-l2a"
VERSION = 1
"""Of the synthetic world (all of `pipeline.archive`): raise it when the same sites look otherwise."""
Window = tuple[Period, date, date]
Moment = tuple[float, int | str]
EXTENSIONS = [
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
]


@dataclass(frozen=True)
class Task:
    """One site's work; `mines` reach into its granules, its own first, outlines in its UTM zone."""

    benchmark: Benchmark
    recipe: Recipe
    site: Site
    mines: list[Mine]

    @property
    def source(self) -> synthetic.Options:
        return options_of(self.recipe)

    @property
    def folder(self) -> Path:
        return self.benchmark.archive / self.site.site_id

    @property
    def windows(self) -> list[Window]:
        periods = self.recipe.periods.periods()
        return [(period, *self.site.search_window(period, self.recipe)) for period in periods]


def options_of(recipe: Recipe) -> synthetic.Options:
    """The synthetic source's options. InputError where the source is another."""
    if not isinstance(recipe.source, synthetic.Options):
        raise InputError("Only a recipe with source: name: synthetic has a synthetic archive.")
    return recipe.source


def build(benchmark: Benchmark, recipe: Recipe, spread: Spread) -> int:
    """Make the archive for the recipe's sites; sites whose inputs did not change stay as they
    are. Returns how many were made."""
    benchmark.archive.mkdir(parents=True, exist_ok=True)
    if not recipe.source.is_synthetic:
        write_json(
            {"source": json.loads(recipe.source.model_dump_json(by_alias=True))},
            benchmark.archive / "source.json",
        )
        return 0
    listed = sites.load(benchmark, recipe)
    ids = [site.site_id for site in listed]
    prune(benchmark.archive, set(ids))
    tasks = [
        Task(benchmark, recipe, site, mines)
        for site, mines in zip(listed, mines_near(listed, recipe), strict=True)
    ]
    results = each_step(STEP, tasks, spread)
    if recipe.sensor.dtype == "uint8":
        aerial.write_list(benchmark.archive, ids)
    else:
        _write_root(benchmark, recipe, ids)
    footprints = pd.concat([gpd.read_parquet(benchmark.archive / s / "footprints.parquet") for s in ids])
    tables.write(gpd.GeoDataFrame(footprints, crs=4326), benchmark.archive / "footprints.parquet")
    return sum(made for _, made in results)


def mines_near(listed: list[Site], recipe: Recipe) -> list[list[Mine]]:
    """For each site the mines that reach into its granule, its own first; found through an index."""
    seed = options_of(recipe).seed
    outlines = [_outline(site) for site in listed]
    seeds = [int(noise.mix(seed, *s.site_id.encode()) & np.uint64(0x7FFFFFFF)) for s in listed]
    areas = [
        shapely.box(*_granule_grid(site, recipe).boundingbox.bbox).buffer(growth.REACH_M) for site in listed
    ]
    near: list[set[int]] = [{i} for i in range(len(listed))]
    reach = 2 * (growth.REACH_M + MARGIN_M) + SLACK_M
    for i, j in geodesy.near_pairs([site.geometry for site in listed], reach):
        near[i].add(j)
        near[j].add(i)
    found = []
    for i, site in enumerate(listed):
        first = _first_year(site, recipe)
        own = [Mine(outlines[i], seeds[i], first)]
        for j in sorted(near[i] - {i}):
            outline = geodesy.project(geodesy.project(outlines[j], listed[j].epsg, 4326), 4326, site.epsg)
            if outline.intersects(areas[i]):
                own.append(Mine(outline, seeds[j], first))
        found.append(own)
    return found


def _first_year(site: Site, recipe: Recipe) -> int:
    """The year of the listed outlines; a season over New Year begins in the year before its period."""
    period = recipe.periods.periods()[0]
    begins = site.search_window(period, recipe)[0].year - period.start.year
    return (options_of(recipe).first_year or period.start.year) + begins


SLACK_M = 1000
"""Of the search for mines nearby: grids are snapped, and distances on the globe differ from UTM's."""


def _outline(site: Site) -> BaseGeometry:
    """A site's footprint in its UTM zone; where none is known, a round one in the AOI's middle."""
    if site.footprint is not None and not site.footprint.is_empty:
        return geodesy.project(site.footprint, 4326, site.epsg)
    box = site.grid.boundingbox
    middle = shapely.Point((box.left + box.right) / 2, (box.bottom + box.top) / 2)
    return middle.buffer(0.18 * min(box.span_x, box.span_y))


def _granule_grid(site: Site, recipe: Recipe) -> GeoBox:
    """10 m grid of the site's surroundings, on the 20 m raster."""
    left, bottom, right, top = site.grid.boundingbox.bbox
    bounds = (left - MARGIN_M, bottom - MARGIN_M, right + MARGIN_M, top + MARGIN_M)
    return grid.snapped(bounds, site.epsg, 10.0, 20.0)


def _world(task: Task) -> str:
    """What a site's scenes are made of, whatever the periods."""
    outlines = [(m.outline.wkt, m.seed, m.first_year) for m in task.mines]
    area = str(_granule_grid(task.site, task.recipe))
    inputs = [VERSION, task.source.seed, area, outlines, task.recipe.sensor.resolution]
    return receipts.fingerprint([*inputs, task.recipe.sensor.dtype])


def _key(task: Task) -> str:
    windows = [(str(first), str(last)) for _, first, last in task.windows]
    return receipts.fingerprint([_world(task), task.source.scenes_per_period, windows])


def _receipt(task: Task) -> Path:
    return task.folder / "collection.json"


def _nothing(task: Task) -> None:
    """An archive needs no word about it."""


def _make(task: Task, key: str) -> None:
    """Make one site's collection."""
    recipe, site, source = task.recipe, task.site, task.source
    told = {receipts.KEY: key, synthetic.WORLD: _world(task)}
    if recipe.sensor.dtype == "uint8":
        with replacing(task.folder) as temporary:
            temporary.mkdir()
            times = aerial.write_images(temporary, site, source, task.mines, task.windows)
            _write_truth(temporary, site.site_id, aerial.grid_of(site), task.mines, times)
            write_json(told, temporary / "collection.json")
        return
    area = _granule_grid(site, recipe)
    plan = list(overpass.granules(area, site.place, task.windows, source.scenes_per_period, source.seed))
    with replacing(task.folder) as temporary:
        temporary.mkdir()
        items = _write_scenes(temporary, plan, task.mines, source)
        _write_truth(temporary, site.site_id, area, task.mines, _times(plan))
        _write_collection(temporary, site, items, told)


STEP = Step("archive", _key, _receipt, _make, _nothing)


def _times(plan: Sequence[overpass.Granule]) -> list[Moment]:
    """Times of the mines' states, with how an annotation of each is dated: a year, or a month."""
    if not plan[0].monthly:
        years = [granule.time.year for granule in plan]
        return [(float(year), year) for year in range(min(years), max(years) + 1)]
    return sorted({(granule.when, f"{granule.time:%Y-%m}") for granule in plan})


def _write_scenes(
    folder: Path, plan: Sequence[overpass.Granule], mines: list[Mine], source: synthetic.Options
) -> list[dict[str, Any]]:
    """Render and write every granule; the land is made once for each granule's grid."""
    items = []
    by_grid: dict[GeoBox, list[overpass.Granule]] = {}
    for granule in plan:
        by_grid.setdefault(granule.grid, []).append(granule)
    for area, granules in by_grid.items():
        wide = area.pad(overpass.HALO)
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
    coarse = granule.grid.zoom_out(2)
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
        "eo:common_name": COMMON[band],
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
    geometry = geodesy.to_lonlat(outline, int(granule.grid.crs.epsg))
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
        rows.append(
            {"site_id": site_id, "year": dated, "geometry": geodesy.to_lonlat(outline, int(area.crs.epsg))}
        )
    tables.write(gpd.GeoDataFrame(rows, geometry="geometry", crs=4326), folder / "footprints.parquet")


def _write_collection(folder: Path, site: Site, items: list[dict[str, Any]], told: dict[str, str]) -> None:
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
        **told,
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
