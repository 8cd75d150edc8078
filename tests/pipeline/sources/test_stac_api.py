"""A real STAC API server (rustac) with items in the providers' own forms, and their pixels over HTTP."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.enums import Resampling

from minebench.errors import WorkError
from pipeline.core.limits import Traffic, counting
from pipeline.geo import grid, raster
from pipeline.geo.remote import merged
from pipeline.sensors.sentinel2 import L2A
from pipeline.sources.stac import Options as Stac
from pipeline.sources.stac.items import StacSource
from pipeline.web import client
from tests.standins import archive
from tests.standins.base import BOMB, Running, running

RUSTAC = Path(sys.executable).parent / "rustac"
Item = dict[str, Any]
Form = Callable[[Item, str], Item]

BANDS = ("B02", "B03", "B04", "B08", "B11")


@pytest.fixture(scope="module")
def files(built: Path) -> Iterator[Running]:
    with running("cogs", str(built / "data" / "tiny" / "archive")) as standin:
        yield standin


def earth_search(item: Item, url: str) -> Item:
    """As in Earth Search v1's sentinel-2-l2a: assets by colour, EPSG as a number, the offset's flag."""
    own = item["properties"]
    properties = {
        "created": "2023-07-01T00:00:00Z", "updated": "2023-07-01T00:00:00Z", "platform": own["platform"],
        "constellation": "sentinel-2", "instruments": ["msi"], "datetime": own["datetime"],
        "eo:cloud_cover": own["eo:cloud_cover"], "proj:epsg": int(own["proj:code"][5:]),
        "s2:processing_baseline": own["s2:processing_baseline"], "s2:product_type": "S2MSI2A",
        "earthsearch:boa_offset_applied": own["earthsearch:boa_offset_applied"],
        "processing:software": {"sentinel2-to-stac": "0.1.1"},
    }  # fmt: skip
    assets = {}
    for key, asset in item["assets"].items():
        if key == "true_mask":
            continue
        assets[key] = {
            "href": f"{url}/open/{Path(asset['path']).parent.parent.name}/{item['id']}/{asset['href'][2:]}",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized", "roles": ["data"],
            "proj:shape": asset["proj:shape"], "proj:transform": asset["proj:transform"],
            "raster:bands": [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}],
        }  # fmt: skip
        assets[f"{key}-jp2"] = {"href": f"s3://sentinel-s2-l2a/tiles/{key}.jp2", "type": "image/jp2"}
    return _item(item, "sentinel-2-l2a", properties, assets)


def collection_1(item: Item, url: str) -> Item:
    """As in sentinel-2-c1-l2a: the CRS as a code, no flag; only what carries its offset is there."""
    made = earth_search(item, url)
    properties = made["properties"]
    properties["proj:code"] = f"EPSG:{properties.pop('proj:epsg')}"
    if properties["earthsearch:boa_offset_applied"]:
        # The archive's pixels have it taken out, as a product before baseline 04.00.
        properties["s2:processing_baseline"] = "02.14"
    del properties["earthsearch:boa_offset_applied"]
    return {**made, "collection": "sentinel-2-c1-l2a"}


def planetary_computer(item: Item, url: str) -> Item:
    """As in Planetary Computer's sentinel-2-l2a: assets by band, no flag, addresses to be signed."""
    own = item["properties"]
    removed = own["earthsearch:boa_offset_applied"]
    properties = {
        "datetime": own["datetime"], "platform": "Sentinel-2A", "proj:code": own["proj:code"],
        "instruments": ["msi"], "constellation": "Sentinel 2", "eo:cloud_cover": own["eo:cloud_cover"],
        "s2:processing_baseline": "02.14" if removed else own["s2:processing_baseline"],
    }  # fmt: skip
    assets = {}
    for band, key in archive.KEYS.items():
        if key in item["assets"]:
            asset = item["assets"][key]
            site = Path(asset["path"]).parent.parent.name
            assets[band] = {
                "href": f"{url}/signed/{site}/{item['id']}/{asset['href'][2:]}",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized", "roles": ["data"],
                "proj:shape": asset["proj:shape"], "proj:transform": asset["proj:transform"],
            }  # fmt: skip
    return _item(item, "sentinel-2-l2a", properties, assets)


