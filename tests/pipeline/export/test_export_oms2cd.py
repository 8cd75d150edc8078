"""OMS2CD, written from the tiny benchmark."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio

from pipeline.published import ingest
from tests.pipeline.export.exporting import exported


def test_oms2cd_comes_in_again_and_has_the_published_names(tiny, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(tiny, "oms2cd", out)
    with (out / "mapping.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "imageA", "imageB", "mask"]
    for row in rows:
        stem = row["mask"].removesuffix(".tif")
        with rasterio.open(out / "mask" / f"{stem}_{row['id']}.tif") as mask:
            assert set(np.unique(mask.read())) <= {0, 255}
        with rasterio.open(out / row["imageA"]) as image:
            assert (image.count, image.dtypes[0]) == (3, "uint8")
            assert image.crs.to_epsg() > 32600
        assert (out / "area_mask" / row["mask"]).is_file()
    benchmark, loaded = ingest.prepare("again", "oms2cd", out, tmp_path)
    ingest.run(benchmark, loaded.model_copy(update={"tiling": tiny[1].tiling}), 2)
    before, after = (pd.read_parquet(b.table("pairs")) for b in (tiny[0], benchmark))
    assert after.changed.sum() == before.changed.sum()
    splits = [
        set(pd.read_parquet(b.table("tiles")).groupby("split").size().items()) for b in (tiny[0], benchmark)
    ]
    assert splits[0] == splits[1]
