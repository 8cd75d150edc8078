"""Which asset of an item is which band, in the forms that public catalogues write."""

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from affine import Affine

from pipeline.sensors import airborne, landsat
from pipeline.sensors.profile import Profile
from pipeline.sensors.sentinel2 import L2A
from pipeline.sources.protocol import Scene
from pipeline.sources.stac import Options as Stac
from pipeline.sources.stac import item_bands
from pipeline.sources.stac.items import StacSource
from tests.conftest import SHARED
from tests.standins.base import running

AREA = shapely.box(-68.81, -24.31, -68.79, -24.29)
LEFT, TOP, SIDE = 519_800, 7_313_000, 64
NAIP_BANDS = ({"name": "Red", "common_name": "red"}, {"name": "Green", "common_name": "green"},
              {"name": "Blue", "common_name": "blue"}, {"name": "NIR", "common_name": "nir"})  # fmt: skip
LETTERS = ("R", "G", "B")


def item(folder: Path, fields: dict[str, dict[str, Any]], **properties: Any) -> Path:
    """A catalog of one item with assets of the given fields; its path."""
    w, s, e, n = AREA.bounds
    ring = [[w, s], [e, s], [e, n], [w, n], [w, s]]
    made = {
        "type": "Feature", "stac_version": "1.0.0", "id": "one", "collection": "made", "bbox": [w, s, e, n],
        "geometry": {"type": "Polygon", "coordinates": [ring]}, "stac_extensions": [],
        "properties": {"datetime": "2020-07-15T14:49:00Z", "proj:epsg": 32719, **properties},
        "assets": {key: {"href": f"./{key}.tif", **own} for key, own in fields.items()},
        "links": [{"rel": "root", "href": "./catalog.json"}],
    }  # fmt: skip
    (folder / "one.json").write_text(json.dumps(made))
    links = [{"rel": "root", "href": "./catalog.json"}, {"rel": "item", "href": "./one.json"}]
    catalog = {
        "type": "Catalog",
        "id": "made",
        "stac_version": "1.0.0",
        "description": "made",
        "links": links,
    }
    (folder / "catalog.json").write_text(json.dumps(catalog))
    return folder / "catalog.json"


def opened(catalog: Path, profile: Profile, bands: Sequence[str], **more: Any) -> tuple[StacSource, Scene]:
    source = StacSource(Stac(name="stac", href=str(catalog), **more), "stac", profile, bands)
    (scene,) = source.search(AREA, date(2020, 1, 1), date(2021, 1, 1))
    return source, scene


def picture(path: Path, values: Sequence[int]) -> None:
    """A file of flat bands."""
    with rasterio.open(
        path, "w", driver="GTiff", height=SIDE, width=SIDE, count=len(values), dtype="uint8",
        crs="EPSG:32719", transform=Affine(10, 0, LEFT, 0, -10, TOP),
    ) as file:  # fmt: skip
        file.write(np.array(values, np.uint8)[:, None, None] * np.ones((1, SIDE, SIDE), np.uint8))


LISTED = {
    "eo": {"eo:bands": list(NAIP_BANDS)},
    "stac-1.1": {"bands": [{"name": b["name"], "eo:common_name": b["common_name"]} for b in NAIP_BANDS]},
    "raster": {"raster:bands": [{"name": word, "data_type": "uint8"} for word in ("red", "g", "B", "nir")]},
    "numbered": {"raster:bands": [{"data_type": "uint8"}] * 4},
}


