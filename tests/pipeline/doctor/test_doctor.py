"""Every line of `minebench doctor` against stand-ins: as expected once, and otherwise once."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from minebench.errors import UnknownName
from pipeline.core.limits import Sighting
from pipeline.doctor import earthengine_checks, examine, lines, printed, visits
from pipeline.doctor.known_catalogues import CATALOGUES, Question, named
from pipeline.doctor.seen import Row, Verdict
from pipeline.doctor.visit import Visit
from pipeline.sources.stac import signing
from pipeline.web import client, patience
from tests.conftest import ROOT
from tests.pipeline.doctor import worlds
from tests.standins.base import Running, running

WELL, BAD = {Verdict.OK}, {Verdict.FAILED, Verdict.DIFFERS}
NAMES = ("earth-search", "planetary-computer", "earthengine", "earthengine-embeddings")
"""Catalogues that have all lines among them."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("doctor")


@pytest.fixture(scope="module")
def api(built: Path, folder: Path) -> Iterator[Running]:
    archive, items = built / "data/tiny/archive", worlds.write_items(built, folder)
    with running("whole_catalogue", str(archive), str(items)) as standin:
        yield standin


@pytest.fixture(scope="module")
def engine(built: Path) -> Iterator[Running]:
    with running("engine_asked", str(built / "data/tiny/archive"), "page=100", "whole") as standin:
        yield standin


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr(signing, "_signers", {})


@pytest.fixture
def service(request: pytest.FixtureRequest) -> dict[str, Running]:
    """The stand-in of each catalogue, without faults."""
    found = {name: request.getfixturevalue("engine" if "engine" in name else "api") for name in NAMES}
    for standin in found.values():
        standin.set()
    return found


@pytest.fixture
def of(service: dict[str, Running], folder: Path) -> Any:
    """Make the visit to a catalogue, with changes to what is known of it and to its source."""

    def make(name: str, known: dict[str, Any] | None = None, source: dict[str, Any] | None = None) -> Visit:
        one = worlds.catalogue(name, service[name].url, folder)
        one = replace(one, source={**one.source, **(source or {})}, **(known or {}))
        return worlds.visit(one, folder)

    return make


@pytest.mark.parametrize("name", NAMES)
def test_all_lines_are_as_expected(name: str, of: Any) -> None:
    visit = of(name)
    rows = worlds.table(visit)
    assert rows.pop("EECU", Row("", "", "", Verdict.NOT_CHECKED, 0)).verdict is Verdict.NOT_CHECKED
    assert {check: row.seen for check, row in rows.items() if row.verdict not in WELL} == {}
    assert examine.is_well(list(rows.values()))
    assert "limits" in rows
    text = printed.markdown([(visit, list(rows.values()))])
    assert "secret" not in text.replace("secretary", "")
    assert all(line.count("|") >= 6 for line in text.splitlines() if line.startswith("|"))


@dataclass(frozen=True)
class Case:
    """What makes a line fail: faults of the stand-in, or something else that is known of the catalogue."""

    name: str
    check: str
    says: str
    faults: tuple[dict[str, Any], ...] = ()
    known: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    """Checks that are made before it."""
    path: str = ""
    """The landing page, where it is not the usual one."""


