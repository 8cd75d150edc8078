"""Real mine outlines over the synthetic archive, and real images through the `local` source."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import xarray as xr
from scipy.ndimage import map_coordinates

from tests.conftest import RECIPE, STAGES, make_project, run

LOCAL = """\
title: {title}
sensor: {{bands: {bands}, rgb: {rgb}, resolution: {resolution}, dtype: uint8}}
source:
  name: local
  path: {path}
  pattern: '{pattern}'
  bands: {numbers}
periods: {periods}
selection: {{policy: least_cloudy, min_clear: 0.5, min_period_clear: 0.8}}
sites: {{mines: mines.csv, geometry: extent, point_radius_m: {radius}, buffer_m: 0}}
labels: {{source: none}}
tiling: {{size: 128}}
pairs: {pairs}
split: {{train: 0, val: 0, test: 1}}
citation: public domain
"""
NAIP = {
    "title": "NAIP", "bands": "[R, G, B]", "rgb": "[R, G, B]", "resolution": 5,
    "pattern": r"m_.*_(?P<date>\d{8})\.tif", "numbers": "{R: 1, G: 2, B: 3}", "radius": 700,
}  # fmt: skip
LANDSAT = {
    "title": "Landsat", "bands": "[b1, b2, b3, b4]", "rgb": "[b1, b2, b3]", "resolution": 90,
    "pattern": r"(?P<date>\d{4})\.tif", "numbers": "{b1: 1, b2: 2, b3: 3, b4: 4}", "radius": 14000,
    "periods": '{dates: ["1985", "1990", "1995", "2000", "2005", "2010", "2015", "2020"]}',
    "pairs": "first_last",
}  # fmt: skip


def build(project: Path, stages: tuple[str, ...]) -> None:
    for stage in stages:
        done = run(*stage.split(), cwd=project)
        assert done.returncode == 0, f"{stage}: {done.stderr}"


def images(project: Path) -> xr.Dataset:
    (path,) = (project / "data/tiny/cubes").iterdir()
    return xr.open_zarr(path, mask_and_scale=False)


def compare(cube: xr.Dataset, date: int, path: Path) -> float:
    """Median difference between the cube and the file itself, looked up at the pixels' places."""
    with rasterio.open(path) as file:
        band = file.read(1).astype(float)
        y, x = np.meshgrid(cube.y.to_numpy()[5:-5:7], cube.x.to_numpy()[5:-5:7], indexing="ij")
        points = gpd.GeoSeries(
            gpd.points_from_xy(x.ravel(), y.ravel()), crs=cube.spatial_ref.attrs["crs_wkt"]
        )
        places = points.to_crs(file.crs)
        columns, rows = ~file.transform @ (places.x.to_numpy(), places.y.to_numpy())
        there = map_coordinates(band, [rows - 0.5, columns - 0.5], order=1)
    here = cube.image.to_numpy()[date, 0, 5:-5:7, 5:-5:7].ravel().astype(float)
    return float(np.median(np.abs(here - there)))


def test_jasansky_outlines_through_the_whole_dag(shared: Path, tmp_path: Path) -> None:
    text = RECIPE.replace(
        "mines: mines.csv, geometry: extent, point_radius_m: 400, buffer_m: 90, min_size_m: 960",
        f"mines: {shared / 'mines/jasansky2024_tiles.gpkg'}, layer: polygons_annotated, group_m: 500,"
        " buffer_m: 300, filters: {min_area_km2: 0.1, max_area_km2: 0.4}, limit: 4",
    )
    text = text.replace("tiny (synthetic)", "Jasansky outlines (synthetic images)")
    text = text.replace('start: "2021"', 'start: "2022"').replace("per_period: 4", "per_period: 2")
    text = text.replace(
        "{train: 0.34, val: 0.33, test: 0.33}", "{train: 0.6, val: 0.2, test: 0.2, min_distance_m: 2000}"
    )
    project = make_project(tmp_path / "project", text)
    models = tuple(f"{verb} --model {m}" for verb in ("train", "evaluate") for m in ("fc-siam-diff", "unet"))
    build(project, (*STAGES, *models, "report", "check"))
    sites = gpd.read_parquet(project / "data/tiny/index/sites.parquet")
    composites = pd.read_parquet(project / "data/tiny/index/composites.parquet")
    assert len(sites) == 4
    assert sites.country.notna().all()
    assert composites[composites.kept].site_id.nunique() >= 3
    real = gpd.read_file(shared / "mines/jasansky2024_tiles.gpkg", layer="polygons_annotated")
    whole = shapely.union_all(real.geometry.to_numpy())
    # The sites' footprints, and the archive's first ones, are the real outlines.
    assert all(whole.buffer(1e-6).contains(footprint) for footprint in sites.footprint)
    truth = gpd.read_parquet(project / "data/tiny/archive/footprints.parquet")
    first = truth.sort_values("year").groupby("site_id").first().geometry
    for site in sites.itertuples():
        drawn = gpd.GeoSeries([first[site.site_id], site.footprint], crs=4326).to_crs(site.epsg)
        assert drawn.iloc[0].intersection(drawn.iloc[1]).area / drawn.iloc[1].area > 0.9
    assert "synthetic" in (project / "data/tiny/report/index.html").read_text()


@pytest.mark.parametrize(
    ("periods", "pairs", "dates"),
    [
        ('{unit: year, start: "2009", end: "2020"}', "all", 10),
        pytest.param('{dates: ["2009", "2020"]}', "first_last", 2, marks=pytest.mark.slow),
    ],
)
def test_naip(shared: Path, tmp_path: Path, periods: str, pairs: str, dates: int) -> None:
    recipe = LOCAL.format(**NAIP, path=shared / "naip", periods=periods, pairs=pairs)
    project = make_project(tmp_path / "project", recipe, "name,lon,lat\nWetland,-99.1542,47.0186\n")
    build(project, (*STAGES, "report", "check"))
    cube = images(project)
    assert cube.sizes["time"] == dates
    assert (cube.clear == 1).all()
    assert (cube.mine == 255).all()
    files = sorted((shared / "naip").glob("*.tif"))
    for date, path in ((0, files[0]), (dates - 1, files[-1])):
        assert compare(cube, date, path) <= 1.5
    composites = pd.read_parquet(project / "data/tiny/index/composites.parquet")
    assert composites.kept.sum() == dates
    found = pd.read_parquet(project / "data/tiny/index/pairs.parquet")
    assert (found.unknown == 128 * 128).all()
    assert found.groupby("tile_id").size().eq(dates * (dates - 1) // 2).all()
    page = (project / "data/tiny/report/index.html").read_text()
    assert "No period is annotated" in page
    assert page.count("data:image/png") == dates


def test_landsat(shared: Path, tmp_path: Path) -> None:
    recipe = LOCAL.format(**LANDSAT, path=shared / "landsat")
    project = make_project(tmp_path / "project", recipe, "name,lon,lat\nUcayali,-74.44,-8.434\n")
    build(project, (*STAGES, "report", "check"))
    cube = images(project)
    assert cube.sizes["time"] == 8
    files = sorted((shared / "landsat").glob("*.tif"))
    for date in (0, 7):
        assert compare(cube, date, files[date]) <= 2.5
    pairs = pd.read_parquet(project / "data/tiny/index/pairs.parquet")
    assert set(zip(pairs.t1, pairs.t2, strict=True)) == {("1985", "2020")}
    assert pairs.tile_id.is_unique
    assert (project / "data/tiny/report/index.html").read_text().count("data:image/png") == 8
