"""`minebench publish`: one folder for any static host, whole, verified, and no more than terms allow."""

import json
import shutil
import subprocess
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio

from minebench.errors import InputError
from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.core.runner import Spread
from pipeline.publish import publish_folder, releases, withheld
from pipeline.scenes import attribution
from pipeline.sources.protocol import Upstream
from pipeline.stac.check import check
from tests import qgis
from tests.conftest import run


@pytest.fixture(scope="module")
def ready(active: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with activity and a report, to publish from."""
    return Path(shutil.copytree(active, tmp_path_factory.mktemp("publish") / "project"))


def publish(project: Path, *words: str) -> str:
    done = run("publish", *words, cwd=project)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def published(ready: Path) -> tuple[Path, str]:
    """What is published beside the project, and what was said; treat it as read-only."""
    said = publish(ready, "out")
    return ready / "out", said


def test_one_folder_that_is_whole(ready: Path, published: tuple[Path, str]) -> None:
    out, said = published
    assert "checked" in said
    for name in ("index.html", "README.md", "LICENCES.md", "qgis/tiny.qgs", "viewer/vendor/ol.js",
                 "data/tiny/report/index.html", "data/tiny/viewer/sites.json"):  # fmt: skip
        assert (out / name).is_file(), name
    summed = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=out, capture_output=True)
    assert summed.returncode == 0, summed.stdout
    listed = {line[66:] for line in (out / "SHA256SUMS").read_text().splitlines()}
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert there == listed | {"SHA256SUMS"}
    assert not [name for name in there if "/logs/" in name or "/scenes/" in name or "/archive/" in name]
    catalog = pystac.Catalog.from_file(str(out / "catalogs/tiny/stac/catalog.json"))
    items = list(catalog.get_items(recursive=True))
    assert len(items) > 9  # three sites of three dates, and their activity
    for item in items:
        for asset in item.assets.values():
            assert Path(asset.get_absolute_href() or "").exists()
    visual = out / f"catalogs/tiny/stac/{_sites(ready)[0]}/2021/visual.tif"
    assert visual.stat().st_nlink > 1  # a link takes no room


def test_again_it_has_nothing_to_do_and_mends_what_is_damaged(ready: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(ready, str(out))
    sums = (out / "SHA256SUMS").read_text()
    assert " 0 new" in publish(ready, str(out))
    assert (out / "SHA256SUMS").read_text() == sums
    site = _sites(ready)[0]
    (out / f"catalogs/tiny/stac/{site}/2021/visual.tif").unlink()
    cut = out / f"catalogs/tiny/stac/{site}/2022/mine.tif"
    cut.unlink()
    cut.write_bytes(b"half")
    (out / "data/tiny/left-over.txt").write_text("of an earlier release")
    (out / ".git").mkdir()
    for name in (".git/HEAD", "CNAME"):
        (out / name).write_text("of the web server's")
    assert " 2 new" in publish(ready, str(out))
    assert (out / "SHA256SUMS").read_text() == sums
    assert not (out / "data/tiny/left-over.txt").exists()
    assert (out / ".git/HEAD").is_file()
    assert (out / "CNAME").is_file()


def test_a_catalog_that_is_older_than_the_cubes_is_named(ready: Path, tmp_path: Path) -> None:
    older = Path(shutil.copytree(ready, tmp_path / "older"))
    item = next(path for path in (older / "catalogs/tiny/stac").glob("*/2022"))
    shutil.rmtree(item)
    for path in (older / "data/tiny/viewer").rglob("*.json"):
        path.unlink()
    refused = run("publish", str(tmp_path / "out"), cwd=older)
    assert refused.returncode == 1
    assert "run `minebench catalog` first" in refused.stderr


def test_what_lies_behind_a_link_is_not_the_releases(ready: Path, tmp_path: Path) -> None:
    """A folder of OUT that was moved to a bigger disk: its neighbours there are nobody's to remove."""
    out, disk = tmp_path / "published", tmp_path / "disk"
    publish(ready, str(out))
    (disk / "release").mkdir(parents=True)
    (disk / "release/my-notes.txt").write_text("mine")
    for name in ("data", "data/tiny"):
        moved = out / name
        moved.rename(disk / "release" / moved.name)
        moved.symlink_to(disk / "release" / moved.name)
        refused = run("publish", str(out), cwd=ready)
        assert refused.returncode == 2
        assert f"{moved} is a link" in refused.stderr
        moved.unlink()
        (disk / "release" / moved.name).rename(moved)
    assert (disk / "release/my-notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        ("params.yaml", "is a file"),
        ("data/tiny/here", "lies in data/"),
        ("pictures", "holds other things"),
        ("clone", "holds other things"),
        (".", "holds the repository itself"),
        ("..", "holds the repository itself"),
    ],
)
def test_other_folders_stay_as_they_are(
    ready: Path, out: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ready / "pictures").mkdir(exist_ok=True)
    (ready / "pictures/cat.jpg").write_bytes(b"cat")
    kept = ready / "clone/catalogs/tiny/stac/catalog.json"  # of another repository
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("{}")
    there = set(ready.rglob("*"))
    monkeypatch.chdir(ready)
    benchmark = BenchmarkPaths("tiny", Path())
    with pytest.raises(InputError, match=sentence):
        publish_folder.publish(benchmark, recipe.load(benchmark.recipe), Path(out), Spread(1, None))
    assert set(ready.rglob("*")) == there


