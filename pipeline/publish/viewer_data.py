"""What the viewer reads besides the catalog's own files: small JSON under data/<b>/viewer/.

    benchmark.json       title, bands, periods, runs with their thresholds, where things lie
    sites.json           a row per site, for map and table
    countries.json       outlines of the land (Natural Earth, public domain)
    sites/<site_id>.json one site: its images, the scenes behind them, areas, activity, predictions

Hrefs are relative to the published folder, which has catalogs/ and data/ side by side.
"""

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from minebench import __version__, receipts, tables
from minebench.cube.labels import Labels
from minebench.errors import NotMadeYet
from minebench.files import write_compact_json
from minebench.layout import BenchmarkPaths
from models.evaluation import runs
from pipeline.core.runner import Spread, Step, Tasks, each_step
from pipeline.geo import countries
from pipeline.recipe import Recipe
from pipeline.scenes import attribution
from pipeline.scenes.scene_table import Listed
from pipeline.sites import site as sites
from pipeline.sites.site import Site
from pipeline.stac import model_items

VERSION = 2
"""Of these files: raise it when they come out otherwise."""
COMMON = ("blue", "green", "red", "nir", "nir08", "swir16", "swir22")
"""Bands' roles that the viewer's looks ask for."""
ACTIVITY = ("t1", "t2", "changed_m2", "cumulative_m2", "ndtci")
SCENE = ("scene_id", "day", "clear", "dx", "dy", "corrected")


