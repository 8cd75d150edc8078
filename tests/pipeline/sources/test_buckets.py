"""s3:// addresses against a real S3 API on loopback: keys, who pays, formats, and what is said of secrets."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from affine import Affine

from minebench.errors import WorkError
from pipeline.core.limits import Traffic, counting
from pipeline.sensors import landsat
from pipeline.sensors.sentinel2 import L2A
from pipeline.sources.protocol import Scene
from pipeline.sources.stac import Options as Stac
from pipeline.sources.stac import saved
from pipeline.sources.stac.addresses import Addresses
from pipeline.sources.stac.items import StacSource
from tests.conftest import SHARED
from tests.standins.base import Running, running
from tests.standins.s3 import KEY, SECRET, TOKEN

LEFT, TOP, SIDE = 500_000, 5_000_000, 300
AREA = shapely.box(15.0, 45.12, 15.03, 45.15)
FOLDER = "Sentinel-2/MSI/L2A/a (1)~é.SAFE"
PLAIN = "plain"
"""moto does not look at the access list of a key with such letters as the other folder's."""
FORMATS = {"jp2": "JP2OpenJPEG", "tif": "GTiff"}


def folder_of(bucket: str) -> str:
    return PLAIN if bucket == "own-private" else FOLDER


def pixels(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 3000, (SIDE * 10 // size,) * 2).astype(np.uint16)


def write(path: Path, values: np.ndarray, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    more: dict[str, Any] = (
        {"QUALITY": "100", "REVERSIBLE": "YES"} if path.suffix == ".jp2" else {"tiled": True}
    )
    with rasterio.open(
        path, "w", driver=FORMATS[path.suffix[1:]], height=len(values), width=len(values), count=1,
        dtype=values.dtype, crs="EPSG:32633", transform=Affine(size, 0, LEFT, 0, -size, TOP), **more,
    ) as file:  # fmt: skip
        file.write(values, 1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("buckets")
    for bucket in ("eodata", "own-public", "own-paid", "own-private"):
        for suffix in FORMATS:
            write(root / bucket / folder_of(bucket) / f"B02_10m.{suffix}", pixels(1, 10), 10)
            write(
                root / bucket / folder_of(bucket) / f"SCL_20m.{suffix}", np.full((150, 150), 5, np.uint8), 20
            )
    with running("s3", str(root)) as standin:
        yield standin


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "ENDPOINT_URL", "ENDPOINT_URL_S3",
                 "S3_ENDPOINT", "REQUEST_PAYER", "REGION", "DEFAULT_REGION", "NO_SIGN_REQUEST"):  # fmt: skip
        monkeypatch.delenv(f"AWS_{name}", raising=False)


def set_keys(monkeypatch: pytest.MonkeyPatch, secret: str = SECRET, token: str = "") -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)


def opened(folder: Path, bucket: str, suffix: str = "jp2", **more: Any) -> tuple[StacSource, Scene]:
    """A saved search of one item, as the Copernicus Data Space describes them."""
    w, s, e, n = AREA.bounds
    ring = [[w, s], [e, s], [e, n], [w, n], [w, s]]
    assets = {
        key: {
            "href": f"s3://{bucket}/{folder_of(bucket)}/{key}.{suffix}",
            "auth:refs": ["s3"],
            "storage:refs": ["cdse-s3", "creodias-s3"],
            "proj:code": "EPSG:32633",
        }
        for key in ("B02_10m", "SCL_20m")
    }
    item = {
        "type": "Feature", "stac_version": "1.1.0", "id": "one", "collection": "sentinel-2-l2a", "links": [],
        "geometry": {"type": "Polygon", "coordinates": [ring]}, "bbox": [w, s, e, n], "assets": assets,
        "properties": {"datetime": "2024-07-15T10:00:31Z", "processing:version": "05.11",
                       "auth:schemes": {"s3": {"type": "s3"}}, "storage:schemes": {
                           "cdse-s3": {"type": "custom-s3", "requester_pays": False},
                           "creodias-s3": {"type": "custom-s3", "requester_pays": True}}},
    }  # fmt: skip
    path = folder / "search.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [item]}))
    saved.items.cache_clear()  # a test opens several under one name
    source = StacSource(Stac(name="stac", href=str(path), **more), "stac", L2A, ["B02"])
    (scene,) = source.search(AREA, date(2024, 1, 1), date(2025, 1, 1))
    return source, scene


def read(source: StacSource, scene: Scene) -> np.ndarray:
    return source.read(scene.as_stored, ["B02"], source.native(scene, "B02"))[0]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("token", ["", TOKEN])
def test_a_private_bucket_with_keys(
    suffix: str, token: str, tmp_path: Path, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JPEG 2000 and GeoTIFF in ranges, by our own client: few requests, and counted."""
    set_keys(monkeypatch, token=token)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    source, scene = opened(tmp_path, "eodata", suffix)
    assert scene.flaw == ""
    assert (scene.offset, scene.baseline) == (1000, "05.11")
    assert source.parallel > 1
    traffic = Traffic()
    with counting(traffic):
        np.testing.assert_array_equal(read(source, scene), pixels(1, 10))
    assert 0 < traffic.requests < 8
    assert source.mask_band == "SCL"
    assert (source.read(scene, ["SCL"], source.native(scene, "SCL")) == 5).all()


def test_retries_and_what_is_logged(
    tmp_path: Path, server: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    set_keys(monkeypatch, token=TOKEN)
    source, scene = opened(tmp_path, "own-private", s3_endpoint=server.url)
    server.set({"kind": "status", "status": 503, "times": 2})
    traffic = Traffic()
    with caplog.at_level(logging.INFO), counting(traffic):
        read(source, scene)
    assert traffic.retries == 2
    for secret in (SECRET, TOKEN):
        assert secret not in caplog.text + repr(scene) + repr(source.options)
    server.set()


@pytest.mark.parametrize(
    ("bucket", "known"), [("eodata", "the S3 keys of a Copernicus Data Space account"), ("own-private", "")]
)
def test_without_keys_the_flaw_says_what_to_set(
    bucket: str, known: str, tmp_path: Path, server: Running
) -> None:
    _, scene = opened(tmp_path, bucket, s3_endpoint=server.url)
    assert scene.flaw.startswith(f"the address of B02 is in bucket {bucket}")
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment" in scene.flaw
    assert known in scene.flaw
    assert ("source.no_sign_request" in scene.flaw) == (not known)


@pytest.mark.parametrize("wrong", ["secret", "key", "token"])
def test_wrong_keys(wrong: str, tmp_path: Path, server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    set_keys(monkeypatch, secret="hidden-wrong" if wrong == "secret" else SECRET)
    if wrong == "key":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAHIDDEN")
    if wrong == "token":
        monkeypatch.setenv("AWS_SESSION_TOKEN", "hidden-token")
    source, scene = opened(tmp_path, "eodata", s3_endpoint=server.url)
    with pytest.raises(WorkError) as caught:
        read(source, scene)
    text = str(caught.value)
    assert text.startswith("s3://eodata/Sentinel-2/")
    assert "with HTTP 403: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY" in text
    for secret in (SECRET, "hidden", "HIDDEN", KEY, "X-Amz"):
        assert secret not in text


def test_a_public_bucket_without_keys(
    tmp_path: Path, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, scene = opened(tmp_path, "own-public", s3_endpoint=server.url, no_sign_request=True)
    np.testing.assert_array_equal(read(source, scene), pixels(1, 10))
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    source, scene = opened(tmp_path, "own-private", s3_endpoint=server.url)
    with pytest.raises(WorkError, match="its bucket may not be public: remove no_sign_request"):
        read(source, scene)


def test_readers_pay_only_where_they_say_so(
    tmp_path: Path, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_keys(monkeypatch)
    source, scene = opened(tmp_path, "own-paid", s3_endpoint=server.url)
    with pytest.raises(WorkError, match=r"check .*source\.requester_pays"):
        read(source, scene)
    source, scene = opened(tmp_path, "own-paid", s3_endpoint=server.url, requester_pays=True)
    np.testing.assert_array_equal(read(source, scene), pixels(1, 10))
    monkeypatch.setenv("AWS_REQUEST_PAYER", "requester")
    source, scene = opened(tmp_path, "own-paid", s3_endpoint=server.url)
    np.testing.assert_array_equal(read(source, scene), pixels(1, 10))


def test_a_file_that_is_gone(tmp_path: Path, server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    set_keys(monkeypatch)
    source, scene = opened(tmp_path, "eodata", "tiff", s3_endpoint=server.url)
    with pytest.raises(WorkError, match="is not there"):
        read(source, scene)


@pytest.mark.parametrize(
    ("href", "more", "address"),
    [
        ("s3://eodata/a b/B.jp2", {}, "https://eodata.dataspace.copernicus.eu/eodata/a%20b/B.jp2"),
        (
            "s3://deafrica-sentinel-2/x.tif",
            {},
            "https://deafrica-sentinel-2.s3.af-south-1.amazonaws.com/x.tif",
        ),
        ("s3://own/x.tif", {}, "https://own.s3.eu-west-1.amazonaws.com/x.tif"),
        ("s3://own/x.tif", {"s3_region": "us-east-2"}, "https://own.s3.us-east-2.amazonaws.com/x.tif"),
        ("s3://own.bucket/x.tif", {}, "https://s3.eu-west-1.amazonaws.com/own.bucket/x.tif"),
        ("s3://own/x.tif", {"s3_endpoint": "minio.example:9000"}, "https://minio.example:9000/own/x.tif"),
    ],
)
def test_where_buckets_are(href: str, more: dict[str, str], address: str) -> None:
    buckets = Addresses(Stac(name="stac", href="https://a.example/", **more)).buckets
    assert buckets.address(href, "eu-west-1" if "own" in href else "") == address


def test_an_items_region_leads_to_no_other_host() -> None:
    buckets = Addresses(Stac(name="stac", href="https://a.example/")).buckets
    assert buckets.address("s3://own/x", "evil.example/#") == "https://own.s3.us-east-1.amazonaws.com/x"
    assert buckets.flaw("s3://evil.example:80@x/y", {}) == "names no file in a bucket (s3)"


V1 = {"storage:platform": "AWS", "storage:region": "us-west-2", "storage:requester_pays": True}
V2 = {"type": "aws-s3", "region": "us-west-2", "requester_pays": True}
EXTENSION = "https://stac-extensions.github.io/storage/v1.0.0/schema.json"


@pytest.mark.parametrize(
    ("fields", "properties", "extensions"),
    [
        (V1, {}, []),
        (V1, {}, [EXTENSION]),
        ({}, V1, []),
        ({"storage:refs": ["aws"]}, {"storage:schemes": {"aws": V2}}, []),
    ],
)
def test_items_say_who_pays_and_where(
    fields: dict[str, Any], properties: dict[str, Any], extensions: list[str]
) -> None:
    """By both versions of the storage extension, in Earth Search's way too."""
    item = pystac.Item.from_dict({
        "type": "Feature", "stac_version": "1.0.0", "id": "one", "geometry": None, "links": [],
        "properties": {"datetime": "2020-01-01T00:00:00Z", **properties}, "stac_extensions": extensions,
        "assets": {"red": {"href": "s3://some-bucket/x.tif", **fields}},
    })  # fmt: skip
    found = Addresses(Stac(name="stac", href="https://a.example/")).choose(item, item.assets["red"])
    assert found.region == "us-west-2"
    assert found.flaw.startswith("is in bucket some-bucket, whose readers pay AWS")


def test_digital_earth_africa_needs_no_keys() -> None:
    asset = pystac.Asset("s3://deafrica-sentinel-2/sentinel-s2-l2a-cogs/a/B02.tif")
    item = pystac.Item("one", None, None, datetime(2020, 1, 1, tzinfo=UTC), {}, assets={"B02": asset})
    assert Addresses(Stac(name="stac", href="https://a.example/")).choose(item, asset).flaw == ""


def place(name: str, key: str, **more: Any) -> Any:
    path = SHARED / "stac-items" / name
    if not path.is_file():
        pytest.skip("the shared items are not here")
    item = pystac.Item.from_dict(json.loads(path.read_text()))
    return Addresses(Stac(name="stac", href="https://a.example/", **more)).choose(item, item.assets[key])


def test_usgs_items_are_read_by_their_alternate(monkeypatch: pytest.MonkeyPatch) -> None:
    """https needs a login; the same file is in a bucket whose readers pay."""
    name = "LC08_L2SP_028030_20200114_20200824_02_T1_SR.json"
    lost = place(name, "red")
    assert lost.flaw.startswith(
        "needs a login of the USGS, which minebench cannot do; its alternate is in bucket"
    )
    assert "set source.requester_pays to true" in lost.flaw
    set_keys(monkeypatch)
    found = place(name, "red", requester_pays=True)
    assert (found.flaw, found.href[:40]) == ("", "s3://usgs-landsat/collection02/level-2/s")
    profile = Stac(name="stac", href="https://landsatlook.usgs.gov", collections=("landsat-c2l2-sr",)).profile
    assert profile(None) is landsat.C2_L2  # type: ignore[arg-type]


def test_an_alternate_behind_a_login_is_not_taken() -> None:
    """The Copernicus Data Space: s3 with keys, https with a token of its own."""
    fields = {
        "auth:refs": ["s3"],
        "alternate": {"https": {"href": "https://z.example/x", "auth:refs": ["oidc"]}},
    }
    asset = pystac.Asset.from_dict({"href": "s3://eodata/x.jp2", **fields})
    item = pystac.Item("one", None, None, None, {"start_datetime": "2020-01-01T00:00:00Z",
                       "end_datetime": "2020-01-01T00:00:00Z",
                       "auth:schemes": {"s3": {"type": "s3"}, "oidc": {"type": "oauth2"}}})  # fmt: skip
    addresses = Addresses(Stac(name="stac", href="https://a.example/"))
    assert addresses.choose(item, asset).flaw.startswith("is in bucket eodata, which needs")
    fields["alternate"]["https"].pop("auth:refs")  # type: ignore[index]
    assert addresses.choose(item, asset).href == "https://z.example/x"
