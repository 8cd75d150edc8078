"""Google's Satellite Embedding through the real `ee` client, and what is learnt from it; synthetic pixels."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio
import xarray as xr
import zarr

from minebench import tables
from minebench.cube import encoding, shards
from minebench.layout import BenchmarkPaths
from pipeline.geo import grid
from tests.conftest import Run, make_project, run
from tests.e2e.test_earthengine import key_file
from tests.standins import aef, archive, embeddings
from tests.standins.base import Running, running

RECIPE = """\
title: tiny embeddings (synthetic)
sensor: {{bands: [{bands}], rgb: [A01, A16, A09], resolution: 10, dtype: int8}}
source: {{name: earthengine, collection: GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL, cloud: none, url: '{url}',
  service_account_key: key.json}}
periods: {{unit: year, start: "2021", end: "2023"}}
selection: {{measure_shifts: false, min_period_clear: 0.5}}
sites: {{mines: mines.csv, geometry: extent, point_radius_m: 400, buffer_m: 100, min_size_m: 960}}
labels: {{source: annotations}}
tiling: {{size: 64}}
pairs: all
split: {{train: 0.34, val: 0.33, test: 0.33}}
citation: synthetic, for tests
"""
MASKED = 76
"""First rows of each image that are masked: some of them lie in the sites."""
STAGES = ("sites", "fetch", "compose", "annotate", "tile", "catalog")
MODELS = ("embedding-cosine", "embedding-linear-change", "embedding-knn-change", "embedding-linear",
          "embedding-knn")  # fmt: skip


def project_of(folder: Path, built: Path, url: str) -> Path:
    project = make_project(folder, RECIPE.format(bands=", ".join(encoding.BANDS), url=url))
    key_file(project, url)
    truth = built / "data/tiny/archive/footprints.parquet"
    shutil.copy(truth, project / "catalogs/tiny/annotations/truth.parquet")
    return project


@pytest.fixture(scope="module")
def service(built: Path) -> Iterator[Running]:
    with running("earthengine", str(built / "data/tiny/archive"), f"masked={MASKED}") as standin:
        yield standin


def one_site_of(embedded: Path, folder: Path, built: Path, url: str) -> Path:
    """A project with nothing fetched, and of the embedded project's sites the last, which all images show."""
    project = project_of(folder, built, url)
    sites = tables.read_geo(BenchmarkPaths("tiny", embedded).table("sites"), "sites")
    tables.write(sites.tail(1), BenchmarkPaths("tiny", project).table("sites"))
    return project


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory, built: Path, service: Running) -> Path:
    project = project_of(tmp_path_factory.mktemp("embeddings") / "p", built, service.url)
    for stage in STAGES:
        done = run(stage, cwd=project)
        assert done.returncode == 0, (stage, done.stderr)
    return project


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, built: Path) -> Iterator[Running]:
    """A server of COGs of the same images, and of their index."""
    folder = tmp_path_factory.mktemp("aef")
    aef.write(folder, built / "data/tiny/archive", MASKED)
    with running("cogs", str(folder)) as standin:
        yield standin


def by_cogs(project: Path, server: Running) -> Path:
    """The project, with the server's COGs for its source."""
    path = project / "catalogs/tiny/recipe.yaml"
    recipe = path.read_text()
    source = recipe[recipe.index("source:") : recipe.index("periods:")]
    line = f"source: {{name: source_coop, index: '{server.url}/open/aef_index.parquet'}}\n"
    path.write_text(recipe.replace(source, line))
    return project


def cubes(project: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted((project / "data/tiny/cubes").iterdir())}


def test_cubes_hold_googles_numbers(embedded: Path, built: Path) -> None:
    items = {item["id"]: item for item in archive.items(built / "data/tiny/archive")}
    images = embeddings.images(items, MASKED)
    sites = gpd.read_parquet(embedded / "data/tiny/index/sites.parquet").set_index("site_id")
    masked = 0
    assert len(cubes(embedded)) == 3
    for site_id, path in cubes(embedded).items():
        cube = xr.open_zarr(path, mask_and_scale=False).embedding
        assert cube.dtype == np.int8
        assert cube.attrs["_FillValue"] == -128
        box = grid.of_site(sites.loc[site_id], 10)
        for place, year in enumerate((2021, 2022, 2023)):
            # West and east in order of their names, and of two granules the first: a mosaic.
            expected = np.full((64, *box.shape), -128, np.int8)
            for _, image in sorted(images.items(), reverse=True):
                if image["year"] == year and image["crs"] == str(box.crs) and site_id in str(image["items"]):
                    seen = embeddings.window(image, box.transform, tuple(box.shape))
                    vectors = np.stack([seen.bands[band] for band in encoding.BANDS])
                    expected = np.where(seen.seen, encoding.coded(vectors), expected)
            assert (cube[place].values == expected).all(), (site_id, year)
            masked += int((expected == -128).all(axis=0).sum())
        vectors = encoding.decoded(cube.values)
        length = np.linalg.norm(vectors, axis=1)
        assert np.nanmax(np.abs(length - 1)) < 0.02
        # As xarray opens it, no data is NaN.
        assert (np.isnan(xr.open_zarr(path).embedding.values) == (cube.values == -128)).all()
        # In memory, as everything else in the pipeline, no data is 0.
        held = shards.read(path / "embedding")
        assert held.dtype == np.uint8
        assert ((held == 0) == (cube.values == -128)).all()
        clear = xr.open_zarr(path, mask_and_scale=False).clear.values
        assert ((clear == 0) == (cube.values[:, 0] == -128)).all()
    assert masked, "the stand-in masks the first rows of its images"


