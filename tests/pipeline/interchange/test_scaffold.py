import shutil
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from pipeline import recipe
from tests.conftest import ROOT, contents, run

SQUARE = shapely.box(14.0, 51.0, 14.02, 51.02)


def listed(path: Path, **more: object) -> Path:
    gpd.GeoDataFrame({"name": ["a"]}, geometry=[SQUARE], crs=4326).to_file(path, **more)
    return path


@pytest.mark.parametrize("name", ["mine list.gpkg", "list.geojson", "list.shp"])
def test_scaffold_and_lay_out(empty_project: Path, tmp_path: Path, name: str) -> None:
    path = listed(tmp_path / name)
    done = run("new", "ours", "--mines", str(path), "--like", "tiny", cwd=empty_project)
    assert done.returncode == 0, done.stderr
    assert "lays out 1 sites of" in done.stdout
    assert "dvc repro" in done.stdout
    loaded = recipe.load(empty_project / "catalogs/ours/recipe.yaml")
    assert loaded.title == "ours (synthetic)"
    assert loaded.sites.mines == name
    done = run("sites", "--benchmark", "ours", cwd=empty_project)
    assert done.returncode == 0, done.stderr


def test_layer_is_asked_for_and_kept(empty_project: Path, tmp_path: Path) -> None:
    path = listed(tmp_path / "a.gpkg", layer="one")
    listed(path, layer="two")
    done = run("new", "ours", "--mines", str(path), "--like", "tiny", cwd=empty_project)
    assert done.returncode == 2
    assert "name one with layer: one, two" in done.stderr
    done = run("new", "ours", "--mines", str(path), "--layer", "two", "--like", "tiny", cwd=empty_project)
    assert done.returncode == 0, done.stderr
    assert recipe.load(empty_project / "catalogs/ours/recipe.yaml").sites.layer == "two"


@pytest.mark.parametrize("content", ["not a list", '{"type": "FeatureCollection", "features": []}'])
def test_a_bad_file_leaves_nothing_behind(empty_project: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.geojson"
    path.write_text(content)
    before = contents(empty_project)
    done = run("new", "ours", "--mines", str(path), "--like", "tiny", cwd=empty_project)
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert done.stderr.count("\n") == 1
    assert contents(empty_project) == before
    assert sorted(p.name for p in (empty_project / "catalogs").iterdir()) == ["tiny"]


def test_comments_of_the_recipe_stay(empty_project: Path, tmp_path: Path) -> None:
    model = empty_project / "catalogs/tiny/recipe.yaml"
    model.write_text("# about this recipe\n" + model.read_text())
    path = listed(tmp_path / "a.geojson")
    assert run("new", "ours", "--mines", str(path), "--like", "tiny", cwd=empty_project).returncode == 0
    assert (empty_project / "catalogs/ours/recipe.yaml").read_text().startswith("# about this recipe")


def test_it_says_what_the_benchmark_comes_to(empty_project: Path, tmp_path: Path) -> None:
    path = listed(tmp_path / "a.geojson")
    done = run("new", "ours", "--mines", str(path), "--like", "tiny", cwd=empty_project)
    # One site of some 2.2 km: 3 years, 4 scenes each, tiles of 64 pixels.
    assert "about 12 scenes to search" in done.stdout
    assert run("sites", "--benchmark", "ours", cwd=empty_project).returncode == 0
    table = pd.read_parquet(empty_project / "data/ours/index/sites.parquet")
    side = -(-int(table.height[0]) // 64)
    assert f"{side**2} tiles and {3 * side**2} pairs" in done.stdout


def test_a_dry_run_of_a_published_recipe(empty_project: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "catalogs/minenet", empty_project / "catalogs/minenet")
    path = listed(tmp_path / "a.geojson")
    words = ("new", "trial", "--mines", str(path), "--like", "minenet", "--synthetic")
    done = run(*words, cwd=empty_project)
    assert done.returncode == 0, done.stderr
    loaded = recipe.load(empty_project / "catalogs/trial/recipe.yaml")
    assert (loaded.source.name, loaded.labels.source, loaded.labels.kind) == (
        "synthetic",
        "archive",
        "change",
    )
    assert loaded.sites.limit is None
    assert loaded.title == "trial (synthetic)"


def test_a_published_lists_name_is_known(empty_project: Path) -> None:
    done = run("new", "ours", "--mines", "maus-v9", "--like", "tiny", cwd=empty_project)
    assert done.returncode == 2
    assert "maus-v2" in done.stderr