@dataclass(frozen=True)
class Shared:
    """What all sites have in common: tables by site, and what was predicted."""

    benchmark: BenchmarkPaths
    recipe: Recipe
    chosen: Listed
    activity: dict[str, pd.DataFrame]
    splits: dict[str, str]
    runs: list[dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """One site's work."""

    shared: Shared
    site: Site

    @property
    def path(self) -> Path:
        return folder(self.shared.benchmark) / "sites" / f"{self.site.site_id}.json"

    @cached_property
    def predicted(self) -> dict[str, list[str]]:
        """The dates or pairs of dates that each run was applied to."""
        where = self.shared.benchmark.predictions
        found = {
            run["name"]: sorted(path.stem for path in (where / run["name"] / self.site.site_id).glob("*.tif"))
            for run in self.shared.runs
        }
        return {run: names for run, names in found.items() if names}


def folder(benchmark: BenchmarkPaths) -> Path:
    """Where the viewer's data lie."""
    return benchmark.data / "viewer"


def build(benchmark: BenchmarkPaths, recipe: Recipe, spread: Spread) -> int:
    """Write the files of what is published now; returns how many sites were written anew."""
    if not (benchmark.stac / "catalog.json").is_file():
        raise NotMadeYet(f"{benchmark.stac / 'catalog.json'} is missing: run `minebench catalog` first.")
    listed = sites.load(benchmark, recipe)
    present = [s for s in listed if (benchmark.stac / s.site_id / "collection.json").is_file()]
    shared = _shared(benchmark, recipe)
    _drop_others(benchmark, {site.site_id for site in present})
    rows, written = [], 0
    for row, made in each_step(STEP, Tasks(present, lambda site: Task(shared, site)), spread):
        rows.append(row)
        written += made
    write_compact_json(_benchmark(shared), folder(benchmark) / "benchmark.json")
    write_compact_json(_table(shared, present, rows), folder(benchmark) / "sites.json")
    borders = countries.borders()[["name", "geometry"]]
    write_compact_json(json.loads(borders.to_json(drop_id=True)), folder(benchmark) / "countries.json")
    return written


def _shared(benchmark: BenchmarkPaths, recipe: Recipe) -> Shared:
    scenes = tables.read(benchmark.table("scenes"), "fetch")
    tiles = tables.read(benchmark.table("tiles"), "tile", ["site_id", "split"])
    splits = tiles.groupby("site_id").split.agg(lambda own: own.iloc[0] if len(set(own)) == 1 else "mixed")
    measured = benchmark.table("activity/intervals")
    activity = tables.read(measured, "activity") if measured.is_file() else None
    by_site = {} if activity is None else {str(name): own for name, own in activity.groupby("site_id")}
    chosen = Listed(scenes[scenes.selected])
    split_of = {str(site_id): str(split) for site_id, split in splits.items()}
    return Shared(benchmark, recipe, chosen, by_site, split_of, _runs(benchmark))


def _runs(benchmark: BenchmarkPaths) -> list[dict[str, Any]]:
    """Every run that was scored or applied, with the threshold that its change counts from."""
    path = benchmark.table("activity/thresholds")
    table = tables.read(path, "activity") if path.is_file() else pd.DataFrame({"source": [], "threshold": []})
    thresholds = dict(zip(table.source, table.threshold, strict=True))
    scored = runs.scored(benchmark.data)
    applied = {path.parent.name for path in benchmark.predictions.glob("*/collection.json")}
    return [
        {
            "name": name, "task": scored.get(name, {}).get("task"), "f1": scored.get(name, {}).get("f1"),
            "split": scored.get(name, {}).get("split"), "applied": name in applied,
            "external": runs.EXTERNAL in scored.get(name, {}),
            "threshold": thresholds.get(name, scored.get(name, {}).get("threshold", 0.5)),
        }
        for name in sorted(applied | set(scored))
    ]  # fmt: skip


def _drop_others(benchmark: BenchmarkPaths, keep: set[str]) -> None:
    """Files of sites that are gone."""
    where = folder(benchmark) / "sites"
    where.mkdir(parents=True, exist_ok=True)
    for path in where.iterdir():
        if path.stem not in keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _benchmark(shared: Shared) -> dict[str, Any]:
    benchmark, recipe = shared.benchmark, shared.recipe
    scenes = shared.chosen.table
    return {
        "name": benchmark.name,
        "title": recipe.title,
        "citation": recipe.citation,
        "synthetic": recipe.source.is_synthetic,
        "licence": attribution.shared_under(attribution.used(recipe, scenes)),
        "version": __version__,
        "bands": list(recipe.sensor.bands),
        "common": {
            role: recipe.sensor.bands.index(band)
            for band, role in recipe.profile.common.items()
            if role in COMMON and band in recipe.sensor.bands
        },
        "resolution": recipe.sensor.resolution,
        "dtype": recipe.sensor.dtype,
        "periods": [period.label for period in recipe.periods.periods()],
        "kind": recipe.labels.kind,
        "stac": benchmark.stac.relative_to(benchmark.root).as_posix(),
        "data": benchmark.data.relative_to(benchmark.root).as_posix(),
        "report": benchmark.report.is_file(),
        "models": (benchmark.stac / model_items.FOLDER).is_dir(),
        "runs": shared.runs,
    }


SITE = ("id", "name", "country", "production", "split", "lon", "lat", "images", "footprint_km2",
        "changed_km2")  # fmt: skip


def _table(shared: Shared, present: list[Site], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Columns and rows; the last columns are the runs' F1 on each site that they were scored on."""
    scored = [run["name"] for run in shared.runs if run["f1"] is not None]
    scores = {run: _site_scores(shared.benchmark, run) for run in scored}
    found = []
    for site, row in zip(present, rows, strict=True):
        lon, lat = (None, None) if site.geometry.is_empty else (round(v, 5) for v in site.place)
        found.append([
            site.site_id, site.label, site.country, site.production, shared.splits.get(site.site_id),
            lon, lat, row["images"], row["footprint_km2"], row["changed_km2"],
            *(scores[run].get(site.site_id) for run in scored),
        ])  # fmt: skip
    external = {run["name"] for run in shared.runs if run["external"]}
    heads = [f"F1 {run}{' (external)' if run in external else ''}" for run in scored]
    return {"columns": [*SITE, *heads], "rows": found}


def _site_scores(benchmark: BenchmarkPaths, run: str) -> dict[str, float | None]:
    table = pd.read_csv(benchmark.run(run) / "sites.csv")
    known = table.f1.astype(object).where(table.f1.notna(), None)
    return dict(zip(table.site_id, (None if v is None else round(v, 4) for v in known), strict=True))


def _key(task: Task) -> str:
    shared, site = task.shared, task.site
    measured = shared.activity.get(site.site_id)
    return receipts.fingerprint([
        VERSION, receipts.key_in(shared.benchmark.stac / site.site_id / "collection.json"), task.predicted,
        None if measured is None else measured.to_dict("list"),
        *_started(site).values(),
    ])  # fmt: skip


def _started(site: Site) -> dict[str, int]:
    """The year in which production began, where it is known."""
    return {} if site.production_start is None else {"production_start": site.production_start}


def _receipt(task: Task) -> Path:
    return task.path


def _kept(task: Task) -> dict[str, Any]:
    return dict(receipts.read(task.path)["row"])


def _make(task: Task, key: str) -> dict[str, Any]:
    shared, site = task.shared, task.site
    labels = Labels.read(shared.benchmark.cube(site.site_id))
    images = [_image(task, labels, i) for i in range(len(labels.periods))]
    areas = [image["footprint_km2"] for image in images if image["footprint_km2"] is not None]
    row = {
        "images": len(images), "footprint_km2": areas[-1] if areas else None,
        "changed_km2": _changed_km2(labels, site),
    }  # fmt: skip
    write_compact_json({
        receipts.KEY: key, "row": row, "id": site.site_id, "name": site.label, "country": site.country,
        "production": site.production, "split": shared.splits.get(site.site_id), "epsg": site.epsg,
        "shape": list(site.shape), "transform": list(site.grid.transform)[:6], "pixel_m2": site.pixel_m2,
        "images": images, "activity": _activity(shared.activity.get(site.site_id)),
        "predictions": task.predicted, **_started(site),
    }, task.path)  # fmt: skip
    return row


def _image(task: Task, labels: Labels, number: int) -> dict[str, Any]:
    """A period's image: how much is footprint, how much was clear, and the scenes behind it."""
    shared, site, label = task.shared, task.site, labels.periods[number]
    known = labels.known()[number]
    area = float((labels.mine[number] == 1)[known].sum()) * site.pixel_km2
    columns = shared.chosen.values(site.site_id, ("period", *SCENE))
    scenes = [
        dict(zip(SCENE, values, strict=True))
        for period, *values in zip(*columns, strict=True)
        if period == label
    ]
    where = shared.benchmark.stac / site.site_id / label
    if not where.is_dir():
        raise NotMadeYet(
            f"The catalog is older than the cubes and lacks {where}: run `minebench catalog` first."
        )
    return {
        "period": label,
        "footprint_km2": round(area, 6) if known.any() else None,
        "clear": round(float((labels.clear[number] > 0).mean()), 4),
        "most_clear": int(labels.clear[number].max()),
        "files": sorted(path.name for path in where.iterdir()),
        "scenes": scenes,
    }


def _changed_km2(labels: Labels, site: Site) -> float | None:
    """Change from the first to the last labelled period."""
    pairs = [(labels.periods[0], labels.periods[-1])] if len(labels.periods) > 1 else []
    if labels.change is not None:
        pairs = sorted(labels.drawn)[-1:]
    for pair in pairs:
        label = labels.label(*pair)
        if (label != 255).any():
            return round(float((label == 1).sum()) * site.pixel_km2, 6)
    return None


def _activity(table: pd.DataFrame | None) -> dict[str, list[dict[str, Any]]]:
    """Intervals by source."""
    if table is None:
        return {}
    rounded = table.assign(ndtci=table.ndtci.astype(np.float64).round(6))
    return {str(source): tables.records(own[list(ACTIVITY)]) for source, own in rounded.groupby("source")}


STEP = Step("viewer", _key, _receipt, _make, _kept)
