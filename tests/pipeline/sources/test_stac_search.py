"""Searches of STAC APIs that have the habits of public ones: pages, forms of landing pages, failures."""

import json
import urllib.request
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import shapely

from pipeline.core import web
from pipeline.core.errors import WorkError
from pipeline.sensors.sentinel2 import L2A
from pipeline.sources.stac import Options as Stac
from pipeline.sources.stac import web_catalog
from pipeline.sources.stac.items import StacSource
from tests.standins.base import Running, running

COUNT = 120
AREA = shapely.box(0.2, 0.2, 0.4, 0.4)


@pytest.fixture(scope="module")
def api() -> Iterator[Running]:
    with running("stac_api", str(COUNT)) as standin:
        yield standin


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "LONGEST_WAIT_S", 0.01)


def found(href: str) -> list[str]:
    source = StacSource(Stac(name="stac", href=href), "stac", L2A, ("B02",))
    return [scene.id for scene in source.search(AREA, date(2021, 1, 1), date(2022, 1, 1))]


def asked(api: Running, habits: str) -> list[list[Any]]:
    """[method, limit, items or status] of every search of a landing page."""
    with urllib.request.urlopen(f"{api.url}/asked") as answer:
        return [entry[1:] for entry in json.load(answer) if entry[0] == habits]


ALL = [f"made-{number:04}" for number in range(COUNT)]


@pytest.mark.parametrize(
    "habits", ["largest=40", "largest=40+numbered", "largest=30+status=502", "largest=99"]
)
def test_pages_halve_where_the_service_fails_by_size(api: Running, habits: str) -> None:
    assert sorted(found(f"{api.url}/{habits}/")) == ALL
    first = asked(api, habits)
    assert [limit for _, limit, _ in first[:3]] == [100, 100, 50], "two tries, then half"
    found(f"{api.url}/{habits}/")
    later = asked(api, habits)[len(first) :]
    assert all(isinstance(count, int) and count <= 100 for _, _, count in later), (
        "what was learnt is forgotten"
    )
    assert {limit for _, limit, _ in later} == {first[-1][1]}


def test_pages_shrink_at_once_where_the_service_says_too_large(api: Running) -> None:
    habits = "largest=60+status=413"
    assert sorted(found(f"{api.url}/{habits}/")) == ALL
    assert [limit for _, limit, _ in asked(api, habits)[:2]] == [100, 50]


def test_a_service_that_fails_at_every_size_teaches_nothing(api: Running) -> None:
    habits = "largest=0"
    with pytest.raises(WorkError, match="failed 7 times: HTTP 500"):
        found(f"{api.url}/{habits}/")
    limits = [limit for _, limit, _ in asked(api, habits)]
    assert limits == [100] * 2 + [50] * 2 + [25] * 2 + [12] * 7
    with pytest.raises(WorkError, match="failed 7 times: HTTP 500"):
        found(f"{api.url}/{habits}/")
    assert asked(api, habits)[len(limits)][1] == 100


@pytest.mark.parametrize(
    "habits", ["nosearch", "bare", "nolink", "nolink+bare", "nosearch+nolink", "get", "browse"]
)
def test_forms_of_landing_pages(api: Running, habits: str) -> None:
    """Earth Search v0 is one without item-search in its conformsTo."""
    assert sorted(found(f"{api.url}/{habits}/")) == ALL


def test_neither_api_nor_catalog(api: Running) -> None:
    says = r"source\.href: .* is neither a STAC API \(it links to no search, and there is none at .*/search\)"
    with pytest.raises(WorkError, match=says):
        found(f"{api.url}/noapi+nolink/")


@pytest.mark.parametrize(
    "body",
    [
        '{"features": 3}',
        "[]",
        '{"features": [3]}',
        '{"features": [{"id": "a"}]}',
        '{"features": [{}], "links": [1]}',
    ],
)
def test_answers_that_are_no_items_end_in_a_sentence(api: Running, body: str) -> None:
    api.set({"kind": "status", "status": 200, "match": "/search", "body": body})
    with pytest.raises(
        WorkError, match=r"does not answer as a STAC API: |is not a STAC item|no text"
    ) as caught:
        found(f"{api.url}/odd-answers/?sig=hidden")
    assert "hidden" not in str(caught.value)
    api.set()


def test_a_static_catalog_on_the_web_is_walked_once(api: Running) -> None:
    api.set()
    href = f"{api.url}/static/catalog.json"
    assert sorted(found(href)) == ALL
    objects = 1 + COUNT // 10 + COUNT
    assert len(api.asked()) == 1 + objects, "the first page twice, each other object once"
    assert sorted(found(href)) == ALL
    assert len(api.asked()) == 1 + objects


def test_a_static_item_can_be_found_again(api: Running) -> None:
    source = StacSource(Stac(name="stac", href=f"{api.url}/static/catalog.json"), "stac", L2A, ("B02",))
    scene = source.search(AREA, date(2021, 1, 1), date(2021, 1, 2))[0]
    assert scene.href == f"{api.url}/static/0/made-0000.json"
    for one in (scene, source.find(scene.href)):
        assert one.assets["B02"].href == f"{api.url}/static/0/made-0000/B02.tif"
    assert source.find(scene.href).href == scene.href


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("deep", "has more than 12 levels of catalogs"),
        ("elsewhere", "links to another host, localhost:1, which is not followed"),
        ("moved", "redirects to another host, localhost:1"),
        ("broken", "item a is not a STAC item"),
    ],
)
def test_odd_static_catalogs(api: Running, what: str, says: str) -> None:
    with pytest.raises(WorkError, match=says):
        found(f"{api.url}/odd/{what}/catalog.json")


def test_a_static_catalog_has_a_largest_size(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_catalog, "LARGEST", 50)
    monkeypatch.setattr(web_catalog, "_read", {})
    with pytest.raises(WorkError, match="has more than 50 objects; name a part of it"):
        found(f"{api.url}/static/catalog.json")
