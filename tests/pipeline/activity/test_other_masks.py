from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.transform import from_origin

from minebench.errors import InputError
from pipeline.activity import other_masks
from tests.conftest import run


def mask(path: Path, values: list[list[int]], crs: str = "EPSG:32633", nodata: int | None = None) -> None:
    pixels = np.array(values, np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, dtype="uint8", height=len(pixels), width=len(pixels[0]),
        nodata=nodata, crs=crs, transform=from_origin(500_000, 5_000_000, 10, 10),
    ) as file:  # fmt: skip
        file.write(pixels, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mask(tmp_path / "pred_2020-01-01.tif", [[0, 0], [0, 0]])
    mask(tmp_path / "pred_2020-02-01.tif", [[255, 0], [0, 0]])
    mask(tmp_path / "pred_2020-04-01.tif", [[255, 255], [0, 0]])
    return tmp_path


def test_masks_of_another_tool_are_measured(folder: Path) -> None:
    done = run("activity", "--masks", f"{folder}/pred_*.tif", "--out", f"{folder}/out", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "2 intervals, 200 m² changed" in done.stdout
    table = pd.read_csv(folder / "out/intervals.csv")
    assert table.changed_m2.tolist() == [100, 200]
    assert table.cumulative_m2.tolist() == [100, 200]
    with rasterio.open(folder / "out/when.tif") as file:
        assert file.read().tolist() == [[[1, 2], [0, 0]], [[2, 2], [0, 0]]]
        assert file.crs.to_epsg() == 32633
    for name in ("ndtci.tif", "ndtci_aoi.tif", "mean_ndtci.tif", "mean_ndtci.png", "when.png"):
        assert (folder / "out" / name).is_file()


def test_the_area_bounds_what_counts(folder: Path) -> None:
    mask(folder / "area.tif", [[1, 0], [1, 0]])
    table = other_masks.build(f"{folder}/pred_*.tif", folder / "out", folder / "area.tif")
    assert table.changed_m2.tolist() == [100, 100]
    assert table.aoi_share.tolist() == [0.5, 0.5]


def test_names_with_two_dates_and_nodata(tmp_path: Path) -> None:
    mask(tmp_path / "a_20200101_20210101.tif", [[1, 9]], nodata=9)
    table = other_masks.build(f"{tmp_path}/a_*.tif", tmp_path / "out")
    assert (table.t1[0], table.t2[0]) == ("2020-01-01", "2021-01-01")
    assert (table.changed_m2[0], table.known[0]) == (100, 0.5)


@pytest.mark.parametrize(
    ("name", "values", "crs", "said"),
    [
        ("pred_x.tif", [[0, 0], [0, 0]], "EPSG:32633", "no date in the name pred_x.tif"),
        ("pred_2020-02-31.tif", [[0, 0], [0, 0]], "EPSG:32633", "no date of the calendar"),
        ("pred_2020-05-01.tif", [[0, 7], [0, 0]], "EPSG:32633", "holds 7"),
        ("pred_2020-05-01.tif", [[0, 1]], "EPSG:32633", "another grid"),
        ("pred_2020-04-01_b.tif", [[0, 0], [0, 0]], "EPSG:32633", "two masks are of 2020-04-01"),
        ("pred_2019-01-01.tif", [[0, 0], [0, 0]], "EPSG:4326", "no projected CRS"),
    ],
)
def test_what_cannot_be_measured_is_named(folder: Path, name: str, values: list, crs: str, said: str) -> None:
    mask(folder / name, values, crs)
    with pytest.raises(InputError, match=said):
        other_masks.build(f"{folder}/pred_*.tif", folder / "out")
    assert not (folder / "out").exists()


def test_no_masks_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file fits"):
        other_masks.build(f"{tmp_path}/*.tif", tmp_path / "out")
