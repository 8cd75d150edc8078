"""Mine lists with anything in them: laid out, or refused in one sentence."""

import multiprocessing
import random
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from minebench.errors import MinebenchError
from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.sites import build, summary
from tests.conftest import RECIPE, run

CELLS: tuple[Any, ...] = (
    None, np.nan, pd.NA, 7, 7.5, -1, True, "", " ", "a" * 5000, "Ω\u0000x", "../../etc", "<b>", "NaN", "nan",
    [], [1, 2], ["a"], {"a": 1}, b"\xff", float("inf"), pd.Timestamp("2020-01-01"), 10**30,
)  # fmt: skip
SHAPES: tuple[BaseGeometry | None, ...] = (
    None, shapely.Point(), shapely.Polygon(), shapely.Point(0, 0), shapely.Point(14, 51),
    shapely.Point(np.nan, 1), shapely.Point(np.inf, 1), shapely.Point(181, 5), shapely.Point(5, 95),
    shapely.Point(10, 89.9), shapely.LineString([(14, 51), (14.1, 51)]), 
    shapely.LinearRing([(0, 1), (1, 1), (1, 0)]),
    shapely.Polygon([(14, 51), (14.1, 51), (14.2, 51)]), shapely.Polygon([(14, 51)] * 4),
    shapely.Polygon([(14, 51), (14.1, 51.1), (14.1, 51), (14, 51.1)]),
    shapely.box(14, 51, 14 + 1e-9, 51 + 1e-9), shapely.box(-179, -60, 179, 80), shapely.box(0, 0, 30, 30),
    shapely.MultiPoint([(14, 51), (14.01, 51)]), shapely.MultiPolygon([shapely.box(14, 51, 14.01, 51.01)]),
    shapely.MultiPolygon([shapely.box(14, 51, 14.01, 51.01), shapely.box(100, 10, 100.01, 10.01)]),
    shapely.GeometryCollection([shapely.Point(14, 51), shapely.box(14, 51, 14.01, 51.01)]),
    shapely.GeometryCollection(), shapely.Polygon([(14, 51, 1), (14.01, 51, 2), (14.01, 51.01, 3)]),
    shapely.box(14, 51, 14.02, 51.02).difference(shapely.box(14.005, 51.005, 14.01, 51.01)),
    shapely.box(51, 14, 51.01, 14.01), shapely.box(170, 51, 190, 52), shapely.box(359, 10, 359.01, 10.01),
)  # fmt: skip
SUFFIXES = (".geojson", ".gpkg", ".parquet", ".geoarrow.parquet", ".csv", ".shp")


def mutated(rng: random.Random) -> gpd.GeoDataFrame:
    """A small list with some cells and shapes replaced."""
    count = rng.randint(1, 4)
    columns: dict[str, list[Any]] = {
        "name": [f"m{i}" for i in range(count)],
        "ISO3_CODE": ["DEU"] * count,
        "primary_commodity": ["coal"] * count,
        "activity_status": ["active"] * count,
        "facility_equipment": ["Open pit"] * count,
        "production_start": [2005] * count,
    }
    for values in columns.values():
        if rng.random() < 0.4:
            values[rng.randrange(count)] = rng.choice(CELLS)
    shapes: list[BaseGeometry | None] = [
        shapely.box(14 + i / 10, 51, 14.02 + i / 10, 51.02) for i in range(count)
    ]
    if rng.random() < 0.7:
        shapes[rng.randrange(count)] = rng.choice(SHAPES)
    table = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    for name in rng.sample(sorted(columns), rng.randint(0, 2)):
        table = table.drop(columns=name)
    return gpd.GeoDataFrame(table, geometry=gpd.GeoSeries(shapes, crs=4326))


def written(table: gpd.GeoDataFrame, path: Path, rng: random.Random) -> bool:
    """Whether the table could be written in the form of the suffix; then perhaps with a few bytes changed."""
    try:
        if path.name.endswith(".csv"):
            pd.DataFrame(table.drop(columns="geometry")).assign(
                lon=[rng.choice([14, "x", None, 1e9, "nan"]) for _ in range(len(table))], lat=51
            ).to_csv(path, index=False)
        elif path.name.endswith(".parquet"):
            table.to_parquet(path, geometry_encoding="geoarrow" if "geoarrow" in path.name else "WKB")
        else:
            by_ogr(table, path)
    except Exception:
        return False
    if rng.random() < 0.25:
        content = bytearray(path.read_bytes())
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])
    return True


