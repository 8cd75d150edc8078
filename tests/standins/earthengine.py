"""Earth Engine's REST interface over the synthetic archive, as far as the real `ee` client uses it here.

Collections: S2_SR_HARMONIZED, S2_HARMONIZED (as Level-1C, without scene classes), Cloud Score+ (from the
true mask), NAIP (red, green, blue, near infrared of the same scenes in 8 bits), and the Satellite Embedding
(`tests.standins.embeddings`). The discovery document
and the list of algorithms are those that the client's wheel carries.
"""

import io
import json
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import ee
import numpy as np
import shapely
from affine import Affine

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


def prepare(url: str, folder: str, *words: str) -> dict[str, Any]:
    """What all threads share. Words: `noL2A` leaves the surface collection without 2021,
    `page=n` gives up to n images a page, `masked=n` masks the first n rows of embeddings."""
    tests = Path(ee.__file__).parent / "tests"
    discovery = (tests / "cloud_api_discovery_document.json").read_text().replace("v1alpha", "v1")
    document = json.loads(discovery)
    parameters = document["resources"]["projects"]["resources"]["assets"]["methods"]["listAssets"][
        "parameters"
    ]
    for name in ("filter", "view"):
        parameters[name] = {"type": "string", "location": "query"}
    document["rootUrl"] = document["baseUrl"] = f"{url}/"
    items = {item["id"]: item for item in archive.items(Path(folder))}
    return {
        "url": url,
        "discovery": json.dumps(document).encode(),
        "algorithms": (tests / "algorithms.json").read_bytes(),
        "items": items,
        "embeddings": embeddings.images(
            items, next((int(word[7:]) for word in words if word.startswith("masked=")), 0)
        ),
        "without": {"2021"} if "noL2A" in words else set(),
        "page": next((int(word[5:]) for word in words if word.startswith("page=")), 3),
        "tokens": 0,
        "answers": {},
        "lock": threading.Lock(),
    }


class Answering(Handler):
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
        if index not in data["items"] or collection not in (SR, TOA, SCORE, NAIP):
            return _error(404, f"Image.load: Image asset '{name}' not found (does not exist).")
        if verb == "getPixels":
            known = data["answers"]
            if (name, body) not in known:
                known[name, body] = get(collection, data["items"][index], json.loads(body))
            return known[name, body]
        return _json(described(collection, data["items"][index]))

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
        if (after and time < after[1]) or (before and time >= before[1]):
            continue
        if collection == SR and time[:4] in data["without"]:
            continue
        if area is None or shapely.geometry.shape(item["geometry"]).intersects(area):
            found.append(described(collection, item))
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


def described(collection: str, item: dict[str, Any]) -> dict[str, Any]:
    """An item as an Earth Engine image asset."""
    properties = item["properties"]
    name = f"{collection}/{item['id']}"
    return {
        "type": "IMAGE",
        "name": PUBLIC + name,
        "id": name,
        "startTime": properties["datetime"],
        "endTime": properties["datetime"],
        "geometry": item["geometry"],
        "properties": {
            "system:index": item["id"],
            "CLOUDY_PIXEL_PERCENTAGE": properties["eo:cloud_cover"],
            "PROCESSING_BASELINE": properties["s2:processing_baseline"],
        },
        "bands": [band(name, item, key, kind) for name, key, kind in bands(collection)],
    }


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


def get(collection: str, item: dict[str, Any], request: dict[str, Any]) -> Any:
    """getPixels: NPY, nearest neighbour, masked pixels 0."""
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
        table[name] = array
    if table.nbytes > LARGEST:
        return _error(
            400, f"Total request size ({table.nbytes} bytes) must be less than or equal to {LARGEST}."
        )
    return 200, {"Content-Type": "application/octet-stream"}, _npy(table)


def values(
    collection: str, item: dict[str, Any], name: str, key: str, transform: Affine, shape: tuple[int, int]
) -> np.ndarray:
    """A band's numbers: the offset is taken out, and what falls below 0 is 0."""
    if collection == SCORE:
        truth = archive.window(item["assets"]["true_mask"]["path"], transform, *shape)
        return np.where(truth == 0, 0.9, 0.1).astype(np.float32)
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
    stacks: dict[str, list[np.ndarray]] = {name: [] for name in names or ["B2"]}
    for item in data["items"].values():
        if days[0] <= item["properties"]["datetime"][:10] < days[-1] and (
            item["properties"]["proj:code"] == grid["crsCode"]
        ):
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


def _error(status: int, message: str) -> tuple[int, dict[str, str], bytes]:
    error = {"error": {"code": status, "message": message, "status": "FAILED"}}
    return status, {"Content-Type": "application/json"}, json.dumps(error).encode()
