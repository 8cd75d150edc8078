"""`tests.standins.earthengine` that also answers `getInfo()` of a sampled embedding (value:compute).

Further faults: `images` puts `fields` into each listed image, and `scaleY` into the grids of its bands;
`raised` adds a `value` to all numbers but scene classes, `numbers` gives a `value` for all in a `dtype`, and
`values` for all that is sampled.
"""

import io
import json
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyproj

from tests.standins import earthengine, embeddings

prepare = earthengine.prepare


class Answering(earthengine.Answering):
    def respond(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if urlsplit(path).path.endswith("value:compute"):
            return earthengine._json({"result": _value(json.loads(body)["expression"], self.setup_data)})
        return super().respond(method, path, body)

    def spoilt(
        self, fault: dict[str, Any], status: int, headers: dict[str, str], content: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if fault["kind"] == "images":
            answer = json.loads(content)
            for image in answer["assets"]:
                image.update(fault.get("fields", {}))
                for band in image["bands"] if "scaleY" in fault else ():
                    band["grid"]["affineTransform"]["scaleY"] = fault["scaleY"]
            return earthengine._json(answer)
        if fault["kind"] == "raised":
            table = np.load(io.BytesIO(content))
            for name in set(table.dtype.names) - {"SCL"}:
                table[name] += fault["value"]
            return status, headers, earthengine._npy(table)
        if fault["kind"] == "numbers":
            table = np.load(io.BytesIO(content))
            kinds = [(name, fault["dtype"]) for name in table.dtype.names]
            filled = np.full(table.shape, fault["value"], kinds)
            return status, headers, earthengine._npy(filled)
        if fault["kind"] == "values":
            answer = json.loads(content)
            answer["result"] = dict.fromkeys(answer["result"], fault["value"])
            return earthengine._json(answer)
        return super().spoilt(fault, status, headers, content)


def _value(expression: dict[str, Any], data: dict[str, Any]) -> Any:
    """What a graph comes to: the bands of an image at a point."""

    def load(name: str) -> dict[str, Any]:
        return data["embeddings"][name.rpartition("/")[2]]

    return embeddings.evaluate(expression, load)


def _sampled(load: Any, image: tuple[dict[str, Any], list[str]], region: Any, **_: Any) -> dict[str, float]:
    described, bands = image
    to_own = pyproj.Transformer.from_crs(4326, described["crs"], always_xy=True)
    column, row = ~described["transform"] * to_own.transform(*region)
    window = embeddings.window(described, described["transform"], described["shape"])
    return {band: float(window.bands[band][int(row), int(column)]) for band in bands}


def _selected(load: Any, input: Any, bandSelectors: list[str]) -> Any:
    """Bands of an image's pixels, where it is computed; of its description, where it is sampled."""
    if isinstance(input, dict):
        return input, bandSelectors
    return SELECT(load, input=input, bandSelectors=bandSelectors)


SELECT = embeddings.FUNCTIONS["Image.select"]
embeddings.FUNCTIONS |= {
    "Image.select": _selected,
    "Image.sample": _sampled,
    "GeometryConstructors.Point": lambda load, coordinates, **_: coordinates,
    "Collection.first": lambda load, collection: collection,
    "Element.toDictionary": lambda load, element, **_: element,
    "Feature.toDictionary": lambda load, feature=None, element=None, **_: feature or element,
}