def _item(item: Item, collection: str, properties: dict[str, Any], assets: dict[str, Any]) -> Item:
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": item["id"], "collection": collection,
        "stac_extensions": ["https://stac-extensions.github.io/projection/v1.1.0/schema.json"],
        "geometry": item["geometry"], "bbox": item["bbox"], "properties": properties, "assets": assets,
        "links": [],
    }  # fmt: skip


@contextmanager
def api(folder: Path, items: list[Item]) -> Iterator[str]:
    """rustac serving items; its address."""
    path = folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(RUSTAC), "serve", "--addr", f"127.0.0.1:{port}", "--create-collections", str(path)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/")
                break
            except OSError:
                time.sleep(0.02)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


def made(built: Path, form: Form, url: str) -> list[Item]:
    return [form(item, url) for item in archive.items(built / "data" / "tiny" / "archive")]


def test_few_requests_a_band(tmp_path: Path, files: Running, built: Path) -> None:
    """A part of a band of a larger file: its head, and one request for all blocks of the part."""
    big = built.parent / "big-cog"
    big.mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(1, 3000, (1400, 1400)).astype(np.uint16)
    from pipeline.geo import cog

    cog.write(big / "B02.tif", pixels[None], grid.geobox(32633, 500_000, 5_000_000, 1400, 1400, 10), 0)
    with running("cogs", str(big)) as server:
        traffic = Traffic()
        box = grid.geobox(32633, 501_000, 4_999_000, 600, 600, 10)
        with counting(traffic):
            found = raster.read(f"{server.url}/open/B02.tif", 1, box, Resampling.bilinear, None)
        assert (found == pixels[100:700, 100:700]).all()
        asked = server.asked()
    assert all(entry[0] == "GET" and entry[4] for entry in asked)
    assert len(asked) == traffic.requests == 2, asked


def test_neighbouring_ranges_are_one_request() -> None:
    assert merged([(0, 10), (10, 10), (25, 5)]) == [[(0, 10), (10, 10), (25, 5)]]
    assert merged([(0, 10), (10**6, 10)]) == [[(0, 10)], [(10**6, 10)]]
    assert len(merged([(i * 2**22, 2**22) for i in range(8)])) == 2


