"""Earth Engine's REST interface over the synthetic archive, as far as the real `ee` client uses it here.

Collections: S2_SR_HARMONIZED, S2_HARMONIZED (as Level-1C, without scene classes), Cloud Score+ (from the
true mask: 0 in thick cloud, and 0 where it is masked), NAIP (red, green, blue, near infrared of the same
scenes in 8 bits), and the Satellite Embedding (`tests.standins.embeddings`). The discovery document and the
list of algorithms are those that the client's wheel carries.
"""

import io
import json
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import ee
import numpy as np
import shapely
from affine import Affine

from pipeline.synthetic.overpass import TRUTH
from tests.standins import archive, embeddings
from tests.standins.base import Handler

SR, TOA, SCORE, NAIP = (
    "COPERNICUS/S2_SR_HARMONIZED",
    "COPERNICUS/S2_HARMONIZED",
    "GOOGLE/CLOUD_SCORE_PLUS/V1/S2_HARMONIZED",
    "USDA/NAIP/DOQQ",
)
PUBLIC = "projects/earthengine-public/assets/"
LETTERS = {"R": "B04", "G": "B03", "B": "B02", "N": "B08"}
LARGEST = 48 * 2**20
UNBOUNDED = {
    "type": "Polygon",
    "coordinates": [
        [[f"{x}Infinity", f"{y}Infinity"] for x, y in (("-", "-"), ("", "-"), ("", ""), ("-", ""))]
    ],
}
"""The footprint of an image that has none, as Earth Engine writes it."""
THICK = [TRUTH["cloud"], TRUTH["nodata"]]


def prepare(url: str, folder: str, *words: str) -> dict[str, Any]:
    """What all threads share. Words: `noL2A` leaves the surface collection without 2021, `cloudyL2A` leaves
    it just that year's cloudiest image of each place, `empty=year` leaves Sentinel-2 without a year,
    `missed=n` lets the swath of every image miss its westernmost n columns of 20 m, `unbounded` gives
    footprints without bounds, `page=n` gives up to n images a page, `masked=n` masks the first n rows of
    embeddings, `whole` describes images with all that they have."""
    tests = Path(ee.__file__).parent / "tests"
    discovery = (tests / "cloud_api_discovery_document.json").read_text().replace("v1alpha", "v1")
    document = json.loads(discovery)
    parameters = document["resources"]["projects"]["resources"]["assets"]["methods"]["listAssets"][
        "parameters"
    ]
    for name in ("filter", "view"):
        parameters[name] = {"type": "string", "location": "query"}
    document["rootUrl"] = document["baseUrl"] = f"{url}/"
    empty = _number(words, "empty=", 0)
    items = {item["id"]: item for item in archive.items(Path(folder)) if _year(item) != str(empty)}
    return {
        "url": url,
        "discovery": json.dumps(document).encode(),
        "algorithms": (tests / "algorithms.json").read_bytes(),
        "items": items,
        "embeddings": embeddings.images(items, _number(words, "masked=", 0)),
        "no_surface": _no_surface(items, words),
        "unbounded": "unbounded" in words,
        "whole": "whole" in words,
        "missed": _number(words, "missed=", 0),
        "page": _number(words, "page=", 3),
        "tokens": 0,
        "answers": {},
        "lock": threading.Lock(),
    }


def _number(words: Sequence[str], name: str, default: int) -> int:
    return next((int(word.removeprefix(name)) for word in words if word.startswith(name)), default)


def _year(item: dict[str, Any]) -> str:
    return item["properties"]["datetime"][:4]


def _no_surface(items: dict[str, dict[str, Any]], words: Sequence[str]) -> set[str]:
    """Images of which there is no Level-2A."""
    if "noL2A" not in words and "cloudyL2A" not in words:
        return set()
    places: dict[str, list[dict[str, Any]]] = {}
    for item in items.values():
        if _year(item) == "2021":
            places.setdefault(json.dumps(item["geometry"]), []).append(item)
    kept = [max(members, key=_cloud) for members in places.values()] if "cloudyL2A" in words else []
    return {item["id"] for members in places.values() for item in members if item not in kept}


def _cloud(item: dict[str, Any]) -> float:
    return float((archive.pixels(item["assets"]["true_mask"]["path"])[0] != 0).mean())