def test_a_year_is_asked_for_in_single_bytes_and_never_again(
    tmp_path: Path, embedded: Path, built: Path, service: Running
) -> None:
    project = one_site_of(embedded, tmp_path / "p", built, service.url)
    service.set()
    planned = run("sites", "--plan", cwd=project).stdout
    assert "the mask of" not in planned
    assert not any("computePixels" in entry[1] for entry in service.asked())
    service.set()
    done = run("fetch", cwd=project)
    assert done.returncode == 0, done.stderr
    answers = [entry for entry in service.asked() if "computePixels" in entry[1]]
    table = pd.read_parquet(project / "data/tiny/index/scenes.parquet")
    assert len(answers) == table.selected.sum()
    assert f"{len(answers)} requests" in planned
    sites = pd.read_parquet(project / "data/tiny/index/sites.parquet").set_index("site_id")
    pixels = sum(sites.loc[site, "height"] * sites.loc[site, "width"] for site in table.site_id)
    assert sum(entry[3] for entry in answers) < 64 * pixels + 20_000 * len(answers)
    assert set(table.day) == {"2021-07-02", "2022-07-02", "2023-07-02"}
    assert table.dx.isna().all()
    service.set()
    assert "up to date" in run("fetch", cwd=project).stdout
    assert service.asked() == []


def test_faults_that_pass_change_nothing(
    tmp_path: Path, embedded: Path, built: Path, service: Running, run_hurried: Run
) -> None:
    project = one_site_of(embedded, tmp_path / "p", built, service.url)
    service.set(
        {"kind": "wrong size", "match": "computePixels", "each": 1, "times": 4},
        {"kind": "status", "status": 429, "each": 1},
    )
    done = run_hurried("fetch", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "retries" in done.stdout
    assert " 0 of them retries" not in done.stdout
    ours, theirs = (pd.read_parquet(p / "data/tiny/index/scenes.parquet") for p in (project, embedded))
    theirs = theirs[theirs.site_id == ours.site_id[0]]
    assert ours.checksum.tolist() == theirs.checksum.tolist()


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory, built: Path, published: Running) -> Path:
    """The project of COGs up to its cubes."""
    project = by_cogs(project_of(tmp_path_factory.mktemp("cogs") / "p", built, ""), published)
    for stage in ("sites", "fetch", "compose"):
        done = run(stage, cwd=project)
        assert done.returncode == 0, (stage, done.stderr)
        if stage == "fetch":
            assert "unusable scenes: 1 " in done.stdout
    return project


def test_published_cogs_give_the_same_cubes(copied: Path, embedded: Path) -> None:
    """Byte for byte those of Earth Engine, from bottom-up COGs over HTTP, one of which is gone."""
    ours, theirs = cubes(copied), cubes(embedded)
    assert list(ours) == list(theirs)
    for site_id, path in ours.items():
        for name in ("embedding", "clear", "time", "band", "x", "y"):
            files = [file for file in (path / name / "c").rglob("*") if file.is_file()]
            assert files, name
            for file in files:
                other = theirs[site_id] / file.relative_to(path)
                assert file.read_bytes() == other.read_bytes(), other
    scenes = pd.read_parquet(copied / "data/tiny/index/scenes.parquet")
    assert set(scenes.day) == {"2021-07-02", "2022-07-02", "2023-07-02"}
    assert set(scenes.dated_by) == {"middle of the year"}
    flawed = scenes[scenes.status == "flawed"]
    assert set(flawed.scene_id) == {aef.MISSING}
    assert flawed.reason.str.contains("is not there").all()
    # The neighbouring zone's COG, first by its name, has the place too.
    assert not scenes.scene_id.str.startswith("x0000000000000000").any()


