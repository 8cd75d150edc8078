from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from minebench.cube.labels import Labels
from pipeline.activity import change_maps
from pipeline.activity.change_maps import ChangeMaps

PAIRS = [("2020", "2021"), ("2021", "2022")]


def percent(path: Path, values: list[list[int]]) -> None:
    pixels = np.array(values, np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, dtype="uint8", height=len(pixels), width=len(pixels[0]),
        nodata=255, crs="EPSG:32633", transform=from_origin(0, 0, 10, 10),
    ) as file:  # fmt: skip
        file.write(pixels, 1)


def labels(mine: list[list[list[int]]]) -> Labels:
    masks = np.array(mine, np.uint8)
    return Labels(["2020", "2021", "2022"], masks, np.ones_like(masks), None, {})


def test_labels_give_change_and_what_is_unknown() -> None:
    found = change_maps.of_labels(labels([[[0, 0, 255]], [[1, 0, 0]], [[1, 1, 0]]]), PAIRS)
    assert found.changed.tolist() == [[[True, False, False]], [[False, True, False]]]
    assert found.known.tolist() == [[[True, True, False]], [[True, True, True]]]


def test_a_change_run_is_read_by_pairs(tmp_path: Path) -> None:
    percent(tmp_path / "2020_2021.tif", [[90, 10]])
    percent(tmp_path / "2021_2022.tif", [[255, 60]])
    found = change_maps.of_run(tmp_path, "x", PAIRS, 0.5)
    assert found is not None
    assert found.changed.tolist() == [[[True, False]], [[False, True]]]
    assert found.known.tolist() == [[[True, True]], [[False, True]]]


def test_footprints_give_change_by_comparing_dates(tmp_path: Path) -> None:
    for year, values in (("2020", [[10, 90]]), ("2021", [[80, 90]]), ("2022", [[80, 20]])):
        percent(tmp_path / f"{year}.tif", values)
    found = change_maps.of_run(tmp_path, "x", PAIRS, 0.5)
    assert found is not None
    assert found.change == pytest.approx(np.array([[[0.7, 0]], [[0, 0.7]]]), abs=1e-6)


def test_a_run_that_was_not_applied_to_all_pairs_is_left_out(tmp_path: Path) -> None:
    percent(tmp_path / "2020_2021.tif", [[90, 10]])
    assert change_maps.of_run(tmp_path, "x", PAIRS, 0.5) is None


def test_the_median_changes_where_more_than_half_say_so() -> None:
    def of(*values: float) -> ChangeMaps:
        change = np.array([[list(values)]], np.float32)
        return ChangeMaps("x", PAIRS[:1], change, np.ones(change.shape, bool), 0.5)

    three = change_maps.median([of(0.9, 0.1, 0.9), of(0.8, 0.2, 0.1), of(0.1, 0.9, 0.7)])
    assert three.changed.tolist() == [[[True, False, True]]]
    two = change_maps.median([of(0.9, 0.9), of(0.1, 0.9)])
    assert two.changed.tolist() == [[[False, True]]]
