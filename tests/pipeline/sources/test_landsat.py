"""Landsat Collection 2 in Planetary Computer's form, through a real STAC server: years before Sentinel-2."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr

from pipeline.geo import cog, geodesy, grid
from pipeline.sensors import landsat
from tests.conftest import make_project, run
from tests.pipeline.sources.test_stac_api import api
from tests.standins.base import running

BANDS = ("blue", "green", "red", "nir08", "swir16", "swir22")
EPSG, SIDE = 32633, 120
# Landsat's pixel corners lie on odd multiples of 15 m.
BOX = grid.geobox(EPSG, 440_025, 5_720_055, SIDE, SIDE, 30)
RECIPE = """\
title: landsat
sensor: {{bands: [blue, green, red, nir08, swir16, swir22], rgb: [red, green, blue], resolution: 30}}
source: {{name: stac, href: '{href}', collections: [landsat-c2-l2], sign: '{sign}'}}
periods: {{dates: ["1995", "2001"]}}
selection: {{clear_classes: [water, bare], cloud_margin: 0, min_clear: 0.1, min_period_clear: 0.5}}
sites: {{mines: mines.csv, geometry: extent, point_radius_m: 400, min_size_m: 960}}
labels: {{source: none}}
tiling: {{size: 32}}
pairs: all
split: {{train: 1, val: 0, test: 0}}
citation: synthetic, for tests
"""
CLEAR, WATER, CLOUD = 21824, 21952, 22280


def scene(folder: Path, day: str, platform: str, url: str, seed: int) -> dict[str, Any]:
    """Write a scene's files; its item as Planetary Computer has them. Clouds cover a corner that differs
    by scene, water the middle."""
    rng, name = np.random.default_rng(seed), f"{platform.upper()}_{day.replace('-', '')}_02_T1"
    quality = np.full(BOX.shape, CLEAR, np.uint16)
    quality[40:80, 40:80] = WATER
    quality[:30, :] = 1
    quality[30:60, seed * 30 : seed * 30 + 30] = CLOUD
    assets: dict[str, Any] = {}
    for band in (*BANDS, "qa_pixel"):
        pixels = quality if band == "qa_pixel" else rng.integers(7_300, 20_000, BOX.shape).astype(np.uint16)
        if band != "qa_pixel":
            pixels[:30] = 0
        cog.write(folder / f"{name}_{band}.tif", pixels[np.newaxis], BOX, 1 if band == "qa_pixel" else 0)
        assets[band] = {
            "href": f"{url}/signed/{name}_{band}.tif", "roles": ["data"],
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "raster:bands": [{"scale": 2.75e-5, "offset": -0.2, "data_type": "uint16", "nodata": 0}],
        }  # fmt: skip
    outline = geodesy.to_lonlat(shapely.box(*BOX.boundingbox.bbox), EPSG)
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "landsat-c2-l2",
        "stac_extensions": ["https://stac-extensions.github.io/projection/v1.1.0/schema.json"],
        "geometry": shapely.geometry.mapping(outline), "bbox": list(outline.bounds), "links": [],
        "properties": {
            "datetime": f"{day}T09:30:00Z", "platform": platform, "instruments": ["tm"],
            "eo:cloud_cover": 12.0, "landsat:correction": "L2SP", "landsat:collection_number": "02",
            "proj:epsg": EPSG, "proj:shape": list(BOX.shape), "proj:transform": list(BOX.transform)[:6],
        },
        "assets": assets,
    }  # fmt: skip


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A project after fetch, compose, annotate and the rest, and the scenes' folder."""
    base = tmp_path_factory.mktemp("landsat")
    folder = base / "files"
    folder.mkdir()
    with running("cogs", str(folder)) as files:
        items = [
            scene(folder, day, platform, files.url, seed)
            for seed, (day, platform) in enumerate(
                [("1995-06-10", "landsat-5"), ("1995-07-12", "landsat-5"), ("2001-07-20", "landsat-7")]
            )
        ]
        base_items = base / "api"
        base_items.mkdir()
        with api(base_items, items) as href:
            recipe = RECIPE.format(href=href, sign=f"{files.url}/token")
            lon, lat = geodesy.centre(geodesy.to_lonlat(shapely.box(*BOX.boundingbox.bbox), EPSG))
            project = make_project(base / "p", recipe, f"name,lon,lat\nPit,{lon},{lat}\n")
            for stage in ("sites", "fetch", "compose", "annotate", "tile", "catalog", "check"):
                done = run(stage, cwd=project)
                assert done.returncode == 0, done.stderr
    return project, folder


def test_pixels_are_landsats_own_as_reflectance(fetched: tuple[Path, Path]) -> None:
    project, folder = fetched
    cube = xr.open_zarr(next((project / "data/tiny/cubes").iterdir()), mask_and_scale=False)
    assert cube.attrs["periods"] == ["1995", "2001"]
    assert float(cube.x[0]) % 30 == 0, "pixel centres lie on multiples of 30 m, corners on 15"
    import rasterio

    left, top = float(cube.x[0]) - 15, float(cube.y[0]) + 15
    row, column = round((5_720_055 - top) / 30), round((left - 440_025) / 30)
    rows, columns = np.s_[row : row + cube.sizes["y"]], np.s_[column : column + cube.sizes["x"]]

    def read(name: str) -> np.ndarray:
        with rasterio.open(folder / f"{name}.tif") as file:
            return file.read(1)[rows, columns]

    quality = read("LANDSAT-7_20010720_02_T1_qa_pixel")
    clear = (quality != CLOUD) & (quality != 1)
    assert (cube.clear.values[1] == clear).all()
    for place, band in enumerate(BANDS):
        own = landsat.reflectance(read(f"LANDSAT-7_20010720_02_T1_{band}"), 0)
        assert (cube.reflectance.values[1, place] == np.where(clear, own, 0)).all(), band
    assert (cube.clear.values[0] == 2).any(), "two dates of Landsat 5 make one median"


def test_what_was_chosen_and_whose_it_is(fetched: tuple[Path, Path]) -> None:
    project, _ = fetched
    scenes = pd.read_parquet(project / "data/tiny/index/scenes.parquet")
    assert scenes.selected.all()
    assert set(scenes.level) == {"L2SP"}
    assert (scenes.offset == 0).all()
    assert list((project / "data/tiny/scenes").glob("*/*_QA.tif"))
    assert "U.S. Geological Survey" in (project / "catalogs/tiny/stac/LICENCES.md").read_text()
    for path in (project / "data").rglob("*"):
        assert not path.is_file() or b"secretsig" not in path.read_bytes(), path