def test_cogs_are_asked_for_once_and_through_faults(
    tmp_path: Path, copied: Path, built: Path, published: Running, run_hurried: Run
) -> None:
    project = by_cogs(one_site_of(copied, tmp_path / "p", built, ""), published)
    planned = run("sites", "--plan", cwd=project).stdout
    assert "; 780 requests, " in planned
    assert "about 0.4 GB are downloaded, as COGs are read in whole blocks" in planned
    published.set(
        {"kind": "half", "match": ".tiff", "each": 1, "times": 3},
        {"kind": "status", "status": 503, "match": "aef_index", "each": 1},
    )
    done = run_hurried("fetch", cwd=project)
    assert done.returncode == 0, done.stderr
    assert " 4 of them retries" in done.stdout
    ours, theirs = (pd.read_parquet(p / "data/tiny/index/scenes.parquet") for p in (project, copied))
    theirs = theirs[theirs.site_id == ours.site_id[0]]
    assert ours.checksum.tolist() == theirs.checksum.tolist()
    published.set()
    assert "up to date" in run("fetch", cwd=project).stdout
    assert published.asked() == []


def test_catalog_and_geotiffs_say_what_they_hold(embedded: Path) -> None:
    collections = pystac.Catalog.from_file(str(embedded / "catalogs/tiny/stac/catalog.json"))
    items = list(collections.get_items(recursive=True))
    assert items
    for item in items:
        asset = item.assets["embedding-cog"]
        assert asset.title == "Embedding of all bands"
        assert item.get_collection().license == "CC-BY-4.0"
        assert (asset.extra_fields["data_type"], asset.extra_fields["nodata"]) == ("int8", -128)
        assert len(asset.extra_fields["bands"]) == 64
        assert item.assets["embedding"].extra_fields["nodata"] == -128
        with rasterio.open(asset.get_absolute_href()) as file:
            assert (file.dtypes[0], file.nodata, file.descriptions[63]) == ("int8", -128, "A63")
            pixels = file.read()
        cube = xr.open_zarr(cubes(embedded)[item.collection_id or ""], mask_and_scale=False)
        assert (pixels == cube.embedding.sel(time=f"{item.id[-4:]}-01-01").values).all()


@pytest.fixture(scope="module")
def scored(embedded: Path) -> dict[str, float]:
    """F1 of every probe, through the command line."""
    found = {}
    for model in MODELS:
        for command in ("train", "evaluate"):
            done = run(command, "--model", model, cwd=embedded)
            assert done.returncode == 0, (model, command, done.stderr)
        metrics = json.loads((embedded / f"data/tiny/runs/{model}/metrics.json").read_text())
        assert sum(metrics["pixels"].values()) > 0
        found[model] = metrics["f1"]
    return found


def test_probes_learn(scored: dict[str, float], embedded: Path) -> None:
    assert scored["embedding-linear"] > 0.5
    assert scored["embedding-knn"] > 0.4
    # Smoothed over time, applied to whole sites and reported as any other.
    for words in (
        ("train", "--model", "embedding-linear-hmm"), ("evaluate", "--model", "embedding-linear-hmm"),
        ("predict", "--model", "embedding-linear"), ("compare",), ("report",), ("check",),
    ):  # fmt: skip
        done = run(*words, cwd=embedded)
        assert done.returncode == 0, (words, done.stderr)
    page = (embedded / "data/tiny/report/index.html").read_text()
    assert "Numbers, -127 to 127, of each band" in page
    assert all(model in page for model in MODELS)


def test_one_class_alone_is_a_sentence(embedded: Path) -> None:
    """A footprint everywhere: nothing tells it from anything."""
    from minebench.errors import InputError
    from models.training import train
    from models.training.settings import Settings

    copied = embedded.parent / "everywhere"
    shutil.copytree(embedded / "data/tiny", copied, ignore=shutil.ignore_patterns("runs", "scenes"))
    for path in (copied / "cubes").iterdir():
        mine = zarr.open_group(path, mode="r+")["mine"]
        mine[:] = np.ones(mine.shape, np.uint8)
    with pytest.raises(InputError, match="show one class alone: label more sites"):
        train.train(copied, "embedding-linear", Settings.of({}, "embedding-linear"))


def test_other_models_take_embeddings_too(embedded: Path) -> None:
    for model in ("unet", "fc-siam-diff", "cva"):
        for command in ("train", "evaluate"):
            done = run(command, "--model", model, cwd=embedded)
            assert done.returncode == 0, (model, command, done.stderr)


def test_exported_folders_keep_the_numbers(embedded: Path, tmp_path: Path) -> None:
    out = tmp_path / "folders"
    words = ("--to", "folders", "--image", "tif", "--max-unknown", "1", "--out", str(out))
    done = run("export", *words, cwd=embedded)
    assert done.returncode == 0, done.stderr
    with rasterio.open(next(out.glob("**/A/*.tif"))) as file:
        assert (file.dtypes[0], file.nodata, file.count) == ("int8", -128, 64)


