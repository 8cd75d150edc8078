"""Every layout, written from the tiny benchmark; those that `ingest` reads have files of their own."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from PIL import Image

from minebench import data, layout
from minebench.errors import InputError, NotMadeYet
from pipeline import recipe
from pipeline.export import coco, export
from tests.conftest import contents, run
from tests.pipeline.export.exporting import exported, truth


@pytest.fixture(scope="module")
def layouts(tiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, export.Exported]]:
    """The tiny benchmark in every layout, for tests that read it."""
    folder = tmp_path_factory.mktemp("layouts")
    return {to: (folder / to, exported(tiny, to, folder / to)) for to in export.LAYOUTS}


@pytest.mark.parametrize("image", ["png", "tif"])
def test_folders_with_lists(tiny, layouts, tmp_path: Path, image: str) -> None:
    out, _ = layouts["folders"]
    if image == "tif":
        out = tmp_path / "out"
        exported(tiny, "folders", out, image)
    for split in ("train", "val", "test"):
        labels = truth(tiny, split)
        names = (out / "list" / f"{split}.txt").read_text().split()
        assert sorted(names) == sorted(f"{name}.{image}" for name in labels)
        for name in names:
            expected = labels[name.rsplit(".", 1)[0]]
            if image == "png":
                label = np.asarray(Image.open(out / "label" / name))
                assert np.array_equal(label == 255, expected == 1)
                assert np.asarray(Image.open(out / "A" / name)).shape == (*expected.shape, 3)
                continue
            with rasterio.open(out / "label" / name) as file:
                assert np.array_equal(file.read(1), expected)
                place = file.transform
            with rasterio.open(out / "B" / name) as file:
                assert (file.count, file.dtypes[0], file.transform) == (5, "uint16", place)


def test_coco_polygons_burn_to_the_masks(tiny, layouts) -> None:
    from pycocotools.coco import COCO

    out, _ = layouts["coco"]
    series = data.open(tiny[0].data, "series", "test")
    masks = {f"{item['tile_id']}_{p}.png": m.numpy() for item in (series[i] for i in range(len(series)))
             for p, m in zip(item["periods"], item["masks"], strict=True)}  # fmt: skip
    read = COCO(str(out / "annotations/test.json"))
    assert read.getCatIds(catNms=["mine"]) == [1]
    assert {image["file_name"] for image in read.loadImgs(read.getImgIds())} == set(masks)
    found = 0
    for image in read.loadImgs(read.getImgIds()):
        burnt = np.zeros((image["height"], image["width"]), bool)
        for annotation in read.loadAnns(read.getAnnIds(imgIds=image["id"])):
            burnt |= read.annToMask(annotation).astype(bool)
            found += 1
        assert np.array_equal(burnt, masks[image["file_name"]] == 1), image["file_name"]
    assert found


def test_coco_names_the_licence(layouts) -> None:
    content = json.loads((layouts["coco"][0] / "annotations/test.json").read_text())
    (licence,) = content["licenses"]
    assert licence["name"]
    assert licence["url"]
    assert {image["license"] for image in content["images"]} == {licence["id"]}


def test_each_pit_is_an_annotation_of_its_own() -> None:
    mask = np.zeros((40, 50), np.uint8)
    mask[2:6, 2:10] = mask[20:30, 5:9] = mask[30:32, 40:50] = 1
    mask[0, 49] = 255
    found = {tuple(part["bbox"]): part["area"] for part in coco.parts(mask)}
    assert found == {(2, 2, 8, 4): 32, (5, 20, 4, 10): 40, (40, 30, 10, 2): 20}


def test_a_hole_is_cut_away(tmp_path: Path) -> None:
    from pycocotools import mask as masks

    mask = np.zeros((40, 50), np.uint8)
    mask[5:35, 5:45] = 1
    mask[10:14, 8:30] = mask[20:21, 20:21] = mask[25:33, 30:40] = 0
    mask[28:30, 33:36] = 1
    burnt = np.zeros(mask.shape, bool)
    for part in coco.parts(mask):
        runs = masks.merge(masks.frPyObjects(part["segmentation"], *mask.shape))
        burnt |= masks.decode(runs).astype(bool)
    assert np.array_equal(burnt, mask == 1)


def test_webdataset_shards(tiny, layouts) -> None:
    import webdataset

    out, _ = layouts["webdataset"]
    labels = truth(tiny, "train")
    shards = sorted(str(path) for path in out.glob("train-*.tar"))
    read = list(webdataset.WebDataset(shards, shardshuffle=False).decode())
    assert len(read) == len(labels)
    for sample, (name, label) in zip(read, labels.items(), strict=True):
        assert sample["__key__"].endswith(name)
        assert np.array_equal(sample["label.npy"], label)
        assert sample["a.npy"].dtype == np.uint16
        assert sample["json"]["bands"] == list(tiny[1].sensor.bands)


def test_a_second_export_has_the_same_bytes(tiny, layouts, tmp_path: Path) -> None:
    for to, (out, _) in layouts.items():
        exported(tiny, to, tmp_path / to)
        assert contents(tmp_path / to) == contents(out), to


def test_pairs_that_are_too_unknown_are_left_out_and_counted(project: Path, tmp_path: Path) -> None:
    benchmark = layout.BenchmarkPaths("tiny", project)
    pairs = pd.read_parquet(benchmark.table("pairs"))
    pairs.loc[:4, "unknown"] = 64 * 64
    pairs.loc[5:, "unknown"] = 0
    pairs.to_parquet(benchmark.table("pairs"))
    done = exported((benchmark, recipe.load(benchmark.recipe)), "folders", tmp_path / "out", max_unknown=0.5)
    assert done.left_out == 5
    assert "5 pairs left out" in str(done)
    assert sum(done.written.values()) == len(pairs) - 5


def test_the_command_line(built: Path, tmp_path: Path) -> None:
    done = run("export", "--to", "folders", "--out", str(tmp_path / "out"), cwd=built)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "out") in done.stdout
    assert "is not" not in (tmp_path / "out/LICENCES.md").read_text()
    assert "synthetic" in (tmp_path / "out/README.md").read_text()
    again = run("export", "--to", "folders", "--out", str(tmp_path / "out"), cwd=built)
    assert again.returncode == 2
    assert "exists already" in again.stderr


@pytest.mark.parametrize("to", list(export.LAYOUTS))
def test_what_is_missing_is_known_before_anything_is_written(
    to: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = layout.BenchmarkPaths("tiny", project)
    loaded = recipe.load(benchmark.recipe)
    monkeypatch.setitem(export.LAYOUTS, to, lambda job: pytest.fail("it began to write"))
    missing = [benchmark.table(name) for name in ("scenes", "statistics/balance", "sites", "tiles", "pairs")]
    missing.append(next(benchmark.cube("").parent.glob("*.zarr")))
    for path in missing:
        aside = path.rename(tmp_path / "aside")
        with pytest.raises(NotMadeYet, match="minebench"):
            exported((benchmark, loaded), to, tmp_path / "out")
        aside.rename(path)
    assert not list(tmp_path.glob("out*"))


def test_nothing_is_known_is_known_before_anything_is_written(project: Path, tmp_path: Path) -> None:
    benchmark = layout.BenchmarkPaths("tiny", project)
    pairs = pd.read_parquet(benchmark.table("pairs"))
    pairs.assign(unknown=64 * 64).to_parquet(benchmark.table("pairs"))
    with pytest.raises(InputError, match="Every pair of tiny is more unknown than 10%"):
        exported((benchmark, recipe.load(benchmark.recipe)), "webdataset", tmp_path / "out", max_unknown=0.1)


def test_wrong_words_write_nothing(tiny, tmp_path: Path) -> None:
    for to, image, share in (("levir", "png", 0.1), ("folders", "gif", 0.1), ("folders", "png", 3.0)):
        with pytest.raises(InputError):
            exported(tiny, to, tmp_path / "out", image, share)
    assert not list(tmp_path.iterdir())