@pytest.mark.parametrize("form", LISTED)
@pytest.mark.parametrize("is_named", [True, False])
def test_bands_of_one_asset_are_told_by_their_names(form: str, is_named: bool, tmp_path: Path) -> None:
    """NAIP as Planetary Computer and Earth Search have it: `image`, four bands."""
    picture(tmp_path / "image.tif", [70, 60, 50, 40])
    catalog = item(tmp_path, {"image": LISTED[form]})
    named = dict.fromkeys(LETTERS, "image") if is_named else {}
    source, scene = opened(catalog, airborne.NAIP, LETTERS, assets=named)
    if form == "numbered":
        assert ("does not say which is R, G, B" if is_named else "has no asset for R") in scene.flaw
        named = {"R": "image#1", "G": "image#2", "B": "image#3"}
        source, scene = opened(catalog, airborne.NAIP, LETTERS, assets=named)
    assert scene.flaw == ""
    pixels = source.read(scene, LETTERS, source.native(scene, "R"))
    assert [np.unique(band).tolist() for band in pixels] == [[70], [60], [50]]


def test_a_file_of_several_bands_is_fetched_once(tmp_path: Path) -> None:
    picture(tmp_path / "image.tif", [70, 60, 50, 40])
    with running("cogs", str(tmp_path)) as server:
        catalog = item(tmp_path, {"image": {**LISTED["eo"], "href": f"{server.url}/open/image.tif"}})
        source, scene = opened(catalog, airborne.NAIP, LETTERS)
        grid = source.native(scene, "R")
        server.set()
        pixels = source.read(scene, LETTERS, grid)
        assert len(server.asked()) == 1
    assert pixels[:, 0, 0].tolist() == [70, 60, 50]


def test_a_band_of_an_asset_is_named_in_the_recipe(tmp_path: Path) -> None:
    picture(tmp_path / "image.tif", [70, 60, 50, 40])
    catalog = item(tmp_path, {"image": {"eo:bands": list(NAIP_BANDS)}})
    named = {"R": "image#NIR", "G": "image#red", "B": "image#2"}
    source, scene = opened(catalog, airborne.NAIP, LETTERS, assets=named)
    pixels = source.read(scene, LETTERS, source.native(scene, "R"))
    assert pixels[:, 0, 0].tolist() == [40, 70, 60]
    _, lost = opened(catalog, airborne.NAIP, LETTERS, assets={**named, "R": "image#thermal"})
    assert "does not say which is R" in lost.flaw


def test_an_asset_that_says_nothing_is_never_read_three_times(tmp_path: Path) -> None:
    picture(tmp_path / "image.tif", [70, 60, 50])
    catalog = item(tmp_path, {"image": {}})
    _, scene = opened(catalog, airborne.NAIP, LETTERS, assets=dict.fromkeys(LETTERS, "image"))
    assert scene.flaw == (
        "asset image has several bands and does not say which is R, G, B; number them in source.assets, "
        "as R: image#1"
    )


def test_naip_is_known_by_its_collection() -> None:
    options = Stac(
        name="stac", href="https://planetarycomputer.microsoft.com/api/stac/v1", collections=("naip",)
    )
    profile = options.profile(None)  # type: ignore[arg-type]
    assert profile is airborne.NAIP
    assert [one.name for one in options.attribution(profile, "")] == ["NAIP"]


def test_copernicus_is_named_for_its_own_images_alone() -> None:
    options = Stac(name="stac", href="https://a.example/v1?key=S", collections=("photos",))
    (photos,) = options.attribution(airborne.AERIAL, " 2020")
    assert (photos.name, photos.url) == ("photos", "https://a.example/v1")
    assert photos.licence == "see the collection's page"
    assert options.attribution(L2A, " 2020")[0].name == "Copernicus Sentinel-2"


def cdse(band: str, size: int, common: str, role: str) -> tuple[str, dict[str, Any]]:
    """An asset as the Copernicus Data Space lists it."""
    return f"{band}_{size}m", {
        "href": f"./T_{band}_{size}m.jp2", "type": "image/jp2", "roles": ["data", f"sampling:{role}"],
        "gsd": size, "bands": [{"name": band, "eo:common_name": common}],
    }  # fmt: skip


