"""A small STAC catalog of made Sentinel-2 scenes over one pit in a desert, with the habits of public ones.

Items are what a test says of them: properties, names of assets, dates, numbers. The ground is bright bare
rock (B02 1285, B03 1535, B04 1785, B08 2035), by choice with a pond.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import rasterio
import yaml
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import transform_bounds

PLACE = (-69.2003, -24.3001)
EPSG, NEIGHBOUR = 32719, 32720
SIDE = 160
"""Pixels of a granule's side, 10 m each."""
KEYS = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir", "SCL": "scl"}
LEVELS = (1285, 1535, 1785, 2035)
"""Medians of the ground without a pond, in the order of KEYS."""
Image = NDArray[np.uint16]


def corner(epsg: int, side: int = SIDE) -> tuple[int, int]:
    """Return left and top of a granule around the pit, on multiples of 60 m."""
    x, y = pyproj.Transformer.from_crs(4326, epsg, always_xy=True).transform(*PLACE)
    return round((x - side * 5) / 60) * 60, round((y + side * 5) / 60) * 60


def ground(seed: int, pond: float = 0.0, dark: int = 350) -> Image:
    """Return reflectance x 10000 (band, y, x); `pond` is a share of the ground that is water."""
    fixed, noise = np.random.default_rng(5), np.random.default_rng(seed)
    coarse = np.kron(fixed.normal(0, 40, (SIDE // 8, SIDE // 8)), np.ones((8, 8)))
    y, x = np.mgrid[:SIDE, :SIDE]
    water = (y - SIDE // 2) ** 2 + (x - SIDE // 2) ** 2 < pond * SIDE**2 / np.pi
    bands = [np.where(water, dark - 30 * i, level + coarse) for i, level in enumerate(LEVELS)]
    drawn = [band + noise.normal(0, 15, band.shape) for band in bands]
    return np.clip(drawn, 1, None).astype(np.uint16)


@dataclass
class Archive:
    """A static catalog in `folder`/stac and a project beside it."""

    folder: Path
    items: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        name: str,
        when: str,
        numbers: Image,
        properties: Mapping[str, Any],
        *,
        classes: NDArray[np.uint8] | None = None,
        keys: Mapping[str, str] = KEYS,
        collection: str = "sentinel-2-l2a",
        lacks: Sequence[str] = (),
        epsg: int = EPSG,
        stated: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write an item with its files; return its folder. `lacks` are bands that it has no asset for,
        `stated` what each band's asset says of its numbers."""
        path = self.folder / "stac" / name
        path.mkdir(parents=True)
        side = numbers.shape[-1]
        left, top = corner(epsg, side)
        scl = np.full((side // 2, side // 2), 5, np.uint8) if classes is None else classes
        layers = {**dict(zip(list(KEYS)[:4], numbers, strict=True)), "SCL": scl}
        assets = {}
        for band, layer in layers.items():
            size = side * 10 // len(layer)
            transform = Affine(size, 0, left, 0, -size, top)
            with rasterio.open(
                path / f"{band}.tif", "w", driver="GTiff", height=len(layer), width=len(layer), count=1,
                dtype=layer.dtype, crs=f"EPSG:{epsg}", transform=transform, nodata=0,
            ) as file:  # fmt: skip
                file.write(layer, 1)
            if band not in lacks:
                grid = {"proj:shape": list(layer.shape), "proj:transform": list(transform[:6])}
                more = {} if band == "SCL" else dict(stated or {})
                assets[keys[band]] = {"href": f"./{band}.tif", "type": "image/tiff", **grid, **more}
        west, south, east, north = transform_bounds(epsg, 4326, left, top - side * 10, left + side * 10, top)
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        item = {
            "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": collection,
            "stac_extensions": [], "bbox": [west, south, east, north],
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"datetime": when, "eo:cloud_cover": 2.0, "proj:epsg": epsg, **properties},
            "assets": assets,
            "links": [{"rel": rel, "href": "../catalog.json"} for rel in ("root", "parent")],
        }  # fmt: skip
        (path / f"{name}.json").write_text(json.dumps(item))
        self.items.append(item)
        return path

    def project(
        self, years: Sequence[int], source: Mapping[str, Any] | None = None, **selection: Any
    ) -> Path:
        """Write the catalog and the project; return its folder."""
        links = [{"rel": "item", "href": f"./{item['id']}/{item['id']}.json"} for item in self.items]
        catalog = {"type": "Catalog", "id": "made", "stac_version": "1.0.0", "description": "Made.",
                   "links": [{"rel": "root", "href": "./catalog.json"}, *links]}  # fmt: skip
        href = self.folder / "stac/catalog.json"
        href.write_text(json.dumps(catalog))
        benchmark = self.folder / "catalogs/mini"
        (benchmark / "mines").mkdir(parents=True, exist_ok=True)
        (benchmark / "mines/mines.csv").write_text(f"name,lon,lat\nPit,{PLACE[0]},{PLACE[1]}\n")
        recipe = {
            "title": "mini",
            "sensor": {"bands": list(KEYS)[:4], "rgb": ["B04", "B03", "B02"], "resolution": 10, "snap": 20},
            "source": {"name": "stac", "href": str(href), **(source or {})},
            "periods": {"unit": "year", "start": str(years[0]), "end": str(years[-1])},
            "selection": {"min_clear": 0.2, "min_period_clear": 0.2, "cloud_margin": 0,
                          "measure_shifts": False, **selection},
            "sites": {"mines": "mines.csv", "geometry": "extent", "point_radius_m": 300, "buffer_m": 100,
                      "min_size_m": 960},
            "labels": {"source": "none"}, "tiling": {"size": 64}, "pairs": "all",
            "split": {"train": 0.34, "val": 0.33, "test": 0.33}, "citation": "",
        }  # fmt: skip
        (benchmark / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
        (self.folder / "params.yaml").write_text("benchmarks: [mini]\nworkers: 1\n")
        return self.folder


def scene_medians(project: Path) -> dict[str, list[int]]:
    """Return the medians of the kept bands by scene."""
    found = {}
    for path in sorted(project.glob("data/mini/scenes/*/*_10m.tif")):
        with rasterio.open(path) as file:
            found[path.name.removesuffix("_10m.tif")] = [int(np.median(band)) for band in file.read()]
    return found
