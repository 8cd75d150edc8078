"""Small fixed inputs and what each stage's arithmetic makes of them, as digests beside version numbers.

Where this fails, a result has changed. If that was meant, raise the VERSION beside the arithmetic (the
stage then redoes what was made before) and write the digests anew: `python -m tests.test_golden`.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from minebench.cube import labels
from minebench.periods import parse
from pipeline import recipe
from pipeline.cubes import annotate, compose, composite, period_image
from pipeline.geo import grid
from pipeline.index import analysis_sets, split, statistics, tile
from pipeline.published import cubes
from pipeline.published.formats import tile_stacks
from pipeline.recipe import Split
from pipeline.scenes import coregister, selection
from pipeline.sensors import boa_offset, landsat, sentinel2
from pipeline.sensors.classes import ClearRule
from pipeline.sites.site import Site
from pipeline.stac import assets, collection
from pipeline.synthetic import aerial, make, noise
from tests.conftest import RECIPE

FILE = Path(__file__).parent / "golden" / "digests.json"
BOX = grid.geobox(32633, 440_000, 5_720_000, 96, 96, 10)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def digest(*values: Any) -> str:
    """Of arrays with their types, and of anything else as JSON; floats to nine digits."""
    found = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            found.update(f"{value.dtype.str} {value.shape}".encode() + np.ascontiguousarray(value).tobytes())
        else:
            text = json.dumps(value, sort_keys=True, default=str)
            rounded = json.loads(text, parse_float=lambda number: f"{float(number):.9g}")
            found.update(json.dumps(rounded, sort_keys=True).encode())
    return found.hexdigest()[:16]


def loaded(tmp_path: Path) -> recipe.Recipe:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return recipe.load(path)


def a_site() -> Site:
    area = shapely.box(*grid.geobox(32633, 440_000, 5_720_000, 96, 96, 10).geographic_extent.boundingbox.bbox)
    return Site("s", "S", "DEU", "coal", 1.0, 1, 32633, BOX, 100.0, area, None)


def footprints() -> gpd.GeoDataFrame:
    shapes = [a_site().geometry.centroid.buffer(0.001 * k) for k in (1, 2, 3)]
    return gpd.GeoDataFrame(
        {"when": ["2021", "2022", "2023"], "nothing": [False] * 3}, geometry=shapes, crs=4326
    )


def masks() -> np.ndarray:
    years = [parse(year) for year in ("2021", "2022", "2023")]
    return np.stack([annotate.mask(a_site(), footprints(), year) for year in years])


def stack() -> tuple[np.ndarray, np.ndarray]:
    draw = rng()
    return draw.integers(0, 4000, (7, 24, 32)).astype(np.uint16), draw.integers(0, 2, (7, 24, 32)).astype(
        np.uint8
    )


def land() -> np.ndarray:
    return noise.fractal(noise.Window.of(BOX), 260, 5, 3)


def of_selection(_: Path) -> str:
    classes = rng().choice([0, 3, 4, 4, 4, 5, 8, 9, 11, 12], (60, 70)).astype(np.uint8)
    return digest(selection.clear_pixels(classes, ClearRule((4, 5, 6, 7), 2)))


def of_coregister(_: Path) -> str:
    image = np.stack([land() * 1000 + 1000] * 2)
    moved, clear = np.roll(image, (1, 2), (1, 2)), np.ones(BOX.shape, bool)
    found = coregister.Reference.of(image, clear).measure(moved, clear)
    return digest([round(found.down, 4), round(found.right, 4), round(found.confidence, 4)])


def of_composite(_: Path) -> str:
    pixels, clear = stack()
    fine = composite.median(pixels, clear, (24, 32))
    halo = np.pad(pixels, ((0, 0), (1, 1), (1, 1)), mode="edge")
    coarse = composite.median(halo, clear, (48, 64))
    first, second = rng().integers(0, 10, (2, 24, 32)).astype(np.uint8)
    owner = period_image.owner_and_clear([first, second], ClearRule((4, 5, 6, 7), 1))
    medoid = composite.medoid(pixels[:, None], np.zeros((7, 0, 2, 2), np.uint16), clear, (24, 32))
    return digest(*fine, *coarse, *owner, *medoid)


def of_imported(_: Path) -> str:
    values = rng().integers(0, 3, (5, 8, 8)).astype(np.uint8)
    return digest(tile_stacks.stacked(values, list("abcde"), 8), tile_stacks.binary(values))


def of_calibration(_: Path) -> str:
    numbers = rng().integers(0, 12_000, (40, 40)).astype(np.uint16)
    quality = rng().integers(0, 2**16, (40, 40)).astype(np.uint16)
    return digest(
        boa_offset.without_offset(numbers.copy(), 1000), landsat.reflectance(numbers, 0),
        landsat.quality(quality), sentinel2.scored_classes(quality.astype(np.uint8)),
    )  # fmt: skip


def of_masks(_: Path) -> str:
    counted = labels.changes(masks(), np.ones((3, *BOX.shape), bool))
    return digest(masks(), counted.expanded, counted.reduced, counted.known)


def of_tiles(tmp_path: Path) -> str:
    corners = loaded(tmp_path).tiling.corners((109, 586))
    return digest([vars(tile.tile_at(a_site(), y, x, 64, "train")) for y, x in corners])


def of_split(_: Path) -> str:
    places = [shapely.box(x / 5, y / 5, x / 5 + 0.01, y / 5 + 0.01) for x in range(6) for y in range(5)]
    table = gpd.GeoDataFrame({
        "site_id": [f"s{i}" for i in range(30)], "production": ["coal", "metal", "quarry"] * 10,
        "country": ["AAA", "BBB"] * 15, "epsg": 32631,
    }, geometry=places, crs=4326)  # fmt: skip
    rule = Split(stratify=("production",), seed=3)
    drawn = split.of_tiles([f"t{i}" for i in range(40)], Split(by="tile"))
    return digest(split.assign(table, rule), split.folds(table, rule).to_dict("list"), drawn)


def of_statistics(tmp_path: Path) -> str:
    pairs = pd.DataFrame(
        [("s", "2021", "2022", 1, 4.0, 0.5, 0.1, 0.6), ("s", "2021", "2023", 2, 4.0, 1.0, 0.2, 1.2)],
        columns=statistics.SITE_PAIR,
    )
    spectra = statistics._histograms(stack()[0], masks()[0][:24, :32], loaded(tmp_path))
    return digest(statistics.by_interval(pairs).to_dict("list"), spectra)


def of_analysis(_: Path) -> str:
    made = tile.tile_at(a_site(), 0, 0, 64, "test")
    label = (masks()[0] != masks()[2]).astype(np.uint8)[:64, :64]
    inside = tile.tile_at(a_site(), 128, 128, 64, "test")
    regions = [analysis_sets.region_of(each, (400, 400)) for each in (made, inside)]
    return digest(analysis_sets.objects(label), [[int(v) for v in region or ()] for region in regions])


def of_archive(_: Path) -> str:
    shown = aerial.MARGIN_PX, aerial.WHITE, make.MARGIN_M
    return digest(land(), noise.white(noise.Window.of(BOX), 2.5, 9), shown)


def of_catalog(tmp_path: Path) -> str:
    images = np.stack([stack()[0][:5]] * 2)
    look = assets.stretch(images, loaded(tmp_path))
    return digest(look.apply(images[0][:3]), assets.CLASSES)


CASES: dict[str, tuple[Callable[[Path], str], Callable[[], list[int]]]] = {
    "selection": (of_selection, lambda: [selection.VERSION]),
    "coregister": (of_coregister, lambda: [coregister.VERSION]),
    "composite": (of_composite, lambda: [compose.VERSION, selection.VERSION]),
    "imported": (of_imported, lambda: [cubes.VERSION]),
    "calibration": (of_calibration, lambda: [sentinel2.VERSION, landsat.VERSION]),
    "masks": (of_masks, lambda: [annotate.VERSION]),
    "tiles": (of_tiles, lambda: [tile.VERSION]),
    "split": (of_split, lambda: [split.VERSION]),
    "statistics": (of_statistics, lambda: [statistics.VERSION]),
    "analysis": (of_analysis, lambda: [analysis_sets.VERSION]),
    "archive": (of_archive, lambda: [make.VERSION]),
    "catalog": (of_catalog, lambda: [collection.VERSION]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_result_changes_only_with_its_version(name: str, tmp_path: Path) -> None:
    make_digest, versions = CASES[name]
    known = json.loads(FILE.read_text())[name]
    if versions() != known["versions"]:
        pytest.fail(f"{name}: the version was raised; write the digests anew: python -m tests.test_golden")
    assert make_digest(tmp_path) == known["digest"], f"{name} changed: raise its VERSION, if that was meant"


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: {"versions": versions(), "digest": of(Path(folder))}
            for name, (of, versions) in CASES.items()
        }
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(found, indent=2) + "\n")