CDSE = dict([
    cdse("B02", 60, "blue", "downsampled"), cdse("B02", 10, "blue", "original"),
    cdse("B02", 20, "blue", "downsampled"), cdse("B01", 20, "coastal", "upsampled"),
    cdse("B01", 60, "coastal", "original"), cdse("B8A", 20, "nir08", "original"),
    ("SCL_20m", {"type": "image/jp2"}), ("SCL_60m", {"type": "image/jp2"}),
    ("TCI_10m", {"type": "image/jp2", "roles": ["visual"], "bands": [{"name": "B04"}, {"name": "B03"}]}),
])  # fmt: skip


def keys(fields: dict[str, dict[str, Any]], profile: Profile, bands: Sequence[str]) -> dict[str, str]:
    made = {key: pystac.Asset.from_dict({"href": f"./{key}.tif", **own}) for key, own in fields.items()}
    one = pystac.Item("one", None, None, None, {"start_datetime": "2020-01-01T00:00:00Z",
                      "end_datetime": "2020-01-01T00:00:00Z"}, assets=made)  # fmt: skip
    return {band: hit.key for band, hit in item_bands.find(one, bands, {}, profile).items()}


def test_the_copernicus_data_spaces_names() -> None:
    """The finest copy of a band that was not made from larger pixels; TCI lists bands and holds none."""
    found = keys(CDSE, L2A, ("B01", "B02", "B04", "B8A", "SCL"))
    assert found == {"B01": "B01_60m", "B02": "B02_10m", "B8A": "B8A_20m", "SCL": "SCL_20m"}


def test_bands_are_found_by_what_assets_say_of_them() -> None:
    fields = {
        "visual": {"eo:bands": [{"name": "B02", "common_name": "blue"}]},
        "first": {"eo:bands": [{"name": "B2"}], "gsd": 20},
        "second": {"eo:bands": [{"name": "band 02", "common_name": "blue"}], "gsd": 10},
        "third": {"bands": [{"name": "NIR 1", "eo:common_name": "nir"}]},
        "edge-1": {"eo:bands": [{"name": "x", "common_name": "green"}]},
        "edge-2": {"eo:bands": [{"name": "y", "common_name": "green"}]},
        "picture": {"type": "image/png", "eo:bands": [{"name": "B11"}]},
    }
    assert keys(fields, L2A, ("B02", "B03", "B08", "B11")) == {"B02": "second", "B08": "third"}


def test_landsat_by_its_bands_common_names() -> None:
    fields = {
        "SR_B4": {"eo:bands": [{"name": "B4", "common_name": "red"}]},
        "SR_B5": {"eo:bands": [{"name": "B5", "common_name": "nir08"}]},
        "qa_pixel": {},
    }
    found = keys(fields, landsat.C2_L2, ("red", "nir08", "QA"))
    assert found == {"red": "SR_B4", "nir08": "SR_B5", "QA": "qa_pixel"}


REAL = {
    "S2B_T01WCR_20250427T000611_L2A.json": (L2A, {"B02": "blue", "B8A": "nir08", "SCL": "scl"}),
    "S2A_28QCH_20200714_0_L2A.json": (L2A, {"B02": "B02", "B8A": "B8A", "SCL": "SCL"}),
    "S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531.json": (L2A, {"B02": "B02", "SCL": "SCL"}),
    "LC08_L2SP_028030_20200114_20200824_02_T1_SR.json": (landsat.C2_L2, {"red": "red", "QA": "qa_pixel"}),
}


@pytest.mark.parametrize("name", REAL)
def test_real_items(name: str) -> None:
    path = SHARED / "stac-items" / name
    if not path.is_file():
        pytest.skip("the shared items are not here")
    profile, expected = REAL[name]
    found = item_bands.find(pystac.Item.from_dict(json.loads(path.read_text())), list(expected), {}, profile)
    assert {band: one.key for band, one in found.items()} == expected
    assert all(one.index == 1 for one in found.values())