def test_three_bands_are_not_called_true_colour(embedded: Path, tmp_path: Path) -> None:
    for words in (("label", "--qgis"), ("catalog",), ("publish", str(tmp_path / "p"))):
        done = run(*words, cwd=embedded)
        assert done.returncode == 0, (words, done.stderr)
    projects = [embedded / "data/tiny/label/label.qgs", *(tmp_path / "p").rglob("qgis/*.qgs")]
    assert len(projects) == 2
    for project in projects:
        assert "Three bands" in project.read_text()
        assert "True colour" not in project.read_text()


def test_a_probe_needs_embeddings(project: Path) -> None:
    done = run("train", "--model", "embedding-linear", cwd=project)
    assert done.returncode == 2
    assert done.stderr.strip().endswith(
        "the model takes embeddings, with bands A00 to A63, and these images have B02: "
        "docs/embeddings.md says how to get them."
    )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (", dtype: int8", "", "sensor.dtype: satellite-embedding takes int8, not uint16"),
        ("resolution: 10", "resolution: 20", "sensor.resolution: an embedding is of 10 m"),
        ("bands: [A00, ", "bands: [A64, ", "sensor.bands: A64 is no band of an embedding"),
        ("cloud: none, ", "", "source.cloud: only Sentinel-2 has cloud classes; set cloud: none"),
        ("cloud: none,", "cloud: none, bands: {A00: A00},", "source.bands: an embedding's bands"),
        ("unit: year, start: \"2021\"", "unit: month, start: \"2021-01\"", "periods: 2021-01 is no year"),
        ("measure_shifts: false, ", "", "selection.measure_shifts: nothing shifts between these images"),
        ("measure_shifts: false", "measure_shifts: false, season: {north: [6, 8], south: [1, 2]}",
         "selection.season: an image of a whole year has no season"),
        ("cloud: none,", "cloud: none, composite: server,", "source.composite: embeddings are finished"),
        ("GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL", "A/B", "source.bands does not say"),
        ("dtype: int8", "dtype: int8, profile: naip",
         "sensor.profile: source earthengine gives satellite-embedding here, and no naip"),
        ("dtype: int8", "profile: naip",
         "sensor.profile: source earthengine gives satellite-embedding here, and no naip"),
    ],
)  # fmt: skip
def test_a_recipe_that_does_not_fit_is_refused(
    old: str, new: str, says: str, tmp_path: Path, built: Path, service: Running
) -> None:
    project = project_of(tmp_path / "p", built, service.url)
    path = project / "catalogs/tiny/recipe.yaml"
    text = path.read_text()
    assert old in text
    if "month" in new:
        new = new.replace('"2021-01"', '"2021-01", end: "2021-03"')
        old = 'unit: year, start: "2021", end: "2023"'
    path.write_text(text.replace(old, new, 1))
    done = run("sites", cwd=project)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (", dtype: int8", "", "sensor.dtype: satellite-embedding takes int8, not uint16"),
        ("resolution: 10", "resolution: 20", "sensor.resolution: an embedding is of 10 m"),
        ("bands: [A00, ", "bands: [A64, ", "sensor.bands: A64 is no band of an embedding"),
        ("measure_shifts: false, ", "", "selection.measure_shifts: nothing shifts between these images"),
        ("index.parquet", "index.gpkg",
         "source: index: http://127.0.0.1:1/open/aef_index.gpkg is no Parquet file; name the index that"),
        ("index.parquet'", "index.parquet', cloud: none", "source: cloud: no such field; remove it"),
        ("dtype: int8", "dtype: int8, profile: naip",
         "sensor.profile: source source_coop gives satellite-embedding here, and no naip"),
    ],
)  # fmt: skip
def test_a_recipe_of_cogs_that_does_not_fit_is_refused(
    old: str, new: str, says: str, tmp_path: Path, built: Path
) -> None:
    project = by_cogs(project_of(tmp_path / "p", built, ""), Running("http://127.0.0.1:1"))
    path = project / "catalogs/tiny/recipe.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    done = run("sites", cwd=project)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("dtype: int8", "sensor.dtype: int8 is of embeddings"),
        ("profile: satellite-embedding", "gives sentinel-2-l2a here, and no satellite-embedding"),
    ],
)
def test_other_sources_have_no_embeddings(line: str, says: str, empty_project: Path) -> None:
    path = empty_project / "catalogs/tiny/recipe.yaml"
    path.write_text(path.read_text().replace("resolution: 10", f"resolution: 10\n  {line}"))
    done = run("sites", cwd=empty_project)
    assert done.returncode == 2
    assert says in done.stderr
