"""One item of many that is not as it should be: it is that scene's flaw, and the search goes on."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minebench.errors import MinebenchError, WorkError
from pipeline.sensors.sentinel2 import L2A
from pipeline.sources.protocol import Scene
from pipeline.sources.stac import Options as Stac
from pipeline.sources.stac import web_catalog
from pipeline.sources.stac.items import StacSource
from pipeline.web import client

SERVICE = "https://stac.example/v1"
AREA = shapely.box(14.2, 51.6, 14.3, 51.7)
GRID = {"proj:shape": [10980, 10980], "proj:transform": [10, 0, 399960, 0, -10, 5800020]}
SPAN = {"datetime": None, "start_datetime": "2021-07-01T00:00:00Z", "end_datetime": "2021-07-31T00:00:00Z"}
RING = [[13.5, 51.3], [15.1, 51.3], [15.1, 52.3], [13.5, 52.3], [13.5, 51.3]]


def whole(name: str = "odd") -> dict[str, Any]:
    """An item in Earth Search's form, with nothing wrong in it."""
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "sentinel-2-l2a",
        "stac_extensions": ["https://stac-extensions.github.io/projection/v1.1.0/schema.json"],
        "geometry": {"type": "Polygon", "coordinates": [RING]}, "bbox": [13.5, 51.3, 15.1, 52.3],
        "properties": {
            "datetime": "2021-07-01T10:16:59.024Z", "eo:cloud_cover": 3.2, "proj:epsg": 32633,
            "platform": "sentinel-2b", "gsd": 10, "s2:processing_baseline": "05.00",
            "earthsearch:boa_offset_applied": True,
            "s2:product_uri": "S2B_MSIL2A_20210701T101559_N0500_R065.SAFE",
            "storage:schemes": {"aws": {"type": "aws-s3", "region": "us-west-2"}},
        },
        "links": [{"rel": "self", "href": f"{SERVICE}/collections/c/items/{name}"}],
        "assets": {
            key: {
                "href": f"https://files.example/{name}/{key}.tif", "type": "image/tiff", **GRID,
                "roles": ["data"], "eo:bands": [{"name": key, "common_name": key}], "storage:refs": ["aws"],
                "raster:bands": [{"nodata": 0, "scale": 1e-4, "offset": -0.1}],
                "alternate": {"s3": {"href": f"s3://sentinel-cogs/{key}.tif"}},
            }
            for key in ("blue", "green", "red", "nir", "scl")
        },
    }  # fmt: skip


def source(collections: tuple[str, ...] = ()) -> StacSource:
    options = Stac(name="stac", href=SERVICE, collections=collections)
    return StacSource(options, "stac", L2A, ("B02", "B03", "B04", "B08"))


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Scene]]:
    """Search a service that answers with these features; the scenes by their ids."""
    answer: list[bytes] = []
    monkeypatch.setattr(web_catalog, "entrance", lambda *_: web_catalog.Entrance(f"{SERVICE}/search", False))
    monkeypatch.setattr(client, "get", lambda *_, **__: client.Answer(200, {}, answer[-1]))

    def search(*features: Any, collections: tuple[str, ...] = ()) -> dict[str, Scene]:
        answer.append(json.dumps({"type": "FeatureCollection", "features": features}).encode())
        scenes = source(collections).search(AREA, date(2021, 1, 1), date(2022, 1, 1))
        return {scene.id: scene for scene in scenes}

    return search


def changed(path: str, value: Any) -> dict[str, Any]:
    """The item with one of its values changed."""
    item = whole()
    *folders, last = path.split("/")
    place: Any = item
    for folder in folders:
        place = place[int(folder) if isinstance(place, list) else folder]
    place[last] = value
    return item


