"""Items on the disk whose pixels lie on the web: a static catalog, and a search as pystac-client saves it."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import shapely

from minebench.errors import WorkError
from pipeline.core.limits import Traffic, counting
from pipeline.sensors.sentinel2 import L2A
from pipeline.sources.protocol import Scene
from pipeline.sources.stac import Options as Stac
from pipeline.sources.stac.items import StacSource
from tests.pipeline.sources.test_stac_api import BANDS, Item, earth_search, made, planetary_computer
from tests.standins.base import Running, running


@pytest.fixture(scope="module")
def files(built: Path) -> Iterator[Running]:
    with running("cogs", str(built / "data" / "tiny" / "archive")) as standin:
        yield standin


def saved(folder: Path, items: list[Item]) -> Path:
    """What `search.item_collection().save_object()` writes."""
    path = folder / "search.json"
    links = [{"rel": "self", "href": f"https://example.org/collections/c/items/{items[0]['id']}"}]
    features = [items[0] | {"links": links}, *items[1:]]
    pystac.ItemCollection([pystac.Item.from_dict(item) for item in features]).save_object(str(path))
    return path


def catalog(folder: Path, items: list[Item]) -> Path:
    links = [{"rel": "root", "href": "./catalog.json"}]
    for item in items:
        (folder / f"{item['id']}.json").write_text(json.dumps(item))
        links.append({"rel": "item", "href": f"./{item['id']}.json"})
    written = {"type": "Catalog", "id": "c", "stac_version": "1.0.0", "description": "c", "links": links}
    (folder / "catalog.json").write_text(json.dumps(written))
    return folder / "catalog.json"


def opened(href: Path, area: shapely.Geometry, **more: Any) -> tuple[StacSource, list[Scene]]:
    source = StacSource(Stac(name="stac", href=str(href), **more), "stac", L2A, BANDS)
    return source, source.search(area, date(2019, 1, 1), date(2025, 1, 1))


@pytest.mark.parametrize("write", [saved, catalog])
def test_items_on_the_disk_with_pixels_on_the_web(
    write: Any, tmp_path: Path, built: Path, files: Running
) -> None:
    items = made(built, earth_search, files.url)
    source, scenes = opened(write(tmp_path, items), shapely.geometry.shape(items[0]["geometry"]))
    assert len(scenes) > 3
    assert {scene.flaw for scene in scenes} == {""}
    assert source.parallel == Stac(name="stac", href="x").parallel
    first = scenes[0]
    traffic = Traffic()
    with counting(traffic):
        pixels = source.read(first, ["B02"], source.native(first, "B02"))
    assert traffic.requests > 0
    assert pixels.any()
    assert source.requests(["B02"], source.native(first, "B02")) > 0
    again = StacSource(source.options, "stac", L2A, BANDS).find(first.href)
    assert again.id == first.id
    assert "://" not in first.href
    np.testing.assert_array_equal(source.read(again, ["B02"], source.native(again, "B02")), pixels)
    with pytest.raises(WorkError, match=r"no item gone/x any more|cannot be read"):
        source.find("search.json#gone/x")


def test_a_saved_search_leads_to_no_file_elsewhere(tmp_path: Path, built: Path, files: Running) -> None:
    item = made(built, earth_search, files.url)[0]
    area = shapely.geometry.shape(item["geometry"])
    for number, href in enumerate(("/etc/passwd", "../outside.tif", "file:///etc/passwd")):
        folder = tmp_path / str(number)
        folder.mkdir()
        blue = {**item["assets"]["blue"], "href": href}
        changed = {**item, "assets": {**item["assets"], "blue": blue}}
        path = folder / "search.json"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [changed]}))
        _, (scene,) = opened(path, area)
        assert scene.flaw.startswith("the address of B02 "), scene.flaw


def test_pixels_beside_a_saved_search(tmp_path: Path, built: Path, files: Running) -> None:
    """Items without an address of their own lie beside the file."""
    item = made(built, earth_search, files.url)[0]
    (tmp_path / "search.json").write_text(
        json.dumps({"type": "FeatureCollection", "features": [{**item, "assets": {
            key: {**asset, "href": f"./{key}.tif"} for key, asset in item["assets"].items()}}]})
    )  # fmt: skip
    source, (scene,) = opened(tmp_path / "search.json", shapely.geometry.shape(item["geometry"]))
    assert scene.flaw == ""
    assert scene.assets["B02"].href == str(tmp_path / "blue.tif")
    assert source.parallel == 1


def test_a_spoilt_saved_search_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "search.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [{"id": "x", "type": "Feature"}]}))
    with pytest.raises(WorkError, match="item x is not a STAC item"):
        opened(path, shapely.box(0, 0, 1, 1))


def test_signatures_of_the_day_of_saving_are_made_anew(tmp_path: Path, built: Path, files: Running) -> None:
    items = made(built, planetary_computer, files.url)
    for item in items:
        for asset in item["assets"].values():
            asset["href"] += "?st=2020-01-01&sig=old"
    area = shapely.geometry.shape(items[0]["geometry"])
    source, scenes = opened(saved(tmp_path, items), area, sign=f"{files.url}/token")
    assert "sig=" not in scenes[0].assets["B02"].href
    assert source.read(scenes[0], ["B02"], source.native(scenes[0], "B02")).any()
