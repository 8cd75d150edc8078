"""The QGIS project to draw labels in, there and back."""

import subprocess
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio

from pipeline.core import shards
from tests.conftest import run
from tests.pipeline.label.test_session import labelled  # noqa: F401

QGIS = """
import sys
from qgis.core import (QgsApplication, QgsFeature, QgsGeometry, QgsMapRendererParallelJob, QgsMapSettings,
                       QgsProject, QgsRectangle, QgsVectorLayerUtils)
from qgis.PyQt.QtCore import QSize
application = QgsApplication([], False)
application.initQgis()
project = QgsProject.instance()
assert project.read(sys.argv[1]), project.error()
broken = [layer.name() for layer in project.mapLayers().values() if not layer.isValid()]
assert not broken, broken
layer = project.mapLayer("minebench_labels")
assert layer.startEditing()
number = {field.name(): i for i, field in enumerate(layer.fields())}
west, south, east, north = map(float, sys.argv[2].split(","))

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
settings = QgsMapSettings()
shown = project.layerTreeRoot().checkedLayers()
settings.setLayers(shown)
settings.setOutputSize(QSize(500, 400))
image = next(layer for layer in shown if layer.name().startswith("True colour"))
settings.setDestinationCrs(image.crs())
settings.setExtent(image.extent())
job = QgsMapRendererParallelJob(settings)
job.start()
job.waitForFinished()
job.renderedImage().save(sys.argv[3])
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


def test_the_layer_is_read_as_it_is(labelled: Path) -> None:  # noqa: F811
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
def test_real_qgis_draws_and_annotate_reads(labelled: Path, tmp_path: Path) -> None:  # noqa: F811
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import qgis.core"], capture_output=True).returncode:
        pytest.skip("QGIS is not here: apt-get install python3-qgis qgis-providers")
    assert run("label", "--qgis", cwd=labelled).returncode == 0
    site, box = outline(labelled)
    picture = tmp_path / "map.png"
    words = [
        python,
        "-c",
        QGIS,
        str(labelled / "data/tiny/label/label.qgs"),
        ",".join(map(str, box)),
        str(picture),
    ]
    done = subprocess.run(
        words, capture_output=True, text=True, env={"QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    with rasterio.open(picture) as drawn:
        assert len(np.unique(drawn.read(1))) > 50  # an image, not a blank page
    assert run("annotate", cwd=labelled).returncode == 0
    masks = shards.read(labelled / f"data/tiny/cubes/{site}.zarr/mine")
    assert set(np.unique(masks[0])) == {0, 1}
    assert (masks[1] == 0).all()
