"""`check` names what is not as published."""

import json
from pathlib import Path

import pandas as pd
import pytest

from minebench.errors import WorkError
from minebench.layout import BenchmarkPaths
from pipeline.stac import check
from tests.conftest import run
from tests.pipeline.stac.published_items import items_of


def test_an_item_outside_its_period_is_found(project: Path) -> None:
    path, content = items_of(project)[0]
    content["properties"]["start_datetime"] = "2001-01-01T00:00:00Z"
    path.write_text(json.dumps(content))
    done = run("check", cwd=project)
    assert done.returncode == 1
    assert "1 items outside their period" in done.stderr
    assert "2001-01-01T00:00:00Z is not within" in done.stderr


def test_check_passes_and_counts(built: Path) -> None:
    done = run("check", cwd=built)
    assert done.returncode == 0, done.stderr
    assert "files are as published" in done.stdout


@pytest.mark.parametrize(
    ("links", "says"),
    [
        ([{"rel": "child", "href": 5}], "not a STAC object"),
        ([{"rel": "child", "href": "."}], "1 missing"),
        ([{"rel": "describedby", "href": "./a", "file:checksum": 5}], "a field is missing or is not what"),
        ([{"rel": "child", "href": "./below/c.json"}], "1 invalid STAC"),
    ],
)
def test_a_catalog_with_anything_in_it_is_looked_through(
    links: list[object], says: str, tmp_path: Path
) -> None:
    """Links that lead in a circle, too."""
    benchmark = BenchmarkPaths("tiny", tmp_path)
    (benchmark.stac / "below").mkdir(parents=True)
    root = {"type": "Catalog", "id": "a", "stac_version": "1.1.0", "description": "a", "links": links}
    up = [{"rel": "child", "href": "../catalog.json"}]
    (benchmark.stac / "catalog.json").write_text(json.dumps(root))
    (benchmark.stac / "below/c.json").write_text(json.dumps({**root, "id": 5, "type": "x", "links": up}))
    with pytest.raises(WorkError, match=says):
        check.check(benchmark)


COLLECTION = "catalogs/tiny/stac/*/collection.json"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def stale_index(project: Path) -> None:
    """Another run of `tile` would have written this index: its checksum is right, its counts not."""
    path = project / "data/tiny/index/pairs.parquet"
    pairs = pd.read_parquet(path)
    pairs.loc[0, "expanded"] += 1
    pairs.to_parquet(path, index=False)
    assert run("catalog", cwd=project).returncode == 0


def changed_card(project: Path) -> None:
    path = project / "catalogs/tiny/stac/README.md"
    path.write_text(path.read_text().replace("synthetic", "authentic"))


def lost_croissant(project: Path) -> None:
    (project / "catalogs/tiny/stac/croissant.json").unlink()


def invalid(project: Path) -> None:
    path = sorted(project.glob("catalogs/tiny/stac/*/2021/*_2021.json"))[0]
    content = json.loads(path.read_text())
    del content["geometry"]
    path.write_text(json.dumps(content))


def cube_file(project: Path) -> Path:
    return next(
        path for path in sorted(project.glob("data/tiny/cubes/*/reflectance/c/**/0")) if path.is_file()
    )


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda p: flip(cube_file(p)), "1 damaged:\n.*reflectance"),
        (lambda p: flip(next(p.glob("catalogs/tiny/stac/*/2021/visual.tif"))), "damaged:\n.*visual.tif"),
        (lambda p: cube_file(p).unlink(), "1 missing:\n.*reflectance"),
        (lambda p: next(p.glob("catalogs/tiny/stac/*/2022/thumbnail.png")).unlink(), "1 missing:\n.*thumb"),
        (lambda p: next(p.glob(COLLECTION)).unlink(), "1 missing:\n.*collection"),
        (lambda p: next(p.glob(COLLECTION)).write_text("{"), "1 damaged:\n.*not a STAC"),
        (lambda p: flip(p / "data/tiny/index/pairs.parquet"), "1 damaged:\n.*pairs.parquet"),
        (stale_index, "1 stale or wrong in the index:\n.*differs from its cube"),
        (invalid, "1 invalid STAC:\n"),
        (changed_card, "1 damaged:\n.*README.md"),
        (lost_croissant, "1 missing:\n.*croissant.json"),
    ],
)  # fmt: skip
def test_check_finds_damage_and_lists_it(project: Path, damage, says: str) -> None:
    damage(project)
    with pytest.raises(WorkError, match=says):
        check.check(BenchmarkPaths("tiny", project))


@pytest.mark.parametrize("together", [True, False])
def test_pairs_are_checked_in_parts_of_the_table(
    project: Path, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    """Whatever the parts; a site whose rows do not stand together is named, and none is left out."""
    benchmark = BenchmarkPaths("tiny", project)
    pairs = pd.read_parquet(benchmark.table("pairs"))
    if not together:
        pairs = pd.concat([pairs[1:], pairs[:1]], ignore_index=True)
    wrong = pairs.index[-2]
    pairs.loc[wrong, "changed"] += 1
    parts = [pairs[start : start + 5] for start in range(0, len(pairs), 5)]
    monkeypatch.setattr(check.tables, "batches", lambda *_: iter(parts))
    found = list(check._stale(benchmark))
    assert sum("differs from its cube" in case for case in found) == 1
    assert pairs.tile_id[wrong] in " ".join(found)
    assert sum("do not stand together" in case for case in found) == (not together)
