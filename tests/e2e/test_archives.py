"""What public archives do, from the catalogue to the numbers in a cube; the catalogs are made."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
import zarr
from affine import Affine
from rasterio.warp import Resampling, reproject

from tests.conftest import contents, run
from tests.standins.small_stac import (
    EPSG,
    KEYS,
    LEVELS,
    NEIGHBOUR,
    SIDE,
    Archive,
    corner,
    ground,
    scene_medians,
)

OLD, NEW, NEWEST = ({"s2:processing_baseline": version} for version in ("02.12", "04.00", "05.11"))
APPLIED, NOT_APPLIED = ({"earthsearch:boa_offset_applied": applied} for applied in (True, False))
EARTH_SEARCH = {"raster:bands": [{"nodata": 0, "data_type": "uint16", "scale": 1e-4, "offset": -0.1}]}


def done(project: Path, *stages: str) -> list[str]:
    """Run stages that succeed; return what each said."""
    said = []
    for stage in stages:
        finished = run(stage, cwd=project)
        assert finished.returncode == 0, finished.stderr
        said.append(finished.stdout)
    return said


def scenes(project: Path) -> pd.DataFrame:
    return pd.read_parquet(project / "data/mini/index/scenes.parquet").set_index("scene_id")


def cube(project: Path) -> np.ndarray:
    (path,) = (project / "data/mini/cubes").glob("*.zarr")
    return zarr.open_group(path, mode="r")["reflectance"][:]


def about(levels: tuple[int, ...] = LEVELS) -> object:
    return pytest.approx(list(levels), abs=50)


@pytest.mark.parametrize(("pond", "dark"), [(0.0, 0), (0.15, 700)])
def test_wrong_flags_over_bright_ground_are_found(pond: float, dark: int, tmp_path: Path) -> None:
    """Element84/earth-search 66 and 71: two years say that the offset is still in, and it is not; one says
    that it is out, and it is not."""
    says = {
        2019: (OLD | NOT_APPLIED, 0), 2020: (OLD | NOT_APPLIED, 0), 2021: (OLD | NOT_APPLIED, 0),
        2022: (NEW | NOT_APPLIED, 0), 2023: (NEWEST | APPLIED, 0), 2024: (NEWEST | APPLIED, 1000),
        2025: (NEWEST | NOT_APPLIED, 0), 2026: (NEWEST | NOT_APPLIED, 1000),
    }  # fmt: skip
    archive = Archive(tmp_path)
    for year, (properties, offset) in says.items():
        numbers = ground(year, pond, dark) + np.uint16(offset)
        archive.add(f"S2B_{year}", f"{year}-07-15T14:49:00Z", numbers, properties, stated=EARTH_SEARCH)
    project = archive.project(list(says))
    done(project, "sites", "fetch")
    table = scenes(project)
    assert table.offset.to_dict() == {f"S2B_{year}": offset for year, (_, offset) in says.items()}
    told = dict(zip(says, table.offset_from.str.partition(" (")[0], strict=True))
    assert told == {
        **dict.fromkeys((2019, 2020, 2021), "metadata, not compared"),
        **dict.fromkeys((2022, 2024, 2025), "pixels, against metadata"),
        **dict.fromkeys((2023, 2026), "metadata, pixels agree"),
    }
    assert all(levels == about() for levels in scene_medians(project).values())
    files = contents(project / "data/mini/scenes")
    assert not [name for name in files if "as-stored" in name]
    # Read again from the table, whose offsets are known by then.
    shutil.rmtree(project / "data/mini/scenes")
    done(project, "fetch")
    assert contents(project / "data/mini/scenes") == files


@pytest.mark.parametrize(("rule", "used"), [("trust", True), ("skip", False)])
@pytest.mark.parametrize("known", [True, False], ids=["dates to compare", "none"])
def test_a_scene_of_two_periods_that_overlap_has_one_offset(
    rule: str, used: bool, known: bool, tmp_path: Path
) -> None:
    archive = Archive(tmp_path)
    for year in (2019, 2020, 2021) if known else ():
        archive.add(f"S2B_{year}", f"{year}-07-15T14:49:00Z", ground(year), OLD)
    archive.add("S2B_2023", "2023-07-15T14:49:00Z", ground(1), NEWEST | NOT_APPLIED)
    project = archive.project([2019, 2023], offset=rule)
    recipe = project / "catalogs/mini/recipe.yaml"
    content = yaml.safe_load(recipe.read_text())
    content["periods"] = {"spans": {
        "before": ["2019-01-01", "2021-12-31"], "summer": ["2023-06-01", "2023-08-31"],
        "year": ["2023-01-01", "2023-12-31"],
    }}  # fmt: skip
    recipe.write_text(yaml.safe_dump(content, sort_keys=False))
    done(project, "sites", "fetch")
    table = scenes(project).loc[["S2B_2023"]]
    assert set(table.period) == {"summer", "year"}
    assert len(set(table.offset_from)) == 1
    assert table.selected.tolist() == [known or used] * 2
    assert table.offset.tolist() == [0 if known else 1000] * 2
    assert not list(project.glob("data/mini/scenes/*/*as-stored*"))
    if known:
        assert scene_medians(project)["S2B_2023"] == about()


def test_a_scene_that_is_clear_over_the_bright_part_only_keeps_its_numbers(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    forest, rock = ground(1, dark=300, pond=1.0), ground(1)
    left = np.arange(SIDE) < SIDE // 2
    for year in range(2019, 2025):
        numbers = np.where(left, forest, rock + np.uint16(1000)).astype(np.uint16)
        classes = np.full((SIDE // 2, SIDE // 2), 5, np.uint8)
        if year == 2023:
            classes[:, : SIDE // 4] = 9
        words = OLD | NOT_APPLIED if year < 2022 else NEWEST | APPLIED
        archive.add(f"S2B_{year}", f"{year}-07-15T14:49:00Z", numbers, words, classes=classes)
    project = archive.project(range(2019, 2025))
    done(project, "sites", "fetch")
    table = scenes(project)
    assert (table.offset == 0).all()
    assert "pixels agree" in table.offset_from["S2B_2023"]


def test_negative_reflectance_is_no_reason_to_doubt(tmp_path: Path) -> None:
    """A third of the site is water a little below zero, which is what the offset was introduced for;
    Planetary Computer's numbers are ESA's."""
    archive = Archive(tmp_path)
    for year in range(2020, 2024):
        late = year >= 2022
        numbers = ground(year, pond=0.3, dark=300).astype(int)
        numbers[3][numbers[0] < 400] = -10
        numbers = np.clip(numbers + (1000 if late else 0), 1, None).astype(np.uint16)
        archive.add(f"S2B_{year}", f"{year}-07-15T14:49:00Z", numbers, NEWEST if late else OLD)
    project = archive.project(range(2020, 2024))
    done(project, "sites", "fetch")
    assert scenes(project).offset.tolist() == [0, 0, 1000, 1000]


@pytest.mark.parametrize(
    ("of_year", "stated", "words"),
    [
        (lambda late: {"processing:version": "05.11" if late else "02.14"}, {"raster:offset": -0.1},
         "metadata"),
        (lambda late: {"sentinel:processing_baseline": "04.00" if late else "02.14",
                       "sentinel:boa_offset_applied": False}, {}, "metadata"),
        (lambda late: {"s2:product_uri": f"S2B_MSIL2A_X_N{'0511' if late else '0214'}_R139"}, {}, "metadata"),
        (lambda late: {}, {}, "pixels"),
    ],
    ids=["Copernicus Data Space", "Earth Search v0", "by the product's name", "no word"],
)  # fmt: skip
def test_a_baseline_that_other_words_name(of_year, stated: dict, words: str, tmp_path: Path) -> None:
    keys = {band: f"{band}_{20 if band == 'SCL' else 10}m" for band in KEYS}
    archive = Archive(tmp_path)
    for year in range(2019, 2025):
        late = year >= 2022
        numbers = ground(year, pond=0.08) + np.uint16(1000 if late else 0)
        name = f"S2B_{year}"
        archive.add(name, f"{year}-07-15T14:47:29Z", numbers, of_year(late), keys=keys, stated=stated)
    assets = {band: key for band, key in keys.items() if band != "SCL"}
    project = archive.project(range(2019, 2025), {"assets": assets, "mask": keys["SCL"]})
    done(project, "sites", "fetch")
    table = scenes(project)
    assert table.offset.tolist() == [0, 0, 0, 1000, 1000, 1000]
    assert all(levels == about() for levels in scene_medians(project).values())
    assert table.offset_from.str.contains(words).all()


@pytest.mark.parametrize(("rule", "used"), [("trust", True), ("skip", False)])
def test_a_scene_of_which_nothing_tells_is_used_or_not_as_the_recipe_says(
    rule: str, used: bool, tmp_path: Path
) -> None:
    """Bright ground, and no date to compare with."""
    archive = Archive(tmp_path)
    archive.add("S2B_2023", "2023-07-15T14:49:00Z", ground(1) + np.uint16(1000), NEWEST | NOT_APPLIED)
    archive.add("S2B_2024", "2024-07-15T14:49:00Z", ground(2) + np.uint16(1000), NEWEST)
    archive.items[1]["properties"]["eo:cloud_cover"] = 99
    path = tmp_path / "stac/S2B_2024/S2B_2024.json"
    path.write_text(path.read_text().replace('"eo:cloud_cover": 2.0', '"eo:cloud_cover": 99'))
    project = archive.project([2023, 2024], offset=rule)
    _, said = done(project, "sites", "fetch")
    row = scenes(project).loc["S2B_2023"]
    assert bool(row.selected) == used
    if used:
        assert row.offset == 1000
        assert row.offset_from.startswith("undecided: s2:processing_baseline 05.11, boa_offset_applied false")
        assert "undecided scenes: 1 (nothing tells for sure" in said
        assert scene_medians(project)["S2B_2023"] == about()
    else:
        assert row.status == "undecided"
        assert "cannot be told" in row.reason
        assert "they are not used, selection.offset: skip" in said
        assert not scene_medians(project)
    again = done(project, "fetch")
    assert "up to date" in again[0]


def test_where_the_best_scene_is_not_usable_the_next_one_is_taken(tmp_path: Path) -> None:
    """An item without most of its assets, files that are gone, numbers that have turned over (Element84/
    earth-search 36 and 78, microsoft/PlanetaryComputer 264)."""
    archive = Archive(tmp_path)
    archive.add("A_usable", "2021-07-05T14:49:00Z", ground(1), OLD)
    archive.add("B_incomplete", "2021-07-15T14:49:00Z", ground(2), OLD, lacks=("SCL", "B02"))
    gone = archive.add("C_gone", "2021-07-25T14:49:00Z", ground(3), OLD)
    for path in gone.glob("B*.tif"):
        path.unlink()
    archive.add("D_turned_over", "2021-08-05T14:49:00Z", ground(4) + np.uint16(62_000), OLD)
    archive.add("E_constant", "2021-08-15T14:49:00Z", np.stack([np.full((SIDE, SIDE), 700, np.uint16),
                                                               *ground(5)[1:]]), OLD)  # fmt: skip
    archive.add("F_other_year", "2022-08-15T14:49:00Z", ground(6), OLD)
    project = archive.project([2021, 2022], policy="least_cloudy")
    # Of days that are as clear the earliest is chosen: let it be the last.
    path = tmp_path / "stac/A_usable/A_usable.json"
    path.write_text(path.read_text().replace("2021-07-05", "2021-09-05"))
    _, said, _ = done(project, "sites", "fetch", "compose")
    table = scenes(project)
    assert table.status.to_dict() == {
        "B_incomplete": "flawed", "C_gone": "flawed", "D_turned_over": "flawed", "E_constant": "flawed",
        "A_usable": "chosen", "F_other_year": "chosen",
    }  # fmt: skip
    assert "no asset for B02 (blue), SCL (scl)" in table.reason["B_incomplete"]
    assert "cannot be read" in table.reason["C_gone"]
    assert "turned over" in table.reason["D_turned_over"]
    assert "band B02 has the same number everywhere" in table.reason["E_constant"]
    assert "unusable scenes: 4" in said
    assert "up to date" in done(project, "fetch")[0]
    assert [int(np.median(image[0])) for image in cube(project)] == about((LEVELS[0],) * 2)


def test_a_source_without_a_usable_scene_is_an_error_of_fetch(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    for year in (2021, 2022):
        archive.add(f"S2B_{year}", f"{year}-07-15T14:49:00Z", ground(year), OLD, lacks=("B03",))
    project = archive.project([2021, 2022])
    done(project, "sites")
    for _ in range(2):
        failed = run("fetch", cwd=project)
        assert failed.returncode == 1
        assert "None of the 2 scenes of source stac can be used: " in failed.stderr
        assert "the item has no asset for B03 (green)" in failed.stderr
    # It was no choice: what was missing is looked for again.
    for path in (tmp_path / "stac").glob("*/*.json"):
        item = json.loads(path.read_text())
        item["assets"]["green"] = {**item["assets"]["red"], "href": "./B03.tif"}
        path.write_text(json.dumps(item))
    done(project, "fetch")
    assert scenes(project).status.tolist() == ["chosen", "chosen"]


def test_excluding_a_scene_opens_its_own_period_only(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    for year in (2021, 2022):
        for month in (6, 7):
            archive.add(f"S2B_{year}_{month}", f"{year}-0{month}-15T14:49:00Z", ground(year + month), OLD)
    project = archive.project([2021, 2022], policy="least_cloudy")
    done(project, "sites", "fetch")
    first = scenes(project)
    assert first[first.selected].index.tolist() == ["S2B_2021_6", "S2B_2022_6"]
    # A better scene that has come since is not looked at where nothing is opened.
    later = archive.add("S2B_2021_5", "2021-05-15T14:49:00Z", ground(9), OLD)
    recipe = project / "catalogs/mini/recipe.yaml"
    archive.project([2021, 2022], policy="least_cloudy", exclude=["S2B_2022_6"])
    done(project, "fetch")
    table = scenes(project)
    assert table[table.selected].index.tolist() == ["S2B_2021_6", "S2B_2022_7"]
    assert later.name not in table.index
    assert table.status["S2B_2022_6"] == "excluded"
    assert "up to date" in done(project, "fetch")[0]
    content = yaml.safe_load(recipe.read_text())
    del content["selection"]["exclude"]
    recipe.write_text(yaml.safe_dump(content, sort_keys=False))
    done(project, "fetch")
    assert scenes(project).checksum.equals(first.checksum)


def test_of_granules_of_one_pass_the_sites_own_is_not_resampled(tmp_path: Path) -> None:
    """cmosig/sentle 26: the granule of the next UTM zone is listed first."""
    archive, own = Archive(tmp_path), ground(1)
    side = 2 * SIDE
    left, top = corner(EPSG)
    there = corner(NEIGHBOUR, side)
    other = np.zeros((4, side, side), np.uint16)
    for band, target in zip(own, other, strict=True):
        reproject(
            band, target, resampling=Resampling.nearest, src_nodata=0, dst_nodata=0,
            src_transform=Affine(10, 0, left, 0, -10, top), src_crs=f"EPSG:{EPSG}",
            dst_transform=Affine(10, 0, there[0], 0, -10, there[1]), dst_crs=f"EPSG:{NEIGHBOUR}",
        )  # fmt: skip
    seen = np.where(other[0][::2, ::2] > 0, 5, 0).astype(np.uint8)
    archive.add("S2B_T20JKT", "2020-07-15T14:49:05Z", other, OLD, classes=seen, epsg=NEIGHBOUR)
    archive.add("S2B_T19JDN", "2020-07-15T14:49:08Z", own, OLD)
    project = archive.project([2020, 2020])
    done(project, "sites", "fetch", "compose")
    assert scenes(project).on_grid.to_dict() == {"S2B_T20JKT": False, "S2B_T19JDN": True}
    image = cube(project)[0]
    kept = {tuple(pixel) for pixel in own.reshape(4, -1).T}
    assert {tuple(pixel) for pixel in image.reshape(4, -1).T} <= kept


def test_of_two_products_of_one_acquisition_the_newest_counts_once(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    stem, when = "S2B_MSIL2A_20200715T144729_R139_T19JDN", "2020-07-15T14:47:29.024Z"
    archive.add(f"{stem}_20200716T000000", when, ground(1), OLD)
    reprocessed = (ground(1) * 1.1).astype(np.uint16) + np.uint16(1000)
    archive.add(f"{stem}_20230401T000000", when, reprocessed, {"s2:processing_baseline": "05.00"})
    project = archive.project([2020, 2020])
    done(project, "sites", "fetch", "compose")
    found = [int(np.median(band)) for band in cube(project)[0]]
    assert found == about(tuple(round(1.1 * level) for level in LEVELS))
    composites = pd.read_parquet(project / "data/mini/index/composites.parquet")
    assert composites.days.tolist() == [1]
