"""The dataset card, licences and Croissant of a published benchmark."""

import json
from pathlib import Path

import mlcroissant
import pandas as pd
import pytest
import yaml

from minebench import layout
from minebench.files import sha256
from pipeline import recipe
from pipeline.scenes import attribution
from pipeline.sources.earthengine import Options as EarthEngine
from pipeline.stac import dataset_card
from tests.conftest import ROOT, contents


def scenes(*days: str) -> pd.DataFrame:
    return pd.DataFrame({"day": pd.Series(days, dtype=str), "selected": True, "source": "earthengine"})


def test_croissant_is_valid_and_gives_the_tables_rows(built: Path) -> None:
    path = built / "catalogs/tiny/stac/croissant.json"
    dataset = mlcroissant.Dataset(jsonld=str(path))
    assert not dataset.metadata.ctx.issues.errors, dataset.metadata.ctx.issues.report()
    assert {records.name for records in dataset.metadata.record_sets} == set(dataset_card.TABLES)
    pairs = pd.read_parquet(built / "data/tiny/index/pairs.parquet")
    rows = list(dataset.records("pairs"))
    assert len(rows) == len(pairs)
    assert rows[0]["pairs/tile_id"] in {pairs.tile_id[0], pairs.tile_id[0].encode()}
    assert {row["pairs/changed"] for row in rows} == set(pairs.changed)


def test_croissants_checksums_and_links_are_the_files(built: Path) -> None:
    folder = built / "catalogs/tiny/stac"
    files = json.loads((folder / "croissant.json").read_text())["distribution"]
    assert len(files) >= len(dataset_card.TABLES) > 0
    for file in files:
        assert sha256(folder / file["contentUrl"]) == file["sha256"]


def test_the_card_has_a_header_that_hugging_face_reads_and_the_splits(built: Path) -> None:
    text = (built / "catalogs/tiny/stac/README.md").read_text()
    header = yaml.safe_load(text.split("---")[1])
    assert header["license"] == "other" or header["license"].startswith("cc")
    assert "synthetic" in header["tags"]
    assert "All imagery here is synthetic" in text
    pairs = pd.read_parquet(built / "data/tiny/index/pairs.parquet")
    for split, count in pairs.split.value_counts().items():
        assert f"| {split} |" in text
        assert f"| {count} |" in text
    assert "lie within one tile of a training tile" in text


def test_the_same_benchmark_has_the_same_card(built: Path, project: Path) -> None:
    benchmark = layout.BenchmarkPaths("tiny", project)
    dataset_card.publish(benchmark, recipe.load(benchmark.recipe))
    for name in ("README.md", "LICENCES.md", "croissant.json"):
        assert (benchmark.stac / name).read_bytes() == (built / "catalogs/tiny/stac" / name).read_bytes()
    assert contents(benchmark.stac)


def named(name: str) -> list[str]:
    loaded = recipe.load(ROOT / "catalogs" / name / "recipe.yaml")
    return [source.name for source in attribution.used(loaded, scenes("2016-07-01", "2020-08-02"))]


def test_only_what_was_used_is_listed() -> None:
    assert named("demo") == ["Synthetic archive", "mines.geojson", "Natural Earth"]
    assert named("euromine") == [
        "Copernicus Sentinel-2", "Cloud Score+", "maus-v2", "jasansky-2023", "Annotations", "Natural Earth",
    ]  # fmt: skip
    assert named("oms2") == [
        "Copernicus Sentinel-2", "jasansky-2023", "GADM 4.1", "Annotations", "Natural Earth",
    ]  # fmt: skip
    loaded = recipe.load(ROOT / "catalogs/minenet/recipe.yaml")
    naip = EarthEngine(name="earthengine", collection="USDA/NAIP/DOQQ", cloud="none")
    used = attribution.used(loaded.model_copy(update={"source": naip}), scenes())
    assert used[0].name == "NAIP"
    built_on = loaded.sites.model_copy(update={"mines": "jasansky-2024"})
    names = [s.name for s in attribution.used(loaded.model_copy(update={"sites": built_on}), scenes())]
    assert {"jasansky-2024", "maus-v2", "tang-2023"} <= set(names)


def test_copernicus_is_named_with_the_years_of_the_scenes() -> None:
    loaded = recipe.load(ROOT / "catalogs/euromine/recipe.yaml")
    notice = attribution.used(loaded, scenes("2016-07-01", "2020-08-02"))[0].citation
    assert notice == "Contains modified Copernicus Sentinel data 2016-2020."


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        (["CC0-1.0", "public domain"], "CC0-1.0"),
        (["CC-BY-4.0", "CC0-1.0"], "CC-BY-4.0"),
        (["CC-BY-4.0", "CC-BY-SA-4.0"], "CC-BY-SA-4.0"),
        (["CC-BY-SA-4.0", "terms of use"], "other"),
    ],
)
def test_the_strictest_licence_holds(parts: list[str], whole: str) -> None:
    assert (
        attribution.shared_under([attribution.Upstream("x", "images", part, "") for part in parts]) == whole
    )
