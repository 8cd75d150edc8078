"""The stage on the tiny project, with a run whose predictions are made up of the labels."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio

from minebench.cube.labels import Labels
from minebench.errors import InputError
from minebench.files import write_json
from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.activity import measure_sites
from pipeline.activity.change_maps import pairs_of
from pipeline.core.runner import Spread
from pipeline.geo import cog
from pipeline.sites import site as sites
from tests.conftest import run
from tests.pipeline.stac.published_items import listed_items


def predict(project: Path, name: str, right: float, wrong: float) -> None:
    """A run that gives `right` to what changed and `wrong` to what did not."""
    benchmark = BenchmarkPaths("tiny", project)
    for site in sites.load(benchmark, recipe.load(benchmark.recipe)):
        labels = Labels.read(benchmark.cube(site.site_id))
        folder = benchmark.predictions / name / site.site_id
        folder.mkdir(parents=True)
        for pair in pairs_of(labels):
            label = labels.label(*pair)
            percent = np.where(label == 1, right * 100, wrong * 100).astype(np.uint8)
            cog.write(folder / f"{pair[0]}_{pair[1]}.tif", percent[None], site.grid, 255)
        write_json({"minebench:key": name}, folder / "receipt.json")
    write_json({"title": name}, benchmark.predictions / name / "collection.json")


def table(project: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(project / f"data/tiny/index/activity/{name}.parquet")


def test_every_source_is_measured(project: Path) -> None:
    predict(project, "sharp", 0.9, 0.1)
    predict(project, "shy", 0.3, 0.1)
    done = run("activity", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "measured 3 sites" in done.stdout
    intervals = table(project, "intervals")
    assert set(intervals.source) == {"labels", "sharp", "shy", "median"}
    areas = intervals.pivot_table("changed_m2", ["site_id", "t1"], "source")
    # The threshold is found on validation: what is shy finds the same change.
    for source in ("sharp", "shy", "median"):
        assert areas[source].tolist() == areas["labels"].tolist()
    chosen = table(project, "thresholds").set_index("source")
    assert chosen.chosen_on.tolist() == ["validation"] * 2
    assert 0.1 < chosen.threshold["shy"] <= 0.3
    agreed = table(project, "agreement")
    assert (agreed.rmse_m2 == 0).all()
    assert "all sites" in set(agreed.site_id)

    again = run("activity", cwd=project)
    assert "up to date" in again.stdout
    pd.testing.assert_frame_equal(table(project, "intervals"), intervals)


def test_maps_say_when_and_are_in_the_catalog(active: Path) -> None:
    root = pystac.Catalog.from_file(str(active / "catalogs/tiny/stac/catalog.json"))
    activity = root.get_child("tiny-activity")
    assert activity is not None
    items = list(activity.get_items())
    assert len(items) == 3
    benchmark = BenchmarkPaths("tiny", active)
    for item in items:
        site_id = item.id.removesuffix("-activity")
        labels = Labels.read(benchmark.cube(site_id))
        changed = np.stack([labels.label(*pair) for pair in pairs_of(labels)]) == 1
        with rasterio.open(item.assets["labels-when.tif"].get_absolute_href()) as file:
            when = file.read()
        assert ((when[0] > 0) == changed.any(axis=0)).all()
        assert (when[0] == 1).sum() == changed[0].sum()
        with rasterio.open(item.assets["labels-mean_ndtci.tif"].get_absolute_href()) as file:
            assert file.descriptions == ("whole grid", "AOI")
            assert np.nanmax(np.abs(file.read())) <= 1
    done = run("check", cwd=active)
    assert done.returncode == 0, done.stderr


def test_weights_are_recorded(project: Path) -> None:
    assert run("activity", "--by-length", cwd=project).returncode == 0
    assert table(project, "intervals").attrs["by_length"] is True
    assert run("activity", cwd=project).stdout.startswith("activity: measured 3")


def test_a_threshold_may_hold_for_all_runs(project: Path) -> None:
    """The thesis compares .4 with .6 (4.5)."""
    benchmark = BenchmarkPaths("tiny", project)
    for name, right in (("shy", 0.5), ("sharp", 0.9)):
        predict(project, name, right, 0.1)
    loaded = recipe.load(benchmark.recipe)
    areas = {}
    for threshold in (0.4, 0.6):
        measure_sites.build(benchmark, loaded, Spread(1), threshold=threshold)
        chosen = table(project, "thresholds")
        assert chosen.threshold.tolist() == [threshold, threshold]
        assert set(chosen.chosen_on) == {"--threshold"}
        areas[threshold] = table(project, "intervals").groupby("source").changed_m2.sum()
        agreed = table(project, "agreement").query("site_id == 'all sites' and first == 'labels'")
        by = table(project, "by_threshold").query(f"threshold == {threshold}").set_index("source")
        for row in agreed.itertuples():
            own = by.loc[row.second]
            assert (own.intervals, own.rmse_m2) == (row.intervals, pytest.approx(row.rmse_m2))
            assert own.pearson_area == pytest.approx(row.pearson_area, nan_ok=True)
            assert own.changed_m2 == areas[threshold][row.second]
    assert areas[0.6]["shy"] == 0 < areas[0.4]["shy"]
    assert areas[0.6]["sharp"] == areas[0.4]["sharp"]
    with pytest.raises(InputError, match="probability between 0 and 1"):
        measure_sites.build(benchmark, loaded, Spread(1), threshold=60)


def test_without_labels_or_runs_there_is_nothing(project: Path) -> None:
    text = (project / "catalogs/tiny/recipe.yaml").read_text()
    (project / "catalogs/tiny/recipe.yaml").write_text(text.replace("source: archive}", "source: none}"))
    assert run("annotate", cwd=project).returncode == 0
    assert run("tile", cwd=project).returncode == 0
    done = run("activity", cwd=project)
    assert done.returncode == 0, done.stderr
    assert len(table(project, "intervals")) == 0


def test_activity_is_found_by_search(active: Path) -> None:
    found = listed_items(active / "catalogs/tiny/stac")
    own = [item for item in found.values() if item.collection_id == "tiny-activity"]
    assert len(own) == 3
    assert all(item.geometry and item.common_metadata.start_datetime for item in own)


def test_a_site_that_is_gone_goes(active: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(active, tmp_path / "project"))
    stale = project / "data/tiny/activity/gone-000000"
    shutil.copytree(next((project / "data/tiny/activity").glob("alpha-*")), stale)
    assert run("activity", cwd=project).returncode == 0
    assert not stale.exists()
    collection = json.loads((project / "data/tiny/activity/collection.json").read_text())
    assert len([link for link in collection["links"] if link["rel"] == "item"]) == 3


@pytest.mark.parametrize("word", ["activity"])
def test_help_has_an_example(word: str, tmp_path: Path) -> None:
    assert "Example: minebench activity" in run(word, "--help", cwd=tmp_path).stdout