API, EE, PC, EMBEDDINGS = "earth-search", "earthengine", "planetary-computer", "earthengine-embeddings"
SEARCH, LISTED = {"match": "/search"}, {"match": "listAssets"}
REFUSAL = {"kind": "refusal", "status": 400, "message": "User memory limit exceeded."}
ELSEWHERE = Question((100.0, 0.0), date(2023, 1, 1), date(2024, 1, 1))
CARRIES = "S2B_34N07351045322_20220729_089_L2A"
"""An item whose flag is right."""
CASES = [
    Case(API, "reach", "text/html where JSON was expected", ({"kind": "html"},)),
    Case(API, "conforms", "does not name item-search", ({"kind": "landing", "fields": {"conformsTo": []}},),
         path="nothing"),
    Case(API, "search", "0 scenes at 23.800, 40.900", ({"kind": "empty", **SEARCH},)),
    Case(API, "item", "lacks B02; 4 of 4 scenes flawed: the item has no asset",
         ({"kind": "items", "lacks": ["blue"], **SEARCH},)),
    Case(API, "page of 100", "HTTP 500", ({"kind": "status", "status": 500, **SEARCH},)),
    Case(API, "page of 250", "refused with HTTP 400", ({"kind": "status", "status": 400, **SEARCH},)),
    Case(API, "sign-in", "is in bucket usgs-landsat, whose readers pay AWS",
         ({"kind": "items", "old": "http://", "new": "s3://usgs-landsat/", **SEARCH},)),
    Case(API, "mask", "SCL.tif is not there", ({"kind": "status", "status": 404, "match": "SCL.tif"},)),
    Case(API, "band", "B02.tif is not there", ({"kind": "status", "status": 404, "match": "B02.tif"},)),
    Case(API, "offset, by words", "boa_offset_applied true, pixels decide); 0 of 3 neighbours say 1000",
         ({"kind": "items", "fields": {"earthsearch:boa_offset_applied": True}, **SEARCH},)),
    Case(API, "offset, by numbers", "1000 by numbers",
         known={"known": replace(CATALOGUES[API].known or 0, id=CARRIES, around=0.1,  # type: ignore[type-var]
                                 at=Question(worlds.BETA, *worlds.YEARS[2022]))}),
    Case(API, "dark water", "of them 0: B02 100.0%",
         ({"kind": "items", "old": "B02.tif", "new": "true_mask.tif", **SEARCH},)),
    Case(API, "a year of four tiles", "300 scenes, in pages of 50", path="largest=50"),
    Case(API, "limits", "1 x 429, 0 x 403, retry-after: 0",
         ({"kind": "status", "status": 429, "headers": {"Retry-After": "0"}, "times": 1, **SEARCH},),
         before=("search",)),
    Case(PC, "sign-in", "There is no token for signed-l2a",
         ({"kind": "status", "status": 403, "match": "/token/"},)),
    Case(PC, "2 places", "2 of 2 places read, 2 token requests",
         ({"kind": "status", "status": 403, "match": "/signed/", "times": 1},)),
    Case(EE, "reach", "is not there (HTTP 404)", ({"kind": "status", "status": 404, "match": "discovery"},)),
    Case(EE, "sign-in", "there is no file missing.json", source={"service_account_key": "missing.json"}),
    Case(EE, "search", "0 scenes", known={"ask": ELSEWHERE}),
    Case(EE, "item", "lacks B02, B03, B04, B08", ({"kind": "images", "fields": {"bands": []},
                                                   "match": "S2_SR_HARMONIZED:listAssets"},)),
    Case(EE, "listImages", "geometry Sphere, endTime of 0", ({"kind": "images", **LISTED, "fields": {
        "geometry": {"type": "Sphere"}, "endTime": None}},)),
    Case(EE, "mask", "User memory limit exceeded",
         ({**REFUSAL, "match": "getPixels"},)),
    Case(EE, "band", "no pixel has data", ({"kind": "zeros", "match": "S2_SR_HARMONIZED/"},)),
    Case(EE, "offset, by words", "0 (harmonized by Earth Engine)", known={"offset": 1000}),
    Case(EE, "offset, by numbers", "1000 by numbers",
         ({"kind": "raised", "value": 1000, "match": "_20230730_089_L2A:getPixels"},)),
    Case(EE, "Cloud Score+ names", "2021: 0 of 4 images have one",
         ({"kind": "images", "match": "CLOUD_SCORE_PLUS", "fields": {"id": "a/b/other"}},)),
    Case(EE, "Cloud Score+ type", "uint8, 7.00 to 7.00",
         ({"kind": "numbers", "value": 7, "dtype": "u1", "match": "V1/S2_HARMONIZED/"},)),
    Case(EE, "median of nothing", "a median asked for anyway: median_2014-01-01_2015-01-01: User memory",
         ({**REFUSAL, "match": "computePixels"},)),
    Case(EE, "large median", "User memory limit exceeded",
         ({**REFUSAL, "match": "computePixels"},)),
    Case(EE, "limits", "1 x 429", ({"kind": "status", "status": 429, "times": 1, **LISTED},),
         before=("search",)),
    Case(EMBEDDINGS, "scaleY", "scaleY -20", ({"kind": "images", "scaleY": -20, **LISTED},)),
    Case(EMBEDDINGS, "copied pixel", "sampled [127, 127, 127, 127]",
         ({"kind": "values", "value": 1.0, "match": "value:compute"},)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}: {case.check}")
def test_each_line_tells_what_is_otherwise(
    case: Case, of: Any, service: dict[str, Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    path = {"href": f"{service[case.name].url}/{case.path}/"} if case.path else {}
    visit = of(case.name, case.known, {**case.source, **path})
    service[case.name].set(*case.faults)
    row = worlds.table(visit, *case.before, case.check)[case.check]
    assert case.says in row.seen
    assert row.verdict in BAD
    assert not examine.is_well([row])


CLOUDY = Question(worlds.BETA, date(2023, 8, 24), date(2023, 8, 25))
EARLIER = {"before": (date(2019, 1, 1), date(2020, 1, 1))}


@pytest.mark.parametrize(
    ("name", "check", "known", "says"),
    [
        (PC, "offset, by numbers", EARLIER, "the numbers do not decide (none of 0 earlier scenes has a"),
        (PC, "offset, by numbers", {"ask": CLOUDY}, "the numbers do not decide (too little clear ground)"),
        (PC, "band", {"ask": CLOUDY}, "hardly any of it is clear ground"),
        (API, "page of 250", {"crowded": CLOUDY}, "1 items are all that there are"),
        (API, "dark water", {"water": CLOUDY}, "fewer than 400 pixels are water"),
        (API, "mask", {"ask": ELSEWHERE}, "the search found no scene"),
    ],
)
def test_what_settles_nothing_is_not_called_ok(
    name: str, check: str, known: dict[str, Any], says: str, of: Any
) -> None:
    row = worlds.table(of(name, known), check)[check]
    assert says in row.seen
    assert row.verdict is Verdict.NOT_CHECKED


def test_no_line_is_left_out(of: Any) -> None:
    checks = {(name, line.check) for name in NAMES for line in lines.of(of(name))}
    never = {check for _, check in checks} - {case.check for case in CASES}
    assert never == {"EECU"}, "only the Cloud console shows it"


def test_computing_is_told_where_the_service_does(of: Any) -> None:
    visit = of(EE)
    visit.sightings.append(Sighting("https://a.example/", 200, {"x-eecu-seconds": "3"}))
    assert earthengine_checks.computing(visit).verdict is Verdict.OK


def test_later_lines_are_made_after_one_that_failed(of: Any, service: dict[str, Running]) -> None:
    visit = of(API)
    service[API].set({"kind": "status", "status": 404, "match": "SCL.tif"})
    rows = worlds.table(visit, "search", "mask", "band", "offset, by words")
    verdicts = [(row.check, str(row.verdict)) for row in rows.values()]
    assert verdicts == [
        ("search", "ok"), ("mask", "failed"), ("band", "not checked"), ("offset, by words", "ok")
    ]  # fmt: skip
    assert rows["band"].seen == "the mask failed"


def test_costly_lines_are_made_only_when_asked_for(of: Any, service: dict[str, Running]) -> None:
    visit = of(PC)
    rows = {row.check: row for row in examine.examine(visit, lines.of(visit))}
    assert rows["2 places"].verdict is Verdict.NOT_CHECKED
    assert rows["2 places"].seen == "about 8 requests: only with --all"


def test_nothing_else_is_asked_where_no_answer_comes(folder: Path) -> None:
    one = worlds.catalogue(API, "http://127.0.0.1:1", folder)
    reach, *others = worlds.table(worlds.visit(one, folder)).values()
    assert (reach.verdict, reach.seen) == (
        "failed", "127.0.0.1:1 failed 2 times: the connection was refused or dropped."
    )  # fmt: skip
    assert {row.seen for row in others} == {"no answer came from the service"}
    assert {row.verdict for row in others} == {Verdict.NOT_CHECKED}


def test_time_that_is_over_ends_checks_and_is_no_ok(of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "WHOLE_ALL_S", 0.0)
    rows = worlds.table(of(API)).values()
    assert {(row.verdict, row.seen) for row in rows} == {
        (Verdict.NOT_CHECKED, "the time limit for all checks has passed")
    }


def test_a_service_that_never_answers_is_left_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with patience.patient(0.05, 7), pytest.raises(client.Failed, match="failed 1 times: the answer took"):
            client.request(url)
        with patience.patient(0, 7), pytest.raises(client.Failed, match="no time left to ask"):
            client.request(url)


def test_keys_are_never_told(of: Any, service: dict[str, Running], monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a service quotes them."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made+secret")
    visit = of(API, source={"href": f"{service[API].url}/api/?token=hidden"})
    body = '{"message": "no made+secret for token=hidden"}'
    service[API].set({"kind": "status", "status": 429, "headers": {"Retry-After": "900"}, "body": body})
    row = worlds.table(visit, "reach")["reach"]
    assert "asks to wait 900 s" in row.seen
    text = printed.markdown([(visit, [row])])
    assert "made+secret" not in text
    assert "hidden" not in text


@pytest.mark.parametrize(
    ("bucket", "says"),
    [
        ("eodata", "set: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"),
        ("usgs-landsat", "AWS_SECRET_ACCESS_KEY; you pay for what is read"),
        ("sentinel-cogs", "a public bucket, which needs no key"),
    ],
)
def test_keys_of_buckets_are_told_by_their_names(
    bucket: str, says: str, of: Any, service: dict[str, Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "made-id", "AWS_SECRET_ACCESS_KEY": "made+secret"}
    for name, value in {**keys, "AWS_REQUEST_PAYER": "requester" if "usgs" in bucket else ""}.items():
        monkeypatch.setenv(name, value)
    service[API].set({"kind": "items", "old": "http://", "new": f"s3://{bucket}/", **SEARCH})
    row = worlds.table(of(API), "sign-in")["sign-in"]
    assert says in row.seen
    assert row.verdict is Verdict.OK
    assert "made" not in row.seen


def test_catalogues_are_those_of_the_documentation() -> None:
    page = (ROOT / "docs/sources.md").read_text()
    for one in CATALOGUES.values():
        assert f"`{one.name}`" in page
        visit = visits.of_catalogue(one, Path())
        assert lines.of(visit)
        visit.options.check(visit.setting.sensor, visit.setting.profile, visit.setting.clear)
    with pytest.raises(UnknownName, match=r"There is no catalogue 'x'; choose one of earth-search, .*"):
        named("x")
