"""EuroMineNet as a benchmark, from files in forms that others keep it in."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import zarr
from PIL import Image

from minebench import data
from pipeline.published.formats.euromine import EuroMine
from pipeline.published.formats.euromine_split import SPLITS
from tests import published
from tests.pipeline.published.ingesting import ingested


def test_images_and_masks_of_years_in_one_folder(tmp_path: Path) -> None:
    published.euromine(tmp_path / "made", sites=4)
    for path in sorted((tmp_path / "made").rglob("*.tif")):
        suffix = "_mask.tif" if path.parent.name == "label" else ".tif"
        target = tmp_path / "files" / path.parents[1].name / f"{path.stem[-4:]}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    benchmark, made = ingested(tmp_path, "euro", "euromine", tmp_path / "files")
    assert (made.sites, made.left_out) == (4, ())
    image, mask = published.scene(0, (109, 286), bands=10, grown=2)
    cube = zarr.open_group(benchmark.cube("germany-1"), mode="r")
    assert np.array_equal(cube["reflectance"][1], image.astype(np.uint16) * 20)
    assert np.array_equal(cube["mine"][1], mask)
    # Nothing is said of splits: they are made, by site.
    assert set(pd.read_parquet(benchmark.table("tiles")).split) == {"train", "val", "test"}


def test_tiles_cut_by_eurominenets_own_script(tmp_path: Path) -> None:
    files = published.euromine_tiles(tmp_path / "files")
    benchmark, made = ingested(tmp_path, "euro", "euromine", files)
    assert (made.sites, made.tiles) == (3, 33)
    series = data.open(benchmark.data, task="series", split="train")
    image, mask = published.scene(10, (published.SIDE, published.SIDE), bands=10, grown=1)
    item = series[10]
    assert np.array_equal(item["masks"][1].numpy(), mask)
    assert np.allclose(item["images"][1].numpy(), series.scale.apply(image.astype(np.uint16) * 20))


def official(folder: Path, names: tuple[str, ...]) -> Path:
    """Sites of the release, by their folders' names, without a file of splits."""
    for number, name in enumerate(names):
        for year in (2015, 2016):
            image, mask = published.scene(number, (32, 32), bands=10, grown=year - 2015)
            place = (3e5 + 12_000 * number, 5.5e6)
            published.tif(folder / name / "images" / f"Year{year}.tif", image.astype(np.uint16) * 20, place)
            published.tif(folder / name / "labels" / f"Year{year}.tif", mask * 255, place)
    return folder


def test_the_official_split_is_known_by_the_folders_names(tmp_path: Path) -> None:
    assert Counter(SPLITS.values()) == {"train": 101, "val": 14, "test": 17}
    files = official(tmp_path / "x", ("Austria_1", "Portugal_1", "Sweden_7", "Greece_3"))
    reader = EuroMine(files)
    assert {site.name: site.split for site in reader.sites()} == {
        "austria-1": "train", "portugal-1": "val", "sweden-7": "test",
    }  # fmt: skip
    assert reader.facts().left_out == ("Greece_3: in no split",)
    assert reader.facts().notes == (
        "splits are EuroMineNet's official ones, by the names of the sites' folders; 129 sites of theirs "
        "are not",
    )
    (files / "datasets").mkdir()
    (files / "datasets/train_val_test_splits.py").write_text(
        "train_val_test_splits={'train': ['Greece_3', 'Greece_3'],\n"
        "                       'val': ['Portuga_1'], 'test': ['Sweden_7']}"
    )
    reader = EuroMine(files)
    assert {site.name: site.split for site in reader.sites()} == {
        "greece-3": "train", "portugal-1": "val", "sweden-7": "test",
    }  # fmt: skip


def test_labels_that_the_script_cuts_as_pictures(tmp_path: Path) -> None:
    """The published script writes images as .npy and labels as .png."""
    files = published.euromine_tiles(tmp_path / "files")
    for path in files.rglob("label/*.npy"):
        number = path.stem.rpartition("_")[2]
        picture = np.repeat((np.load(path) * 255).astype(np.uint8)[..., None], 3, axis=-1)
        Image.fromarray(picture).save(path.with_name(f"{number}.png"))
        path.unlink()
    reader = EuroMine(files)
    site = reader.sites()[0]
    _, mask = published.scene(10, (published.SIDE, published.SIDE), bands=10, grown=1)
    assert np.array_equal(reader.mask(site, "2016")[-published.SIDE :], mask)
