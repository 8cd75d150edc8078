"""MineNetCD256 as a benchmark, from files in its two published forms."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

from minebench import data, layout
from minebench.errors import InputError
from pipeline.stac import check
from tests import published
from tests.pipeline.published.ingesting import ingested


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> layout.BenchmarkPaths:
    """MineNetCD256 from folders."""
    root = tmp_path_factory.mktemp("ingest")
    files = published.minenetcd_folders(root / "files")
    return ingested(root, "mines", "minenetcd256", files)[0]


def test_tiles_of_minenetcd_are_the_published_ones(benchmark: layout.BenchmarkPaths) -> None:
    tiles = pd.read_parquet(benchmark.table("tiles"))
    assert tiles.split.value_counts().to_dict() == published.COUNTS
    for split, count in published.COUNTS.items():
        pairs = data.open(benchmark.data, split=split)
        assert len(pairs) == count
        for k in (0, count - 1):
            a, b, label = published.pair(k)
            item = pairs[k]
            assert np.array_equal(item["label"].numpy() * 255, label)
            for key, image in (("a", a), ("b", b)):
                scaled = pairs.scale.apply(image)
                assert np.allclose(item[key].numpy(), scaled)
    named = pd.read_parquet(benchmark.table("imported"))
    assert named.file.iloc[0].startswith("test/A/0000_site0")
    assert len(named) == sum(published.COUNTS.values())
    assert check.check(benchmark) > 0


def test_the_hugging_face_form_makes_the_same_cubes(benchmark: layout.BenchmarkPaths, tmp_path: Path) -> None:
    files = published.minenetcd_parquet(tmp_path / "files")
    other, made = ingested(tmp_path, "mines", "minenetcd256", files)
    assert made.tiles == sum(published.COUNTS.values())
    for name in ("train-0000", "train-0001", "val-0000", "test-0000"):
        for array in ("image", "change", "mine", "clear"):
            pair = [zarr.open_group(b.cube(name), mode="r")[array][:] for b in (benchmark, other)]
            assert np.array_equal(*pair), (name, array)


def test_tiles_without_a_place_have_no_neighbours_and_no_leakage_figure(
    benchmark: layout.BenchmarkPaths,
) -> None:
    with pytest.raises(InputError, match="no neighbours"):
        data.open(benchmark.data, neighbours=True)
    assert pd.read_parquet(benchmark.table("statistics/leakage")).share.isna().all()


def test_dates_known_by_range_only_are_not_made_up(benchmark: layout.BenchmarkPaths) -> None:
    each = pd.read_parquet(benchmark.table("statistics/sites"))
    assert len(each) == 4
    assert each.months.isna().all()
    assert pd.read_parquet(benchmark.table("statistics/acquisitions")).first_day.isna().all()
    card = (benchmark.stac / "README.md").read_text()
    assert "4 sites, 2 periods from before to after" in card
