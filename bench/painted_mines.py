"""Real images without a mine, with real footprints of mines painted in: images that nobody made up for what
grows, and a truth that is known to the pixel.

Footprints are those of Jasansky 2024 (doi 10.5281/zenodo.14195737), a box of some 20 km drawn over 256 pixels
(true to scale for the Landsat cuts, whose pixels are 90 m; far too small for the NAIP ones at 5 m). They grow
from a point within. What is painted is made up: three materials in patches, as bright as the image's
brightest and darkest pixels, with the image's own grain and mixed pixels along the edge.
"""

from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from affine import Affine
from rasterio.features import rasterize
from scipy.ndimage import distance_transform_edt, gaussian_filter

IMAGES = ("naip", "landsat")
SITES, SIDE = 10, 256
SHARES = (0.03, 0.4)
"""How much of a window a footprint covers."""


def sites(folder: Path, images: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ten sites: images (date, band, y, x), and where the mine is (date, y, x)."""
    rng = np.random.default_rng(0)
    paths = sorted((folder / images).glob("*.tif"))
    for footprint in footprints(folder / "mines/jasansky2024_tiles.gpkg"):
        scenes = window(paths, rng)
        truth = grown(footprint, len(scenes), rng)
        yield painted(scenes, truth, rng), truth


def footprints(path: Path) -> Iterator[np.ndarray]:
    tiles = gpd.read_file(path, layer="tiles").set_index("tile_id").geometry
    mines = gpd.read_file(path, layer="polygons_annotated").sort_values("tile_id")
    found = 0
    for tile, mine in zip(mines["tile_id"], mines.geometry, strict=True):
        left, bottom, right, top = tiles[tile].bounds
        grid = Affine((right - left) / SIDE, 0, left, 0, (bottom - top) / SIDE, top)
        mask = rasterize([mine], out_shape=(SIDE, SIDE), transform=grid).astype(bool)
        if SHARES[0] <= mask.mean() <= SHARES[1] and found < SITES:
            found += 1
            yield mask


def window(paths: list[Path], rng: np.random.Generator) -> np.ndarray:
    """The same window of each date (date, band, y, x), one that has data throughout."""
    scenes = []
    for path in paths:
        with rasterio.open(path) as dataset:
            scenes.append(dataset.read())
    height, width = np.min([scene.shape[1:] for scene in scenes], axis=0)
    while True:
        top, left = rng.integers(0, height - SIDE), rng.integers(0, width - SIDE)
        cut = np.stack([scene[:, top : top + SIDE, left : left + SIDE] for scene in scenes])
        if (cut > 0).mean() > 0.99:
            return cut.astype(np.float32)


def grown(footprint: np.ndarray, dates: int, rng: np.random.Generator) -> np.ndarray:
    """The footprint from three tenths of its area to the whole, spreading from its widest place."""
    depth = distance_transform_edt(footprint)
    away = distance_transform_edt(depth < depth.max()) + 6 * field(rng, footprint.shape, 12)
    reached = [np.quantile(away[footprint], share) for share in np.linspace(0.3, 1, dates)]
    return np.stack([footprint & (away <= far) for far in reached])


def painted(scenes: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    patches = np.digitize(field(rng, truth.shape[1:], 10), [-1, 0.5])
    made = []
    for scene, mask in zip(scenes, truth, strict=True):
        materials = np.quantile(scene, [0.03, 0.9, 0.98], axis=(1, 2))
        grain = scene - gaussian_filter(scene, (0, 2, 2))
        mine = np.moveaxis(materials[patches], -1, 0) + grain
        share = gaussian_filter(mask.astype(np.float32), 0.7)
        made.append(scene * (1 - share) + mine * share)
    return np.stack(made).clip(1, 255).astype(np.uint8)


def field(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Smooth noise of deviation 1."""
    noise = gaussian_filter(rng.normal(size=shape), scale)
    return noise / noise.std()
