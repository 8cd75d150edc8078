"""Stage `annotate`: dated footprint polygons become `mine` in the cubes.

Annotations are vector files in the benchmark's annotations/ folder with a column `year` (2019) or
`date` (2019-07 or 2019-07-14), or the synthetic archive's published footprints. A row counts for
a period when its date lies in the period, and a year's row for every period that starts in that
year. A row with empty geometry says that there was no mine. A column `site_id`, where present,
limits a row to that site; where a column `kind` says `no mine`, nothing was mine on that date on the sites
that the row's outline touches. A site's period without any row is 255, unknown, not 0.

With `labels: {kind: change}` the polygons outline change, and a row has the columns `t1` and `t2` with
the labels of the two periods. They become `change` (pair, y, x) in the cubes, `mine` is unknown
throughout, and pairs are those that have a row.
"""

import logging
import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from minebench import index, periods, receipts, tables
from minebench.cube import store
from minebench.errors import InputError, NotMadeYet
from minebench.files import check_links
from minebench.layout import BenchmarkPaths
from minebench.masks import UNKNOWN, change_label
from minebench.periods import Period
from pipeline.core.runner import Spread, Step, Tasks, each_step
from pipeline.cubes import cube
from pipeline.geo import geodesy, vector
from pipeline.published import cubes
from pipeline.recipe import Recipe, Spans
from pipeline.sites import site as sites
from pipeline.sites.site import Site

log = logging.getLogger(__name__)
NO_MINE = "no mine"
VERSION = 1
"""Of the masks: raise it when the same annotations give others."""


@dataclass(frozen=True)
class Task:
    """One site's work: the annotations that may reach it, and the key of its images."""

    benchmark: BenchmarkPaths
    recipe: Recipe
    site: Site
    labels: "Near"
    images: str

    @property
    def path(self) -> Path:
        return self.benchmark.cube(self.site.site_id)


@dataclass(frozen=True)
class Near:
    """All annotations, and the places among them of those that may reach a site."""

    every: gpd.GeoDataFrame
    places: list[int]

    def __reduce__(self) -> Any:
        # A worker elsewhere gets these alone.
        return Near, (self.rows, list(range(len(self.places))))

    @property
    def rows(self) -> gpd.GeoDataFrame:
        return self.every.iloc[self.places]

    def inputs(self) -> list[Any]:
        """What they say, for fingerprints."""
        when, shapes = self.every["when"].array, self.every.geometry.array
        said = [[str(when[i]) for i in self.places], [shapes[i].wkt for i in self.places]]
        nothing = self.every["nothing"].array[self.places]
        return [*said, [bool(own) for own in nothing]] if any(nothing) else said


def build(benchmark: BenchmarkPaths, recipe: Recipe, spread: Spread) -> int:
    """Write the masks that are missing or of other inputs. Returns how many cubes changed."""
    composites = tables.read(benchmark.table("composites"), "compose")
    listed = sites.load(benchmark, recipe)
    near = labels_near(read_labels(benchmark, recipe), listed)
    images: dict[str, list[str]] = {}
    for site_id, own in zip(composites.site_id.tolist(), composites.images.tolist(), strict=True):
        images.setdefault(site_id, []).append(own)
    # A site that no period was clear enough for has nothing to put masks on.
    empty = set(composites.site_id) - set(composites.site_id[composites.kept])
    pairs = [pair for pair in zip(listed, near, strict=True) if pair[0].site_id not in empty]

    def task(pair: tuple[Site, Near]) -> Task:
        site, own = pair
        return Task(benchmark, recipe, site, own, receipts.fingerprint(images.get(site.site_id, [])))

    return sum(made for _, made in each_step(STEP, Tasks(pairs, task), spread))


def labels_near(labels: gpd.GeoDataFrame, listed: list[Site]) -> list[Near]:
    """For each site the annotations that touch its AOI, and the empty ones, which speak of no place; a row
    with a site_id is that site's alone."""
    shapes, ids = labels.geometry.to_numpy(), [site.site_id for site in listed]
    owner = labels.site_id.tolist() if "site_id" in labels else [None] * len(labels)
    owner = [None if pd.isna(value) else value for value in owner]
    found: dict[str, set[int]] = {site_id: set() for site_id in ids}
    tree = shapely.STRtree(shapes)
    for place, row in tree.query([site.geometry for site in listed], predicate="intersects").T.tolist():
        if owner[row] in (None, ids[place]):
            found[ids[place]].add(row)
    everywhere = []
    for row in np.flatnonzero(shapely.is_empty(shapes)).tolist():
        if (own := owner[row]) is None:
            everywhere.append(row)
        elif own in found:
            found[own].add(row)
    return [Near(labels, sorted({*found[site_id], *everywhere})) for site_id in ids]


