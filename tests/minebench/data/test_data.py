"""Neighbour context and folds of a benchmark's dataset."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import zarr

from minebench import data
from minebench.cube.windows import Cubes
from minebench.errors import InputError
from minebench.index import tiles_of


@pytest.mark.parametrize("beyond", ["mirror", "nodata"])
def test_context_is_the_block_mean_of_nine_tiles(built: Path, beyond: str) -> None:
    folder = built / "data/tiny"
    cubes = Cubes(folder)
    tiles = pd.read_parquet(folder / "index/tiles.parquet")
    pixels = zarr.open_group(folder / "cubes" / f"{tiles.site_id[0]}.zarr", mode="r")["reflectance"][:]
    mode = {"mode": "symmetric"} if beyond == "mirror" else {}
    wide = np.pad(pixels[1].astype(float), ((0, 0), (64, 64), (64, 64)), **mode)
    for tile in tiles_of(tiles[tiles.site_id == tiles.site_id[0]]):
        around = wide[:, tile.y0 : tile.y0 + 192, tile.x0 : tile.x0 + 192]
        blocks = around.reshape(len(around), 64, 3, 64, 3)
        known = (blocks > 0).any(axis=0)
        count = known.sum(axis=(1, 3))
        expected = np.where(count > 0, (blocks * known).sum(axis=(2, 4)) / np.maximum(count, 1), 0)
        assert np.allclose(cubes.neighbourhood(tile, 1, beyond), expected, atol=0.01)


def test_pairs_carry_their_neighbourhood(built: Path) -> None:
    pairs = data.open(built / "data/tiny", neighbours=True)
    item = pairs[0]
    assert item["a_context"].shape == item["a"].shape
    assert not torch.equal(item["a_context"], item["a"])
    assert "a_context" not in data.open(built / "data/tiny")[0]


def test_folds_are_splits_by_site(built: Path) -> None:
    folder = built / "data/tiny"
    folds = pd.read_parquet(folder / "index/folds.parquet")
    kfold = folds[folds.scheme == "kfold"]
    assert (kfold[kfold.split == "test"].groupby("site_id").size() == 1).all()
    tiles = pd.read_parquet(folder / "index/tiles.parquet")
    for name in ("kfold/0", "country/DEU"):
        scheme, fold = name.split("/")
        own = folds[(folds.scheme == scheme) & (folds.fold == fold)]
        for split in ("train", "test"):
            wanted = set(own.site_id[own.split == split])
            pairs = data.open(folder, split=split, fold=name)
            assert {tile.site_id for tile in pairs.tiles.values()} == wanted
            assert len(pairs) == 3 * tiles.site_id.isin(wanted).sum()
    with pytest.raises(InputError, match="folds: kfold/0, kfold/1"):
        data.open(folder, fold="kfold/9")