@cache
def writer() -> ProcessPoolExecutor:
    """A process that only writes: pyogrio 0.13 ends it where it writes some lists and other odd cells."""
    return ProcessPoolExecutor(1, multiprocessing.get_context("fork"))


def by_ogr(table: gpd.GeoDataFrame, path: Path) -> None:
    """Write a list with GDAL; BrokenProcessPool where that ended the process, and the next list gets a new
    one."""
    try:
        writer().submit(_by_ogr, table, path).result()
    except BrokenProcessPool:
        writer.cache_clear()
        raise


def _by_ogr(table: gpd.GeoDataFrame, path: Path) -> None:
    table.to_file(path)


def attempted(folder: Path, seed: int) -> str | None:
    """What became of one list: None where it was laid out, else the sentence."""
    rng = random.Random(seed)
    suffix = rng.choice(SUFFIXES)
    benchmark = BenchmarkPaths("tiny", folder)
    benchmark.mines.mkdir(parents=True)
    path = benchmark.mines / f"list{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not written(mutated(rng), path, rng):
            return None
        filters = rng.choice(
            ["", "filters: {commodity: [coal]}, ", "filters: {equipment: pit}, ", "group_m: 500, "]
        )
        text = RECIPE.replace("mines: mines.csv, ", f"mines: {path.name}, {filters}")
        benchmark.recipe.write_text(text)
        loaded = recipe.load(benchmark.recipe)
        try:
            table = build.lay_out(benchmark, loaded)
            summary.of(table, loaded)
        except MinebenchError as error:
            return str(error)
    return None


@pytest.mark.parametrize("start", range(0, 240, 40))
def test_a_list_is_laid_out_or_refused_in_one_sentence(tmp_path: Path, start: int) -> None:
    said = [attempted(tmp_path / str(seed), seed) for seed in range(start, start + 40)]
    refused = [sentence for sentence in said if sentence]
    assert 5 < len(refused) < 40
    for sentence in refused:
        assert "\n" not in sentence
        assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        (shapely.Point(0, 0), "lies at 0° N, 0° E"),
        (shapely.Polygon([(14, 51), (14.1, 51), (14.2, 51)]), "is a polygon without area"),
        (shapely.box(14, 51, 14 + 1e-9, 51 + 1e-9), "less than a square metre"),
        (shapely.box(0.1, 0.1, 30, 30), "pixels of 10 m, more than 400,000,000"),
        (
            None,
            "row 1 has no geometry: give it one, remove the row or, where it has GADM ids, set",
        ),
    ],
)
def test_what_is_hardly_a_mine_is_refused_and_nothing_else_is_said(
    empty_project: Path, shape: BaseGeometry | None, says: str
) -> None:
    """Through the command line: no library's warning stands above the sentence."""
    path = empty_project / "catalogs/tiny/mines/list.gpkg"
    table = gpd.GeoDataFrame({"name": ["a"], "GID_0": ["DEU"]}, geometry=[shape], crs=4326)
    table.to_file(path)
    text = (empty_project / "catalogs/tiny/recipe.yaml").read_text()
    (empty_project / "catalogs/tiny/recipe.yaml").write_text(text.replace("mines.csv", "list.gpkg"))
    done = run("sites", cwd=empty_project)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_geoarrow_is_refused_before_it_can_crash(empty_project: Path) -> None:
    path = empty_project / "catalogs/tiny/mines/list.parquet"
    shapes = [shapely.box(14, 51, 14.1, 51.1), shapely.MultiPolygon([shapely.box(15, 51, 15.1, 51.1)])]
    gpd.GeoDataFrame({"name": ["a", "b"]}, geometry=shapes, crs=4326).to_parquet(
        path, geometry_encoding="geoarrow"
    )
    text = (empty_project / "catalogs/tiny/recipe.yaml").read_text()
    (empty_project / "catalogs/tiny/recipe.yaml").write_text(text.replace("mines.csv", "list.parquet"))
    done = run("sites", cwd=empty_project)
    assert done.returncode == 2
    assert "save it with encoding WKB" in done.stderr