def test_versions(ready: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    publish(ready, out, "--version", "1.0")
    assert "The first release." in (tmp_path / "out/README.md").read_text()
    croissant = json.loads((tmp_path / "out/catalogs/tiny/stac/croissant.json").read_text())
    assert croissant["version"] == "1.0"
    # What the release before had: another split, an image less, another mask.
    table = ready / "catalogs/tiny/releases/1.0.parquet"
    rows = pd.read_parquet(table)
    site = rows.site_id.iloc[0]
    rows.loc[rows.site_id == site, "split"] = "another"
    rows.loc[1, "labels"] = "other"
    rows.drop(index=2).to_parquet(table)
    said = publish(ready, out, "--version", "1.1")
    assert (
        "1.1 since 1.0: 1 date added to sites that were there; 1 mask labelled anew, of 1 site; 1 site in"
        in said
    )
    assert "- 1 site in another split\n" in (tmp_path / "out/README.md").read_text()
    for version, sentence in (
        ("1.0", "other content"),
        ("1.1.0", "is not above 1.1"),
        ("0.9", "is not above 1.1"),
        ("new", "is not a version"),
    ):
        done = run("publish", out, "--version", version, cwd=ready)
        assert done.returncode == 2
        assert sentence in done.stderr


def test_changes_are_counted() -> None:
    before = pd.DataFrame(
        [("a", "2020", "i", "l", "train"), ("a", "2021", "i", "l", "train"), ("b", "2020", "i", "l", "test")],
        columns=list(releases.ROW),
    )
    assert releases.changes(before, before) == []
    now = pd.DataFrame(
        [("a", "2020", "new", "l", "val"), ("a", "2022", "i", "l", "val"), ("c", "2020", "i", "l", "test")],
        columns=list(releases.ROW),
    )
    assert releases.changes(before, now) == [
        "1 site added", "1 site taken away", "1 date added to sites that were there",
        "1 date taken away from sites that stay", "1 image made anew, of 1 site", "1 site in another split",
    ]  # fmt: skip


TILES = Upstream(
    "Web tiles of somebody", "images", "terms of use", "Somebody", "https://terms.example", False
)


def test_images_that_may_not_be_passed_on_stay_here(
    ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = BenchmarkPaths("tiny", ready)
    loaded = recipe.load(benchmark.recipe)
    monkeypatch.setattr(attribution, "used", lambda *_: [TILES])
    out = tmp_path / "out"
    made = publish_folder.publish(benchmark, loaded, out, Spread(2, None))
    assert made.left_out == [TILES.name]
    published = BenchmarkPaths("tiny", out)
    names = {path.name for path in out.rglob("*")}
    assert not names & {*withheld.PICTURES, "reflectance", "report"}
    assert {"mine.tif", "mine", "clear", "pairs.parquet"} <= names
    assert check(published) > 20
    for item in pystac.Catalog.from_file(str(out / "catalogs/tiny/stac/catalog.json")).get_items(
        recursive=True
    ):
        assert not set(item.assets) & set(withheld.KEYS)
    rows = gpd.read_parquet(out / "catalogs/tiny/stac/items.parquet")
    assert "visual" not in rows.assets.iloc[0] or rows.assets.iloc[0]["visual"] is None
    for name in ("README.md", "catalogs/tiny/stac/LICENCES.md"):
        assert "the terms of Web tiles of somebody do not let them be passed on" in (out / name).read_text()
    # And here they still are.
    assert (ready / f"catalogs/tiny/stac/{_sites(ready)[0]}/2021/visual.tif").is_file()
    assert check(benchmark) > 20


def test_areas_that_may_not_be_passed_on_are_refused() -> None:
    with pytest.raises(InputError, match=r"GADM 4\.1 may not be passed on"):
        withheld.images([attribution.GADM])


def test_mosaics_of_the_qgis_project_show_the_sites(ready: Path, published: tuple[Path, str]) -> None:
    out, _ = published
    mosaics = sorted((out / "qgis").glob("2022_*_visual.vrt"))
    assert len(mosaics) == 3  # three zones
    for site in _sites(ready):
        with rasterio.open(out / f"catalogs/tiny/stac/{site}/2022/visual.tif") as own:
            pixels, bounds, epsg = own.read(), own.bounds, own.crs.to_epsg()
        with rasterio.open(out / f"qgis/2022_{epsg}_visual.vrt") as mosaic:
            window = mosaic.window(*bounds)
            assert np.array_equal(mosaic.read(window=window), pixels)
    sites = gpd.read_file(out / "qgis/sites.gpkg", layer="sites")
    assert sorted(sites.site_id) == _sites(ready)
    outlines = gpd.read_file(out / "qgis/sites.gpkg", layer="footprints")
    assert set(outlines.period) <= {"2021", "2022", "2023"}
    assert len(outlines)


@pytest.mark.slow
def test_real_qgis_opens_the_project(ready: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(ready, str(out))
    moved = tmp_path / "elsewhere"
    out.rename(moved)  # its links are relative
    picture = tmp_path / "map.png"
    said = qgis.opened(moved / "qgis/tiny.qgs", picture)
    layers, shown = map(int, said.split())
    assert layers == 1 + 3 * (1 + 2 * 3)  # sites; outlines, images and masks of three dates in three zones
    assert shown == 1 + 1 + 3
    with rasterio.open(picture) as drawn:
        red, green, blue = drawn.read([1, 2, 3]).astype(int)
    assert len(np.unique(red)) > 50  # an image, not a blank page
    assert (abs(red - 230) + abs(green - 159) + blue < 20).sum() > 100  # with the footprint's outline


def _sites(project: Path) -> list[str]:
    return sorted(pd.read_parquet(project / "data/tiny/index/sites.parquet").site_id)
