"""Stage `fetch`: the scenes each period needs, read onto the site's grid and kept.

    index/scenes.parquet               every candidate scene, with its fate
    scenes/<site_id>/<scene>_10m.tif   bands at one pixel size; uint16 or uint8, nodata 0
    scenes/<site_id>/<scene>_SCL.tif   scene classes, where the source has them
    scenes/<site_id>/SHA256SUMS        of every file above; `sha256sum -c` reads it
    scenes/<site_id>/scenes.parquet    the site's rows; written last

The mask of every candidate is read first, the bands only of the chosen ones. Bands whose own grid
fits the site's are kept in their own pixel size, coarse ones with an apron of one pixel for the
interpolation in `compose`; all others are resampled here, once, onto the target grid.

The choice is made once. As long as periods, selection, source and AOI stay as they are, the scenes
listed in index/scenes.parquet are used again, nothing is searched for, and a scene that is gone or
has changed is an error. `--refresh` chooses anew.
"""

import json
import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from pipeline.core import tables, web
from pipeline.core.errors import WorkError
from pipeline.core.layout import Benchmark, prune
from pipeline.core.runner import each_site
from pipeline.geo import gdal, raster, window
from pipeline.recipe import Import, Recipe, Synthetic, Xyz
from pipeline.scenes import coregister, radiometry, reader, selection, selector
from pipeline.scenes import store as kept
from pipeline.scenes.selector import NOT_READ, ROW
from pipeline.scenes.store import Kept
from pipeline.sensors import sentinel2
from pipeline.sources import local, protocol, xyz
from pipeline.sources.earthengine import images
from pipeline.sources.import_ import imported
from pipeline.sources.stac import items

log = logging.getLogger(__name__)
CODE = (sys.modules[__name__], selector, coregister, kept, radiometry, reader, selection,
        gdal, raster, items, local, sentinel2, window, xyz, *images.CODE)  # fmt: skip
PERSONAL = {"parallel", "project", "service_account_key", "url", "sign", "key_from", "per_second"}
"""Options of a source that say who asks and how fast, and nothing about the pixels."""


@dataclass(frozen=True)
class Done:
    """What a run of the stage did."""

    sites: int
    requests: int
    retries: int
    received: int

    def __str__(self) -> str:
        text = f"fetched {self.sites} sites anew"
        if self.requests:
            text += f"; {self.requests:,} requests, {self.retries:,} of them again, "
            text += f"{self.received / 1e6:,.1f} MB received"
        return text


@dataclass(frozen=True)
class Task:
    """One site's work. `listed` are its rows of the table of scenes, None to choose anew."""

    benchmark: Benchmark
    recipe: Recipe
    site: Any
    listed: pd.DataFrame | None
    refresh: bool


@dataclass(frozen=True)
class Outcome:
    """One site's result; `traffic` is requests, retries and bytes."""

    made: bool
    rows: pd.DataFrame
    traffic: tuple[int, int, int] = (0, 0, 0)


def build(
    benchmark: Benchmark, recipe: Recipe, workers: int, scheduler: str | None, refresh: bool = False
) -> Done:
    """Fetch what is missing for every site and write the table of scenes. WorkError names the
    scenes that could not be read; the next run takes up those only."""
    sites = tables.read_geo(benchmark.table("sites"), "sites")
    if isinstance(recipe.source, Import):
        (benchmark.data / "scenes").mkdir(parents=True, exist_ok=True)
        tables.write(imported.scenes(benchmark, recipe, sites), benchmark.table("scenes"))
        return Done(len(sites), 0, 0, 0)
    prune(benchmark.data / "scenes", set(sites.site_id))
    if isinstance(recipe.source, Xyz):
        xyz.show_terms(recipe.source, benchmark.data / "tiles")
    listed = None if refresh else _listed(benchmark)
    tasks = [Task(benchmark, recipe, row, _of(listed, row.site_id), refresh) for row in sites.itertuples()]
    outcomes = each_site("fetch", tasks, fetch_site, workers, scheduler)
    table = pd.concat([outcome.rows for outcome in outcomes], ignore_index=True)
    tables.write(table, benchmark.table("scenes"))
    missing = table[table.reason.str.startswith(NOT_READ)]
    if len(missing):
        names = ", ".join(missing.scene_id.unique()[:8]) + (" ..." if missing.scene_id.nunique() > 8 else "")
        raise WorkError(
            f"{missing.scene_id.nunique()} scenes could not be read: {names} "
            f"({missing.reason.iloc[0].removeprefix(NOT_READ).rstrip('.')}). "
            "Run the command again to fetch just those; --refresh chooses anew."
        )
    sums = np.array([outcome.traffic for outcome in outcomes]).sum(axis=0)
    return Done(sum(outcome.made for outcome in outcomes), *map(int, sums))


