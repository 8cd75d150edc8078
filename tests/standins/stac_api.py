"""A STAC API of made items, with the habits of those behind a gateway.

/<habits>/ is a landing page, its words joined by "+"; /asked gives [landing's habits, method, limit, items in
the page or status] of every search.

largest=N   500 and a JSON message where a page would hold more than N items
status=S    that status instead of 500
numbered    next pages by number (page=3), so that another limit begins elsewhere; else by a token
nosearch    no item-search in conformsTo;  bare: no conformsTo at all;  nolink: no link to the search
get         405 for POST
noapi       no search at all;  browse: nosearch, nolink, and a link to an item as a catalog has

/static/catalog.json is a static catalog of all items, in catalogs of ten; /odd/<what>/catalog.json one that
has no end (deep), leads to another host (elsewhere), is redirected there (moved), or to an object that is no
item (broken).
"""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.standins.base import Handler

CORE = "https://api.stacspec.org/v1.0.0/core"
SEARCH = "https://api.stacspec.org/v1.0.0/item-search"
JSON = {"Content-Type": "application/json"}


def prepare(url: str, count: str) -> dict[str, Any]:
    return {"url": url, "items": [item(number) for number in range(int(count))], "asked": []}


def item(number: int) -> dict[str, Any]:
    """A made item of 2021 over 0 to 1 degrees, without assets."""
    square = [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]
    day = f"2021-{1 + number // 28 % 12:02}-{1 + number % 28:02}T10:00:00Z"
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": f"made-{number:04}", "collection": "made",
        "geometry": {"type": "Polygon", "coordinates": square}, "bbox": [0, 0, 1, 1],
        "properties": {"datetime": day}, "assets": {}, "links": [],
    }  # fmt: skip


class Answering(Handler):
    def respond(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(path)
        if parts.path == "/asked":
            return 200, JSON, json.dumps(self.setup_data["asked"]).encode()
        habits, _, rest = parts.path.lstrip("/").partition("/")
        if habits == "static":
            return self._static(rest.split("/"))
        if habits == "odd":
            return self._odd(*rest.split("/", 1))
        if rest == "search" and "noapi" not in habits:
            query = json.loads(body) if method == "POST" else dict(parse_qsl(parts.query))
            return self._search(method, habits, query)
        if rest or method != "GET":
            return 404, JSON, b'{"code": "NotFound"}'
        return 200, JSON, json.dumps(self._landing(habits)).encode()

    def _static(self, path: list[str]) -> tuple[int, dict[str, str], bytes]:
        items = self.setup_data["items"]
        if path == ["catalog.json"]:
            return _catalog(*(("child", f"./{n}/catalog.json") for n in range(-(-len(items) // 10))))
        part = items[int(path[0]) * 10 :][:10]
        if path[1] == "catalog.json":
            up = [("root", "../catalog.json"), ("parent", "../catalog.json"), ("child", "../catalog.json")]
            return _catalog(*up, *(("item", f"./{one['id']}.json") for one in part))
        found = next(one for one in part if f"{one['id']}.json" == path[1])
        assets = {"blue": {"href": f"./{found['id']}/B02.tif"}}
        links = [{"rel": "parent", "href": "./catalog.json"}]
        return 200, JSON, json.dumps({**found, "assets": assets, "links": links}).encode()

    def _odd(self, what: str, rest: str) -> tuple[int, dict[str, str], bytes]:
        if what == "deep":
            return _catalog(("child", "./a/catalog.json"))
        if what == "elsewhere":
            return _catalog(("item", "http://localhost:1/a.json"))
        if rest == "catalog.json":
            return _catalog(("item", "./a.json"))
        if what == "moved":
            return 302, {"Location": "http://localhost:1/a.json"}, b""
        return 200, JSON, b'{"type": "Feature", "id": "a"}'

    def _landing(self, habits: str) -> dict[str, Any]:
        words, here = habits.split("+"), f"{self.setup_data['url']}/{habits}"
        if "browse" in words:
            words += ["nosearch", "nolink"]
        conforms = [CORE] if "nosearch" in words else [CORE, SEARCH]
        more = [{"rel": "item", "href": "../static/0/made-0000.json"}] if "browse" in words else []
        link = {"rel": "search", "type": "application/geo+json", "href": f"{here}/search"}
        return {
            "type": "Catalog", "id": "made", "stac_version": "1.0.0", "description": "made",
            "links": [{"rel": "self", "href": f"{here}/"}, *([] if "nolink" in words else [link]), *more],
            **({} if "bare" in words else {"conformsTo": conforms}),
        }  # fmt: skip

    def _search(self, method: str, habits: str, query: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        settings = dict(word.partition("=")[::2] for word in habits.split("+"))
        limit = int(query.get("limit", 10))
        first = (
            int(query.get("page", 1)) * limit - limit
            if "numbered" in settings
            else int(query.get("token", 0))
        )
        page = self.setup_data["items"][first : first + limit]
        status = 405 if "get" in settings and method == "POST" else 200
        if status == 200 and len(page) > int(settings.get("largest", 10**6)):
            status = int(settings.get("status", 500))
        with self.lock:
            self.setup_data["asked"].append([habits, method, limit, len(page) if status == 200 else status])
        if status != 200:
            return status, JSON, b'{"message": "Internal server error"}'
        links = []
        if first + limit < len(self.setup_data["items"]):
            key, at = ("page", first // limit + 2) if "numbered" in settings else ("token", first + limit)
            links = [self._next(method, habits, {**query, key: at})]
        answer = {"type": "FeatureCollection", "features": page, "links": links}
        return 200, {"Content-Type": "application/geo+json"}, json.dumps(answer).encode()

    def _next(self, method: str, habits: str, query: dict[str, Any]) -> dict[str, Any]:
        href = f"{self.setup_data['url']}/{habits}/search"
        if method == "POST":
            return {"rel": "next", "method": "POST", "href": href, "body": query}
        return {"rel": "next", "href": f"{href}?{'&'.join(f'{k}={v}' for k, v in query.items())}"}


def _catalog(*links: tuple[str, str]) -> tuple[int, dict[str, str], bytes]:
    catalog = {"type": "Catalog", "id": "made", "stac_version": "1.0.0", "description": "made"}
    found = {**catalog, "links": [{"rel": rel, "href": href} for rel, href in links]}
    return 200, JSON, json.dumps(found).encode()
