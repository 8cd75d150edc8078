"""`ingest` by the command line, which goes on where it stopped."""

from pathlib import Path

import pandas as pd
import rioxarray  # noqa: F401
import xarray as xr

from minebench import layout
from tests import published
from tests.conftest import contents, make_project, run


def test_facilities_of_oms2cd_by_the_command_which_goes_on_where_it_stopped(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    files = published.oms2cd(tmp_path / "files")
    words = ("ingest", "oms", "--from", "oms2cd", "--path", str(files))
    done = run(*words, cwd=project)
    assert done.returncode == 0, done.stderr
    assert "3 sites and 18 tiles" in done.stdout
    benchmark = layout.BenchmarkPaths("oms", project)
    pairs = pd.read_parquet(benchmark.table("pairs"))
    assert set(zip(pairs.t1, pairs.t2, strict=True)) == {
        ("2018-01", "2018-03"), ("2018-03", "2018-05"), ("2018-01", "2018-08"),
    }  # fmt: skip
    assert pairs.expanded.isna().all()
    tiles = pd.read_parquet(benchmark.table("tiles"))
    assert tiles.x0.unique().tolist() == [0, 100, 200]
    cube = xr.open_zarr(benchmark.cube(tiles.site_id[0]))
    assert cube.rio.crs.to_epsg() == 32633
    assert int(cube.aoi.sum()) == 260 * 340
    change = pd.read_parquet(benchmark.table("statistics/sites")).changed_km2
    assert change.gt(0).all()
    assert sorted(pd.read_parquet(benchmark.table("sites")).site_id) == sorted(tiles.site_id.unique())
    before = contents(project / "data/oms/cubes")
    benchmark.table("pairs").unlink()
    assert run(*words, cwd=project).returncode == 0
    assert contents(project / "data/oms/cubes") == before
    assert benchmark.table("pairs").is_file()
