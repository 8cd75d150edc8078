"""What an interrupted or skipped stage leaves behind: the next one names it, or takes it up itself."""

import shutil
from pathlib import Path

import pytest
import zarr

from tests.conftest import contents, run

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
    assert done.stderr.count("\n") == 1
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
    """An archive that has nothing of a site and period: a row says so."""
    recipe = project / "catalogs/tiny/recipe.yaml"
    recipe.write_text(recipe.read_text().replace('end: "2023"', 'end: "2024"'))
    shutil.rmtree(project / "data/tiny/scenes")
    remove(project, "data/tiny/index/scenes.parquet")
    for path in (project / "data/tiny/archive" / SITE).rglob("*.json"):
        text = path.read_text()
        path.write_text(text.replace("2021-", "1991-").replace("2022-", "1992-").replace("2023-", "1993-"))
    done = run("fetch", cwd=project)
    assert done.returncode == 0, done.stderr


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


def test_where_no_period_is_clear_the_site_is_left_out_quietly_and_once(project: Path) -> None:
    """A site of which no image was kept has no masks and no collection; a second run has nothing to do."""
    recipe = project / "catalogs/tiny/recipe.yaml"
    recipe.write_text(recipe.read_text().replace("min_period_clear: 0.5", "min_period_clear: 1.0"))
    for stage in ("compose", "annotate", "tile", "catalog"):
        done = run(stage, cwd=project)
        if stage == "compose" and done.returncode:
            pytest.skip("no site has a whole image")
        assert done.returncode in (0, 2), done.stderr
        if done.returncode == 0 and stage != "tile":
            assert "up to date" in run(stage, cwd=project).stdout


def test_a_period_that_the_recipe_lost_is_named(project: Path) -> None:
    recipe = project / "catalogs/tiny/recipe.yaml"
    recipe.write_text(recipe.read_text().replace('start: "2021"', 'start: "2022"'))
    done = run("catalog", cwd=project)
    assert done.returncode == 1
    assert "holds 2021, no period of the recipe: run `minebench compose`" in done.stderr


@pytest.mark.parametrize("content", [b"no parquet", None])
def test_a_damaged_table_of_splits_is_named(project: Path, content: bytes | None) -> None:
    import pandas as pd

    path = project / "catalogs/tiny/stac/splits.parquet"
    if content is None:
        pd.DataFrame({"other": [1]}).to_parquet(path)
    else:
        path.write_bytes(content)
    done = run("tile", cwd=project)
    assert done.returncode == 1
    assert "splits.parquet" in done.stderr
    assert done.stderr.count("\n") == 1
