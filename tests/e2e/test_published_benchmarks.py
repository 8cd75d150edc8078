"""The four published benchmarks' recipes, each from a mine list to its tables, small and synthetic."""

import shutil
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import zarr
from ruamel.yaml import YAML

from minebench import data, layout
from models.evaluation.evaluate import evaluate
from models.training.settings import Settings
from models.training.train import train
from pipeline import recipe
from pipeline.cli.new import Wanted, scaffold
from pipeline.core.runner import Spread
from pipeline.cubes import annotate, compose
from pipeline.geo import geodesy
from pipeline.index import tile
from pipeline.report import page as report
from pipeline.scenes import fetch
from pipeline.sites import build
from pipeline.stac import check
from pipeline.stac import root as catalog
from pipeline.synthetic import make
from tests.conftest import ROOT

PLACES = {"Alpha": (14.223, 51.630), "Beta": (23.8, 40.9), "Gamma": (-69.2, -24.3)}


def mines(path: Path, radius_m: float) -> Path:
    """Three round mines."""
    rows = []
    for name, (lon, lat) in PLACES.items():
        epsg = geodesy.utm_epsg(lon, lat)
        middle = geodesy.project(shapely.Point(lon, lat), 4326, epsg)
        rows.append((name, geodesy.project(middle.buffer(radius_m), epsg, 4326)))
    table = gpd.GeoDataFrame(rows, columns=["name", "geometry"], crs=4326)
    table.to_file(path)
    return path


def small(
    root: Path, name: str, radius_m: float, changes: dict[str, dict[str, Any]]
) -> layout.BenchmarkPaths:
    """A published recipe with a list of three small mines and fewer dates, over the synthetic archive."""
    shutil.copytree(ROOT / "catalogs" / name, root / "catalogs" / name, ignore=shutil.ignore_patterns("stac"))
    listed = mines(root / "mines.geojson", radius_m)
    benchmark = scaffold(Wanted("small", str(listed), source="synthetic", like=name), root).benchmark
    yaml = YAML()
    content = yaml.load(benchmark.recipe.read_text())
    for part, values in changes.items():
        content[part].update(values)
    with benchmark.recipe.open("w") as file:
        yaml.dump(content, file)
    return benchmark


def built(benchmark: layout.BenchmarkPaths) -> recipe.Recipe:
    """Every stage, a few steps of training among them."""
    loaded = recipe.load(benchmark.recipe)
    build.build(benchmark, loaded)
    for stage in (make, fetch, compose, annotate, tile, catalog):
        stage.build(benchmark, loaded, Spread(2))
    train(benchmark.data, "fc-siam-diff", SETTINGS)
    scores = evaluate(benchmark.data, "fc-siam-diff")
    assert sum(scores["pixels"].values()) > 0
    report.build(benchmark, loaded)
    assert "fc-siam-diff" in benchmark.report.read_text()
    return loaded


def tables(benchmark: layout.BenchmarkPaths, *names: str) -> list[pd.DataFrame]:
    return [pd.read_parquet(benchmark.table(name)) for name in names]


SETTINGS = Settings(steps=2, batch=2, crop=64, validate_every=2, validation_items=2, options={"width": 4})


THIRDS = {"train": 0.34, "val": 0.33, "test": 0.33}


def test_euromine(tmp_path: Path) -> None:
    changes = {
        "periods": {"start": "2019", "end": "2021"},
        "source": {"seed": 5, "scenes_per_period": 4},
        "selection": {"max_cloud": 100, "min_clear": 0.3, "min_period_clear": 0.3},
        "split": THIRDS,
    }
    benchmark = small(tmp_path, "euromine", 400, changes)
    loaded = built(benchmark)
    assert len(loaded.sensor.bands) == 10
    tiles, pairs, periods = tables(benchmark, "tiles", "pairs", "statistics/by_period")
    assert (tiles.height + tiles.pad_y).eq(160).all()
    assert (pairs.groupby("tile_id").size() == 3).all()
    assert periods.period.tolist() == ["2019", "2020", "2021"]
    assert (periods.footprint_km2 > 0).all()
    folds = tables(benchmark, "folds")[0]
    assert set(folds[folds.scheme == "country"].fold) == {"DEU", "GRC", "CHL"}


def test_minenet(tmp_path: Path) -> None:
    changes = {
        "source": {"seed": 5, "scenes_per_period": 3},
        "sites": {"buffer_m": 130},
        "split": {**THIRDS, "stratify": []},
    }
    benchmark = small(tmp_path, "minenet", 90, changes)
    built(benchmark)
    tiles, pairs, each = tables(benchmark, "tiles", "pairs", "statistics/sites")
    cube = zarr.open_group(benchmark.cube(tiles.site_id[0]), mode="r")
    assert cube["image"].dtype == np.uint8
    assert cube["image"].shape[:2] == (2, 3)
    assert pairs[["t1", "t2"]].drop_duplicates().to_numpy().tolist() == [["before", "after"]]
    assert (tiles.height == 256).all()
    assert (each.months >= 48).all()
    assert pairs.changed.sum() > 0
    assert pairs.expanded.isna().all()
    assert (cube["mine"][:] == 255).all()
    spectra = tables(benchmark, "statistics/spectra")[0]
    assert set(spectra.band) == {"R", "G", "B"}
    assert spectra[spectra.area == "changed"].before.sum() == 3 * round(each.changed_km2.sum() * 1e6 / 1.2**2)


def test_oms2(tmp_path: Path) -> None:
    changes = {
        "periods": {"start": "2018-04", "end": "2018-07"},
        "source": {"seed": 5, "scenes_per_period": 2},
        "selection": {"max_cloud": 100, "min_clear": 0.2, "min_period_clear": 0.2},
        "split": THIRDS,
    }
    benchmark = small(tmp_path, "oms2", 500, changes)
    built(benchmark)
    tiles, pairs, days = tables(benchmark, "tiles", "pairs", "statistics/acquisitions")
    assert (tiles.groupby("site_id").size() >= 1).all()
    assert (days.first_day.str[:7] == days.period).all()
    assert pairs.interval.isin([1, 2, 3]).all()
    # Mines grow within the year: without that a monthly benchmark would hold no change.
    assert pairs[pairs.interval == 3].changed.sum() > 0
    assert data.open(benchmark.data, split="train")[0]["a"].shape == (3, 256, 256)


def test_openpit_hr(tmp_path: Path) -> None:
    changes = {
        "source": {"seed": 5, "scenes_per_period": 1},
        "sites": {"buffer_m": 180, "min_size_m": 520},
        "split": {"train": 0.5, "val": 0.2, "test": 0.3},
    }
    benchmark = small(tmp_path, "openpit-hr", 90, changes)
    built(benchmark)
    tiles, leakage = tables(benchmark, "tiles", "statistics/leakage")
    assert len(tiles) == 12
    assert tiles.groupby("site_id").split.nunique().max() > 1
    # Four tiles that touch each other: all of a site is near when any of it is trained on.
    trained = set(tiles.site_id[tiles.split == "train"])
    near = tiles[tiles.split == "test"].site_id.isin(trained).mean()
    share = leakage.set_index("split").share["test"]
    assert share == pytest.approx(near)
    page = benchmark.report.read_text()
    assert "this split leaks" in page
    assert f"{share:.1%} of the test pixels lie within one tile of a training tile" in page
    item = data.open(benchmark.data, split="train")[0]  # the recipe asks for neighbours
    assert item["a_context"].shape == item["a"].shape == (3, 256, 256)
    assert check.check(benchmark) > 0
