"""Change polygons drawn between two periods, from the annotations to the items."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import zarr

from minebench import data, layout
from minebench.errors import InputError
from pipeline import recipe
from pipeline.core.runner import Spread
from pipeline.cubes import annotate
from pipeline.index import tile
from pipeline.stac import check, root


@pytest.fixture
def drawn(project: Path) -> tuple[layout.BenchmarkPaths, recipe.Recipe, gpd.GeoDataFrame]:
    """The tiny benchmark asking for drawn change, and its sites."""
    benchmark = layout.BenchmarkPaths("tiny", project)
    text = benchmark.recipe.read_text().replace("{source: archive}", "{source: annotations, kind: change}")
    benchmark.recipe.write_text(text)
    return benchmark, recipe.load(benchmark.recipe), gpd.read_parquet(benchmark.table("sites"))


def draw(benchmark: layout.BenchmarkPaths, rows: list[tuple[object, ...]], columns: list[str]) -> None:
    gpd.GeoDataFrame(rows, columns=[*columns, "geometry"], crs=4326).to_file(benchmark.annotations / "c.gpkg")


def test_what_was_drawn_is_the_label(drawn) -> None:
    benchmark, loaded, sites = drawn
    shapes = {site.site_id: site.geometry.centroid.buffer(0.001) for site in sites.itertuples()}
    # Whichever period is named first.
    rows = [(*("2021", "2023")[:: 1 if i else -1], shape) for i, shape in enumerate(shapes.values())]
    draw(benchmark, [*rows, ("2021", "2022", None)], ["t1", "t2"])
    annotate.build(benchmark, loaded, Spread(2))
    tile.build(benchmark, loaded, Spread(2))
    pairs = pd.read_parquet(benchmark.table("pairs"))
    assert set(zip(pairs.t1, pairs.t2, strict=True)) == {("2021", "2022"), ("2021", "2023")}
    assert pairs[pairs.t2 == "2022"].changed.sum() == 0
    assert pairs[pairs.t2 == "2023"].changed.sum() > 0
    assert pairs[["expanded", "reduced"]].isna().all().all()
    cube = zarr.open_group(benchmark.cube(sites.site_id[0]), mode="r")
    assert cube["change"].attrs["pairs"] == [["2021", "2022"], ["2021", "2023"]]
    assert (cube["mine"][:] == 255).all()
    items = data.open(benchmark.data, split="train")
    for i in range(len(items)):
        row = items.table.iloc[i]
        assert int((items[i]["label"] == 1).sum()) == row.changed
    root.build(benchmark, loaded, Spread(2))
    assert check.check(benchmark) > 0
    with rasterio.open(benchmark.stac / sites.site_id[0] / "2023" / "change_2021.tif") as file:
        assert np.array_equal(file.read(1), cube["change"][1])
    assert not (benchmark.stac / sites.site_id[0] / "2022" / "change_2020.tif").exists()


def test_going_back_to_footprints_leaves_no_drawn_change(drawn) -> None:
    benchmark, loaded, sites = drawn
    draw(benchmark, [("2021", "2023", sites.geometry[0].centroid.buffer(0.001))], ["t1", "t2"])
    annotate.build(benchmark, loaded, Spread(2))
    path = benchmark.cube(sites.site_id[0])
    assert "change" in zarr.open_group(path, mode="r")
    again = loaded.model_copy(update={"labels": recipe.Labels(source="archive")})
    annotate.build(benchmark, again, Spread(2))
    group = zarr.open_group(path, mode="r")
    assert "change" not in group
    assert set(np.unique(group["mine"][:])) == {0, 1}


@pytest.mark.parametrize(
    ("row", "columns", "message"),
    [
        (("2021",), ["t1"], "no column 't2'"),
        (("2021", "2029"), ["t1", "t2"], "row 1: '2029' is not a period"),
        (("2021", "2021"), ["t1", "t2"], "row 1: t1 and t2 are both '2021'"),
    ],
)
def test_bad_annotations_are_named(drawn, row: tuple[str, ...], columns: list[str], message: str) -> None:
    benchmark, loaded, sites = drawn
    draw(benchmark, [(*row, sites.geometry[0])], columns)
    with pytest.raises(InputError, match=message):
        annotate.build(benchmark, loaded, Spread(2))
