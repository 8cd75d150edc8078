"""Annotation files with anything in them."""

from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from minebench.errors import InputError
from pipeline.cubes import annotate

CROSSED = shapely.Polygon([(14, 51), (14.1, 51.1), (14.1, 51), (14, 51.1)])
NOWHERE = shapely.Point(float("nan"), 1)


def test_crossed_outlines_are_mended_and_nothing_stays_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    gpd.GeoDataFrame({"year": [2021, 2022]}, geometry=[CROSSED, None], crs=4326).to_parquet(path)
    shapes = list(annotate.read_table(path).geometry)
    assert shapes[0].equals(shapely.make_valid(CROSSED))
    assert shapes[1] is None


def test_a_point_nowhere_is_refused_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    gpd.GeoDataFrame({"year": [2021, 2022]}, geometry=[CROSSED, NOWHERE], crs=4326).to_parquet(path)
    with pytest.raises(InputError, match=r"row 2 is a Point that cannot be used .*: draw it as a polygon"):
        annotate.read_table(path)


def test_a_file_of_several_layers_is_not_read_by_its_first(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    for layer in ("pits", "dumps"):
        gpd.GeoDataFrame({"year": [2021]}, geometry=[CROSSED.buffer(0)], crs=4326).to_file(path, layer=layer)
    with pytest.raises(InputError, match=r"several layers \(pits, dumps\)"):
        annotate.read_table(path)
