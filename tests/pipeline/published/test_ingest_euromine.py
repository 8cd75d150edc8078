"""EuroMineNet as a benchmark, from files as published."""

from pathlib import Path

import numpy as np
import pandas as pd
import zarr

from tests import published
from tests.conftest import contents
from tests.pipeline.published.ingesting import ingested


def test_scenes_and_masks_of_eurominenet_and_a_mended_label(tmp_path: Path) -> None:
    files = published.euromine(tmp_path / "files")
    benchmark, made = ingested(tmp_path, "euro", "euromine", files)
    assert made.left_out == ("Germany_5: in no split",)
    tiles = pd.read_parquet(benchmark.table("tiles"))
    assert set(tiles.split) == {"train", "val", "test"}
    assert (tiles.pad_y == 51).all()
    pairs = pd.read_parquet(benchmark.table("pairs"))
    assert len(pairs) == 3 * len(tiles)
    image, mask = published.scene(0, (109, 286), bands=10, grown=6)
    cube = zarr.open_group(benchmark.cube("germany-1"), mode="r")
    assert np.array_equal(cube["reflectance"][2], image.astype(np.uint16) * 20)
    assert np.array_equal(cube["mine"][2], mask)
    short = zarr.open_group(benchmark.cube("germany-2"), mode="r")["mine"][1]
    assert (short[-1] == 255).all()
    assert (short[:-1] != 255).all()
    countries = pd.read_parquet(benchmark.table("statistics/by_country"))
    assert countries.country.tolist() == ["DEU"]
    before = contents(benchmark.data / "cubes")
    published.tif(files / "Germany_1/label/Year2016.tif", np.full((109, 286), 255, np.uint8), (3e5, 5.5e6))
    ingested(tmp_path, "euro", "euromine", files)
    after = contents(benchmark.data / "cubes")
    assert (zarr.open_group(benchmark.cube("germany-1"), mode="r")["mine"][1] == 1).all()
    changed = {name.split("/")[0] for name in after if after[name] != before[name]}
    assert changed == {"germany-1.zarr"}
