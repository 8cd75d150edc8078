"""A list of sources: the next is asked for what those before it lack."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import run
from tests.e2e.test_archives import cube, done, scenes
from tests.standins.small_stac import Archive, ground

OLD = {"s2:processing_baseline": "02.14"}
CLEAR, HALF, CLOUDY = 5, 3, 9
"""Scene classes of a granule: vegetation, shadow in its western half, cloud."""


def add(
    archive: Archive, name: str, day: str, properties: dict[str, Any] = OLD, cover: int = CLEAR, **more: Any
) -> Path:
    """A scene whose numbers follow from its day: two archives have the same product."""
    classes = np.full((80, 80), CLEAR if cover == HALF else cover, np.uint8)
    if cover == HALF:
        classes[:, :40] = HALF
    numbers = ground(int(day.replace("-", "")))
    return archive.add(name, f"{day}T14:49:00Z", numbers, properties, classes=classes, **more)


def archives(folder: Path, count: int = 2) -> list[Archive]:
    return [Archive(folder / name) for name in "abc"[:count]]


def project(
    members: Sequence[Archive], years: Sequence[int], options: Sequence[dict[str, Any]] = (), **selection: Any
) -> Path:
    """The project of the first archive, whose recipe lists them all."""
    for archive in members[1:]:
        archive.project(years)
    folder = members[0].project(years, **selection)
    more = list(options) or [{}] * len(members)
    list_sources(folder, [
        {"name": "stac", "href": str(archive.folder / "stac/catalog.json"), **own}
        for archive, own in zip(members, more, strict=True)
    ])  # fmt: skip
    return folder


def list_sources(folder: Path, sources: Any) -> None:
    path = folder / "catalogs/mini/recipe.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "source": sources}))


def chosen(folder: Path) -> dict[str, list[str]]:
    """The chosen scenes' ids by source."""
    table = scenes(folder)
    return {label: list(rows.index) for label, rows in table[table.selected].groupby("source")}


def test_the_next_source_gives_the_periods_and_days_that_the_first_lacks(tmp_path: Path) -> None:
    """A has no 2020, a cloudy 2021 and a scene of 2022 whose files are gone, one of its two days there."""
    first, second = archives(tmp_path)
    add(first, "a19", "2019-07-01")
    add(first, "a21", "2021-07-01", cover=CLOUDY)
    add(first, "a22_1", "2022-07-01")
    gone = add(first, "a22_2", "2022-08-01")
    for path in gone.glob("B*.tif"):
        path.unlink()
    for day in ("2019-07-01", "2019-09-01", "2020-07-01", "2021-07-01", "2021-08-01", "2022-09-01"):
        add(second, f"b{day[2:]}", day)
    add(second, "a22_2", "2022-08-01")
    folder = project([first, second], range(2019, 2023))
    _, said, _ = done(folder, "sites", "fetch", "compose")
    assert "chosen scenes: 2 from stac, 3 from stac-2" in said
    assert chosen(folder) == {
        "stac": ["a19", "a22_1"],
        "stac-2": ["b20-07-01", "b21-08-01", "a22_2"],
    }
    table = scenes(folder)
    assert table[~table.selected].status.to_dict() == {"a21": "not_clear", "a22_2": "flawed"}
    # The same scenes from one archive make the same cube.
    whole = Archive(tmp_path / "whole")
    for name, day in [("a19", "2019-07-01"), ("b20-07-01", "2020-07-01"), ("b21-08-01", "2021-08-01"),
                      ("a22_1", "2022-07-01"), ("a22_2", "2022-08-01")]:  # fmt: skip
        add(whole, name, day)
    single = whole.project(range(2019, 2023))
    done(single, "sites", "fetch", "compose")
    np.testing.assert_array_equal(cube(folder), cube(single))


