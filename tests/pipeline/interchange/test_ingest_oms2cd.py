"""OMS2CD as a benchmark; `tests.e2e.test_ingest_command` has the rest."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401
import xarray as xr

from pipeline.catalog import check
from tests import published
from tests.pipeline.interchange.ingesting import ingested


def test_pixels_in_degrees_stay_in_degrees(tmp_path: Path, monkeypatch) -> None:
    written = published.tif

    def in_degrees(path: Path, pixels: np.ndarray, place: tuple[float, float]) -> None:
        written(path, pixels, (14 + (place[0] - 3e5) / 1e6, 51.0), "EPSG:4326", 9e-5)

    monkeypatch.setattr(published, "tif", in_degrees)
    benchmark, _ = ingested(tmp_path, "oms", "oms2cd", published.oms2cd(tmp_path / "files"))
    sites = pd.read_parquet(benchmark.table("sites"))
    cube = xr.open_zarr(benchmark.cube(sites.site_id[0]))
    assert cube.rio.crs.to_epsg() == 4326
    assert dict(cube.sizes) == {"time": 4, "band": 3, "y": 300, "x": 380, "pair": 3}
    assert float(cube.x[0]) == pytest.approx(sites["left"][0] + 4.5e-5)
    known = pd.read_parquet(benchmark.table("statistics/sites")).known_km2[0]
    assert known == pytest.approx(sites.area_km2[0], rel=0.005)
    assert check.check(benchmark) > 0
