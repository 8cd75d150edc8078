"""The QGIS project to draw labels in, there and back."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio

from minebench.cube import shards
from tests import qgis
from tests.conftest import run

DRAW = """
from qgis.core import QgsGeometry, QgsRectangle, QgsVectorLayerUtils
layer = project.mapLayer("minebench_labels")
assert layer.startEditing()
number = {field.name(): i for i, field in enumerate(layer.fields())}
west, south, east, north = map(float, sys.argv[3].split(","))

def drawn(year, kind):
    box = QgsGeometry.fromRect(QgsRectangle(west, south, east, north))
    feature = QgsVectorLayerUtils.createFeature(layer, box)
    assert feature["kind"] == "footprint", feature["kind"]  # the form's default
    feature["year"], feature["kind"] = year, kind
    return feature

wrong = QgsVectorLayerUtils.validateAttribute(layer, drawn(1999, "footprint"), number["year"])
assert not wrong[0] and "one of the benchmark's periods" in str(wrong[1]), wrong
assert QgsVectorLayerUtils.validateAttribute(layer, drawn(2021, "footprint"), number["year"])[0]
assert layer.addFeatures([drawn(2021, "footprint"), drawn(2022, "no mine")])
assert layer.commitChanges(), layer.commitErrors()
"""


def outline(project: Path) -> tuple[str, tuple[float, ...]]:
    """A site, and a box well inside of its AOI."""
    site = gpd.read_parquet(project / "data/tiny/index/sites.parquet").iloc[0]
    west, south, east, north = site.geometry.bounds
    within = (
        0.7 * west + 0.3 * east,
        0.7 * south + 0.3 * north,
        0.4 * west + 0.6 * east,
        0.4 * south + 0.6 * north,
    )
    return site.site_id, within


def test_the_layer_is_read_as_it_is(labelled: Path) -> None:
    assert run("label", "--qgis", cwd=labelled).stdout.startswith("label: data/tiny/label/label.qgs")
    drawn = labelled / "catalogs/tiny/annotations/drawn.gpkg"
    site, box = outline(labelled)
    table = gpd.read_file(drawn)
    assert set(table.columns) == {"year", "kind", "note", "geometry"}
    images = sorted((labelled / "data/tiny/label/images").glob("*.tif"))
    assert len(images) == 9
    with rasterio.open(images[0]) as image:
        assert image.read().any()
    before = [path.stat().st_mtime_ns for path in images]
    rows = pd.DataFrame({"year": [2021, 2022], "kind": ["footprint", "No mine"], "note": ["", ""]})
    shapes = gpd.GeoSeries.from_wkt(
        [f"POLYGON(({box[0]} {box[1]}, {box[2]} {box[1]}, {box[2]} {box[3]}, {box[0]} {box[1]}))"] * 2
    )
    gpd.GeoDataFrame(rows, geometry=shapes, crs=4326).to_file(drawn, layer="labels")
    assert run("label", "--qgis", cwd=labelled).returncode == 0
    assert [path.stat().st_mtime_ns for path in images] == before
    assert len(gpd.read_file(drawn)) == 2  # what was drawn stays
    assert run("annotate", cwd=labelled).returncode == 0
    masks = shards.read(labelled / f"data/tiny/cubes/{site}.zarr/mine")
    assert set(np.unique(masks[0])) == {0, 1}
    assert (masks[1] == 0).all()
    assert (masks[2] == 255).all()
    gpd.GeoDataFrame(rows.assign(year=["2021", "soon"]), geometry=shapes, crs=4326).to_file(
        drawn, layer="labels"
    )
    done = run("annotate", cwd=labelled)
    assert (done.returncode, "drawn.gpkg row 2, year" in done.stderr) == (2, True)


@pytest.mark.slow
def test_real_qgis_draws_and_annotate_reads(labelled: Path, tmp_path: Path) -> None:
    assert run("label", "--qgis", cwd=labelled).returncode == 0
    site, box = outline(labelled)
    picture = tmp_path / "map.png"
    qgis.opened(labelled / "data/tiny/label/label.qgs", picture, ",".join(map(str, box)), then=DRAW)
    with rasterio.open(picture) as drawn:
        assert len(np.unique(drawn.read(1))) > 50  # an image, not a blank page
    assert run("annotate", cwd=labelled).returncode == 0
    masks = shards.read(labelled / f"data/tiny/cubes/{site}.zarr/mine")
    assert set(np.unique(masks[0])) == {0, 1}
    assert (masks[1] == 0).all()
