from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from pipeline import recipe
from tests.conftest import contents, run

SQUARE = shapely.box(14.0, 51.0, 14.02, 51.02)


def listed(path: Path, **more: object) -> Path:
    gpd.GeoDataFrame({"name": ["a"]}, geometry=[SQUARE], crs=4326).to_file(path, **more)
    return path


@pytest.mark.parametrize("name", ["mine list.gpkg", "list.geojson", "list.shp"])
def test_scaffold_and_lay_out(empty_project: Path, tmp_path: Path, name: str) -> None:
    path = listed(tmp_path / name)
    done = run("new", "ours", "--mines", str(path), "--like", "tiny", cwd=empty_project)
    assert done.returncode == 0, done.stderr
    assert "lays out 1 sites" in done.stdout
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