HOSTILE = {
    "short": ({"kind": "short"}, "other bytes than asked for"),
    "html": ({"kind": "html"}, "byte ranges"),
    "bomb": ({"kind": "bomb"}, "byte ranges"),
    "huge": ({"kind": "huge"}, "more than the limit of"),
    "endless": ({"kind": "endless"}, "limit of"),
    "elsewhere": ({"kind": "redirect", "to": "http://localhost:1/x.tif"}, "redirects to another host"),
    "gone": ({"kind": "status", "status": 404}, "is not there"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_file_servers(kind: str, built: Path, files: Running) -> None:
    fault, says = HOSTILE[kind]
    some = next((built / "data" / "tiny" / "archive").glob("*/*/B02.tif"))
    path = some.relative_to(built / "data" / "tiny" / "archive")
    with rasterio.open(some) as file:
        box = raster.grid_of(file)
    files.set({**fault, "times": 99})
    with pytest.raises(WorkError, match=says):
        raster.read(f"{files.url}/open/{path}", 1, box, Resampling.bilinear, None)


def test_a_text_that_names_other_files_is_no_image(tmp_path: Path) -> None:
    vrt = '<VRTDataset rasterXSize="1" rasterYSize="1"><SRS>EPSG:32633</SRS></VRTDataset>'
    (tmp_path / "a.tif").write_text(vrt)
    with pytest.raises(WorkError, match="cannot be read"), raster.opened(str(tmp_path / "a.tif")):
        pass


def test_items_that_contradict_themselves_are_left_out(
    tmp_path: Path, built: Path, files: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    files.set()
    items = made(built, earth_search, files.url)
    first = items[0]
    href = first["assets"]["blue"]["href"]
    odd = {
        "climbing": {"href": href.replace("/open/", "/open/../")},
        "elsewhere": {"href": "file:///etc/passwd"},
        "bucket": {"href": "s3://bucket/B02.tif"},
    }
    blue = first["assets"]["blue"]
    spoilt = [
        first | {"id": name, "assets": {**first["assets"], "blue": {**blue, **change}}}
        for name, change in odd.items()
    ]
    south = json.loads(json.dumps(first)) | {"id": "south"}
    for asset in south["assets"].values():
        if "proj:transform" in asset:
            asset["proj:transform"][5] -= 4_000_000
    outside = first | {"id": "../../../outside"}
    with api(tmp_path, [first, *spoilt, south, outside]) as url:
        source = StacSource(Stac(name="stac", href=url), "stac", L2A, BANDS)
        day = date.fromisoformat(first["properties"]["datetime"][:10])
        area = shapely.geometry.shape(first["geometry"])
        found = {s.id: s for s in source.search(area, day, date(day.year + 1, 1, 1))}
    assert found[first["id"]].flaw == ""
    assert "has '..' in its path" in found["climbing"].flaw
    assert "is not a web address" in found["elsewhere"].flaw
    assert "is in bucket bucket: set AWS_ACCESS_KEY_ID" in found["bucket"].flaw
    assert "its pixels' grid does not" in found["south"].flaw
    from pipeline.scenes.store import name_of

    assert "/" not in name_of("../../../outside", "SCL")


def test_an_item_without_geometry_is_left_out(built: Path) -> None:
    item = earth_search(archive.items(built / "data" / "tiny" / "archive")[0], "http://127.0.0.1:1")
    import pystac

    source = StacSource(Stac(name="stac", href="http://127.0.0.1:1/"), "stac", L2A, BANDS)
    loose = pystac.Item.from_dict({k: v for k, v in item.items() if k != "bbox"} | {"geometry": None})
    assert source._scene(loose).flaw == "the item has no geometry"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "html"}, "text/html where JSON was expected"),
        ({"kind": "bomb"}, "application/xml where JSON was expected"),
        ({"kind": "huge"}, "10737418240 bytes, more than the limit of"),
        ({"kind": "endless"}, "limit of"),
        ({"kind": "redirect", "to": "http://localhost:1/"}, "redirects to another host"),
        ({"kind": "status", "status": 403}, "was refused with HTTP 403"),
        ({"kind": "short"}, "where JSON was expected"),
    ],
)
def test_hostile_apis(fault: dict[str, Any], says: str, tmp_path: Path, built: Path, files: Running) -> None:
    """The file server plays the API: its landing page is the archive's catalog."""
    options = Stac(name="stac", href=f"{files.url}/open/catalog.json?sig=hidden")
    source = StacSource(options, "stac", L2A, BANDS)
    files.set({**fault, "times": 99})
    with pytest.raises(WorkError, match=says) as caught:
        source.search(shapely.box(0, 0, 1, 1), date(2020, 1, 1), date(2021, 1, 1))
    assert "hidden" not in str(caught.value)
    assert len(BOMB) < 2**16


def test_redaction() -> None:
    text = "GET https://me:pass@a.b/c.tif?st=1&sig=abc%3D failed; Bearer ya29.abcdefghijk; key=K1 token=T2"
    clean = client.redacted(text)
    for secret in ("pass", "abc%3D", "ya29", "K1", "T2"):
        assert secret not in clean
    assert "a.b/c.tif" in clean