def fetch_site(task: Task) -> Outcome:
    """Fetch one site, unless the kept files are whole and of the same inputs."""
    benchmark, recipe, site = task.benchmark, task.recipe, task.site
    request, choice = prints(benchmark, recipe, site)
    pixels_print = tables.fingerprint([request], CODE)
    whole_print = tables.fingerprint([pixels_print, choice])
    store = Kept.prepared(benchmark.scenes(site.site_id), pixels_print)
    frozen = task.listed if task.listed is not None and _is_of(task.listed, choice) else None
    own = None if task.refresh else store.rows("choice", choice)
    if own is not None and (frozen is None or _same(own, frozen)):
        if store.is_whole(whole_print):
            return Outcome(False, own)
        frozen = own
    traffic = web.Traffic()
    with web.counting(traffic):
        source = protocol.open(benchmark, recipe)
        chooser = selector.Chooser(source, recipe, site, store, (request, choice), traffic)
        rows = chooser.again(frozen) if frozen is not None else chooser.anew()
    table = pd.DataFrame(rows, columns=list(ROW)).astype(ROW)
    if not table.reason.str.startswith(NOT_READ).any():
        store.forget_others()
        table.attrs = {"fingerprint": whole_print, "choice": choice, "files": sorted(store.sums)}
        tables.write(table, store.folder / "scenes.parquet")
    return Outcome(True, table, (traffic.requests, traffic.retries, traffic.received))


def prints(benchmark: Benchmark, recipe: Recipe, site: Any) -> tuple[str, str]:
    """Fingerprints of what is read of a scene (source, bands, grid), and of what decides which
    scenes are chosen. Neither depends on the software's version or on who asks."""
    parts: list[Any] = [_impersonal(recipe.source)]
    if isinstance(recipe.source, Synthetic):
        archive = benchmark.archive / site.site_id / "collection.json"
        parts.append(tables.fingerprint_of(archive))
    sensor = json.loads(recipe.sensor.model_dump_json(exclude={"rgb"}))
    place = f"{site.epsg} {site.left} {site.top} {site.height} {site.width}"
    periods, rule = recipe.periods.model_dump(), recipe.selection.model_dump()
    return (
        tables.fingerprint([*parts, sensor, place]),
        tables.fingerprint([*parts, periods, rule, site.geometry.wkt]),
    )


def _impersonal(source: BaseModel) -> dict[str, Any]:
    return json.loads(source.model_dump_json(exclude=PERSONAL))


def _listed(benchmark: Benchmark) -> pd.DataFrame | None:
    """The table of scenes, where there is one with the columns it takes to use it again."""
    path = benchmark.table("scenes")
    table = tables.read(path, "fetch --refresh") if path.is_file() else None
    return table if table is not None and set(ROW) <= set(table.columns) else None


def _of(listed: pd.DataFrame | None, site_id: str) -> pd.DataFrame | None:
    rows = None if listed is None else listed[listed.site_id == site_id].reset_index(drop=True)
    return None if rows is None or rows.empty else rows


def _is_of(rows: pd.DataFrame, choice: str) -> bool:
    """Whether a site's rows are a whole choice made from these inputs. A chosen scene that could not
    be read again is still chosen; one that could not be read for the choice leaves it open."""
    is_open = rows.reason.str.startswith(NOT_READ) & ~rows.selected
    return bool((rows.choice == choice).all()) and not is_open.any()


def _same(own: pd.DataFrame, frozen: pd.DataFrame) -> bool:
    """Whether two tables choose the same scenes with the same pixels."""
    columns: Iterable[str] = ("period", "scene_id", "selected", "checksum")
    return all(own[column].tolist() == frozen[column].tolist() for column in columns)
