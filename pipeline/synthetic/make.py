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

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from minebench import receipts, tables
from minebench.errors import InputError
from minebench.files import replacing, write_json
from minebench.layout import BenchmarkPaths
from minebench.periods import Period
from pipeline.core.runner import Spread, Step, each_step, prune
from pipeline.geo import geodesy, grid, raster
from pipeline.recipe import Recipe
from pipeline.sites import site as sites
from pipeline.sites.site import Site
from pipeline.sources import synthetic
from pipeline.stac import paging
from pipeline.synthetic import aerial, growth, noise, overpass, scene_files
from pipeline.synthetic.growth import Mine

log = logging.getLogger(__name__)
MARGIN_M = 300
"""Granules reach this far beyond the AOI."""
VERSION = 1
"""Of the synthetic world (all of `pipeline.synthetic`): raise it when the same sites look otherwise."""
Window = tuple[Period, date, date]


@dataclass(frozen=True)
class Task:
    """One site's work; `mines` reach into its granules, its own first, outlines in its UTM zone."""

    benchmark: BenchmarkPaths
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


def build(benchmark: BenchmarkPaths, recipe: Recipe, spread: Spread) -> int:
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
    prune(benchmark.archive, {*ids, paging.FOLDER})
    tasks = [
        Task(benchmark, recipe, site, mines)
        for site, mines in zip(listed, mines_near(listed, recipe), strict=True)
    ]
    made = sum(made for _, made in each_step(STEP, tasks, spread))
    _write_root(benchmark, recipe, ids, bool(made))
    return made


def _write_root(benchmark: BenchmarkPaths, recipe: Recipe, ids: list[str], is_new: bool) -> None:
    """What stands above the sites' folders, unless it is of the same sites already."""
    path = benchmark.archive / "footprints.parquet"
    key = receipts.fingerprint(receipts.key_in(benchmark.archive / s / "collection.json") for s in ids)
    if not is_new and receipts.key_in(path) == key:
        return
    if recipe.sensor.encoding.is_picture:
        aerial.write_list(benchmark.archive, ids)
    else:
        scene_files.write_root(benchmark, recipe, ids)
    footprints = pd.concat([gpd.read_parquet(benchmark.archive / s / "footprints.parquet") for s in ids])
    whole = gpd.GeoDataFrame(footprints, crs=4326)
    whole.attrs = {receipts.KEY: key}
    tables.write(whole, path)


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
    if recipe.sensor.encoding.is_picture:
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
        items = scene_files.write(temporary, plan, task.mines, source.seed)
        _write_truth(temporary, site.site_id, area, task.mines, scene_files.times(plan))
        scene_files.write_collection(temporary, site, items, told)


STEP = Step("archive", _key, _receipt, _make, _nothing)


def _write_truth(
    folder: Path, site_id: str, area: GeoBox, mines: list[Mine], times: Sequence[scene_files.Moment]
) -> None:
    """True footprints at each time as polygons along pixel edges of the grid."""
    grown = [growth.states(m, area, sorted({when for when, _ in times})) for m in mines]
    rows = []
    for when, dated in times:
        footprint = np.zeros(area.shape, np.uint8)
        for states in grown:
            footprint[states[when].footprint] = 1
            footprint[states[when].reclaimed] = 0
        outline = raster.outline(footprint, area.transform)
        rows.append(
            {"site_id": site_id, "year": dated, "geometry": geodesy.to_lonlat(outline, grid.epsg_of(area))}
        )
    tables.write(gpd.GeoDataFrame(rows, geometry="geometry", crs=4326), folder / "footprints.parquet")
