"""Google's annual Satellite Embedding, made up from the synthetic archive, for `tests.standins.earthengine`.

A pixel's vector is a fixed random mixture of the median reflectances of the year's clear observations, of
length 1, and one of Google's numbers in each component. A year of a site is two images, west and east, each
described as a real one: 64 bands of doubles, from the first day of the year to the first of the next.
"""

import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from minebench.cube import encoding
from tests.standins import archive

COLLECTION = "GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL"
FINE = ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12")


def images(items: dict[str, dict[str, Any]], masked_rows: int = 0) -> dict[str, dict[str, Any]]:
    """The collection's images by their index: of each granule and year two halves, with the year's items. The
    first `masked_rows` of each are masked."""
    years: dict[tuple[str, str, Affine], list[dict[str, Any]]] = {}
    for item in items.values():
        asset = item["assets"]["red"]
        granule = Path(asset["path"]).parents[1].name, Affine(*asset["proj:transform"][:6])
        years.setdefault((item["properties"]["datetime"][:4], *granule), []).append(item)
    found: dict[str, dict[str, Any]] = {}
    for (year, site, whole), members in years.items():
        height, width = members[0]["assets"]["red"]["proj:shape"]
        halves = {"west": (0, width // 2), "east": (width // 2, width)}
        for half, (left, right) in halves.items():
            found[f"{site}_{year}_{half}_{len(found)}"] = {
                "year": int(year), "items": members,
                "crs": members[0]["properties"]["proj:code"], "geometry": members[0]["geometry"],
                "transform": whole @ Affine.translation(left, 0), "shape": (height, right - left),
                "masked_rows": masked_rows,
            }  # fmt: skip
    return found


def described(index: str, image: dict[str, Any], public: str) -> dict[str, Any]:
    """An image as an Earth Engine asset."""
    t, (height, width), year = image["transform"], image["shape"], image["year"]
    placed = {"scaleX": t.a, "translateX": t.c, "scaleY": t.e, "translateY": t.f}
    size = {"width": width, "height": height}
    grid = {"crsCode": image["crs"], "dimensions": size, "affineTransform": placed}
    double = {"precision": "DOUBLE"}
    name = f"{COLLECTION}/{index}"
    return {
        "type": "IMAGE", "name": public + name, "id": name, "geometry": image["geometry"],
        "startTime": f"{year}-01-01T00:00:00Z", "endTime": f"{year + 1}-01-01T00:00:00Z",
        "properties": {"system:index": index, "MODEL_VERSION": "made up"},
        "bands": [{"id": band, "dataType": double, "grid": grid} for band in encoding.BANDS],
    }  # fmt: skip


class Masked:
    """An image of the graph: bands by name (y, x) in doubles, where it is seen, and where it lies at all."""

    def __init__(self, bands: dict[str, np.ndarray], seen: np.ndarray, inside: np.ndarray) -> None:
        self.bands, self.seen, self.inside = bands, seen, inside

    def mapped(self, function: Any) -> "Masked":
        return Masked({name: function(band) for name, band in self.bands.items()}, self.seen, self.inside)


def window(image: dict[str, Any], transform: Affine, shape: tuple[int, int]) -> Masked:
    """An image's pixels on a grid in its CRS; those of the other half are outside of it."""
    columns, rows = np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5
    own, (height, width) = image["transform"], image["shape"]
    column = (transform.a * columns + transform.c - own.c) / own.a
    row = (transform.e * rows + transform.f - own.f) / own.e
    inside = ((row > 0) & (row < height))[:, None] & ((column > 0) & (column < width))
    numbers = _numbers(tuple(_paths(item) for item in image["items"]), transform, shape)
    seen = inside & (numbers[0] != -128) & (row > image["masked_rows"])[:, None]
    vectors = np.where(seen, encoding.decoded(numbers), 0).astype(np.float64)
    return Masked(dict(zip(encoding.BANDS, vectors, strict=True)), seen, inside)


def _paths(item: dict[str, Any]) -> tuple[str, ...]:
    return tuple(item["assets"][key]["path"] for key in [*(archive.KEYS[band] for band in FINE), "true_mask"])


@lru_cache(maxsize=64)
def _numbers(scenes: tuple[tuple[str, ...], ...], transform: Affine, shape: tuple[int, int]) -> np.ndarray:
    """Google's numbers (64, y, x) of the scenes' median."""
    stacks = []
    for *bands, truth in scenes:
        clear = archive.window(truth, transform, *shape) == 0
        pixels = np.stack([archive.window(path, transform, *shape) for path in bands]).astype(float)
        stacks.append(np.where(clear & (pixels > 0).all(axis=0), pixels, np.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pixels that no scene saw
        median = np.nanmedian(np.stack(stacks), axis=0)
    rng = np.random.default_rng(0)
    hidden = np.tanh(np.einsum("hb,byx->hyx", rng.normal(size=(64, len(FINE))), (median - 2000) / 1500))
    vectors = np.einsum("fh,hyx->fyx", rng.normal(size=(64, 64)), hidden)
    return encoding.coded(vectors / np.linalg.norm(vectors, axis=0))


def evaluate(expression: dict[str, Any], load: Any) -> Masked:
    """A graph's value; `load` gives the image of an id."""
    values = expression["values"]

    def of(node: dict[str, Any]) -> Any:
        if "constantValue" in node:
            return node["constantValue"]
        if "valueReference" in node:
            return of(values[node["valueReference"]])
        call = node["functionInvocationValue"]
        given = {name: of(value) for name, value in call["arguments"].items()}
        return FUNCTIONS[call["functionName"]](load=load, **given)

    return of(values[expression["result"]])


def _multiply(image1: Masked, image2: Masked | float, **_: Any) -> Masked:
    if not isinstance(image2, Masked):
        return image1.mapped(lambda band: band * image2)
    bands = {name: band * image2.bands[name] for name, band in image1.bands.items()}
    return Masked(bands, image1.seen & image2.seen, image1.inside)


def _unmask(input: Masked, value: float, sameFootprint: bool = True, **_: Any) -> Masked:
    filled = input.inside if sameFootprint else np.ones_like(input.inside)
    bands = {name: np.where(input.seen, band, value) for name, band in input.bands.items()}
    return Masked(bands, input.seen | filled, input.inside)


FUNCTIONS = {
    "Image.load": lambda load, id: load(id),
    "Image.constant": lambda load, value: value,
    "Image.select": lambda load, input, bandSelectors: Masked(
        {name: input.bands[name] for name in bandSelectors}, input.seen, input.inside
    ),
    "Image.abs": lambda load, value: value.mapped(np.abs),
    "Image.sqrt": lambda load, value: value.mapped(np.sqrt),
    "Image.signum": lambda load, value: value.mapped(np.sign),
    "Image.round": lambda load, value: value.mapped(lambda band: np.floor(band + 0.5)),
    "Image.clamp": lambda load, input, low, high: input.mapped(lambda band: np.clip(band, low, high)),
    "Image.multiply": _multiply,
    "Image.unmask": _unmask,
    "Image.toInt8": lambda load, value: value.mapped(lambda band: band.astype(np.int8)),
}