class Answering(Handler):
    """Further faults: `refusal` answers with a status and Google's `message`."""

    def _fail(self, fault: dict[str, Any]) -> bool:
        if fault["kind"] != "refusal":
            return super()._fail(fault)
        with self.lock:
            Handler.log.append(["fault", self.path, fault["status"], 0, ""])
        self._send(*_error(fault["status"], fault["message"]))
        return True

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        data, parts = self.setup_data, urlsplit(path)
        if parts.path == "/token":
            with data["lock"]:
                data["tokens"] += 1
            return _json({"access_token": f"secret-token-{data['tokens']}", "expires_in": 3600,
                          "token_type": "Bearer"})  # fmt: skip
        if parts.path == "/$discovery/rest":
            return 200, {"Content-Type": "application/json"}, data["discovery"]
        if not self.headers.get("Authorization", "").startswith("Bearer secret-token-"):
            return _error(401, "Request is missing required authentication credential.")
        if self.headers.get("x-goog-user-project") == "unregistered-project":
            return _error(403, "Project unregistered-project is not registered to use Earth Engine.")
        if parts.path.endswith("/algorithms"):
            return 200, {"Content-Type": "application/json"}, data["algorithms"]
        if parts.path.endswith("image:computePixels"):
            return compute(json.loads(body), data)
        name, _, verb = parts.path.removeprefix(f"/v1/{PUBLIC}").partition(":")
        if verb == "listAssets":
            return listed(name, parse_qs(urlsplit(self.path).query), data)
        collection, _, index = name.rpartition("/")
        if collection == embeddings.COLLECTION and index in data["embeddings"] and not verb:
            return _json(embeddings.described(index, data["embeddings"][index], PUBLIC))
        lacks = collection == SR and index in data["no_surface"]
        if index not in data["items"] or collection not in (SR, TOA, SCORE, NAIP) or lacks:
            return _error(404, f"Image.load: Image asset '{name}' not found (does not exist).")
        if verb == "getPixels":
            known = data["answers"]
            if (name, body) not in known:
                known[name, body] = get(collection, data["items"][index], json.loads(body), data["missed"])
            return known[name, body]
        return _json(described(collection, data["items"][index], data))

    def spoilt(
        self, fault: dict[str, Any], status: int, headers: dict[str, str], content: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if fault["kind"] == "wrong size":
            table = np.load(io.BytesIO(content))
            return status, headers, _npy(np.zeros((table.shape[0] - 1, table.shape[1]), table.dtype))
        if fault["kind"] == "zeros":
            return status, headers, _npy(np.zeros_like(np.load(io.BytesIO(content))))
        if fault["kind"] == "wrong bands":
            table = np.load(io.BytesIO(content))
            return status, headers, _npy(np.zeros(table.shape, [("X", "u2")]))
        if fault["kind"] == "same page":
            answer = json.loads(content)
            return _json({**answer, "nextPageToken": "1"})
        return super().spoilt(fault, status, headers, content)


def listed(collection: str, query: dict[str, list[str]], data: dict[str, Any]) -> Any:
    """listAssets, by the filter's times and region, a few a page unless `page=` says otherwise."""
    text = query.get("filter", [""])[0]
    after = re.search(r'startTime >= "([^"]+)"', text)
    before = re.search(r'endTime < "([^"]+)"', text)
    region = re.search(r'intersects\("(.+?)"\)', text)
    area = shapely.from_geojson(region[1].replace("'", '"')) if region else None
    if collection == embeddings.COLLECTION:
        found = _embeddings(data, after, before, area)
        return _page(found, query, data)
    found = []
    for item in data["items"].values():
        time = item["properties"]["datetime"]
        if after and time < after[1]:
            continue
        image = described(collection, item, data)
        if before and "endTime" in image and image["endTime"] >= before[1]:
            continue
        if collection == SR and item["id"] in data["no_surface"]:
            continue
        everywhere = area is None or data["unbounded"]
        if everywhere or shapely.geometry.shape(item["geometry"]).intersects(area):
            found.append(image)
    return _page(found, query, data)


def _embeddings(data: dict[str, Any], after: Any, before: Any, area: Any) -> list[dict[str, Any]]:
    """Embeddings by the filter, word for word: an image's own start and end are compared."""
    listed = [embeddings.described(index, image, PUBLIC) for index, image in data["embeddings"].items()]
    return [
        image for image in listed
        if not (after and image["startTime"] < after[1]) and not (before and image["endTime"] >= before[1])
        and (area is None or shapely.geometry.shape(image["geometry"]).intersects(area))
    ]  # fmt: skip


def _page(found: list[dict[str, Any]], query: dict[str, list[str]], data: dict[str, Any]) -> Any:
    page = min(int(query.get("pageSize", ["3"])[0]), data["page"])
    start = int(query.get("pageToken", ["0"])[0])
    answer: dict[str, Any] = {"assets": found[start : start + page]}
    if start + page < len(found):
        answer["nextPageToken"] = str(start + page)
    return _json(answer)


def described(collection: str, item: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """An item as an Earth Engine image asset: some have rings for polygons, some no end, some no id."""
    properties = item["properties"]
    name = f"{collection}/{item['id']}"
    place = sorted(data["items"]).index(item["id"])
    sparse = () if data["whole"] else (("endTime", 2), ("id", 3))
    left_out = {key for key, every in sparse if place % every == 0}
    asset = {
        "type": "IMAGE",
        "name": PUBLIC + name,
        "id": name,
        "startTime": properties["datetime"],
        "endTime": properties["datetime"],
        "geometry": UNBOUNDED if data["unbounded"] else _outline(item, is_ring=place % 4 == 1),
        "properties": {
            "system:index": item["id"],
            "CLOUDY_PIXEL_PERCENTAGE": properties["eo:cloud_cover"],
            "PROCESSING_BASELINE": properties["s2:processing_baseline"],
        },
        "bands": [band(name, item, key, kind) for name, key, kind in bands(collection)],
    }
    return {key: value for key, value in asset.items() if key not in left_out}


def _outline(item: dict[str, Any], is_ring: bool) -> dict[str, Any]:
    assert item["geometry"]["type"] == "Polygon"
    outer, *_ = item["geometry"]["coordinates"]
    return {"type": "LinearRing", "coordinates": outer} if is_ring else item["geometry"]


def bands(collection: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(Earth Engine's band, the archive's asset, data type)."""
    wide = {"precision": "INT", "range": {"max": 65535}}
    narrow = {"precision": "INT", "range": {"max": 255}}
    if collection == SCORE:
        return [("cs", "blue", {"precision": "FLOAT"}), ("cs_cdf", "blue", {"precision": "FLOAT"})]
    if collection == NAIP:
        return [(letter, archive.KEYS[own], narrow) for letter, own in LETTERS.items()]
    own = [(re.sub("^B0", "B", name), key, wide) for name, key in archive.KEYS.items()
           if name not in ("SCL", "B01", "B09")]  # fmt: skip
    return own + ([("SCL", "scl", narrow)] if collection == SR else [])


def band(name: str, item: dict[str, Any], key: str, kind: dict[str, Any]) -> dict[str, Any]:
    asset = item["assets"][key]
    t = asset["proj:transform"]
    return {
        "id": name,
        "dataType": kind,
        "grid": {
            "crsCode": item["properties"]["proj:code"],
            "dimensions": {"width": asset["proj:shape"][1], "height": asset["proj:shape"][0]},
            "affineTransform": {"scaleX": t[0], "translateX": t[2], "scaleY": t[4], "translateY": t[5]},
        },
    }


def get(collection: str, item: dict[str, Any], request: dict[str, Any], missed: int) -> Any:
    """getPixels: NPY, nearest neighbour, masked pixels 0; the swath misses the first columns of 20 m."""
    grid = request["grid"]
    if grid["crsCode"] != item["properties"]["proj:code"] or request["fileFormat"] != "NPY":
        return _error(400, "This stand-in reads images in their own CRS as NPY.")
    t, size = grid["affineTransform"], grid["dimensions"]
    transform = Affine(t["scaleX"], 0, t["translateX"], 0, t["scaleY"], t["translateY"])
    shape = (size["height"], size["width"])
    known = {name: key for name, key, _ in bands(collection)}
    if unknown := set(request["bandIds"]) - set(known):
        return _error(400, f"Image.load: no band named '{min(unknown)}'.")
    found = {name: values(collection, item, name, known[name], transform, shape)
             for name in request["bandIds"]}  # fmt: skip
    table = np.zeros(shape, [(name, array.dtype) for name, array in found.items()])
    for name, array in found.items():
        table[name] = array * _inside(item, transform, shape[1], missed)
    if table.nbytes > LARGEST:
        return _error(
            400, f"Total request size ({table.nbytes} bytes) must be less than or equal to {LARGEST}."
        )
    return 200, {"Content-Type": "application/octet-stream"}, _npy(table)


def _inside(item: dict[str, Any], transform: Affine, width: int, missed: int) -> np.ndarray:
    """Which columns lie east of what the swath misses."""
    t = item["assets"]["scl"]["proj:transform"]
    return (np.arange(width) + 0.5) * transform.a + transform.c > t[2] + missed * t[0]


def values(
    collection: str, item: dict[str, Any], name: str, key: str, transform: Affine, shape: tuple[int, int]
) -> np.ndarray:
    """A band's numbers: the offset is taken out, and what falls below 0 is 0."""
    if collection == SCORE:
        truth = archive.window(item["assets"]["true_mask"]["path"], transform, *shape)
        # In thick cloud the score is 0 as well, and where the swath has not been the image is masked.
        return np.select([truth == 0, np.isin(truth, THICK)], [0.9, 0], 0.1).astype(np.float32)
    numbers = archive.window(item["assets"][key]["path"], transform, *shape)
    if name == "SCL":
        return numbers
    carries = float(item["properties"]["s2:processing_baseline"]) >= 4
    offset = 1000 if carries and not item["properties"]["earthsearch:boa_offset_applied"] else 0
    harmonised = np.where(numbers > 0, np.maximum(numbers.astype(int) - offset, 0), 0)
    if collection == NAIP:
        return np.where(numbers > 0, np.clip(harmonised // 14, 0, 255), 0).astype(np.uint8)
    return harmonised.astype(np.uint16)


def compute(request: dict[str, Any], data: dict[str, Any]) -> Any:
    """computePixels for the two graphs that the pipeline sends: an embedding's numbers, and the median of a
    period's clear pixels."""
    text = json.dumps(request["expression"])
    if embeddings.COLLECTION in text:
        return _embedding(request, data)
    constants = re.findall(r'"constantValue": ("[^"]*"|[-\d.]+)', text)
    calls = set(re.findall(r'"functionName": "([^"]+)"', text))
    needed = {"ImageCollection.load", "Collection.filter", "Collection.map", "Image.updateMask"}
    if not needed <= calls or not any("median" in call for call in calls):
        return _error(400, f"This stand-in computes one graph, not one of {sorted(calls)}.")
    days = sorted(c.strip('"') for c in constants if re.fullmatch(r'"\d{4}-\d\d-\d\d"', c))
    grid = request["grid"]
    t, size = grid["affineTransform"], grid["dimensions"]
    transform = Affine(t["scaleX"], 0, t["translateX"], 0, t["scaleY"], t["translateY"])
    shape = (size["height"], size["width"])
    known = {name: key for name, key, _ in bands(SR)}
    names = [name for name in request["bandIds"] if name in known]
    here = [item for item in data["items"].values() if item["properties"]["proj:code"] == grid["crsCode"]]
    images = [item for item in here if _counts(item, days, data)]
    if not images:
        # A collection without images reduces to an image without bands.
        pattern = names[0] if names else "B2"
        return _error(400, f"Image.select: Band pattern '{pattern}' was applied to an Image with no bands.")
    stacks: dict[str, list[np.ndarray]] = {name: [] for name in names or ["B2"]}
    for item in images:
        clear = np.isin(archive.window(item["assets"]["scl"]["path"], transform, *shape), (4, 5, 6, 7))
        for name, stack in stacks.items():
            band_values = values(SR, item, name, known[name], transform, shape)
            stack.append(np.where(clear, band_values.astype(float), np.nan))
    count = np.isfinite(np.stack(next(iter(stacks.values())))).sum(axis=0)
    table = np.zeros(shape, [(name, "u2") for name in request["bandIds"]])
    for name in names:
        with np.errstate(all="ignore"):
            table[name] = np.nan_to_num(np.rint(np.nanmedian(np.stack(stacks[name]), axis=0)))
    table["clear_count"] = count
    return 200, {"Content-Type": "application/octet-stream"}, _npy(table)


def _counts(item: dict[str, Any], days: list[str], data: dict[str, Any]) -> bool:
    """Whether a median of these days has the image in it."""
    inside = days[0] <= item["properties"]["datetime"][:10] < days[-1]
    return inside and item["id"] not in data["no_surface"]


def _embedding(request: dict[str, Any], data: dict[str, Any]) -> Any:
    grid = request["grid"]
    t, size = grid["affineTransform"], grid["dimensions"]
    transform = Affine(t["scaleX"], 0, t["translateX"], 0, t["scaleY"], t["translateY"])
    shape = (size["height"], size["width"])

    def load(name: str) -> embeddings.Masked:
        image = data["embeddings"][name.rpartition("/")[2]]
        assert image["crs"] == grid["crsCode"], "this stand-in computes in an image's own CRS"
        return embeddings.window(image, transform, shape)

    found = embeddings.evaluate(request["expression"], load)
    types = {name: band.dtype for name, band in found.bands.items()}
    table = np.zeros(shape, [(name, types[name]) for name in request["bandIds"]])
    if table.nbytes > LARGEST:
        return _error(400, f"Total request size ({table.nbytes} bytes) must be less than {LARGEST}.")
    for name in request["bandIds"]:
        table[name] = np.where(found.seen, found.bands[name], 0)
    return 200, {"Content-Type": "application/octet-stream"}, _npy(table)


def _npy(table: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, table)
    return buffer.getvalue()


def _json(content: Any) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()


STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
}  # fmt: skip


def _error(status: int, message: str) -> tuple[int, dict[str, str], bytes]:
    error = {"error": {"code": status, "message": message, "status": STATUSES[status]}}
    return status, {"Content-Type": "application/json"}, json.dumps(error).encode()