def test_further_sources_leave_alone_what_lacks_nothing(tmp_path: Path) -> None:
    first, second = archives(tmp_path)
    add(first, "a19", "2019-07-01")
    add(second, "b19", "2019-06-01")
    add(second, "b20", "2020-07-01")
    folder = project([first, second], (2019, 2020))
    both = yaml.safe_load((folder / "catalogs/mini/recipe.yaml").read_text())["source"]
    list_sources(folder, both[0])
    done(folder, "sites", "fetch")
    before = scenes(folder)
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("data/mini/scenes/*/a19*.tif")}
    assert kept
    # What would be chosen were it chosen anew.
    add(first, "a19_2", "2019-06-01")
    add(second, "b19_2", "2019-08-01")
    for archive in (first, second):
        archive.project((2019, 2020))
    list_sources(folder, both)
    assert "fetched 1 site" in done(folder, "fetch")[0]
    after = scenes(folder)
    assert chosen(folder) == {"stac": ["a19"], "stac-2": ["b20"]}
    pd.testing.assert_series_equal(after.loc["a19"].drop("choice"), before.loc["a19"].drop("choice"))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert "all sites are up to date" in done(folder, "fetch")[0]


@pytest.mark.parametrize(("least", "names"), [(0.4, ["a"]), (0.9, ["a", "b"])])
def test_a_period_that_is_not_covered_lacks_an_image(least: float, names: list[str], tmp_path: Path) -> None:
    first, second = archives(tmp_path)
    add(first, "a", "2020-07-01", cover=HALF)
    add(second, "a again", "2020-07-01")
    add(second, "b", "2020-08-01")
    folder = project([first, second], [2020], min_period_clear=least)
    done(folder, "sites", "fetch")
    assert [name for of_source in chosen(folder).values() for name in of_source] == names


def test_a_scene_whose_offset_nothing_tells_is_taken_from_a_source_that_says_it(tmp_path: Path) -> None:
    first, second = archives(tmp_path)
    add(first, "same", "2023-07-01", {})
    add(second, "same", "2023-07-01", OLD)
    folder = project([first, second], [2023], offset="skip")
    done(folder, "sites", "fetch", "compose")
    table = scenes(folder).set_index("source")
    assert table.status.to_dict() == {"stac": "undecided", "stac-2": "chosen"}
    (file,) = folder.glob("data/mini/scenes/*/same_10m*.tif")
    assert file.name == "same_10m.tif"


def test_levels_do_not_mix_and_the_higher_one_is_looked_for_first(tmp_path: Path) -> None:
    """2020 has Level-2A in the third source alone, 2021 in none."""
    first, second, third = archives(tmp_path, 3)
    add(first, "cloudy", "2020-06-01", cover=CLOUDY)
    add(second, "lower", "2020-07-01", collection="sentinel-2-l1c")
    add(second, "lower 21", "2021-07-01", collection="sentinel-2-l1c")
    add(third, "higher", "2020-08-01")
    folder = project([first, second, third], (2020, 2021))
    done(folder, "sites", "fetch")
    assert scenes(folder).status.to_dict() == {
        "cloudy": "not_clear", "lower": "other_level", "higher": "chosen", "lower 21": "chosen",
    }  # fmt: skip


def test_what_the_recipe_excludes_does_not_come_from_elsewhere(tmp_path: Path) -> None:
    first, second = archives(tmp_path)
    add(first, "a", "2020-07-01")
    add(second, "a again", "2020-07-01")
    add(second, "b", "2020-08-01")
    folder = project([first, second], [2020], exclude=["a"])
    done(folder, "sites", "fetch")
    assert chosen(folder) == {"stac-2": ["b"]}


STAC = {"name": "stac", "href": "catalog.json"}


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ([], "the list is empty"),
        ([STAC, {"name": "stac"}], "source 2 of the list: href"),
        ([STAC, {"name": "synthetic"}], "synthetic cannot be one of several sources"),
        ([STAC, {**STAC, "collections": ["landsat-c2-l2"]}], "source 2, stac, gives Landsat"),
        ([STAC, [STAC]], "source 2 of the list: name is missing"),
        (
            [STAC, {"name": "earthengine", "cloud": "cloud_score_plus"}],
            "the sources of a list must give one sensor with one kind of mask",
        ),
    ],
)
def test_lists_that_cannot_be_are_refused(sources: Any, sentence: str, tmp_path: Path) -> None:
    folder = Archive(tmp_path)
    add(folder, "a", "2020-07-01")
    place = folder.project([2020])
    list_sources(place, sources)
    finished = run("sites", cwd=place)
    assert finished.returncode == 2
    assert sentence in finished.stderr
    assert "Traceback" not in finished.stderr
