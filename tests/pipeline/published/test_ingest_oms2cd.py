"""OMS2CD as a benchmark; `tests.e2e.test_ingest_command` has the rest."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import rioxarray  # noqa: F401
import xarray as xr

from minebench import data
from minebench.errors import InputError
from pipeline.stac import check
from tests import published
from tests.pipeline.published.ingesting import ingested


def test_pixels_in_degrees_stay_in_degrees(tmp_path: Path, monkeypatch) -> None:
    written = published.tif

    def in_degrees(path: Path, pixels: np.ndarray, place: tuple[float, float]) -> None:
        written(path, pixels, (14 + (place[0] - 3e5) / 1e6, 51.0), "EPSG:4326", 9e-5)

    monkeypatch.setattr(published, "tif", in_degrees)
    benchmark, _ = ingested(tmp_path, "oms", "oms2cd", published.oms2cd(tmp_path / "files"))
    sites = pd.read_parquet(benchmark.table("sites"))
    cube = xr.open_zarr(benchmark.cube(sites.site_id[0]))
    assert cube.rio.crs.to_epsg() == 4326
    assert dict(cube.sizes) == {"time": 4, "band": 3, "y": 300, "x": 380, "pair": 3}
    assert float(cube.x[0]) == pytest.approx(sites["left"][0] + 4.5e-5)
    known = pd.read_parquet(benchmark.table("statistics/sites")).known_km2[0]
    assert known == pytest.approx(sites.area_km2[0], rel=0.005)
    assert check.check(benchmark) > 0


def published_whole(folder: Path) -> Path:
    """OMS2CD as it was published: mapping.csv lists pairs without files, and one site is smaller than a
    tile."""
    published.oms2cd(folder)
    lines = (folder / "mapping.csv").read_text().splitlines()
    gone = "99,s2_X_0.1_20.5_2019-04-05.tif,s2_X_0.1_20.5_2018-01-11.tif,s2_X_0.1_20.5.tif"
    none = "1,s2_Gone_1_1_2019-01-05.tif,s2_Gone_1_1_2019-04-05.tif,s2_Gone_1_1.tif"
    (folder / "mapping.csv").write_text("\n".join([*lines[:2], gone, *lines[2:], none]) + "\n")
    for path in folder.rglob("s2_Fort_Knox*.tif"):
        with rasterio.open(path) as file:
            pixels = file.read()[:, :186, :255]
        published.tif(path, pixels, (4.2e5, 5e6))
    next(folder.glob("mask/s2_Boddington*_01.tif")).unlink()
    return folder


def test_rows_without_files_are_skipped_and_tiles_are_the_authors(tmp_path: Path) -> None:
    benchmark, made = ingested(tmp_path, "oms", "oms2cd", published_whole(tmp_path / "files"))
    assert made.left_out == (
        "3 of 11 rows of mapping.csv: no file mask/s2_Boddington_-32.74_116.36_01.tif, for one",
        "s2_Gone_1_1.tif: no pair of it has its files",
    )
    pairs = pd.read_parquet(benchmark.table("pairs"))
    assert len(pairs[pairs.tile_id.str.startswith("s2-boddington")].drop_duplicates(["t1", "t2"])) == 2
    # tiler.Tiler of 256 pixels in steps of 100, mode "constant": ceil((side - 156) / 100) a side.
    tiles = pd.read_parquet(benchmark.table("tiles"))
    assert sorted(tiles.groupby("site_id").size()) == [1, 6, 6]
    small = tiles[tiles.site_id.str.startswith("s2-fort")].iloc[0]
    assert (small.height, small.width, small.pad_y, small.pad_x) == (186, 255, 70, 1)
    item = data.open(benchmark.data, split=small.split)[0]
    assert item["label"].shape == (256, 256)
    assert (item["label"][186:] == 255).all()
    assert not item["a"][:, 186:].any()
    assert item["a"][:, :186, :255].any(dim=0).all()
    assert check.check(benchmark) > 0


def test_a_mapping_without_any_files_is_refused(tmp_path: Path) -> None:
    files = published.oms2cd(tmp_path / "files")
    for path in (files / "mask").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"no row has all of its files; there is no mask/s2_Boddington"):
        ingested(tmp_path, "oms", "oms2cd", files)
