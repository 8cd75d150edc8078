"""A static STAC catalog of a folder of images: `minebench stac`, and the source that reads it."""

import json
import shutil
from datetime import date
from pathlib import Path

import jsonschema
import numpy as np
import pystac
import pytest
import shapely

from minebench.errors import InputError
from pipeline.image_folder import catalog
from pipeline.sensors import airborne
from pipeline.sources.stac import Options as Stac
from pipeline.sources.stac.items import StacSource
from tests.pipeline.image_folder.test_layouts import cube, write_safe
from tests.pipeline.image_folder.test_scan import write


def test_a_catalog_of_a_folder(tmp_path: Path, shared: Path) -> None:
    images = tmp_path / "images"
    write_safe(images, "20190704")
    write_safe(images, "20230704")
    with pytest.raises(InputError, match="leave --out away"):
        catalog.write(images, tmp_path / "elsewhere")
    made = catalog.write(images, None)
    path, count = made.path, made.count
    assert (path, count) == (images / "catalog.json", 2)
    (item, _) = sorted(
        pystac.Catalog.from_file(path).get_items(recursive=True), key=lambda one: str(one.datetime)
    )
    assert item.properties["s2:processing_baseline"] == "05.00"
    assert set(item.assets) == {"B02", "B03", "B04", "B08", "B8A", "scl"}
    content = json.loads(Path(str(item.get_self_href())).read_text())
    assert all(not asset["href"].startswith("/") for asset in content["assets"].values())
    for address in content["stac_extensions"]:
        schema = shared / "stac-schemas" / address.removeprefix("https://stac-extensions.github.io/")
        if schema.is_file():
            jsonschema.Draft7Validator(json.loads(schema.read_text())).validate(content)
    # Again, after a date was added.
    write_safe(images, "20240704")
    assert catalog.write(images, tmp_path).count == 3
    path.write_text("{}")
    with pytest.raises(InputError, match="is there already"):
        catalog.write(images, None)


def test_a_catalog_knows_landsats_sensors_apart(tmp_path: Path) -> None:
    for sensor, day, words in (
        ("LC08", "20190704", ("SR_B4", "SR_B5")),
        ("LT05", "20090704", ("SR_B3", "SR_B4")),
    ):
        for word in (*words, "QA_PIXEL"):
            write(tmp_path / f"{sensor}_L2SP_184028_{day}_20230101_02_T1_{word}.TIF", 21_824, nodata=0)
    made = catalog.write(tmp_path, None)
    path, count = made.path, made.count
    (collection,) = pystac.Catalog.from_file(path).get_children()
    assert (collection.id, count) == ("landsat-c2-l2", 2)
    named = {str(item.datetime)[:4]: item.assets["red"].href[-9:-4] for item in collection.get_items()}
    assert named == {"2009": "SR_B3", "2019": "SR_B4"}


@pytest.mark.parametrize(
    ("dtype", "number", "factors", "expected"),
    [
        ("float32", 0.3, {}, 3000),
        ("int16", 3000, {}, 3000),
        ("uint16", 21_824, {"scale": 2.75e-5, "offset": -0.2}, 4002),
        ("uint16", 3000, {}, 3000),
    ],
)
def test_the_source_stac_reads_a_catalogs_scaled_numbers(
    tmp_path: Path, dtype: str, number: float, factors: dict[str, float], expected: int
) -> None:
    for day in ("20190704", "20200704"):
        nodata = {"float32": np.nan, "int16": -9999, "uint16": 0}[dtype]
        write(tmp_path / f"a_{day}.tif", number, dtype, 2, nodata=nodata, described=("red", "nir"), **factors)
    made = catalog.write(tmp_path, None)
    assert made.count == 2
    for path in tmp_path.glob("stac/*/*/*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)  # JSON knows no NaN
    assert "collections: [images]}, sensor: {profile: plain}" in made.recipes["images"]
    source = StacSource(Stac(name="stac", href=str(made.path)), "stac", airborne.PLAIN, ("red", "nir"))
    scene = source.search(shapely.box(-180, -90, 180, 90), date(2019, 1, 1), date(2020, 1, 1))[0]
    assert not scene.flaw
    area = source.native(scene, "red").pad(1)
    pixels = source.read(scene, ["red", "nir"], area)
    assert pixels[:, 1:-1, 1:-1].min() == pixels.max() == expected
    assert not pixels[:, 0].any()


def test_scales_of_other_things_are_not_applied(tmp_path: Path) -> None:
    """A height has a scale too: only where the role is reflectance."""
    write(
        tmp_path / "a_20190704.tif", 21_824, "uint16", 1, nodata=0, described=("red",), scale=1e-4, offset=0
    )
    made = catalog.write(tmp_path, None)
    (path,) = tmp_path.glob("stac/*/*/*.json")
    path.write_text(path.read_text().replace('"reflectance"', '"height"'))
    source = StacSource(Stac(name="stac", href=str(made.path)), "stac", airborne.PLAIN, ("red",))
    (scene,) = source.search(shapely.box(-180, -90, 180, 90), date(2019, 1, 1), date(2020, 1, 1))
    assert scene.assets["red"].scale is None


def test_what_no_catalog_can_name_is_refused_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "cubes").mkdir()
    cube(tmp_path / "cubes/cube.nc")
    write_safe(tmp_path / "safe", "20190704")
    product = next((tmp_path / "safe").iterdir())
    shutil.make_archive(str(tmp_path / "zips" / product.stem), "zip", tmp_path / "safe", product.name)
    for folder, says in (("cubes", "a cube.*--source local"), ("zips", "unzip it, or use.*--source local")):
        with pytest.raises(InputError, match=says):
            catalog.write(tmp_path / folder, None)
        assert not (tmp_path / folder / "catalog.json").exists()