def read_labels(benchmark: BenchmarkPaths, recipe: Recipe) -> gpd.GeoDataFrame:
    """All annotations with geometry (EPSG:4326) and `when` (a Period's label), and `site_id`
    where given. InputError names the file and the row that has no usable date."""
    if recipe.labels.source in {"none", "import"}:
        return gpd.GeoDataFrame({"when": [], "nothing": []}, geometry=[], crs=4326)
    if recipe.labels.source == "archive":
        path = benchmark.archive / "footprints.parquet"
        return _dated(tables.read_geo(path, "archive"), "year", path)
    # What begins with a dot is being written, or a kill left it.
    names = sorted(benchmark.annotations.glob("[!.]*"))
    files = [path for path in names if path.suffix.lower() in vector.SUFFIXES]
    check_links(benchmark.annotations)
    if not files:
        kinds = ", ".join(vector.SUFFIXES)
        raise InputError(
            f"{benchmark.annotations} holds no annotations ({kinds}): add them, or set labels.source to none."
        )
    return gpd.GeoDataFrame(pd.concat([read_file(path, recipe) for path in files]), crs=4326)


def read_file(path: Path, recipe: Recipe) -> gpd.GeoDataFrame:
    """One file of annotations, as `read_labels` has them."""
    table = read_table(path)
    if recipe.labels.kind == "change":
        return _paired(table, recipe, path)
    return _dated(table, recipe.labels.column, path)


def read_table(path: Path) -> gpd.GeoDataFrame:
    """A vector file in EPSG:4326 with valid shapes. InputError where it cannot be read or has no CRS."""
    try:
        layers = vector.layers(path)
        if len(layers) > 1:
            raise InputError(
                f"{path} has several layers ({', '.join(layers)}): save the one with annotations as a file."
            )
        table = vector.read(path, *layers)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} cannot be read: {str(error).splitlines()[0].rstrip('.')}.") from None
    if table.crs is None:
        raise InputError(f"{path} does not say its CRS: save it again with one, such as EPSG:4326.")
    table = table.to_crs(4326)
    try:
        valid = shapely.make_valid(table.geometry.to_numpy())
    except shapely.GEOSException:
        raise InputError(_odd(table, path)) from None
    return table.set_geometry(valid, crs=4326, inplace=False)


def _odd(table: gpd.GeoDataFrame, path: Path) -> str:
    """What is wrong with the first shape that cannot be made valid, such as a point at NaN."""
    for row, shape in enumerate(table.geometry, 1):
        try:
            shapely.make_valid(shape)
        except shapely.GEOSException:
            kind = f"a {shape.geom_type} that cannot be used (a coordinate may be no number)"
            return f"{path} row {row} is {kind}: draw it as a polygon."
    return f"{path} has shapes that cannot be used: draw them as polygons."


def _dated(table: gpd.GeoDataFrame, column: str, path: Path) -> gpd.GeoDataFrame:
    if column not in table:
        raise InputError(f"{path} has no column '{column}': name it in labels.column.")
    when = [_label(value) for value in table[column]]
    for row, label in enumerate(when, 1):
        try:
            periods.parse(label)
        except ValueError as error:
            raise InputError(f"{path} row {row}, {column}: {error}.") from None
    return _kept(table, when)


def _paired(table: gpd.GeoDataFrame, recipe: Recipe, path: Path) -> gpd.GeoDataFrame:
    """Outlines of change; `when` is the two periods' labels with a bar between."""
    if missing := [column for column in ("t1", "t2") if column not in table]:
        raise InputError(f"{path} has no column '{missing[0]}': change is drawn between two periods.")
    order = {period.label: place for place, period in enumerate(recipe.periods.periods())}
    when = []
    for row, given in enumerate(zip(table.t1, table.t2, strict=True), 1):
        pair = [str(value) if str(value) in order else _label(value) for value in given]
        if strange := [label for label in pair if label not in order]:
            raise InputError(f"{path} row {row}: '{strange[0]}' is not a period of the recipe.")
        if pair[0] == pair[1]:
            raise InputError(f"{path} row {row}: t1 and t2 are both '{pair[0]}'; change needs two periods.")
        when.append("|".join(sorted(pair, key=lambda label: order[label])))
    return _kept(table, when)


def _kept(table: gpd.GeoDataFrame, when: list[str]) -> gpd.GeoDataFrame:
    kept = ["geometry", *(["site_id"] if "site_id" in table else [])]
    nothing = np.zeros(len(table), bool)
    if "kind" in table:
        nothing = np.asarray(table["kind"].astype("str").str.strip().str.lower() == NO_MINE, bool)
    # A missing geometry says, like an empty one, that there was nothing.
    geometry = [shapely.Polygon() if shape is None else shape for shape in table.geometry]
    return table[kept].set_geometry(geometry, crs=4326).assign(when=when, nothing=nothing)