NO_GRID = "describes its grid wrongly"
NO_SHAPE = "has a geometry that cannot be read"
NO_ITEM = "is not a STAC item"
FLAWS: dict[str, tuple[str, Any, str]] = {
    "id of a number": ("id", 5, "has an id that is no text"),
    "id of half a character": ("id", "\ud800", "has an id that is no text"),
    "list of collections": ("collection", ["a"], "has a collection that is no text"),
    "address of half a character": ("assets/blue/href", "https://files.example/\ud800", ""),
    "no id": ("id", None, "has an id that is no text"),
    "empty id": ("id", "", "has an id that is no text"),
    "span of time": ("properties", SPAN, "has no datetime of its own"),
    "unknown EPSG": ("properties/proj:epsg", 999999, NO_GRID),
    "unknown code": ("properties/proj:code", "IAU:1", NO_GRID),
    "code that is no text": ("properties/proj:code", {"a": 1}, NO_GRID),
    "no pixels": ("assets/blue/proj:shape", [0, 0], NO_GRID),
    "shape of a number": ("assets/blue/proj:shape", 7, NO_GRID),
    "endless shape": ("assets/blue/proj:shape", [float("inf")] * 2, NO_GRID),
    "transform of zeros": ("assets/blue/proj:transform", [0.0] * 6, NO_GRID),
    "transform of NaN": ("assets/blue/proj:transform", [float("nan")] * 6, NO_GRID),
    "transform of text": ("assets/blue/proj:transform", ["a"] * 6, NO_GRID),
    "huge transform": ("assets/blue/proj:transform", [1e308, 0, 0, 0, -1e308, 0], "grid does not"),
    "two corners": ("geometry", {"type": "Polygon", "coordinates": [[[14, 51], [15, 51]]]}, NO_SHAPE),
    "unknown geometry": ("geometry", {"type": "Blob", "coordinates": []}, NO_SHAPE),
    "geometry of text": ("geometry", "x", NO_SHAPE),
    "geometry of NaN": ("geometry", {"type": "Point", "coordinates": [float("nan"), 51]}, NO_SHAPE),
    "geometry of nothing": ("geometry", {"type": "GeometryCollection", "geometries": []}, NO_SHAPE),
    "no geometry": ("geometry", None, "has no geometry"),
    "assets of text": ("assets", {"blue": "x.tif"}, NO_ITEM),
    "list of assets": ("assets", [], NO_ITEM),
    "href of a number": ("assets/blue/href", 5, ""),
    "link without address": ("links", [{"rel": "self"}], NO_ITEM),
    "metadata service": ("assets/blue/href", "http://169.254.169.254/latest/meta-data", "is link-local"),
    "the same as a number": ("assets/blue/href", "http://2852039166/latest", "is link-local"),
    "the same in IPv6": ("assets/blue/href", "http://[::ffff:169.254.169.254]/", "is link-local"),
    "AWS's by IPv6": ("assets/blue/href", "http://[fd00:ec2::254]/latest", "is link-local"),
    "Google's by name": ("assets/blue/href", "http://metadata.google.internal/x", "is link-local"),
    "this machine": ("assets/blue/href", "http://127.0.0.1:8080/x.tif", "is on this machine"),
    "this machine by name": ("assets/blue/href", "http://localhost/x.tif", "is on this machine"),
    "no host": ("assets/blue/href", "https://[::1/x.tif", "is no address"),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAWS)
def test_an_odd_item_is_flawed_and_the_search_goes_on(
    name: str, listed: Callable[..., dict[str, Scene]]
) -> None:
    path, value, flaw = FLAWS[name]
    item = changed(path, value)
    for asset in item["assets"].values() if isinstance(item["assets"], dict) else ():
        if isinstance(asset, dict):
            asset.pop("alternate")
    found = listed(whole("good"), item)
    good = found.pop("good")
    assert good.flaw == ""
    (odd,) = found.values()
    assert odd.flaw
    assert flaw in odd.flaw
    assert odd.time.tzinfo is not None


