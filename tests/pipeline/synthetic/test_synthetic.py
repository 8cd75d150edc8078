from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pystac
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.geo import grid
from pipeline.sites import site as sites
from pipeline.synthetic import noise, spectra
from pipeline.synthetic.noise import Window
from tests.conftest import contents, make_project, run

AREA = grid.geobox(32633, 440_000, 5_720_000, 64, 64, 10)


@settings(deadline=None)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 1000))
def test_noise_depends_on_place_alone(down: int, right: int, seed: int) -> None:
    window = noise.fractal(Window.of(AREA), 300, seed)
    part = noise.fractal(Window.of(AREA[down : down + 20, right : right + 30]), 300, seed)
    assert np.allclose(window[down : down + 20, right : right + 30], part, atol=1e-6)


def test_spectra_are_physically_plausible() -> None:
    values = spectra.table(180, 50)
    band = {name: i for i, name in enumerate(spectra.BANDS)}
    of = {name: values[code] for name, code in spectra.CODE.items()}
    assert values.shape == (len(spectra.SURFACES), 10)
    assert (values > 0).all()
    assert (values < 1).all()
    for green in ("conifer", "broadleaf", "crop", "grass"):
        ndvi = (of[green][band["B08"]] - of[green][band["B04"]]) / (
            of[green][band["B08"]] + of[green][band["B04"]]
        )
        assert ndvi > 0.6
        assert of[green][band["B12"]] < of[green][band["B11"]] < of[green][band["B08"]]
    assert of["river"][band["B11"]] < 0.02
    assert of["soil"][band["B11"]] > of["soil"][band["B04"]] > of["soil"][band["B02"]]
    assert of["snow"][band["B11"]] < 0.2 < of["snow"][band["B03"]]


def test_leaves_fall_in_the_winter_of_each_hemisphere() -> None:
    assert spectra.greenness(196, 50, 196, 105) > 0.99
    assert spectra.greenness(15, 50, 196, 105) < 0.1
    assert spectra.greenness(15, -50, 196, 105) > 0.9
    assert spectra.greenness(15, 0, 196, 105) == 1


def test_overlapping_granules_of_a_pass_show_the_same_ground_and_sky(built: Path) -> None:
    """Both granules' surfaces agree where they overlap, up to the sensor's own noise."""
    found = pystac.Catalog.from_file(str(built / "data/tiny/archive/catalog.json"))
    passes: dict[tuple, list[pystac.Item]] = {}
    for item in found.get_items(recursive=True):
        key = (item.datetime, item.properties["proj:code"], item.properties["sat:relative_orbit"])
        passes.setdefault(key, []).append(item)
    doubles = [items for items in passes.values() if len(items) == 2]
    assert doubles
    for pair in doubles[:4]:
        truth, red = [], []
        boxes = [rasterio.open(i.assets["red"].get_absolute_href()).bounds for i in pair]
        overlap = rasterio.coords.BoundingBox(
            max(b.left for b in boxes), boxes[0].bottom, min(b.right for b in boxes), boxes[0].top
        )
        assert overlap.right > overlap.left
        for item in pair:
            for store, key in ((red, "red"), (truth, "true_mask")):
                with rasterio.open(item.assets[key].get_absolute_href()) as file:
                    store.append(file.read(1, window=file.window(*overlap)).astype(int))
        assert np.median(np.abs(red[0] - red[1])[(red[0] > 0) & (red[1] > 0)]) < 40
        both = (truth[0] != 255) & (truth[1] != 255)
        assert (truth[0][both] == truth[1][both]).mean() > 0.99


def test_truth_starts_from_the_outline_and_moves(built: Path) -> None:
    benchmark = BenchmarkPaths("tiny", built)
    truth = gpd.read_parquet(benchmark.archive / "footprints.parquet")
    truth = truth.to_crs(6933)
    first = truth.sort_values("year").groupby("site_id").first()
    last = truth.sort_values("year").groupby("site_id").last()
    assert (truth.groupby("site_id").year.nunique() >= 3).all()
    assert (first.area > 0).all()
    assert not np.allclose(first.area, last.area, rtol=1e-3)


def test_items_have_the_form_of_the_public_ones(built: Path) -> None:
    items = list(
        pystac.Catalog.from_file(str(built / "data/tiny/archive/catalog.json")).get_items(recursive=True)
    )
    item = items[0]
    assert item.properties["eo:cloud_cover"] <= 100
    assert item.properties["proj:code"].startswith("EPSG:32")
    for key, gsd in (("red", 10), ("nir", 10), ("swir16", 20), ("rededge1", 20), ("scl", 20)):
        with rasterio.open(item.assets[key].get_absolute_href()) as file:
            assert file.res == (gsd, gsd)
            assert file.profile["tiled"]
            assert list(file.shape) == item.assets[key].extra_fields["proj:shape"]
    baselines = {i.properties["s2:processing_baseline"] for i in items}
    assert len(baselines) >= 2
    assert any(i.properties["earthsearch:boa_offset_applied"] for i in items)


def test_the_archive_is_the_same_bytes_every_time_and_grows_by_site(tmp_path: Path, built: Path) -> None:
    project = make_project(tmp_path)
    benchmark = BenchmarkPaths("tiny", project)
    lines = (benchmark.mines / "mines.csv").read_text().splitlines()
    (benchmark.mines / "mines.csv").write_text("\n".join(lines[:3]) + "\n")
    assert run("sites", cwd=project).returncode == 0
    assert "made 2 sites" in run("archive", cwd=project).stdout
    (benchmark.mines / "mines.csv").write_text("\n".join(lines) + "\n")
    assert run("sites", cwd=project).returncode == 0
    assert "made 1 site" in run("archive", cwd=project).stdout
    assert contents(benchmark.archive) == contents(BenchmarkPaths("tiny", built).archive)
    loaded = recipe.load(benchmark.recipe)
    first = loaded.periods.periods()[0]
    windows = {site.search_window(first, loaded)[0] for site in sites.load(benchmark, loaded)}
    assert windows == {date(2020, 12, 1), date(2021, 6, 1)}
