"""EuroMineNet as a benchmark, from files in forms that others keep it in."""

from pathlib import Path

import numpy as np
import pandas as pd
import zarr

from models import data
from tests import published
from tests.pipeline.interchange.ingesting import ingested


def test_images_and_masks_of_years_in_one_folder(tmp_path: Path) -> None:
    published.euromine(tmp_path / "made", sites=4)
    for path in sorted((tmp_path / "made").rglob("*.tif")):
        suffix = "_mask.tif" if path.parent.name == "label" else ".tif"
        target = tmp_path / "files" / path.parents[1].name / f"{path.stem[-4:]}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    benchmark, made = ingested(tmp_path, "euro", "euromine", tmp_path / "files")
    assert (made.sites, made.left_out) == (4, ())
    image, mask = published.scene(0, (109, 286), bands=10, grown=2)
    cube = zarr.open_group(benchmark.cube("germany-1"), mode="r")
    assert np.array_equal(cube["reflectance"][1], image.astype(np.uint16) * 20)
    assert np.array_equal(cube["mine"][1], mask)
    # Nothing is said of splits: they are made, by site.
    assert set(pd.read_parquet(benchmark.table("tiles")).split) == {"train", "val", "test"}


def test_tiles_cut_by_eurominenets_own_script(tmp_path: Path) -> None:
    files = published.euromine_tiles(tmp_path / "files")
    benchmark, made = ingested(tmp_path, "euro", "euromine", files)
    assert (made.sites, made.tiles) == (3, 33)
    series = data.open(benchmark.data, task="series", split="train")
    image, mask = published.scene(10, (published.SIDE, published.SIDE), bands=10, grown=1)
    item = series[10]
    assert np.array_equal(item["masks"][1].numpy(), mask)
    assert np.allclose(item["images"][1].numpy(), series.scale.apply(image.astype(np.uint16) * 20))
