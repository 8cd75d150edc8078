"""Every kind of bad input through the command line: one sentence, the right status, nothing
half-written."""

import re
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from tests.conftest import complaints, contents, run

Mend = Callable[[Path], None]
SQUARE = shapely.box(14.0, 51.0, 14.02, 51.02)


def recipe(old: str, new: str) -> Mend:
    def change(project: Path) -> None:
        path = project / "catalogs/tiny/recipe.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return change


def mines(text: str) -> Mend:
    return lambda project: (project / "catalogs/tiny/mines/mines.csv").write_text(text) and None


def params(text: str) -> Mend:
    return lambda project: (project / "params.yaml").write_text(text) and None


def no_crs(project: Path) -> None:
    path = project / "catalogs/tiny/mines/mines.shp"
    gpd.GeoDataFrame({"name": ["a"]}, geometry=[SQUARE]).to_file(path)
    recipe("mines: mines.csv", "mines: mines.shp")(project)


def layers(project: Path) -> None:
    for layer in ("one", "two"):
        gpd.GeoDataFrame({"name": ["a"]}, geometry=[SQUARE], crs=4326).to_file(
            project / "catalogs/tiny/mines/mines.gpkg", layer=layer
        )
    recipe("mines: mines.csv", "mines: mines.gpkg")(project)


LOCAL = "{name: local, path: images, pattern: 'x(?P<date>.*)', bands: {B02: 1}}"
SYNTHETIC = "{name: synthetic, seed: 3, scenes_per_period: 4}"


def local(project: Path) -> None:
    recipe(SYNTHETIC, LOCAL)(project)
    recipe("{source: archive}", "{source: none}")(project)


def stac(project: Path) -> None:
    recipe(SYNTHETIC, "{name: stac, href: nowhere/catalog.json}")(project)
    recipe("{source: archive}", "{source: none}")(project)


@pytest.mark.parametrize(
    ("words", "change", "status", "says"),
    [
        (["sites", "-b", "nosuch"], None, 2, "no catalogs/nosuch/recipe.yaml; benchmarks: tiny"),
        (["sites", "-b", "../tiny"], None, 2, "is not a benchmark's name"),
        (["nosuch"], None, 2, "No such command"),
        (["train"], None, 2, "Missing option '--model'"),
        (["train", "--model", "unett"], None, 2, "no model 'unett'; did you mean unet"),
        (["sites"], params("benchmarks: []\n"), 2, "params.yaml must list"),
        (["sites"], params("a: [\n"), 2, "params.yaml line 2 is not valid YAML"),
        (["sites"], recipe("citation:", "citaton:"), 2, "recipe.yaml: "),
        (["sites"], recipe("title: tiny", "title: ["), 2, "is not valid YAML"),
        (["sites"], recipe("mines: mines.csv", "mines: gone.csv"), 2, "there is no mine list"),
        (["sites"], mines("name,lon,lat\n"), 2, "mines.csv lists no mines"),
        (["sites"], mines("name,lon,lat\na,51.2,140.1\n"), 2, "row 1: .* look swapped"),
        (["sites"], mines("name,lon,lat\na,1,2\nb,700,2\n"), 2, "row 2: coordinates are out"),
        (["sites"], mines("name,lon,lat\na,x,2\n"), 2, "row 1: lon and lat must both be numbers"),
        (["sites"], no_crs, 2, "does not say its CRS"),
        (["sites"], layers, 2, "several layers; name one with layer: one, two"),
        (["sites"], recipe("geometry: extent", "filters: {country: [FRA]}"), 2, "none of the 3 mines"),
        (["archive"], None, 1, "sites.parquet is missing: run `minebench sites`"),
        (["fetch"], None, 1, "run `minebench sites`"),
        (["compose"], None, 1, "run `minebench sites`"),
        (["tile"], None, 1, "run `minebench sites`"),
        (["catalog"], None, 1, "run `minebench sites`"),
        (["report"], None, 1, "run `minebench sites`"),
        (["check"], None, 1, "run `minebench catalog`"),
        (["activity", "--masks", "*.tif", "--years", "3"], None, 2, "masks of another tool have neither"),
        (["evaluate", "--model", "unet"], None, 1, "train --benchmark tiny --model unet` first"),
        (["new", "Bad Name", "--mines", "x.csv", "--source", "stac"], None, 2, "cannot name a benchmark"),
        (["new", "tiny", "--mines", "x.csv", "--source", "stac"], None, 2, "exists already"),
        (["new", "mine", "--mines", "gone.csv", "--source", "synthetic"], None, 2, "no file gone.csv"),
        (["new", "mine", "--mines", "params.yaml", "--source", "synthetic"], None, 2, "params.yaml"),
    ],
)  # fmt: skip
def test_one_sentence_and_nothing_written(
    empty_project: Path, words: list[str], change: Mend | None, status: int, says: str
) -> None:
    if change:
        change(empty_project)
    before = contents(empty_project)
    done = run(*words, cwd=empty_project)
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith("minebench: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""
    assert re.search(says, done.stderr), done.stderr
    after = {name: content for name, content in contents(empty_project).items() if "/logs/" not in name}
    assert after == before


@pytest.mark.parametrize(
    ("stage", "change", "status", "says"),
    [
        ("fetch", local, 2, "there is no folder images"),
        ("fetch", stac, 1, "no catalog at nowhere/catalog.json"),
        ("fetch", recipe("B08, B11]", "B10]"), 2, "has no band B10"),
        ("annotate", recipe("{source: archive}", "{source: annotations}"), 2, "holds no annotations"),
        ("tile", recipe("tiling: {size: 64}", "tiling: {size: 4000, pad: false}"), 2, "fits no site"),
        ("tile", recipe("pairs: all", "pairs: [['1990', '1991']]"), 2, "no site has two periods"),
        ("tile", recipe("citation", "split2: 1\ncitation"), 2, "split2: no such field"),
    ],
)  # fmt: skip
def test_later_stages_leave_what_was_there(
    project: Path, stage: str, change: Mend, status: int, says: str
) -> None:
    change(project)
    before = {name: content for name, content in contents(project).items() if "/logs/" not in name}
    done = run(stage, cwd=project)
    assert done.returncode == status, done.stderr
    assert len(complaints(done)) == 1, done.stderr
    assert re.search(says, done.stderr), done.stderr
    after = {name: content for name, content in contents(project).items() if "/logs/" not in name}
    assert set(after) <= set(before)
    same = {name for name in after if after[name] == before[name]}
    assert all("/scenes/" in name for name in set(before) - same), sorted(set(before) - same)


def test_no_clear_image_anywhere(project: Path) -> None:
    recipe("min_clear: 0.2", "min_clear: 0.2\n  clear_classes: [7]")(project)
    assert run("fetch", cwd=project).returncode == 0
    done = run("compose", cwd=project)
    assert done.returncode == 1
    assert "No site has a period with enough clear pixels (no scene was clear enough)" in done.stderr


def test_outside_a_repository(tmp_path: Path) -> None:
    done = run("sites", cwd=tmp_path)
    assert done.returncode == 2
    assert "run minebench from the repository root" in done.stderr


def test_quiet_when_not_a_terminal(project: Path) -> None:
    done = run("fetch", cwd=project)
    assert done.stdout.startswith("fetch: all sites are up to date\n")
    assert done.stderr == ""
    assert (project / "data/tiny/logs/fetch.log").is_file()
