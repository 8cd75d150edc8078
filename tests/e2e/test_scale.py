"""What must not grow with sites, counted at 64 of them: transformers, scans of whole tables, rows and
results held. `bench/scale.py` has the times, at up to 10,000."""

import collections
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pystac
import pytest
import rasterio
import shapely

from minebench import tables
from minebench.files import sha256
from minebench.layout import BenchmarkPaths
from pipeline import recipe, stages
from pipeline.core import runner
from pipeline.core.runner import Spread
from pipeline.stac import areas, check

SPREAD = Spread(2, in_threads=True)
"""What another process does is not counted."""
SITES, YEARS, PIXEL_M = 64, ("2019", "2021"), 320
RECIPE = f"""\
title: Scale
sensor: {{bands: [R], rgb: [R, R, R], resolution: {PIXEL_M}, dtype: uint8}}
source: {{name: local, path: images, pattern: '.*_(?P<date>\\d{{4}})\\.tif', bands: {{R: 1}}}}
periods: {{dates: ["2019", "2021"]}}
sites: {{mines: mines.gpkg, group_m: 500, buffer_m: 500, min_size_m: 5120}}
selection: {{policy: least_cloudy, min_clear: 0, min_period_clear: 0, measure_shifts: false}}
tiling: {{size: 16}}
pairs: all
labels: {{source: annotations}}
split: {{by: site, train: 0.7, val: 0.1, test: 0.2, stratify: [country], min_distance_m: 500, seed: 1}}
citation: ""
"""


def mines() -> gpd.GeoDataFrame:
    """One in each of 64 places on both halves of the globe, two in every tenth."""
    places = [(-167 + 48 * (i % 8), -56 + 16 * (i // 8)) for i in range(SITES)]
    shapes = [shapely.Point(x, y).buffer(0.004 + 0.0001 * (i % 50), 6) for i, (x, y) in enumerate(places)]
    shapes += [shapely.Point(x + 0.009, y).buffer(0.002, 6) for x, y in places[::10]]
    return gpd.GeoDataFrame({"name": [f"m{i}" for i in range(len(shapes))]}, geometry=shapes, crs=4326)


def images(project: Path, sites: gpd.GeoDataFrame) -> None:
    (project / "images").mkdir()
    drawn = []
    for site in sites.itertuples():
        transform = rasterio.Affine(PIXEL_M, 0, site.left, 0, -PIXEL_M, site.top)
        for number, year in enumerate(YEARS):
            with rasterio.open(
                project / f"images/{site.site_id}_{year}.tif", "w", driver="GTiff", count=1, dtype="uint8",
                crs=f"EPSG:{site.epsg}", transform=transform, height=site.height, width=site.width,
            ) as file:  # fmt: skip
                file.write(np.full((1, site.height, site.width), 100 + number, np.uint8))
            drawn.append((site.site_id, year, site.footprint.buffer(0.004 * number)))
    table = pd.DataFrame(drawn, columns=["site_id", "year", "geometry"])
    gpd.GeoDataFrame(table, crs=4326).to_parquet(project / "catalogs/many/annotations/footprints.parquet")


class Counts:
    """What is counted while it is watched."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.transformers: collections.Counter[tuple[Any, ...]] = collections.Counter()
        self.scans = self.reads = self.held_rows = self.held_results = 0
        self._watch(patch)

    def _watch(self, patch: pytest.MonkeyPatch) -> None:
        build, getitem = pyproj.Transformer.from_crs, pd.DataFrame.__getitem__
        read, add, ordered = pd.read_parquet, tables.Rows.add, collections.deque

        def from_crs(source: Any, target: Any, **more: Any) -> Any:
            self.transformers[str(source), str(target)] += 1
            return build(source, target, **more)

        def filtered(frame: pd.DataFrame, key: Any) -> Any:
            is_mask = isinstance(key, pd.Series | np.ndarray) and key.dtype == np.bool_
            self.scans += is_mask and len(frame) >= SITES
            return getitem(frame, key)

        def reading(path: Any, *words: Any, **more: Any) -> Any:
            self.reads += "index" in Path(path).parts
            return read(path, *words, **more)

        def adding(rows: tables.Rows, new: Any) -> None:
            add(rows, new)
            self.held_rows = max(self.held_rows, len(rows._first))

        class Queue(ordered):  # type: ignore[type-arg,valid-type,misc]
            def append(queue, value: Any) -> None:
                super().append(value)
                self.held_results = max(self.held_results, len(queue))

        patch.setattr(pyproj.Transformer, "from_crs", staticmethod(from_crs))
        patch.setattr(pd.DataFrame, "__getitem__", filtered)
        patch.setattr(pd, "read_parquet", reading)
        patch.setattr(tables.Rows, "add", adding)
        patch.setattr(runner, "deque", Queue)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In the folder of a project of many mines."""
    folder = tmp_path_factory.mktemp("scale")
    for name in ("mines", "annotations"):
        (folder / "catalogs/many" / name).mkdir(parents=True)
    mines().to_file(folder / "catalogs/many/mines/mines.gpkg")
    (folder / "catalogs/many/recipe.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def test_nothing_but_results_grows_with_sites(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(areas, "MOST", 24)
    monkeypatch.setattr(tables, "BATCH", 50)
    benchmark = BenchmarkPaths("many")
    loaded = recipe.load(benchmark.recipe)
    made = {}
    for name in ("sites", "fetch", "compose", "annotate", "tile", "catalog"):
        with monkeypatch.context() as patch:
            counts = Counts(patch)
            words = () if name == "sites" else (SPREAD,)
            made[name] = stages.named(name).load()(benchmark, loaded, *words)
        # A zone there and back, each for two threads at most; sites lie in some sixteen zones.
        assert sum(counts.transformers.values()) <= SITES / 2, (name, counts.transformers.most_common(3))
        assert max(counts.transformers.values(), default=1) <= 2, (name, counts.transformers.most_common(3))
        assert counts.scans <= 16, name
        assert counts.reads <= 20, name
        assert counts.held_rows <= SITES, name
        assert counts.held_results <= 2 * runner.AHEAD + 1, name
        if name == "sites":
            assert len(made["sites"]) == SITES
            images(project, made["sites"])
    assert made["catalog"] == SITES
    assert [stages.named(name).load()(benchmark, loaded, SPREAD) for name in ("compose", "catalog")] == [
        0,
        0,
    ]
    the_catalog_has_areas_and_stands_the_check(project, monkeypatch)


def the_catalog_has_areas_and_stands_the_check(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No object has more than two dozen children; what all sites name is hashed once."""
    root = pystac.Catalog.from_file(str(project / "catalogs/many/stac/catalog.json"))
    children = {child.title: list(child.get_children()) for child in root.get_children()}
    sites = [site for own in children.values() for site in own]
    assert len({site.id for site in sites}) == SITES
    assert max(map(len, children.values())) <= 24
    assert sites[0].get_parent().id.startswith("many-")
    assert sites[0].get_root().id == "many"
    assert len(list(sites[0].get_items())) == 2
    assert len(pd.read_parquet(project / "catalogs/many/stac/items.parquet")) == 2 * SITES
    hashed: collections.Counter[str] = collections.Counter()

    def counted(path: Path) -> str:
        hashed[path.suffix] += 1
        return sha256(path)

    monkeypatch.setattr(check, "sha256", counted)
    assert check.check(BenchmarkPaths("many")) > SITES
    assert hashed[".parquet"] <= 8
