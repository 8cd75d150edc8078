"""A trained run as a monitor: new sites without labels in one command, a year later one year more."""

import json
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio

from tests.conftest import contents, run

LIST = "name,longitude,latitude,country\nDelta,15.2,45.1,HRV\n"


@pytest.fixture(scope="module")
def trained(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = Path(shutil.copytree(built, tmp_path_factory.mktemp("region") / "project"))
    for words in (["train"], ["evaluate", "--threshold", "0.4"]):
        done = run(*words, "--model", "unet", cwd=project)
        assert done.returncode == 0, done.stderr
    (project / "new.csv").write_text(LIST)
    # For the regions: two scenes a period are enough.
    recipe = project / "catalogs/tiny/recipe.yaml"
    recipe.write_text(recipe.read_text().replace("scenes_per_period: 4", "scenes_per_period: 2"))
    return project


@pytest.fixture(scope="module")
def moved(trained: Path) -> Path:
    """The project with a region `moved`, whose change a change model predicted."""
    for stage in ("train", "evaluate"):
        assert (done := run(stage, "--model", "cva", cwd=trained)).returncode == 0, done.stderr
    words = ("--model", "cva", "--mines", "new.csv", "--name", "moved", "--since", "2021")
    done = run("predict", *words, cwd=trained)
    assert done.returncode == 0, done.stderr
    return trained


def predict(project: Path, *words: str) -> str:
    done = run("predict", "--model", "unet", "--mines", "new.csv", *words, cwd=project)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_new_sites_in_one_command_and_a_year_more(trained: Path) -> None:
    said = predict(trained, "--until", "2022")
    region = trained / "data/tiny-new"
    assert "predicted 1 site" in said
    assert str(Path("data/tiny-new/monitor/index.html")) in said
    table = gpd.read_parquet(region / "predictions/unet/footprints.parquet")
    assert table.crs.to_epsg() == 4326
    assert set(table.t1) == {"2021", "2022"}
    assert set(table.threshold) == {0.4}
    for row in table.itertuples():
        with rasterio.open(region / f"predictions/unet/{row.site_id}/{row.t1}.tif") as file:
            percent, pixel = file.read(1), abs(file.transform.a * file.transform.e) / 1e6
        # Per cent is rounded: what lies next to the threshold may fall on either side of it.
        sure = ((percent > 40) & (percent != 255)).sum() * pixel
        unsure = (percent == 40).sum() * pixel
        assert sure - 1e-9 <= row.area_km2 <= sure + unsure + 1e-9
        assert row.known_km2 == pytest.approx((percent != 255).sum() * pixel)
    page = (region / "monitor/index.html").read_text()
    assert "from 2021 to 2022" in page
    assert "Delta" in page
    assert "synthetic" in page
    collection = pystac.Collection.from_file(str(region / "predictions/unet/collection.json"))
    assert "footprints" in collection.assets
    before = contents(region / "scenes")

    said = predict(trained)  # again, with the recipe's own last year
    assert "predicted 1 site" in said
    after = contents(region / "scenes")
    kept = [name for name in before if name.endswith(".tif")]
    assert kept
    assert all(after[name] == before[name] for name in kept)
    assert set(gpd.read_parquet(region / "predictions/unet/footprints.parquet").t1) == {
        "2021",
        "2022",
        "2023",
    }
    intervals = pd.read_parquet(region / "index/activity/intervals.parquet")
    assert set(intervals.source) == {"unet"}
    assert "from 2022 to 2023" in (region / "monitor/index.html").read_text()

    said = predict(trained, "--since", "2024")
    assert set(gpd.read_parquet(region / "predictions/unet/footprints.parquet").t1) == {
        "2021", "2022", "2023", "2024"
    }  # fmt: skip
    assert "all sites are up to date" in predict(trained, "--since", "2024")
    # The benchmark itself is as it was, and the region has no scores.
    assert not (region / "runs/unet/metrics.json").exists()
    assert "dates:" not in (trained / "catalogs/tiny/recipe.yaml").read_text()


def test_change_models_give_change(moved: Path) -> None:
    table = gpd.read_parquet(moved / "data/moved/predictions/cva/footprints.parquet")
    assert set(table.kind) == {"change"}
    assert set(zip(table.t1, table.t2, strict=True)) == {("2021", "2022"), ("2022", "2023")}
    assert np.isfinite(table.area_km2).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "unet", "--mines", "none.csv"], "There is no file none.csv"),
        (["--model", "bit", "--mines", "new.csv"], "train bit first"),
        (["--model", "unet", "--mines", "new.csv", "--name", "tiny"], "is a benchmark of its own"),
        (["--model", "unet", "--mines", "new.csv", "--name", "x", "--since", "soon"], "--since soon"),
        (
            ["--model", "unet", "--mines", "new.csv", "--name", "x", "--since", "2023"],
            "2023 alone shows no change",
        ),
        (["--model", "unet", "--mines", "new.csv", "--split", "all"], "do not go with --mines"),
        (["--model", "unet", "--since", "2024"], "go with --mines"),
    ],
)
def test_wrong_words_are_one_sentence(trained: Path, words: list[str], said: str) -> None:
    done = run("predict", *words, cwd=trained)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (trained / "catalogs/x").exists()


def test_another_list_is_another_region(moved: Path) -> None:
    (moved / "new.csv").write_text(LIST + "Zeta,20.1,50.2,POL\n")
    done = run("predict", "--model", "cva", "--mines", "new.csv", "--name", "moved", cwd=moved)
    (moved / "new.csv").write_text(LIST)
    assert done.returncode == 2
    assert "is of another list" in done.stderr
    assert json.loads((moved / "catalogs/moved/region.json").read_text()) == {"of": "tiny"}
