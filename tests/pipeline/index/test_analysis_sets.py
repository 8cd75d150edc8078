"""INSINet's analysis sets: index rows over the same cubes."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import zarr

from models import data
from pipeline import recipe
from pipeline.core.errors import InputError
from pipeline.core.layout import Benchmark
from pipeline.core.runner import Spread
from pipeline.index import analysis_sets, tile
from pipeline.index.tile import tile_at


@pytest.fixture(scope="module")
def folder(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiles of 32 pixels, so that there are regions with fifteen tiles around them."""
    project = Path(shutil.copytree(built, tmp_path_factory.mktemp("tiles") / "project", symlinks=True))
    path = project / "catalogs/tiny/recipe.yaml"
    path.write_text(path.read_text().replace("tiling: {size: 64}", "tiling: {size: 32}"))
    benchmark = Benchmark("tiny", project)
    tile.build(benchmark, recipe.load(path), Spread(1))
    return benchmark.data


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "index/analysis" / f"{name}.parquet")


class Site:
    site_id, shape = "s", (160, 160)


def test_one_region_at_sixteen_places() -> None:
    window = tile_at(Site, 64, 64, 64, "test")
    label = np.zeros((64, 64), np.uint8)
    label[8:16, 24:32] = 1
    label[40, 40] = 1
    region = analysis_sets.region_of(label, window, (160, 160))
    assert region == (64 + 8, 64 + 24, 8)
    pair = type("Pair", (), {"t1": "2018", "t2": "2019"})
    rows = list(analysis_sets._around(window, pair, region))
    assert len(rows) == 16
    assert {row["level"] for row in rows} == set(analysis_sets.RINGS)
    for row in rows:
        assert (row["y0"] + row["region_y"], row["x0"] + row["region_x"]) == region[:2]
        assert 0 <= row["y0"] <= 160 - 64
        assert 0 <= row["x0"] <= 160 - 64
    core = [row for row in rows if row["level"] == "core"]
    assert {(row["region_y"], row["region_x"]) for row in core} == {(24, 24), (24, 32), (32, 24), (32, 32)}


def test_a_region_whose_windows_do_not_fit_is_none() -> None:
    window = tile_at(Site, 0, 0, 64, "test")
    label = np.zeros((64, 64), np.uint8)
    label[0, 0] = 1
    assert analysis_sets.region_of(label, window, (160, 160)) is None


def test_only_the_region_counts_and_it_is_the_same_ground(folder: Path) -> None:
    rows = table(folder, "neighbourhood")
    if rows.empty:
        pytest.fail("the tiny benchmark is to have a region")
    items = data.open(folder, split="test", analysis="neighbourhood")
    seen = [items[i] for i in range(16)]
    size = int(rows.region_size[0])
    for item in seen:
        assert int((item["label"] != 255).sum()) <= size**2
    first = rows.iloc[0]
    same = rows[(rows.tile_id == first.tile_id) & (rows.t1 == first.t1)]
    assert len(same) == 16
    cut = [
        item["b"][:, row.region_y : row.region_y + size, row.region_x : row.region_x + size]
        for item, row in zip(seen, same.itertuples(), strict=True)
    ]
    assert all(torch.equal(cut[0], other) for other in cut)


def test_scales_keep_the_mean_and_lose_detail(folder: Path) -> None:
    plain = data.open(folder, split="test")
    for level in ("2", "16"):
        scaled = data.open(folder, split="test", analysis="scale", level=level)
        assert len(scaled) == len(plain)
        a, b = plain[0]["a"], scaled[0]["a"]
        assert b.shape == a.shape
        assert torch.allclose(a.mean((1, 2)), b.mean((1, 2)), atol=0.1)
        assert b.std() < a.std()
        assert torch.equal(plain[0]["label"], scaled[0]["label"])


def test_misregistration_moves_the_second_image_only(folder: Path) -> None:
    plain = data.open(folder, split="test")
    moved = data.open(folder, split="test", analysis="misregistration", level="4")
    tiles = {tile.tile_id: tile for tile in pd.read_parquet(folder / "index/tiles.parquet").itertuples()}
    for i in range(4):
        row = moved.pairs.iloc[i]
        index = next(k for k in range(len(plain)) if same(plain.pairs.iloc[k], row))
        item, other = moved[i], plain[index]
        assert torch.equal(item["a"], other["a"])
        assert torch.equal(item["label"], other["label"])
        assert max(abs(row.dy), abs(row.dx)) == 4
        tile = tiles[row.tile_id]
        cube = zarr.open_group(folder / "cubes" / f"{row.site_id}.zarr", mode="r")
        date = list(cube.attrs["periods"]).index(row.t2)
        y, x = tile.y0 + 16 - row.dy, tile.x0 + 16 - row.dx
        pixel = moved.scale.apply(cube["reflectance"][date, :, y : y + 1, x : x + 1])
        assert np.allclose(item["b"][:, 16:17, 16:17].numpy(), pixel)


def same(a: pd.Series, b: pd.Series) -> bool:
    return (a.tile_id, a.t1, a.t2) == (b.tile_id, b.t1, b.t2)


def test_objects_are_counted_with_their_corners() -> None:
    label = np.zeros((20, 20), np.uint8)
    label[2:4, 2:4] = label[4, 4] = 1
    label[10:13, 10:13] = 1
    assert analysis_sets.objects(label) == {"objects": 2, "mean_object_px": 7.0}


def test_sizes_are_thirds_and_say_their_limits(folder: Path) -> None:
    rows = table(folder, "object_size")
    pairs = pd.read_parquet(folder / "index/pairs.parquet")
    assert len(rows) == ((pairs.split == "test") & (pairs.changed > 0)).sum()
    small, large = rows.attrs["limits_px"]
    assert (rows.mean_object_px[rows.level == "small"] <= small).all()
    assert (rows.mean_object_px[rows.level == "large"] > large).all()


def test_no_pixel_is_copied_and_unknown_words_are_named(folder: Path) -> None:
    assert sum(path.stat().st_size for path in (folder / "index/analysis").iterdir()) < 200_000
    with pytest.raises(InputError, match="neighbourhood, scale, object_size, misregistration"):
        data.open(folder, analysis="colour")
    with pytest.raises(InputError, match="levels: 2, 4, 8, 16"):
        data.open(folder, split="test", analysis="scale", level="3")
