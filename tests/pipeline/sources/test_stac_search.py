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