def _label(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()[:10]


def covers(label: str, period: Period) -> bool:
    """Whether an annotation dated `label` speaks of a period."""
    dated = periods.parse(label)
    if len(label) == 4 and (period.end - period.start).days <= 366:
        return period.start.year == dated.start.year
    return period.start <= dated.start < period.end


def _key(task: Task) -> str:
    """What a site's masks are made of. WorkError where its cube does not fit the composites."""
    attributes = store.attributes_of(task.path)
    held = [row["images"] for row in attributes.get("minebench:composites", [])]
    if not attributes or receipts.fingerprint(held) != task.images:
        raise NotMadeYet(f"{task.path} does not fit index/composites.parquet: run `minebench compose`.")
    recipe = task.recipe
    inputs: list[Any] = [
        VERSION,
        attributes[receipts.KEY],
        recipe.labels.model_dump(exclude={"meaning"}),
        *task.labels.inputs(),
    ]
    if recipe.labels.kind == "change":
        inputs.append(recipe.pairs)
    if recipe.sites.overlap == "clip" and task.site.elsewhere is not None:
        inputs.append(task.site.elsewhere.wkt)
    return receipts.fingerprint(inputs)


def _receipt(task: Task) -> Path:
    return store.receipt(task.path / "mine")


def _nothing(task: Task) -> None:
    """A cube's masks need no word about them."""


def _make(task: Task, key: str) -> None:
    # Zarr is loaded only where there is something to write.
    from pipeline.cubes import writer

    acquired = store.attributes_of(task.path).get("acquired", {})
    seen = [
        _seen(period, task.recipe, acquired.get(period.label))
        for period in cube.periods_in(task.path, task.recipe)
    ]
    # Older labels must not outlive their source, should writing the new ones fail.
    for name in ("mine", "change"):
        shutil.rmtree(task.path / name, ignore_errors=True)
    masks, change = labels_of(task.benchmark, task.recipe, task.site, task.labels.rows, seen)
    counted = task.site.counted() if task.recipe.sites.overlap == "clip" else None
    if counted is not None:
        for labelled in (masks, *change.values()):
            labelled[..., ~counted] = UNKNOWN
    side = cube.chunk_side(task.recipe)
    if change:
        writer.add_change(task.path, change, side)
    writer.add_mask(task.path, masks, {receipts.KEY: key}, side)


STEP = Step("annotate", _key, _receipt, _make, _nothing)
Change = dict[tuple[str, str], NDArray[np.uint8]]


def labels_of(
    benchmark: BenchmarkPaths, recipe: Recipe, site: Site, labels: gpd.GeoDataFrame, seen: list[Period]
) -> tuple[NDArray[np.uint8], Change]:
    """A site's footprint masks (period, y, x), and its change masks (y, x) by pair where change
    itself is what was labelled."""
    names = [period.label for period in seen]
    if recipe.labels.source == "import":
        return cubes.labels(recipe, benchmark.root, site, names)
    unknown = np.full((len(names), *site.shape), UNKNOWN, np.uint8)
    wanted = index.wanted(names, recipe.pairs)
    if recipe.labels.kind == "footprint" or recipe.labels.source == "archive":
        masks = np.stack([mask(site, labels, period) for period in seen])
        if recipe.labels.kind == "footprint":
            return masks, {}
        return unknown, {(names[i], names[j]): change_label(masks[i], masks[j]) for i, j in wanted}
    drawn = {(names[i], names[j]): labels[labels.when == f"{names[i]}|{names[j]}"] for i, j in wanted}
    return unknown, {pair: rasterized(rows, site) for pair, rows in drawn.items() if len(rows)}


def masks_in(
    given: gpd.GeoDataFrame, site: Site, recipe: Recipe, names: list[str]
) -> dict[str, NDArray[np.uint8]]:
    """What a file's rows say of a site, by period, or by pair of periods with a bar between."""
    if recipe.labels.kind == "change":
        return {name: rasterized(given[given.when == name], site) for name in names}
    periods_ = {period.label: period for period in recipe.periods.periods()}
    return {name: mask(site, given, periods_[name]) for name in names}


def mask(site: Site, labels: gpd.GeoDataFrame, period: Period) -> NDArray[np.uint8]:
    """A period's footprint mask (y, x): 0, 1, or all 255 where nothing was annotated."""
    return rasterized(labels[[covers(label, period) for label in labels.when]], site)


def rasterized(drawn: gpd.GeoDataFrame, site: Site) -> NDArray[np.uint8]:
    """Polygons as a mask (y, x): 0, 1, or all 255 where there is no row."""
    box = site.grid
    if drawn.empty:
        return np.full(box.shape, UNKNOWN, np.uint8)
    shapes = drawn.geometry.to_numpy()[~(drawn.geometry.is_empty | drawn["nothing"]).to_numpy(bool)]
    if not len(shapes):
        return np.zeros(box.shape, np.uint8)
    outlines = geodesy.project_each(shapes, 4326, site.epsg)
    return rasterize(outlines, out_shape=box.shape, transform=box.transform, dtype="uint8")


def _seen(period: Period, recipe: Recipe, days: list[str] | None) -> Period:
    """The period; where labels are dated to the day, or periods are spans of years, just the days that
    were seen."""
    daily = recipe.labels.source == "archive" and recipe.sensor.encoding.is_picture
    if not days or not (daily or isinstance(recipe.periods, Spans)):
        return period
    first, last = date.fromisoformat(min(days)), date.fromisoformat(max(days))
    return Period(period.label, first, last + timedelta(days=1))
