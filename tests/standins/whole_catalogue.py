"""A STAC API with its files and its token service in one server, for `minebench doctor`.

/api/ is the landing page (its name may be habits of `tests.standins.stac_api`), /open/ and /signed/ have the
files and /token/ the tokens of `tests.standins.cogs`. Words: the folder with the files, and a file with the
items, in whose text URL stands for the server's address. A search answers the items of its collections, area
and time.

Further faults: `landing` puts `fields` into the landing page; `items` puts them into each item's properties,
takes away the assets that it `lacks`, and in addresses puts a `new` text for an `old` one; `empty` answers
a search without items.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.standins import cogs, stac_api

FILES = ("open", "signed", "token", "keys")


def prepare(url: str, folder: str, items: str) -> dict[str, Any]:
    made = json.loads(Path(items).read_text().replace("URL", url))
    return {**cogs.prepare(url, folder), "url": url, "items": made, "asked": []}


class Answering(stac_api.Answering, cogs.Answering):
    def respond(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        part = urlsplit(path).path.split("/")[1]
        kind = cogs.Answering if part in FILES else stac_api.Answering
        return kind.respond(self, method, path, body)

    def _search(self, method: str, habits: str, query: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        every = self.setup_data
        self.setup_data = {**every, "items": [item for item in every["items"] if _is_asked(item, query)]}
        try:
            return super()._search(method, habits, query)
        finally:
            del self.setup_data

    def spoilt(
        self, fault: dict[str, Any], status: int, headers: dict[str, str], content: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if fault["kind"] in ("landing", "items", "empty"):
            answer = json.loads(content)
            if fault["kind"] == "landing":
                answer.update(fault["fields"])
            elif fault["kind"] == "empty":
                answer["features"], answer["links"] = [], []
            for item in answer.get("features", ()) if fault["kind"] == "items" else ():
                _change(item, fault)
            return status, headers, json.dumps(answer).encode()
        return super().spoilt(fault, status, headers, content)


def _change(item: dict[str, Any], fault: dict[str, Any]) -> None:
    item["properties"].update(fault.get("fields", {}))
    for key in fault.get("lacks", ()):
        item["assets"].pop(key, None)
    for asset in item["assets"].values() if "old" in fault else ():
        asset["href"] = asset["href"].replace(fault["old"], fault["new"])


def _is_asked(item: dict[str, Any], query: dict[str, Any]) -> bool:
    first, _, last = query["datetime"].partition("/")
    west, south, east, north = item["bbox"]
    ring = query["intersects"]["coordinates"][0]
    xs, ys = zip(*ring, strict=True)
    overlaps = west <= max(xs) and min(xs) <= east and south <= max(ys) and min(ys) <= north
    of_collection = item["collection"] in (query.get("collections") or [item["collection"]])
    return overlaps and of_collection and first <= item["properties"]["datetime"] <= last
