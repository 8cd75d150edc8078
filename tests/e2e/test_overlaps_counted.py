"""Ground in two AOIs is counted once in the statistics, through the stages."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

from minebench.cube.labels import Labels
from pipeline.geo import geodesy
from pipeline.sites import site
from tests.conftest import run
from tests.pipeline.sites.test_overlaps import laid_out


def test_a_pixel_of_two_sites_counts_once(tmp_path: Path) -> None:
    """Through the stages: the statistics' known ground is the union's, for `once` and then for `clip`."""
    project = tmp_path / "project"
    for overlap in ("once", "clip"):
        loaded, sites = laid_out(tmp_path, overlap, "{train: 0.5, val: 0.0, test: 0.5}")
        for stage in ("sites", "archive", "fetch", "compose", "annotate", "tile"):
            done = run(stage, cwd=project)
            assert done.returncode == 0, done.stderr
        if overlap == "once":
            assert "1 site overlaps others by" in run("sites", cwd=project).stdout
        pairs = pd.read_parquet(project / "data/tiny/index/statistics/site_pairs.parquet")
        known = pairs.groupby("site_id").known_km2.max()
        union = geodesy.area_km2(shapely.union_all(sites.geometry.to_numpy()))
        assert known.sum() == pytest.approx(union, rel=0.02)
        listed = {s.site_id: s for s in site.listed(sites, loaded)}
        (shared,) = [s for s in listed.values() if s.elsewhere is not None]
        counted = shared.counted()
        assert counted is not None
        masks = Labels.read(project / f"data/tiny/cubes/{shared.site_id}.zarr")
        outside = masks.mine[:, ~counted]
        assert (outside == 255).all() == (overlap == "clip")
        assert np.isin(masks.within(counted).mine[:, ~counted], 255).all()
