"""A mine list of any length with the shapes of a real one: its tiles copied to other longitudes."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

REAL = Path(__file__).parents[2] / "shared/data/mines/jasansky2024_tiles.gpkg"
"""80 tiles about 20 km wide with 806 polygons (Jasansky 2024, doi 10.5281/zenodo.14195737)."""


def write(path: Path, polygons: int, real: Path = REAL) -> Path:
    """Write so many polygons to a GeoPackage as Maus et al. (2022) do. A tile's polygons stay together,
    so that as many lie near one another as in truth."""
    tiles = gpd.read_file(real, layer="polygons_original")
    parts = tiles[["geometry"]].explode().sort_index(kind="stable")
    groups = [np.asarray(part.geometry, object) for _, part in parts.groupby(level=0)]
    rng = np.random.default_rng(0)
    shapes: list[np.ndarray] = []
    while sum(map(len, shapes)) < polygons:
        group = groups[rng.integers(len(groups))]
        # North or south by a little: all else equal, that keeps the shapes' sizes in metres.
        shapes.append(_moved(group, rng.uniform(-360, 360), rng.uniform(-0.5, 0.5)))
    listed = np.concatenate(shapes)[:polygons]
    path.parent.mkdir(parents=True, exist_ok=True)
    gpd.GeoDataFrame({"ISO3_CODE": [""] * polygons}, geometry=listed, crs=4326).to_file(path, driver="GPKG")
    return path


def _moved(group: np.ndarray, east: float, north: float) -> np.ndarray:
    """Shapes moved as one; not over the antimeridian, where real lists cut them."""
    bounds = shapely.total_bounds(group)
    place = (bounds[0] + east + 180) % 360 - 180
    place = min(place, 179.5 - (bounds[2] - bounds[0]))
    return shapely.transform(group, lambda xy: np.add(xy, (place - bounds[0], north)))
