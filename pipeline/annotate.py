"""Stage `annotate`: dated footprint polygons become `mine` in the cubes.

Annotations are vector files in the benchmark's annotations/ folder with a column `year` (2019) or
`date` (2019-07 or 2019-07-14), or the synthetic archive's published footprints. A row counts for
a period when its date lies in the period, and a year's row for every period that starts in that
year. A row with empty geometry says that there was no mine. A column `site_id`, where present,
limits a row to that site. A site's period without any row is 255, unknown, not 0.
"""

import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from models.errors import InputError, WorkError
from pipeline import cube, geodesy, grid, periods, tables
from pipeline.layout import Benchmark
from pipeline.mines import SUFFIXES
from pipeline.parallel import each_site
from pipeline.periods import Period
from pipeline.recipe import Recipe

log = logging.getLogger(__name__)
UNKNOWN = 255


def build(benchmark: Benchmark, recipe: Recipe, workers: int, scheduler: str | None) -> int:
    """Write the masks that are missing or of other inputs. Returns how many cubes changed."""
    sites = tables.read_geo(benchmark.table("sites"), "sites")
    composites = tables.read(benchmark.table("composites"), "compose")
    labels = read_labels(benchmark, recipe)
    images = composites.drop_duplicates("site_id").set_index("site_id").images
    tasks = []
    for row in sites.itertuples():
        own = labels[labels.intersects(row.geometry) | labels.is_empty] if len(labels) else labels
        if "site_id" in own:
            own = own[own.site_id.isna() | (own.site_id == row.site_id)]
        tasks.append((benchmark, recipe, row, own, images.get(row.site_id)))
    return sum(each_site("annotate", tasks, _annotate_site, workers, scheduler))


def read_labels(benchmark: Benchmark, recipe: Recipe) -> gpd.GeoDataFrame:
    """All annotations with geometry (EPSG:4326) and `when` (a Period's label), and `site_id`
    where given. InputError names the file and the row that has no usable date."""
    if recipe.labels.source == "none":
        return gpd.GeoDataFrame({"when": []}, geometry=[], crs=4326)
    if recipe.labels.source == "archive":
        path = benchmark.archive / "footprints.parquet"
        return _dated(tables.read_geo(path, "archive"), "year", path)
    files = sorted(path for path in benchmark.annotations.glob("*") if path.suffix in SUFFIXES)
    if not files:
        raise InputError(f"{benchmark.annotations} holds no annotations ({', '.join(SUFFIXES)}).")
    return gpd.GeoDataFrame(
        pd.concat([_dated(_read(path), recipe.labels.column, path) for path in files]), crs=4326
    )


def _read(path: Path) -> gpd.GeoDataFrame:
    try:
        table = gpd.read_parquet(path) if path.suffix.endswith("parquet") else gpd.read_file(path)
    except Exception as error:
        raise InputError(f"{path} cannot be read: {str(error).splitlines()[0].rstrip('.')}.") from None
    if table.crs is None:
        raise InputError(f"{path} does not say its CRS: save it again with one, such as EPSG:4326.")
    table = table.to_crs(4326)
    return table.set_geometry(shapely.make_valid(table.geometry.to_numpy()), crs=4326)


def _dated(table: gpd.GeoDataFrame, column: str, path: Path) -> gpd.GeoDataFrame:
    if column not in table:
        raise InputError(f"{path} has no column '{column}': name it in labels.column.")
    when = [_label(value) for value in table[column]]
    for row, label in enumerate(when, 1):
        try:
            periods.parse(label)
        except ValueError as error:
            raise InputError(f"{path} row {row}, {column}: {error}.") from None
    kept = ["geometry", *(["site_id"] if "site_id" in table else [])]
    # A missing geometry says, like an empty one, that there was no mine.
    geometry = [shapely.Polygon() if shape is None else shape for shape in table.geometry]
    return table[kept].set_geometry(geometry, crs=4326).assign(when=when)


def _label(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()[:10]


def covers(label: str, period: Period) -> bool:
    """Whether an annotation dated `label` speaks of a period."""
    dated = periods.parse(label)
    if len(label) == 4:
        return period.start.year == dated.start.year
    return period.start <= dated.start < period.end


def _annotate_site(task: tuple[Benchmark, Recipe, Any, gpd.GeoDataFrame, str | None]) -> bool:
    benchmark, recipe, site, labels, images = task
    path = benchmark.cube(site.site_id)
    attributes = cube.attributes_of(path)
    if not attributes or attributes["minebench:images"] != images:
        raise WorkError(f"{path} does not fit index/composites.parquet: run `minebench compose`.")
    if not attributes["periods"]:
        return False
    inputs = [
        images,
        recipe.labels.model_dump(),
        list(labels.when),
        [g.wkt for g in labels.geometry],
    ]
    fingerprint = tables.fingerprint(inputs, [sys.modules[__name__]])
    if cube.attributes_of(path / "mine").get("minebench:labels") == fingerprint:
        return False
    # An older mask must not outlive its labels, should writing the new one fail.
    shutil.rmtree(path / "mine", ignore_errors=True)
    masks = np.stack([mask(site, recipe, labels, periods.parse(p)) for p in attributes["periods"]])
    cube.add_mask(path, masks, {"minebench:labels": fingerprint}, cube.chunk_side(recipe))
    return True


def mask(site: Any, recipe: Recipe, labels: gpd.GeoDataFrame, period: Period) -> NDArray[np.uint8]:
    """A period's footprint mask (y, x): 0, 1, or all 255 where nothing was annotated."""
    box = grid.of_site(site, recipe.sensor.resolution)
    # A cube's period lasts to the next date of its own unit; two months are looked up as such.
    period = _spanned(period, recipe)
    chosen = labels[[covers(label, period) for label in labels.when]]
    if chosen.empty:
        return np.full(box.shape, UNKNOWN, np.uint8)
    outlines = [geodesy.project(g, 4326, int(site.epsg)) for g in chosen.geometry if not g.is_empty]
    if not outlines:
        return np.zeros(box.shape, np.uint8)
    return rasterize(outlines, out_shape=box.shape, transform=box.transform, dtype="uint8")


def _spanned(period: Period, recipe: Recipe) -> Period:
    return next(p for p in recipe.periods.periods() if p.label == period.label)
