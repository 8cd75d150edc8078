"""INSINet's analysis sets: index rows over the same cubes."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import zarr

from minebench import data
from minebench.errors import InputError
from minebench.index import LEVELS, SCALES, crossed
from minebench.layout import BenchmarkPaths
from minebench.metrics.histogram import Histogram
from models.evaluation import analysis_scores
from pipeline import recipe
from pipeline.core.runner import Spread
from pipeline.index import analysis_sets, tile
from pipeline.index.tile import tile_at


@pytest.fixture(scope="module")
def folder(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiles of 32 pixels, so that there are regions with fifteen tiles around them."""
    project = Path(shutil.copytree(built, tmp_path_factory.mktemp("tiles") / "project", symlinks=True))
    path = project / "catalogs/tiny/recipe.yaml"
    path.write_text(path.read_text().replace("tiling: {size: 64}", "tiling: {size: 32}"))
    benchmark = BenchmarkPaths("tiny", project)
    tile.build(benchmark, recipe.load(path), Spread(1))
    return benchmark.data


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "index/analysis" / f"{name}.parquet")


class Site:
    site_id, shape = "s", (160, 160)


def test_one_region_at_sixteen_places() -> None:
    window = tile_at(Site, 64, 64, 64, "test")
    region = analysis_sets.region_of(window, (160, 160))
    assert region is not None
    assert region[2] == 8
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
    assert analysis_sets.region_of(window, (100, 100)) is None


def test_regions_are_drawn_by_seed_and_tile() -> None:
    """INSINet 3.1.2: randomly selected, wherever change is."""
    windows = [tile_at(Site, y, x, 64, "test") for y in range(56, 89, 4) for x in range(56, 89, 4)]
    drawn = [analysis_sets.region_of(window, (200, 200)) for window in windows]
    assert drawn == [analysis_sets.region_of(window, (200, 200)) for window in windows]
    assert drawn != [analysis_sets.region_of(window, (200, 200), seed=1) for window in windows]
    places = {(y - w.y0, x - w.x0) for w, (y, x, _) in zip(windows, drawn, strict=True)}
    assert len(places) > 20
    for y, x, size in drawn:
        assert min(y, x) >= 56
        assert max(y, x) + 64 <= 200
        assert size == 8


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


@pytest.mark.parametrize("beyond", ["mirror", "nodata"])
def test_neighbours_are_as_coarse_and_as_shifted_as_their_tile(folder: Path, beyond: str) -> None:
    """What INSINet sees of the neighbourhood is of the images that are altered, against plain arithmetic."""
    for name, level in (("scale", "4"), ("misregistration", "4")):
        items = data.open(folder, split="test", analysis=name, level=level, neighbours=True)
        items.neighbours = beyond
        plain = data.open(folder, split="test", neighbours=True)
        plain.neighbours = beyond
        row, item = items.table.iloc[0], items[0]
        index = next(k for k in range(len(plain)) if same(plain.table.iloc[k], row))
        tile, dates = plain.tiles[row.tile_id], plain.dates(plain.tiles[row.tile_id], row)
        dy, dx = (int(row.dy), int(row.dx)) if name == "misregistration" else (0, 0)
        for k, (key, shift) in enumerate((("a_context", (0, 0)), ("b_context", (dy, dx)))):
            corner = tile.y0 - 32 - shift[0], tile.x0 - 32 - shift[1]
            wide = items.cubes.window(tile.site_id, dates[k], *corner, 96, 96, beyond)
            has = (wide != 0).any(axis=0)
            image = items.scale.apply(wide)
            if name == "scale":
                small = image.reshape(-1, 24, 4, 24, 4).mean(axis=(2, 4))
                image = torch.nn.functional.interpolate(
                    torch.from_numpy(small)[None], size=(96, 96), mode="bilinear", align_corners=False
                )[0].numpy()
            count = has.reshape(32, 3, 32, 3).sum(axis=(1, 3))
            total = (image * has).reshape(-1, 32, 3, 32, 3).sum(axis=(2, 4))
            expected = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
            assert np.allclose(item[key].numpy(), expected, atol=1e-4)
            assert torch.equal(item[key], plain[index][key]) == (name == "misregistration" and not k)


def test_misregistration_moves_the_second_image_only(folder: Path) -> None:
    plain = data.open(folder, split="test")
    moved = data.open(folder, split="test", analysis="misregistration", level="4")
    tiles = {tile.tile_id: tile for tile in pd.read_parquet(folder / "index/tiles.parquet").itertuples()}
    for i in range(4):
        row = moved.table.iloc[i]
        index = next(k for k in range(len(plain)) if same(plain.table.iloc[k], row))
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


def test_every_size_is_seen_at_every_scale(folder: Path) -> None:
    """INSINet's figure 10: the pairs of each size, as they are and at four scales."""
    sizes, both = table(folder, "object_size"), table(folder, "size_scale")
    assert both.attrs["limits_px"] == sizes.attrs["limits_px"]
    for size, own in sizes.groupby("level"):
        for scale in (1, *SCALES):
            level = crossed(size, scale)
            assert level in LEVELS
            assert (both.level == level).sum() == len(own)
    level = crossed(sizes.level[0], 8)
    items = data.open(folder, split="test", analysis="size_scale", level=level)
    assert items[0]["a"].std() < data.open(folder, split="test", analysis="object_size")[0]["a"].std()


def test_a_ring_is_the_mean_of_its_corners() -> None:
    """Not of their pixels together: a corner without error and one that finds nothing have recall 1/2."""
    corners = {name: Histogram() for name in ("nw", "se")}
    true = torch.ones(30, dtype=torch.uint8)
    corners["nw"].add(torch.full((10,), 0.9), true[:10])
    corners["se"].add(torch.full((30,), 0.1), true)
    found = analysis_scores._mean(corners, 0.5)
    assert found["recall"] == 0.5
    assert (found["tp"], found["fn"]) == (10, 30)


def test_objects_are_found_by_size() -> None:
    """OMS2CD 4.8: what is below five pixels is missed; diagonal neighbours are one object."""
    changed = np.zeros((40, 40), bool)
    changed[0, 0] = changed[1, 1] = changed[10, 10] = True  # objects of 2 and 1 pixels
    changed[20:30, 20:30] = True  # of 100
    predicted = np.zeros_like(changed)
    predicted[20:30, 20:26] = predicted[10, 10] = True
    predicted[35] = True  # where nothing changed
    objects = analysis_scores.Objects()
    objects.add(predicted, changed)
    objects.add(~changed, np.zeros_like(changed))
    table = objects.table().set_index("pixels")
    assert table.objects.to_dict() == {
        "1 to 5": 2,
        "6 to 20": 0,
        "21 to 100": 1,
        "101 to 500": 0,
        "501 or more": 0,
    }
    assert table.recall["1 to 5"] == pytest.approx(1 / 3)
    assert table.found[["1 to 5", "21 to 100"]].tolist() == [0.5, 1]
    assert table.recall["21 to 100"] == pytest.approx(0.6)
    assert table.recall[table.objects == 0].isna().all()


def test_no_pixel_is_copied_and_unknown_words_are_named(folder: Path) -> None:
    assert sum(path.stat().st_size for path in (folder / "index/analysis").iterdir()) < 200_000
    with pytest.raises(InputError, match="neighbourhood, scale, object_size, misregistration"):
        data.open(folder, analysis="colour")
    with pytest.raises(InputError, match="levels: 2, 4, 8, 16"):
        data.open(folder, split="test", analysis="scale", level="3")
