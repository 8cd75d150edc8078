"""Whole sites through a real STAC API and a file server, by the command line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from minebench import tables
from minebench.layout import BenchmarkPaths
from tests.conftest import RECIPE, Run, contents, make_project, run
from tests.e2e.test_earthengine import assert_same_cubes, scenes
from tests.pipeline.sources.test_stac_api import (
    Form,
    api,
    collection_1,
    earth_search,
    made,
    planetary_computer,
)
from tests.standins.base import Running, running


@pytest.fixture(scope="module")
def files(built: Path) -> Iterator[Running]:
    with running("cogs", str(built / "data" / "tiny" / "archive")) as standin:
        yield standin


BETA = "beta-78fe22"
"""The site that is fetched: four scenes a year, with the offset and without."""


def stac_project(
    folder: Path, built: Path, href: str, collection: str = "sentinel-2-l2a", more: str = ""
) -> Path:
    """A project that has of the archive's project's sites one."""
    source = f"source: {{name: stac, href: '{href}', collections: [{collection}]{more}}}"
    recipe = RECIPE.replace("source: {name: synthetic, seed: 3, scenes_per_period: 4}", source)
    project = make_project(folder, recipe.replace("labels: {source: archive}", "labels: {source: none}"))
    sites = tables.read_geo(BenchmarkPaths("tiny", built).table("sites"), "sites")
    tables.write(sites[sites.site_id == BETA], BenchmarkPaths("tiny", project).table("sites"))
    return project


def scenes_of(site: str, project: Path) -> pd.DataFrame:
    """A site's rows of a project's table of scenes, in their order."""
    table = scenes(project)
    found = table[table.site_id == site].reset_index(drop=True)
    assert found.selected.any()
    return found


@pytest.mark.parametrize("form", [earth_search, collection_1, planetary_computer])
def test_cube_through_a_real_api_equals_the_archives(
    form: Form, tmp_path: Path, built: Path, files: Running
) -> None:
    files.set()
    collection = "sentinel-2-c1-l2a" if form is collection_1 else "sentinel-2-l2a"
    more = f", sign: '{files.url}/token'" if form is planetary_computer else ""
    with api(tmp_path, made(built, form, files.url)) as href:
        project = stac_project(tmp_path / "p", built, href, collection, more)
        for stage in ("fetch", "compose"):
            done = run(stage, cwd=project)
            assert done.returncode == 0, done.stderr
    assert_same_cubes(project, built, [BETA])
    ours, theirs = scenes(project), scenes_of(BETA, built)
    assert set(ours.offset) == {0, 1000}
    assert ours.offset.tolist() == theirs.offset.tolist()
    assert ours.checksum.tolist() == theirs.checksum.tolist()
    written = contents(project / "data")
    assert f"tiny/scenes/{BETA}/SHA256SUMS" in written
    assert not [path for path, content in written.items() if b"secretsig" in content]


def test_signatures_that_run_out_are_renewed(tmp_path: Path, built: Path) -> None:
    with running("cogs", str(built / "data" / "tiny" / "archive"), "8") as files:
        with api(tmp_path, made(built, planetary_computer, files.url)) as href:
            more = f", sign: '{files.url}/token', parallel: 1"
            project = stac_project(tmp_path / "p", built, href, more=more)
            done = run("fetch", cwd=project)
            assert done.returncode == 0, done.stderr
        asked = files.asked()
        assert sum("/token/" in entry[1] for entry in asked) > 5
    assert scenes(project).checksum.tolist() == scenes_of(BETA, built).checksum.tolist()


def test_wrong_offset_flags_are_found_on_the_pixels(tmp_path: Path, built: Path, files: Running) -> None:
    """Element84/earth-search #66: the flag says one thing, the numbers another."""
    files.set()
    items = [item for item in made(built, earth_search, files.url) if BETA in str(item["assets"])]
    flipped = set()
    for item in items:
        properties = item["properties"]
        if float(properties["s2:processing_baseline"]) >= 4:
            properties["earthsearch:boa_offset_applied"] ^= True
            flipped.add(item["id"])
    with api(tmp_path, items) as href:
        project = stac_project(tmp_path / "p", built, href)
        for stage in ("fetch", "compose"):
            assert run(stage, cwd=project).returncode == 0
    table = scenes(project)
    chosen = table[table.selected & table.scene_id.isin(flipped)]
    assert len(chosen) >= 3
    assert chosen.offset_from.str.startswith("pixels, against metadata").all()
    assert_same_cubes(project, built, [BETA])


