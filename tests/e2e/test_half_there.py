"""What an interrupted or skipped stage leaves behind: the next one names it, or takes it up itself."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import zarr

from tests.conftest import complaints, contents, run

SITE = "alpha-111e46"
CUBE = f"data/tiny/cubes/{SITE}.zarr"


def remove(project: Path, *names: str) -> None:
    for name in names:
        path = project / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    ("gone", "words", "says"),
    [
        ((f"data/tiny/scenes/{SITE}", CUBE), "compose", "run `minebench fetch`"),
        ((CUBE,), "annotate", "run `minebench compose`"),
        ((CUBE,), "tile", "run `minebench compose`"),
        ((CUBE,), "catalog", "run `minebench compose`"),
        ((f"{CUBE}/mine",), "tile", "run `minebench annotate`"),
        ((f"{CUBE}/mine",), "catalog", "run `minebench annotate`"),
        ((CUBE,), "train --model unet", "run `minebench compose` and `annotate`"),
        ((f"{CUBE}/mine",), "train --model unet", "run `minebench compose` and `annotate`"),
        ((f"data/tiny/archive/{SITE}",), "fetch", "run `minebench archive`"),
        (("data/tiny/index/composites.parquet",), "tile", "run `minebench compose`"),
        (("data/tiny/index/scenes.parquet",), "compose", "run `minebench fetch`"),
        (("data/tiny/index/sites.parquet",), "fetch", "run `minebench sites`"),
    ],
)
def test_the_stage_to_run_is_named(project: Path, gone: tuple[str, ...], words: str, says: str) -> None:
    remove(project, *gone)
    before = contents(project / "data/tiny/index")
    done = run(*words.split(), cwd=project)
    assert done.returncode == 1
    assert says in done.stderr
    assert len(complaints(done)) == 1
    assert contents(project / "data/tiny/index") == before


def test_a_site_that_was_added_since_is_asked_for_stage_by_stage(project: Path) -> None:
    mines = project / "catalogs/tiny/mines/mines.csv"
    mines.write_text(mines.read_text() + "Delta,26.400,62.800,metal\n")
    assert run("sites", cwd=project).returncode == 0
    for stage, before in (
        ("fetch", "archive"),
        ("compose", "fetch"),
        ("annotate", "compose"),
        ("tile", "compose"),
    ):
        done = run(stage, cwd=project)
        assert done.returncode == 1
        assert f"run `minebench {before}`" in done.stderr
    for stage in ("archive", "fetch", "compose", "annotate", "tile", "catalog"):
        done = run(stage, cwd=project)
        assert done.returncode == 0, done.stderr


def test_a_site_without_any_scene_is_no_defect(project: Path) -> None:
    """An archive that has nothing of a site in any period: rows say so."""
    shutil.rmtree(project / "data/tiny/scenes")
    remove(project, "data/tiny/index/scenes.parquet")
    collection = project / "data/tiny/archive" / SITE / "collection.json"
    content = json.loads(collection.read_text())
    content["links"] = [link for link in content["links"] if link["rel"] != "item"]
    collection.write_text(json.dumps(content))
    done = run("fetch", cwd=project)
    assert done.returncode == 0, done.stderr
    scenes = pd.read_parquet(project / "data/tiny/index/scenes.parquet")
    assert scenes.status[scenes.site_id == SITE].tolist() == ["none_found"] * 3


def test_a_cube_opens_without_a_word_before_it_is_annotated(
    project: Path, recwarn: pytest.WarningsRecorder
) -> None:
    import xarray as xr

    shutil.rmtree(project / "data/tiny/cubes")
    assert run("compose", cwd=project).returncode == 0
    opened = xr.open_zarr(project / CUBE)
    assert {"reflectance", "clear", "aoi"} <= set(opened.data_vars)
    assert zarr.open_group(project / CUBE).metadata.consolidated_metadata is not None
    assert not [warning for warning in recwarn if "consolidated" in str(warning.message)]


def test_a_site_without_a_kept_period_is_left_out_once(project: Path) -> None:
    """It has no masks, tiles or collection; and a second run has nothing to do."""
    scenes = pd.read_parquet(project / "data/tiny/index/scenes.parquet")
    recipe = project / "catalogs/tiny/recipe.yaml"
    text = recipe.read_text().replace("min_clear: 0.2", f"min_clear: 0.2\n  exclude: {scenes_of(scenes)}")
    text = text.replace("{train: 0.34, val: 0.33, test: 0.33}", "{train: 0.5, val: 0.0, test: 0.5}")
    recipe.write_text(text)
    for stage in ("fetch", "compose", "annotate", "tile", "catalog"):
        done = run(stage, cwd=project)
        assert done.returncode == 0, done.stderr
    composites = pd.read_parquet(project / "data/tiny/index/composites.parquet")
    assert not composites.kept[composites.site_id == SITE].any()
    assert composites.kept[composites.site_id != SITE].all()
    assert not (project / f"catalogs/tiny/stac/{SITE}").exists()
    assert SITE not in set(pd.read_parquet(project / "data/tiny/index/tiles.parquet").site_id)
    for stage in ("annotate", "catalog"):
        assert "all sites are up to date" in run(stage, cwd=project).stdout


def scenes_of(scenes: pd.DataFrame) -> list[str]:
    """All scenes of the site, for `selection.exclude`."""
    return sorted(set(scenes.scene_id[scenes.site_id == SITE]) - {""})


def test_a_period_that_the_recipe_lost_is_named(project: Path) -> None:
    recipe = project / "catalogs/tiny/recipe.yaml"
    recipe.write_text(recipe.read_text().replace('start: "2021"', 'start: "2022"'))
    done = run("catalog", cwd=project)
    assert done.returncode == 1
    assert "holds 2021, no period of the recipe: run `minebench compose`" in done.stderr


@pytest.mark.parametrize("content", [b"no parquet", None])
def test_a_damaged_table_of_splits_is_named(project: Path, content: bytes | None) -> None:
    path = project / "catalogs/tiny/stac/splits.parquet"
    if content is None:
        pd.DataFrame({"other": [1]}).to_parquet(path)
    else:
        path.write_bytes(content)
    done = run("tile", cwd=project)
    assert done.returncode == 1
    assert "splits.parquet" in done.stderr
    assert len(complaints(done)) == 1
