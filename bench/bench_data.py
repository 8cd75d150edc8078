"""A benchmark's cubes and tables, made of noise, for the other benchmarks to read from."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import zarr

from minebench.files import write_json
from pipeline.cubes.writer import WORK, _consolidate

SIDE, BANDS, DATES = 160, 10, 10


def make(folder: Path, sites: int, tiles_a_side: int) -> Path:
    """`sites` cubes of tiles_a_side ** 2 tiles of 160 x 160 x 10 bands x 10 dates, all in split train."""
    rng = np.random.default_rng(0)
    length = SIDE * tiles_a_side
    rows, pairs = [], []
    for number in range(sites):
        site = f"site-{number}"
        base = np.cumsum(rng.normal(0, 20, (1, BANDS, length, length)), axis=-1)
        pixels = (
            (2000 + base + rng.normal(0, 60, (DATES, BANDS, length, length))).clip(1, 9999).astype(np.uint16)
        )
        mine = np.cumsum(rng.random((DATES, length, length)) < 0.02, axis=0).clip(0, 1).astype(np.uint8)
        _write(folder / "cubes" / f"{site}.zarr", pixels, mine)
        for y, x in itertools.product(range(tiles_a_side), repeat=2):
            name = f"{site}_{y}_{x}"
            rows.append((name, site, "train", y * SIDE, x * SIDE, SIDE, SIDE, 0, 0))
            pairs += [
                (name, str(i), str(j), j - i, 100, 50, 50, 0, "train")
                for i, j in itertools.combinations(range(DATES), 2)
            ]
    columns = ["tile_id", "site_id", "split", "y0", "x0", "height", "width", "pad_y", "pad_x"]
    (folder / "index").mkdir(parents=True)
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "index/tiles.parquet")
    columns = ["tile_id", "t1", "t2", "interval", "changed", "expanded", "reduced", "unknown", "split"]
    pd.DataFrame(pairs, columns=columns).to_parquet(folder / "index/pairs.parquet")
    every = [(row[0], str(date), 0.2, 0.0, 1.0) for row in rows for date in range(DATES)]
    columns = ["tile_id", "period", "mine_fraction", "unknown_fraction", "clear_fraction"]
    pd.DataFrame(every, columns=columns).to_parquet(folder / "index/tile_periods.parquet")
    return folder


def _write(path: Path, pixels: np.ndarray, mine: np.ndarray) -> None:
    arrays = {"reflectance": pixels, "mine": mine, "clear": np.ones_like(mine)}
    path.mkdir(parents=True)
    attributes = {"periods": [str(date) for date in range(len(pixels))]}
    write_json({"zarr_format": 3, "node_type": "group", "attributes": attributes}, path / "zarr.json")
    for name, array in arrays.items():
        chunks = (1, *array.shape[1:-2], SIDE, SIDE)
        made = zarr.create_array(
            path / name, shape=array.shape, dtype=array.dtype, chunks=chunks, shards=array.shape,
            compressors=WORK, zarr_format=3, fill_value=0,
        )  # fmt: skip
        made[:] = array
    aoi = zarr.create_array(path / "aoi", shape=mine.shape[1:], dtype="u1", zarr_format=3)
    aoi[:] = 1
    band = zarr.create_array(path / "band", shape=(pixels.shape[1],), dtype="int64", zarr_format=3)
    band[:] = np.arange(pixels.shape[1])
    _consolidate(path)
