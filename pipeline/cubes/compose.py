"""Stage `compose`: one image per period from the kept scenes, written as the site's cube.

    cubes/<site_id>.zarr       reflectance (or image), clear, aoi; see `minebench.cube.store`
    index/composites.parquet   every period of every site: kept or not, and why

A period's image is made anew only when its own scenes or rules change; `annotate` adds the footprint
masks to the same cubes.
"""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from minebench import cores, receipts, tables
from minebench.cube import store as cube_store
from minebench.errors import NotMadeYet, WorkError
from minebench.layout import BenchmarkPaths
from minebench.periods import Period
from pipeline.core.runner import Spread, Step, Tasks, each_step, prune
from pipeline.cubes import cube
from pipeline.cubes.days import days_of
from pipeline.published import cubes
from pipeline.recipe import Recipe
from pipeline.scenes import selection
from pipeline.scenes.scene_table import Listed
from pipeline.scenes.status import SENTENCES, Status
from pipeline.scenes.store import SceneStore
from pipeline.sites import site as sites
from pipeline.sites.site import Site

if TYPE_CHECKING:
    from pipeline.cubes.writer import Image

log = logging.getLogger(__name__)
ROW = {
    "site_id": "str", "period": "str", "days": "int64", "scenes": "int64", "clear": "float64",
    "kept": "bool", "reason": "str", "images": "str",
}  # fmt: skip
"""Columns of `composites`. `days` and `scenes` went into the image; `clear` is the share of the
AOI with at least one clear observation; `images` is the key of what the image is made of."""
PIXELS = ("scene_id", "day", "checksum")
NOT_CLEAR, NONE_FOUND = "no scene was clear enough", SENTENCES[Status.NONE_FOUND]
VERSION = 1
"""Of the composites (`pipeline.cubes.period_image`, `pipeline.cubes.composite`): raise it when they come
out otherwise."""


@dataclass(frozen=True)
class Task:
    """One site's work; `chosen` are the rows of `scenes` that were selected."""

    benchmark: BenchmarkPaths
    recipe: Recipe
    site: Site
    chosen: Listed
    threads: int

    def __reduce__(self) -> Any:
        # A worker elsewhere gets the rows of its own site.
        chosen = self.chosen.only(self.site.site_id)
        return Task, (self.benchmark, self.recipe, self.site, chosen, self.threads)

    @property
    def path(self) -> Path:
        return self.benchmark.cube(self.site.site_id)

    @cached_property
    def pixels(self) -> dict[str, dict[str, list[str]]]:
        """By period the chosen scenes, their days, and the checksums of their pixels."""
        found: dict[str, dict[str, list[str]]] = {}
        labels, *columns = self.chosen.values(self.site.site_id, ("period", *PIXELS))
        for label, *values in zip(labels, *columns, strict=True):
            own = found.setdefault(label, {name: [] for name in PIXELS})
            for name, value in zip(PIXELS, values, strict=True):
                own[name].append(value)
        return found

    def of(self, period: Period) -> pd.DataFrame:
        """A period's rows."""
        rows = self.chosen.of(self.site.site_id)
        return self.chosen.table[:0] if rows is None else rows[rows.period == period.label]


