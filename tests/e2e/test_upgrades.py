"""What an upgrade or an addition keeps: pixels by what was asked for, everything else by its inputs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

from minebench import receipts
from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.scenes import fetch, scene_table
from pipeline.scenes.scene_table import Listed
from pipeline.scenes.status import Status
from pipeline.sites import site as sites
from tests.conftest import ROOT, STAGES, run

SITE_STAGES = ("archive", "fetch", "compose", "annotate", "catalog")


def changed_recipe(project: Path, old: str, new: str) -> None:
    path = project / "catalogs/tiny/recipe.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def stages(project: Path, *names: str) -> dict[str, str]:
    """What each stage printed."""
    said = {}
    for name in names or STAGES:
        done = run(name, cwd=project)
        assert done.returncode == 0, done.stderr
        said[name] = done.stdout
    return said


def times(folder: Path) -> dict[str, int]:
    """When each file was last written."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


ONE_AFTER_ANOTHER = """
import sys
import pipeline.cli.app

code, *commands = sys.argv[1:]
assert code in pipeline.__file__
for command in commands:
    pipeline.cli.app.app(command.split(), standalone_mode=False)
"""
"""Commands in one interpreter, whose imports take most of the time."""


def test_editing_code_redoes_no_site(project: Path, tmp_path: Path) -> None:
    """A copy of the package with a comment in every module, other messages and a moved import."""
    code = tmp_path / "code"
    for package in ("minebench", "pipeline", "models"):
        shutil.copytree(ROOT / package, code / package, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (code / package).rglob("*.py"):
            path.write_text(path.read_text() + "\n# a comment\n\n\ndef _never_called() -> None: ...\n")
    for words in (("train", "--model", "unet"), ("evaluate", "--model", "unet")):
        assert run(*words, cwd=project).returncode == 0
    before = times(project / "data/tiny")
    commands = [*STAGES, "train --model unet", "evaluate --model unet"]
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_ANOTHER, str(code), *commands], cwd=project,
        env={"PYTHONPATH": str(code), "PATH": str(Path(sys.executable).parent)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for stage in SITE_STAGES:
        assert f"{stage}: all sites are up to date" in done.stdout, done.stdout
    after = times(project / "data/tiny")
    kept = ("scenes/", "cubes/", "runs/", "index/analysis", "index/statistics", "index/tiles", "index/pairs")
    again = [name for name, when in after.items() if name.startswith(kept) and before.get(name) != when]
    assert not again


def arrays(project: Path, period: str) -> dict[str, bytes]:
    """Pixels, clear counts and masks of one period, of every site."""
    found = {}
    for path in sorted((project / "data/tiny/cubes").iterdir()):
        group = zarr.open_group(path, mode="r")
        place = list(group.attrs["periods"]).index(period)
        for name in ("reflectance", "clear", "mine"):
            found[f"{path.name}/{name}"] = np.asarray(group[name][place]).tobytes()
    return found


def test_adding_years_leaves_the_others_as_they_are(project: Path) -> None:
    """A year before the first one, and one after the last."""
    benchmark = BenchmarkPaths("tiny", project)
    first_year = "source: {name: synthetic, seed: 3, scenes_per_period: 4"
    before = {year: arrays(project, year) for year in ("2021", "2022", "2023")}
    scenes = pd.read_parquet(benchmark.table("scenes"))
    composites = pd.read_parquet(benchmark.table("composites"))
    pixels = times(benchmark.data / "scenes")
    # The world of an archive begins with its first year: named, a year before it changes nothing.
    changed_recipe(project, first_year, first_year + ", first_year: 2021")
    changed_recipe(project, 'start: "2021", end: "2023"', 'start: "2020", end: "2024"')
    said = stages(project)
    assert "fetched 3 sites" in said["fetch"]
    after = pd.read_parquet(benchmark.table("scenes"))
    same = after[after.period.isin(["2021", "2022", "2023"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, scenes)
    assert set(after.period) - set(scenes.period) == {"2020", "2024"}
    again = pd.read_parquet(benchmark.table("composites"))
    kept = again[again.period.isin(["2021", "2022", "2023"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, composites)
    for year, arrays_before in before.items():
        assert arrays(project, year) == arrays_before, year
    rewritten = times(benchmark.data / "scenes")
    assert all(rewritten[name] == when for name, when in pixels.items() if name.endswith(".tif"))
    new = after[after.selected & ~after.period.isin(same.period)]
    assert set(new.period) == {"2020", "2024"}
    assert new.confidence.notna().all(), "new dates are measured against the reference there was"


def test_another_mine_leaves_the_others_as_they_are(project: Path) -> None:
    benchmark = BenchmarkPaths("tiny", project)
    tiles = pd.read_parquet(benchmark.table("tiles"))
    pixels, cubes = times(benchmark.data / "scenes"), times(benchmark.data / "cubes")
    path = project / "catalogs/tiny/mines/mines.csv"
    path.write_text(path.read_text() + "Delta,26.1,67.6,metal\n")
    said = stages(project)
    assert "fetched 1 site" in said["fetch"]
    assert "composed 1 site" in said["compose"]
    assert "annotated 1 site" in said["annotate"]
    assert "3 sites keep the split of the published release" in said["tile"]
    after = pd.read_parquet(benchmark.table("tiles"))
    same = after[after.site_id.isin(tiles.site_id)].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, tiles)
    for folder, before in (("scenes", pixels), ("cubes", cubes)):
        now = times(benchmark.data / folder)
        assert all(now[name] == when for name, when in before.items())


def test_a_table_of_version_0_1_0_is_still_the_frozen_choice(project: Path) -> None:
    """It had no column `status`, one fingerprint a site for its choice, and no receipt beside the pixels."""
    benchmark = BenchmarkPaths("tiny", project)
    loaded = recipe.load(benchmark.recipe)
    before = pd.read_parquet(benchmark.table("scenes"))
    wordings = {
        Status.CLOUDY.value: "scene's cloud cover 91 % is over 80 %",
        Status.NOT_CLEAR.value: "AOI only 10% clear, under 20%",
    }
    assert set(before.status) <= {Status.CHOSEN, *wordings}
    old = before.assign(reason=before.status.map(wordings).fillna("")).drop(columns="status")
    for site in sites.load(benchmark, loaded):
        task = fetch.Task(benchmark, loaded, site, Listed(None))
        old.loc[old.site_id == site.site_id, "choice"] = fetch._choice_before(task)
        folder = benchmark.scenes(site.site_id)
        (folder / receipts.RECEIPT).unlink()
        (folder / "ORIGIN").write_text("a fingerprint of what was asked for and of fourteen modules")
        own = old[old.site_id == site.site_id]
        own.to_parquet(folder / "scenes.parquet")
    old.to_parquet(benchmark.table("scenes"))
    pixels = times(benchmark.data / "scenes")
    # A choice made anew would take none of these.
    for path in benchmark.archive.glob("*/*/*.json"):
        item = json.loads(path.read_text())
        item["properties"]["eo:cloud_cover"] = 100.0
        path.write_text(json.dumps(item))
    stages(project, "fetch")
    after = pd.read_parquet(benchmark.table("scenes"))
    pd.testing.assert_frame_equal(after.drop(columns="reason"), before.drop(columns="reason"))
    now = times(benchmark.data / "scenes")
    assert all(now[name] == when for name, when in pixels.items() if name.endswith(".tif"))
    assert "all sites are up to date" in stages(project, "fetch")["fetch"]


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("", Status.CHOSEN), ("no scene was found", Status.NONE_FOUND), ("not read: gone", Status.NOT_READ),
        ("scene's cloud cover 91 % is over 90 %", Status.CLOUDY),
        ("AOI only 10% clear, under 30%", Status.NOT_CLEAR),
        ("2020-06-02 is clearer, or as clear and earlier", Status.OTHER_CLEARER),
        ("12 clearer days fill the composite", Status.COMPOSITE_FULL),
        ("left out by selection.exclude", Status.EXCLUDED), ("no data over the AOI", Status.NO_DATA),
    ],
)  # fmt: skip
def test_reasons_of_version_0_1_0_are_understood(reason: str, status: Status) -> None:
    assert scene_table._status(reason) is status


def test_the_command_line_is_quick() -> None:
    """Loosely: what it must not import is heavier than the limit allows for."""
    program = "import pipeline.cli.app, sys; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = ("pandas", "numpy", "torch", "geopandas", "requests", "pydantic", "yaml", "rasterio")
    assert not [name for name in heavy if f"'{name}'" in done.stdout]
