"""Catalogues as `minebench doctor` knows them, but served by stand-ins, and asked where those have images."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

from pipeline.doctor import lines, visits
from pipeline.doctor.examine import examine
from pipeline.doctor.known_catalogues import Catalogue, EngineQuestions, Question, named
from pipeline.doctor.seen import Row
from pipeline.doctor.visit import Visit
from tests.e2e.test_earthengine import key_file
from tests.pipeline.sources.test_stac_api import Item, collection_1, earth_search, made, planetary_computer
from tests.standins import stac_api

BETA, WATER, CROWD = (23.80, 40.90), (14.222, 51.63), (0.5, 0.5)
YEARS = {year: (date(year, 6, 1), date(year, 9, 1)) for year in (2021, 2022, 2023)}
WRONG = "S2A_34N07351045322_20220616_089_L2A"
"""An item whose flag is put to false, while its numbers have the offset taken out."""
SIGNED = "signed-l2a"
CROWDED = Question(CROWD, date(2021, 1, 1), date(2022, 1, 1))
COUNT = 300
"""Items at the crowded place."""


def write_items(built: Path, folder: Path) -> Path:
    """Write the items of Earth Search's, Collection 1's and Planetary Computer's forms; return the file."""
    plain = made(built, earth_search, "URL")
    for item in plain:
        if item["id"] == WRONG:
            item["properties"]["earthsearch:boa_offset_applied"] = False
    signed = [item | {"collection": SIGNED} for item in made(built, planetary_computer, "URL")]
    crowd = [stac_api.item(number) | {"collection": "sentinel-2-l2a"} for number in range(COUNT)]
    everywhere = [_everywhere(item) for item in crowd]
    path = folder / "items.json"
    path.write_text(json.dumps([*plain, *made(built, collection_1, "URL"), *signed, *crowd, *everywhere]))
    return path


def _everywhere(item: Item) -> Item:
    """An item of 2022 over all of Europe."""
    properties = {"datetime": item["properties"]["datetime"].replace("2021", "2022")}
    return item | {"bbox": [0, 30, 40, 60], "collection": SIGNED, "properties": properties}


def catalogue(name: str, url: str, folder: Path) -> Catalogue:
    """Return a known catalogue that is asked at a stand-in's address."""
    known = named(name)
    ask = Question(BETA, *YEARS[2023])
    if known.source["name"] == "earthengine":
        source = {**known.source, "url": url, "service_account_key": str(key_file(folder, url))}
        if known.engine is None:
            ask = Question(BETA, date(2023, 1, 1), date(2024, 1, 1))
        engine = EngineQuestions(tuple(YEARS), composite=YEARS[2022], composite_km=0.5,
                                 composite_bands=("B02", "B03"))  # fmt: skip
        return replace(known, source=source, ask=ask, before=known.before and YEARS[2021],
                       engine=known.engine and engine)  # fmt: skip
    source = {**known.source, "href": f"{url}/api/"}
    if name == "planetary-computer":
        source |= {"collections": [SIGNED], "sign": f"{url}/token"}
    scene = known.known and replace(known.known, id=WRONG, at=Question(BETA, *YEARS[2022]), around=0.1)
    return replace(
        known, source=source, ask=ask, before=YEARS[2021], known=scene,
        crowded=known.crowded and CROWDED, water=known.water and Question(WATER, *YEARS[2023]),
        places=(BETA, WATER) if known.places else (),
    )  # fmt: skip


def visit(one: Catalogue, folder: Path) -> Visit:
    return visits.of_catalogue(one, folder)


def table(one: Visit, *checks: str) -> dict[str, Row]:
    """Make all checks, or those named, and return their rows by name."""
    chosen = [line for line in lines.of(one) if not checks or line.check in checks]
    return {row.check: row for row in examine(one, chosen, everything=True)}