def test_two_items_without_an_id_are_two(listed: Callable[..., dict[str, Scene]]) -> None:
    """They would be taken for one, and two scenes of one id are refused."""
    later = changed("id", None)
    later["properties"]["datetime"] = "2021-08-01T10:00:00Z"
    assert len(listed(changed("id", None), later)) == 2


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("properties/datetime", "yesterday"),
        ("properties/datetime", "9999-12-31T23:59:60Z"),
        ("properties", []),
    ],
)
def test_an_item_of_no_time_is_left_out(
    path: str, value: Any, listed: Callable[..., dict[str, Scene]]
) -> None:
    assert set(listed(whole("good"), changed(path, value))) == {"good"}
    with pytest.raises(WorkError, match=r"stac\.example/v1: item odd is not a STAC item \(.*Error\)\.$"):
        listed(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value", "seen"),
    [
        ("properties/datetime", "2021-07-01T10:16:59", datetime(2021, 7, 1, 10, 16, 59, tzinfo=UTC)),
        ("properties/datetime", "2021-07-01", datetime(2021, 7, 1, tzinfo=UTC)),
        ("properties/eo:cloud_cover", "5", None),
        ("properties/eo:cloud_cover", float("nan"), None),
        ("properties/eo:cloud_cover", True, None),
        ("bbox", "everywhere", None),
    ],
)
def test_what_is_odd_and_does_no_harm(
    path: str, value: Any, seen: Any, listed: Callable[..., dict[str, Scene]]
) -> None:
    scene = listed(changed(path, value))["odd"]
    assert scene.flaw == ""
    if path.endswith("datetime"):
        assert scene.time == seen
    elif path.endswith("cover"):
        assert scene.cloud_cover is None


def test_an_odd_item_of_another_collection_or_time_is_none_of_ours(
    listed: Callable[..., dict[str, Scene]],
) -> None:
    odd = changed("assets", [])
    assert set(listed(odd, collections=("sentinel-2-l2a",))) == {"odd"}
    assert not listed(odd, collections=("another",))
    odd["properties"]["datetime"] = "2020-07-01T10:00:00Z"
    assert not listed(odd)


def test_an_odd_item_of_a_saved_search(tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    items = [whole("good"), changed("assets", []), changed("properties/proj:epsg", 999999) | {"id": "grid"}]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    saved = StacSource(Stac(name="stac", href=str(path)), "stac", L2A, ("B02",))
    scenes = saved.search(AREA, date(2021, 1, 1), date(2022, 1, 1))
    assert {scene.id: bool(scene.flaw) for scene in scenes} == {"good": False, "odd": True, "grid": True}


def test_an_item_is_not_found_again_at_an_inner_address() -> None:
    with pytest.raises(WorkError, match=r"cannot be asked: it is link-local \(169\.254\.169\.254\)"):
        source().find("http://169.254.169.254/latest")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from([10**400, 1e308, "EPSG:0", "2021-13-41", "http://[", "s3://", "\0", "\ud800", "../x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """The item with one to three of its values, at any depth, gone or something else."""
    item = copy.deepcopy(whole())
    for _ in range(draw(st.integers(1, 3))):
        place: Any = item
        while place:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            inner = place[key]
            if isinstance(inner, dict | list) and inner and draw(st.integers(0, 3)):
                place = inner
                continue
            if draw(st.booleans()):
                place[key] = draw(JUNK)
            else:
                del place[key]
            break
    return item


@given(item=mutated())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_item_is_a_scene_a_flaw_or_a_sentence(
    item: dict[str, Any], listed: Callable[..., dict[str, Scene]]
) -> None:
    found = listed(whole("good"), item)
    assert found["good"].flaw == ""
    assert len(found) <= 2
    for scene in found.values():
        assert isinstance(scene.id, str)
        assert scene.id
        assert scene.time.tzinfo is not None
        assert all(isinstance(text, str) for text in (scene.flaw, scene.href, scene.collection, scene.level))
    try:
        assert source().find(f"{SERVICE}/collections/c/items/odd").assets is not None
    except MinebenchError as error:
        assert str(error)  # noqa: PT017
