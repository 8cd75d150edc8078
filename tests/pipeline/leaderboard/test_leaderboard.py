import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import odc.stac
import pandas as pd
import pystac
import pytest
import rasterio
import torch
import zarr
from pystac.validation import validate_dict

from minebench.data import datasets
from models.evaluation.sitewide import windows
from models.training.checkpoint import load
from pipeline.stages import STAGES
from tests.conftest import COMPARED, contents, run
from tests.pipeline.stac.published_items import listed_items


@pytest.fixture(scope="module")
def compared(compared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy: some tests compare, evaluate and damage."""
    return Path(shutil.copytree(compared, tmp_path_factory.mktemp("compared") / "project"))


def test_the_leaderboard_says_what_the_evaluations_found(compared: Path) -> None:
    table = pd.read_parquet(compared / "data/tiny/leaderboard/models.parquet").set_index("run")
    assert set(table.index) == set(COMPARED)
    for run_, row in table.iterrows():
        metrics = json.loads((compared / f"data/tiny/runs/{run_}/metrics.json").read_text())
        for name in ("f1", "of1", "iou", "oa"):
            assert (row[name] == metrics[name]) or (np.isnan(row[name]) and metrics[name] is None)
        assert row.items_per_second > 0
    assert table.loc["unet"].parameters == sum(
        p.numel() for p in load(weights(compared, "unet"))[0].parameters()
    )
    assert table.loc["cva"].parameters == 0
    assert table.loc["unet"].gmacs > 0
    tests = pd.read_parquet(compared / "data/tiny/leaderboard/tests.parquet")
    assert set(tests[["first", "second"]].iloc[0]) == {"cva", "fc-siam-diff"}
    assert len(tests) == 1


def weights(project: Path, model: str) -> Path:
    return project / f"data/tiny/runs/{model}/model.pt"


def test_comparing_twice_gives_the_same_bytes(compared: Path) -> None:
    folder = compared / "data/tiny/leaderboard"
    before = contents(folder)
    assert run("compare", cwd=compared).returncode == 0
    assert contents(folder) == before


def test_models_are_stac_items_with_a_card(compared: Path, shared: Path) -> None:
    root = compared / "catalogs/tiny/stac"
    catalog = pystac.Catalog.from_file(str(root / "catalog.json"))
    collection = next(child for child in catalog.get_children() if child.id == "tiny-models")
    items = {item.id: item for item in collection.get_items()}
    assert set(items) == set(COMPARED)
    for item in items.values():
        content = item.to_dict(include_self_link=False, transform_hrefs=False)
        validate_dict({**content, "stac_extensions": []})
        schema = json.loads((shared / "stac-schemas/mlm/v1.5.2/schema.json").read_text())
        local = without_addresses(schema)
        jsonschema.validators.validator_for(local)(local).validate(content)
        assert Path(item.assets["weights"].get_absolute_href()).is_file()
        card = Path(item.assets["card"].get_absolute_href()).read_text()
        assert "The images are synthetic" in card
        assert "| F1 |" in card
    assert items["unet"].properties["mlm:total_parameters"] > 0
    # A search for images leaves models out by their collection.
    found = pd.read_parquet(root / "items.parquet")
    assert set(found[found.collection == "tiny-models"].id) == set(COMPARED)


def without_addresses(schema: object) -> object:
    """A schema without references to schemas on the network."""
    if isinstance(schema, dict):
        return {
            key: without_addresses(value)
            for key, value in schema.items()
            if not (key == "$ref" and str(value).startswith("http"))
        }
    return [without_addresses(value) for value in schema] if isinstance(schema, list) else schema


def test_models_are_found_by_search(compared: Path) -> None:
    found = listed_items(compared / "catalogs/tiny/stac")
    own = {name: item for name, item in found.items() if item.collection_id == "tiny-models"}
    assert {item.properties["mlm:architecture"] for item in own.values()} == set(COMPARED)
    for item in own.values():
        assert item.assets["weights"].extra_fields["eo:bands"]
        assert item.properties["minebench:scores"]


def test_the_report_and_the_page_of_a_model(compared: Path) -> None:
    page = (compared / "data/tiny/report/index.html").read_text()
    for words in ("cva", "fc-siam-diff", "Do they differ?", "parameters", "boundary F1"):
        assert words in page
    for model in COMPARED:
        own = (compared / f"data/tiny/explanations/{model}/index.html").read_text()
        assert "All imagery here is synthetic" in own
        assert ("GradCAM" in own) == (model != "cva")
        assert 'src="http' not in own


def test_predictions_of_whole_sites_lie_where_the_sites_are(compared: Path) -> None:
    folder = compared / "data/tiny/predictions/unet"
    tiles = pd.read_parquet(compared / "data/tiny/index/tiles.parquet")
    sites = sorted(set(tiles.site_id[tiles.split == "test"]))
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == sites
    collection = pystac.Collection.from_file(str(folder / "collection.json"))
    items = list(collection.get_items())
    for item in items:
        validate_dict({**item.to_dict(include_self_link=False), "stac_extensions": []})
    for site in sites:
        group = zarr.open_group(compared / f"data/tiny/cubes/{site}.zarr", mode="r")
        attributes = dict(group["spatial_ref"].attrs)
        for period in group.attrs["periods"]:
            with rasterio.open(folder / site / f"{period}.tif") as file:
                assert file.shape == group["mine"].shape[1:]
                assert file.crs.to_epsg() == rasterio.CRS.from_wkt(attributes["crs_wkt"]).to_epsg()
                assert (file.transform.c, file.transform.f) == (group["x"][0] - 5, group["y"][0] + 5)
                found = file.read(1)
            seen = group["clear"][group.attrs["periods"].index(period)] > 0
            assert ((found == 255) == ~seen).all()
            assert found[seen].max() <= 100
    names = {
        path.stem for path in (compared / f"data/tiny/predictions/fc-siam-diff/{sites[0]}").glob("*.tif")
    }
    assert names == {"2021_2022", "2022_2023"}
    done = run("predict", "--model", "unet", cwd=compared)
    assert "all sites are up to date" in done.stdout
    done = run("predict", "--model", "unet", "--split", "dev", cwd=compared)
    assert done.returncode == 2
    assert "no tiles in split 'dev'" in done.stderr


def test_predictions_are_items_of_the_catalog(compared: Path) -> None:
    """From the benchmark's root down and up again; `check` reads them too, and other stages do not."""
    root = pystac.Catalog.from_file(str(compared / "catalogs/tiny/stac/catalog.json"))
    (predictions,) = [child for child in root.get_children() if child.title == "Predictions"]
    assert sorted(child.id for child in predictions.get_children()) == sorted(f"tiny-{m}" for m in COMPARED)
    items = list(predictions.get_items(recursive=True))
    named = {i.id: i.properties for i in root.get_items(recursive=True) if "minebench:period" in i.properties}
    assert items
    for item in items:
        assert item.properties["proj:code"].startswith("EPSG:")
        assert item.get_root().id == "tiny"
        assert item.get_collection().id.startswith("tiny-")
        periods = item.properties["minebench:periods"]
        images = [named[f"{item.id.rsplit('-', 1)[0]}_{period}"] for period in periods]
        assert item.properties["start_datetime"] == images[0]["start_datetime"]
        assert item.properties["end_datetime"] == images[-1]["end_datetime"]
    loaded = odc.stac.load(items[:2], bands=["probability"])
    assert loaded.probability.dtype == np.uint8
    reads = {path for stage in STAGES if stage.name in ("compare", "report") for path in stage.reads}
    for written in ("predictions", "explanations", "analysis"):
        assert not any(f"/{written}" in path for path in reads)
    assert not any(path.endswith("/stac") for path in reads)
    damaged = compared / "data/tiny/predictions/unet"
    victim = next(damaged.glob("*/*.tif"))
    kept = victim.read_bytes()
    victim.write_bytes(kept[:-1] + b"x")
    done = run("check", cwd=compared)
    victim.write_bytes(kept)
    assert done.returncode == 1
    assert victim.name in done.stderr
    assert run("check", cwd=compared).returncode == 0


def test_blended_windows_cover_a_site_and_a_constant_stays_one() -> None:
    for shape, side in (((100, 130), 64), ((40, 200), 64), ((64, 64), 64)):
        covered = np.zeros(shape, int)
        for window in windows("s", shape, side):
            assert window.height + window.pad_y == side
            covered[window.y0 : window.y0 + window.height, window.x0 : window.x0 + window.width] += 1
        assert covered.min() >= 1


def test_whole_site_probability_is_the_tiles_where_one_window_covers_it(compared: Path) -> None:
    from minebench.cube.windows import Cubes
    from minebench.data.datasets import Scale
    from models.evaluation.inference import mask_logits
    from models.evaluation.sitewide import probability
    from models.training.objective import Standardise

    folder = compared / "data/tiny"
    network, saved = load(weights(compared, "unet"))
    scale = Scale(np.array(saved["mean"], np.float32), np.array(saved["std"], np.float32))
    cubes, standardise = Cubes(folder), Standardise(scale)
    site = datasets.read_table(folder, "tiles").site_id.iloc[0]
    height, width = cubes.cube(site).pixels.shape[-2:]
    side = max(height, width)
    found = probability(network, cubes, site, side, standardise, torch.device("cpu"), None)
    (window,) = windows(site, (height, width), side)
    pixels, _ = cubes.read(window)
    expected = torch.sigmoid(mask_logits(network, standardise(torch.from_numpy(pixels)))).numpy()
    known = ~np.isnan(found)
    assert np.allclose(found[known], expected[:, :height, :width][known], atol=1e-5)


def test_an_analysis_set_is_scored_by_level(compared: Path) -> None:
    done = run("evaluate", "--model", "fc-siam-diff", "--analysis", "scale", cwd=compared)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(compared / "data/tiny/analysis/fc-siam-diff/scale.csv")
    rows = pd.read_parquet(compared / "data/tiny/index/analysis/scale.parquet")
    assert table.level.tolist() == ["unaltered", "2", "4", "8", "16"]
    assert set(rows.level) == {"2", "4", "8", "16"}
    # Unaltered pairs are those of the test split, tile by tile.
    pairs = pd.read_parquet(compared / "data/tiny/index/pairs.parquet").query("split == 'test'")
    unaltered = table.iloc[0]
    assert unaltered.tp + unaltered.fn == pairs.changed.sum()
    assert unaltered[["tp", "fp", "fn", "tn"]].sum() == 64 * 64 * len(pairs) - pairs.unknown.sum()
    done = run("evaluate", "--model", "fc-siam-diff", "--analysis", "scale", "--threshold", "2", cwd=compared)
    assert done.returncode == 2
    assert "The threshold is '2'; give a probability between 0 and 1" in done.stderr
    done = run("evaluate", "--model", "unet", "--analysis", "scale", cwd=compared)
    assert done.returncode == 2
    assert "unet is not a change model" in done.stderr


def test_nothing_to_compare_or_explain_is_a_sentence(built: Path, project: Path) -> None:
    done = run("compare", cwd=project)
    assert done.returncode == 1
    assert "run `minebench evaluate` first" in done.stderr
    old = project / "data/tiny/runs/unet"
    old.mkdir(parents=True)
    (old / "metrics.json").write_text('{"model": "unet", "task": "segmentation", "f1": 0.5}')
    done = run("compare", cwd=project)
    assert done.returncode == 1
    assert "metrics.json is not what an evaluation wrote: remove it" in done.stderr
    done = run("explain", "--model", "unet", cwd=project)
    assert done.returncode == 1
    assert "train --benchmark tiny --model unet` first" in done.stderr
    done = run("train", "--model", "unett", cwd=project)
    assert done.returncode == 2
    assert "did you mean unet" in done.stderr


def test_scores_of_other_weights_are_named(compared: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(compared, tmp_path / "project"))
    path = weights(project, "unet")
    saved = torch.load(path, weights_only=True)
    saved["weights"]["head.bias"] += 1
    torch.save(saved, path)
    for words in (("compare",), ("explain", "--model", "unet")):
        done = run(*words, cwd=project)
        assert done.returncode == 1
        assert "the scores of unet are of other weights than model.pt holds" in done.stderr
    assert run("evaluate", "--model", "unet", cwd=project).returncode == 0
    assert run("compare", cwd=project).returncode == 0
