"""Every date its own image, however files are called."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import yaml
import zarr
from affine import Affine

from tests.conftest import run
from tests.e2e.test_archives import done

YEARS = (2021, 2022, 2023)
PLACES = {"Alpha": (14.223, 51.63), "Beta": (14.5, 51.2)}


def project(folder: Path, names: Sequence[str], places: Sequence[str] = ("Alpha",)) -> Path:
    """Images of one number each: 50, 100 and 150 for the years, and one more for each further place."""
    benchmark, images = folder / "catalogs/own", folder / "images"
    (benchmark / "mines").mkdir(parents=True)
    rows, mines = ["file,date"], ["name,lon,lat"]
    for number, place in enumerate(places):
        lon, lat = PLACES[place]
        mines.append(f"{place},{lon},{lat}")
        x, y = pyproj.Transformer.from_crs(4326, 32633, always_xy=True).transform(lon, lat)
        corner = Affine(10, 0, x // 20 * 20 - 1500, 0, -10, y // 20 * 20 + 1500)
        for year, name in zip(YEARS, names[number * 3 :], strict=False):
            path = images / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.full((3, 300, 300), 50 * (year - 2020) + number, np.uint8)
            with rasterio.open(
                path, "w", driver="GTiff", width=300, height=300, count=3, dtype="uint8", crs=32633,
                transform=corner,
            ) as file:  # fmt: skip
                file.write(pixels)
            rows.append(f"{name},{year}-06-01")
    (images / "dates.csv").write_text("\n".join(rows) + "\n")
    (benchmark / "mines/mines.csv").write_text("\n".join(mines) + "\n")
    recipe = {
        "title": "own", "citation": "",
        "sensor": {"bands": list("RGB"), "rgb": list("RGB"), "dtype": "uint8", "resolution": 10},
        "source": {"name": "local", "path": "images", "dates": "images/dates.csv",
                   "bands": {"R": 1, "G": 2, "B": 3}},
        "periods": {"unit": "year", "start": "2021", "end": "2023"},
        "selection": {"policy": "least_cloudy", "measure_shifts": False},
        "sites": {"mines": "mines.csv", "geometry": "extent", "point_radius_m": 400, "min_size_m": 960},
        "labels": {"source": "none"}, "tiling": {"size": 64}, "pairs": "all",
        "split": {"train": 1.0, "val": 0.0, "test": 0.0},
    }  # fmt: skip
    (benchmark / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "params.yaml").write_text("benchmarks: [own]\nworkers: 1\n")
    return folder


def medians(folder: Path) -> list[list[int]]:
    """Medians of each cube's images."""
    cubes = sorted((folder / "data/own/cubes").glob("*.zarr"))
    return [
        [int(np.median(image)) for image in zarr.open_group(cube, mode="r")["image"][:]] for cube in cubes
    ]


@pytest.mark.parametrize(
    "name",
    [
        "{}/mosaic.tif",
        "矿区航空影像东部采区第一号工作面正射影像图_{}.tif",
        "a" * 199 + "_{}.tif",
    ],
    ids=["folders", "cjk", "long"],
)
def test_every_date_has_its_own_pixels(name: str, tmp_path: Path) -> None:
    folder = project(tmp_path, [name.format(year) for year in YEARS])
    done(folder, "sites", "fetch", "compose")
    assert medians(folder) == [[50, 100, 150]]
    assert "up to date" in done(folder, "fetch")[0]


def test_sites_whose_files_have_the_same_names_are_read_again(tmp_path: Path) -> None:
    names = [f"site{number}/{year}.tif" for number in (0, 1) for year in YEARS]
    folder = project(tmp_path, names, list(PLACES))
    done(folder, "sites", "fetch")
    # What was kept is gone: another machine, or a cleared cache.
    shutil.rmtree(folder / "data/own/scenes")
    done(folder, "fetch", "compose")
    assert medians(folder) == [[50, 100, 150], [51, 101, 151]]


def test_what_an_earlier_version_took_for_one_scene_is_chosen_anew(tmp_path: Path) -> None:
    """Its table has one id for three dates."""
    folder = project(tmp_path, [f"{year}/mosaic.tif" for year in YEARS])
    done(folder, "sites", "fetch")
    (rows,) = folder.glob("data/own/scenes/*/scenes.parquet")
    for path in (rows, folder / "data/own/index/scenes.parquet"):
        pd.read_parquet(path).assign(scene_id="mosaic", href="mosaic.tif").to_parquet(path)
    done(folder, "fetch", "compose")
    assert medians(folder) == [[50, 100, 150]]
    assert "up to date" in done(folder, "fetch")[0]


def test_a_table_that_names_files_without_their_folders_still_holds(tmp_path: Path) -> None:
    folder = project(tmp_path, [f"{year}/mosaic_{year}.tif" for year in YEARS])
    done(folder, "sites", "fetch")
    (site,) = folder.glob("data/own/scenes/*")
    for path in (site / "scenes.parquet", folder / "data/own/index/scenes.parquet"):
        table = pd.read_parquet(path)
        ids = table.scene_id.str.partition("/")[2]
        table.assign(scene_id=ids, href=ids + ".tif").to_parquet(path)
    for path in [*site.glob("*.tif"), site / "receipt.json", site / "SHA256SUMS"]:
        path.unlink()
    done(folder, "fetch", "compose")
    assert medians(folder) == [[50, 100, 150]]
    table = pd.read_parquet(folder / "data/own/index/scenes.parquet")
    assert table.scene_id.tolist() == [f"mosaic_{year}" for year in YEARS]


def test_images_that_cover_no_site_are_an_error_of_fetch(tmp_path: Path) -> None:
    folder = project(tmp_path, ["a.tif", "b.tif", "c.tif"])
    (folder / "catalogs/own/mines/mines.csv").write_text("name,lon,lat\nElsewhere,20,50\n")
    done(folder, "sites")
    refused = run("fetch", cwd=folder)
    assert refused.returncode == 1
    assert "Source local has no scene of any site in any period" in refused.stderr


def test_a_period_without_any_image_says_so(tmp_path: Path) -> None:
    folder = project(tmp_path, ["a.tif", "b.tif"])
    done(folder, "sites", "fetch", "compose")
    composites = pd.read_parquet(folder / "data/own/index/composites.parquet")
    assert composites.reason.tolist() == ["", "", "no scene was found"]
    log = (folder / "data/own/logs/compose.log").read_text()
    assert "Warning" not in log


def test_files_that_differ_by_their_suffix_alone_are_refused(tmp_path: Path) -> None:
    folder = project(tmp_path, ["a.tif", "a.tiff", "b.tif"])
    done(folder, "sites")
    refused = run("fetch", cwd=folder)
    assert refused.returncode == 2
    assert "a.tif and" in refused.stderr
    assert "differ by their suffix alone: rename one" in refused.stderr
    assert not list(folder.glob("data/own/scenes/*/*.tif"))
