"""Searches of STAC APIs that have the habits of public ones: pages, forms of landing pages, failures."""

import json
import urllib.request
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import shapely

from minebench.errors import WorkError
from pipeline.sensors.sentinel2 import L2A
from pipeline.sources.stac import Options as Stac
from pipeline.sources.stac import paging, web_catalog
from pipeline.sources.stac.items import StacSource
from pipeline.web import client
from tests.standins.base import Running, running

COUNT = 120
AREA = shapely.box(0.2, 0.2, 0.4, 0.4)


@pytest.fixture(scope="module")
def api() -> Iterator[Running]:
    with running("stac_api", str(COUNT)) as standin:
        yield standin


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST_WAIT_S", 0.01)


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


def page(*links: dict[str, Any]) -> str:
    """A page of one item whose links are these."""
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "one", "collection": "made",
        "links": [], "assets": {}, "geometry": None, "properties": {"datetime": "2021-05-01T00:00:00Z"},
    }  # fmt: skip
    return json.dumps({"type": "FeatureCollection", "features": [item], "links": links})


@pytest.mark.parametrize("habits", ["endless", "endless+numbered"])
def test_pages_end_though_next_leads_on(api: Running, habits: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PAGE", 12)
    monkeypatch.setattr(paging, "MOST_PAGES", 4)
    with pytest.raises(WorkError, match=r"leads on after 4 pages of items for one site\. It may not keep to"):
        found(f"{api.url}/{habits}/")
    assert len(asked(api, habits)) == 5


def test_an_item_that_comes_twice_is_one() -> None:
    """An archive that grows meanwhile moves items to the next page."""
    first, second = [{"id": name} for name in "ab"], [{"id": name} for name in "bc"]
    pages = [{"features": first}, {"features": second}]
    assert [one["id"] for one in paging.features("growing", lambda *_: iter(pages))] == ["a", "b", "c"]
    pages.append({"features": second})
    with pytest.raises(WorkError, match="sends the same page of items again"):
        list(paging.features("growing", lambda *_: iter(pages)))


NEXT = {
    "another host": ("http://localhost:1/stolen", {}, "links to another host, localhost:1, which is not"),
    "another name": ("http://localhost:{port}/stolen", {}, "links to another host, localhost:"),
    "another port": ("http://127.0.0.1:1/stolen", {}, r"links to http://127\.0\.0\.1:1, which is not"),
    "a file": ("file:///etc/passwd", {}, "links to file:///etc/passwd, which is no web address"),
    "a method": ("{url}/stolen", {"method": "DELETE"}, "pages with method DELETE; a search takes"),
    "no address": (5, {}, "links to|does not answer as a STAC API"),
}  # fmt: skip


@pytest.mark.parametrize("name", NEXT)
def test_next_leads_nowhere_else(api: Running, name: str) -> None:
    href, more, says = NEXT[name]
    if isinstance(href, str):
        href = href.format(url=api.url, port=api.url.rpartition(":")[2])
    link = {"rel": "next", "href": href, "headers": {"Authorization": "Bearer secret"}, **more}
    api.set({"kind": "status", "status": 200, "match": "/search", "body": page(link)})
    with pytest.raises(WorkError, match=says):
        found(f"{api.url}/leading-away/")
    assert not [entry for entry in api.asked() if "stolen" in entry[1]]
    api.set()


def test_a_search_on_another_host_is_refused(api: Running) -> None:
    landing = {"type": "Catalog", "links": [{"rel": "search", "href": "http://localhost:1/search"}]}
    api.set({"kind": "status", "status": 200, "match": "/elsewhere", "body": json.dumps(landing)})
    with pytest.raises(WorkError, match="links to another host, localhost:1, which is not followed"):
        found(f"{api.url}/elsewhere/")
    api.set()


@pytest.mark.parametrize("body", ["null", "[]", "3", '{"links": 3}', '{"links": [{"rel": 1, "href": 2}]}'])
def test_a_root_that_is_no_catalog(api: Running, body: str) -> None:
    api.set({"kind": "status", "status": 200, "match": f"/root{len(body)}", "body": body})
    with pytest.raises(WorkError, match=r"is no STAC object|neither a STAC API|no list of links"):
        found(f"{api.url}/root{len(body)}/")
    api.set()