def test_passing_faults_of_the_file_server(
    tmp_path: Path, built: Path, files: Running, run_hurried: Run
) -> None:
    faults: list[dict[str, Any]] = [
        {"kind": "status", "status": 503, "times": 6},
        {"kind": "half", "match": ".tif", "times": 6},
        {"kind": "reset", "match": ".tif", "times": 6},
    ]
    with api(tmp_path, made(built, earth_search, files.url)) as href:
        project = stac_project(tmp_path / "p", built, href)
        files.set(*faults)
        done = run_hurried("fetch", cwd=project)
        assert done.returncode == 0, done.stderr
    assert " 18 of them retries" in done.stdout
    assert scenes(project).checksum.tolist() == scenes_of(BETA, built).checksum.tolist()


def test_frozen_scenes_are_used_again_and_watched(tmp_path: Path, built: Path, files: Running) -> None:
    files.set()
    items = made(built, earth_search, files.url)
    with api(tmp_path, items) as href:
        first = stac_project(tmp_path / "first", built, href)
        assert run("fetch", cwd=first).returncode == 0
        table = scenes(first)
    gone = table[table.selected].scene_id.iloc[0]
    # A better scene appears later, for someone else with the same recipe and list of scenes.
    later = json.loads(json.dumps(items))
    for item in later:
        item["properties"]["eo:cloud_cover"] = 100.0 if item["id"] != gone else 0.0
    with api(tmp_path, later) as href:
        second = stac_project(tmp_path / "second", built, href)
        moved = table.assign(href=table.href.str.replace(r"http://[^/]+/", href, regex=True))
        recipes = [(p / "catalogs" / "tiny" / "recipe.yaml").read_text() for p in (first, second)]
        assert recipes[0] != recipes[1]  # the ports differ, and with them the source
        (second / "catalogs" / "tiny" / "recipe.yaml").write_text(recipes[0])
        path = second / "data" / "tiny" / "index" / "scenes.parquet"
        moved.to_parquet(path)
        done = run("fetch", cwd=second)
        assert done.returncode == 0, done.stderr
        again = scenes(second)
        same = ["scene_id", "selected", "reason", "checksum", "clear"]
        pd.testing.assert_frame_equal(again[same], table[same])
    # The scene is taken away: nothing is put in its place, and its name is said.
    with api(tmp_path, [item for item in later if item["id"] != gone]) as href:
        third = stac_project(tmp_path / "third", built, href)
        (third / "catalogs" / "tiny" / "recipe.yaml").write_text(recipes[0])
        path = third / "data" / "tiny" / "index" / "scenes.parquet"
        table.assign(href=table.href.str.replace(r"http://[^/]+/", href, regex=True)).to_parquet(path)
        done = run("fetch", cwd=third)
        assert done.returncode == 1
        assert f"1 scenes could not be read: {gone}" in done.stderr
        assert "is not there" in done.stderr
        # Nor in the next run: the choice stands until --refresh.
        again = run("fetch", cwd=third)
        assert again.returncode == 1
        assert f"1 scenes could not be read: {gone}" in again.stderr
        assert scenes(third).selected.tolist() == table.selected.tolist()
    # Or its pixels change.
    other = np.where(table.scene_id == gone, "0" * 64, table.checksum)
    with api(tmp_path, later) as href:
        fourth = stac_project(tmp_path / "fourth", built, href)
        (fourth / "catalogs" / "tiny" / "recipe.yaml").write_text(recipes[0])
        path = fourth / "data" / "tiny" / "index" / "scenes.parquet"
        hrefs = table.href.str.replace(r"http://[^/]+/", href, regex=True)
        table.assign(href=hrefs, checksum=other).to_parquet(path)
        done = run("fetch", cwd=fourth)
        assert done.returncode == 1
        assert "have changed since" in done.stderr