def build(benchmark: BenchmarkPaths, recipe: Recipe, spread: Spread) -> int:
    """Make the cubes that are missing or of other inputs, and the table. Returns how many."""
    table = sites.read(benchmark)
    scenes = tables.read(benchmark.table("scenes"), "fetch")
    is_published = recipe.source.is_published
    if not is_published:  # published files have no rows for what they lack
        _check_fetched(scenes, list(table.site_id), recipe)
    prune(benchmark.data / "cubes", {f"{site_id}.zarr" for site_id in table.site_id})
    chosen = Listed(scenes[scenes.selected])
    at_once = cores.count() if spread.scheduler is None else 1
    threads = max(1, at_once // max(1, min(spread.workers, len(table))))
    tasks = Tasks(sites.listed(table, recipe), lambda site: Task(benchmark, recipe, site, chosen, threads))
    rows, composed = [], 0
    for own, made in each_step(IMPORTED if is_published else STEP, tasks, spread):
        rows += [tuple(row[name] for name in ROW) for row in own]
        composed += made
    composites = _explained(pd.DataFrame(rows, columns=list(ROW)).astype(ROW), scenes)
    if not composites.kept.any():
        reason = composites.reason.iloc[0]
        mend = "index/scenes.parquet says of each scene why it was not used"
        if "clear" in reason:
            mend = "lower selection.min_period_clear or search more scenes"
        raise WorkError(f"No site has a period with enough clear pixels ({reason}): {mend}.")
    tables.write(composites, benchmark.table("composites"))
    return composed


def _check_fetched(scenes: pd.DataFrame, site_ids: list[str], recipe: Recipe) -> None:
    """NotMadeYet where a site and period have no row: `fetch` writes one even where nothing is found."""
    there = set(zip(scenes.site_id, scenes.period, strict=True))
    for site_id in site_ids:
        for period in recipe.periods.periods():
            if (site_id, period.label) not in there:
                raise NotMadeYet(
                    f"No scenes of {site_id} in {period.label} were looked for yet: run `minebench fetch`."
                )


def image_key(task: Task, period: Period) -> str:
    """What a period's image is made of: its scenes' pixels, and the rules."""
    recipe = task.recipe
    none: dict[str, list[str]] = {name: [] for name in PIXELS}
    rule = recipe.selection
    return receipts.fingerprint([
        VERSION, selection.VERSION, period.label, period.start, period.end,
        task.pixels.get(period.label, none),
        recipe.sensor.asked(), recipe.profile.name, recipe.profile.version,
        rule.policy, rule.composite, rule.clear.numbers,
        rule.clear.margin, rule.min_period_clear, task.site.layout(), task.site.geometry.wkt,
        *_order(task, period),
    ])  # fmt: skip


def _order(task: Task, period: Period) -> list[Any]:
    """The order of a day's granules, where it is not that of time: keys of earlier versions have no order."""
    days = task.pixels.get(period.label, {}).get("day", [])
    if len(set(days)) == len(days):
        return []
    rows = task.of(period)
    order = [scene for day in days_of(rows) for scene in day.scenes]
    return [] if order == rows.sort_values(["day", "datetime", "scene_id"]).scene_id.tolist() else [order]


def _key(task: Task) -> str:
    images = {period.label: image_key(task, period) for period in task.recipe.periods.periods()}
    return receipts.fingerprint([cube_store.VERSION, images, cube.chunk_side(task.recipe)])


def _receipt(task: Task) -> Path:
    return cube_store.receipt(task.path)


def _kept(task: Task) -> list[dict[str, Any]]:
    return cube_store.rows_of(task.path)


def _make(task: Task, key: str) -> list[dict[str, Any]]:
    """A site's cube and its rows. Images that the cube holds already are taken over."""
    # The compiled kernel and Zarr are loaded only where there is something to compose.
    import rasterio

    from pipeline.cubes import kept_scenes, writer
    from pipeline.cubes.kept_scenes import KeptScenes

    recipe, site = task.recipe, task.site
    held, told = writer.images_of(task.path, recipe), {row["images"]: row for row in _kept(task)}
    aoi, rows, found = site.aoi(), [], []
    for period in recipe.periods.periods():
        images = image_key(task, period)
        image = held.get(images)
        if image is None:
            store = SceneStore(task.benchmark.scenes(site.site_id))
            with (
                rasterio.Env(**kept_scenes.CACHE),
                KeptScenes(store, recipe.profile, recipe.sensor.encoding.is_picture) as reader,
            ):
                row, image = _compose_period(task, period, reader, aoi)
        else:
            row = told[images]
        rows.append({**row, "period": period.label, "images": images})
        if image is not None:
            found.append(image)
    writer.write(task.path, site, recipe, found, aoi, key, rows)
    return rows


def _explained(composites: pd.DataFrame, scenes: pd.DataFrame) -> pd.DataFrame:
    """The table with the cause of periods for which the source has nothing at all, or nothing that can be
    used."""
    places = pd.MultiIndex.from_frame(composites[["site_id", "period"]])
    is_unclear = composites.reason == NOT_CLEAR
    empty = scenes[scenes.status == Status.NONE_FOUND]
    nothing = places.isin(pd.MultiIndex.from_frame(empty[["site_id", "period"]]))
    reasons = composites.reason.mask(nothing & is_unclear, NONE_FOUND)
    by_period = scenes.groupby(["site_id", "period"])
    why = by_period.reason.agg(lambda reason: str(reason.iloc[0]).removeprefix("not used: "))
    causes = "no scene can be used: " + why.reindex(places, fill_value="")
    told = pd.Series(causes.to_numpy(), composites.index)
    unusable = by_period.status.agg(lambda status: bool(status.isin((Status.FLAWED, Status.NOT_READ)).all()))
    is_unusable = is_unclear & unusable.reindex(places, fill_value=False).to_numpy()
    return composites.assign(reason=reasons.mask(is_unusable, told))


STEP = Step("compose", _key, _receipt, _make, _kept)
IMPORTED = Step("compose", cubes.key, _receipt, cubes.make, _kept)


def _compose_period(
    task: Task, period: Period, reader: Any, aoi: NDArray[np.bool_]
) -> tuple[dict[str, Any], "Image | None"]:
    """A period's row of `composites`, and its image where enough of the AOI is clear."""
    from pipeline.cubes import writer
    from pipeline.cubes.period_image import compose

    days, rule = days_of(task.of(period)), task.recipe.selection
    used = [scene for day in days for scene in day.scenes]
    row = {"site_id": task.site.site_id, "period": period.label, "days": len(days), "scenes": len(used),
           "clear": 0.0, "kept": False}  # fmt: skip
    if not days:
        return {**row, "reason": NOT_CLEAR}, None
    pixels, clear = compose(days, reader, task.recipe, task.site.shape, task.threads)
    share = float((clear > 0)[aoi].mean())
    if share < rule.min_period_clear:
        short = f"only {share:.1%} of the AOI is clear, less than {rule.min_period_clear:.0%}"
        return {**row, "clear": share, "reason": short}, None
    image = writer.Image(period, pixels, clear, used, [day.day for day in days])
    return {**row, "clear": share, "kept": True, "reason": ""}, image
