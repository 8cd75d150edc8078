"""GVLM, OSCD and SmallMinesDS in the folders that their authors publish."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import zarr
from PIL import Image

from minebench import data
from minebench.errors import InputError
from pipeline.published import ingest
from pipeline.published.formats.readers import folders
from tests.pipeline.published.test_ingest_folders import save

BANDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
IMAGES = "Onera Satellite Change Detection dataset - Images"


def tif(path: Path, pixels: np.ndarray, **more: float) -> None:
    """A file without a place, as OSCD's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": pixels.dtype}
    with rasterio.open(path, "w", **profile, **more) as file:
        file.write(pixels)


def gvlm(folder: Path) -> Path:
    for number, site in enumerate(("A Luoi_Vietnam", "Kodagu_India", "Kaikoura_New Zealand")):
        shape, rng = (300 + 10 * number, 280), np.random.default_rng(number)
        for name in ("im1.png", "im2.png"):
            save(folder / site / name, rng.integers(0, 256, (*shape, 3)).astype(np.uint8))
        save(folder / site / "ref.png", (rng.random(shape) < 0.2).astype(np.uint8) * np.uint8(255))
    return folder


def oscd(folder: Path, png: bool = True, archives: bool = True) -> Path:
    """Three archives, unpacked side by side; or masks in the cities' own folders, and lists."""
    cities = {"paris": "Train", "rennes": "Train", "rio": "Test"}
    root = folder / IMAGES
    for number, (city, split) in enumerate(cities.items()):
        shape, rng = (120 + number, 105), np.random.default_rng(number)
        for image in (1, 2):
            for k, band in enumerate(BANDS):
                numbers = rng.integers(1 + 100 * k, 50 + 100 * k, (1, *shape)).astype(np.uint16)
                tif(root / city / f"imgs_{image}_rect" / f"{band}.tif", numbers)
                coarse = numbers[:, ::6, ::6]
                tif(root / city / f"imgs_{image}" / f"S2A_OPER_MSI_L1C_T40RCN_{band}.tif", coarse)
        (root / city / "dates.txt").write_text("date_1: 20160120\ndate_2: 20180328\n")
        labels = folder / IMAGES.replace("Images", f"{split} Labels") if archives else root
        changed = rng.random(shape) < 0.1
        if png:
            save(labels / city / "cm/cm.png", changed.astype(np.uint8) * np.uint8(255))
        tif(labels / city / f"cm/{city}-cm.tif", changed[None].astype(np.uint8) + np.uint8(1))
    (root / "train.txt").write_text("paris,rennes")
    (root / "test.txt").write_text("rio")
    return folder


def smallmines(folder: Path) -> Path:
    """As unpacked, `data_splits` beside; tile 3 has no mask in 2022."""
    splits = {
        2016: ["train", "train", "test", "train", "test"],
        2022: ["train", "test", "test", "train", "train"],
    }
    for year, own in splits.items():
        rng = np.random.default_rng(year)
        lines = ["patch_name,class_percentage,bin,split"]
        for number, split in enumerate(own):
            image = rng.normal(1500, 200, (13, 32, 32)).astype(np.float32)
            image[10:12] = -12.5
            image[:, :2] = -9999
            mask = (rng.random((1, 32, 32)) < 0.1).astype(np.uint8)
            mask[:, 5] = 255
            place = folder / "SmallMinesDS" / str(year)
            tif(place / "IMAGE" / f"IMG_GH_{number:04d}_{year}.tif", image, nodata=-9999)
            if (number, year) != (3, 2022):
                tif(place / "MASK" / f"MASK_GH_{number:04d}_{year}.tif", mask, nodata=255)
            lines.append(f"MASK_{number:04d}_{year}.tif,1.0,0-10%,{split}")
        (folder / "data_splits").mkdir(exist_ok=True)
        (folder / f"data_splits/train_test_splits_{year}.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_gvlm_as_published(tmp_path: Path) -> None:
    files = gvlm(tmp_path / "GVLM_Change_Detection")
    benchmark, loaded = ingest.prepare("landslides", "gvlm", files, tmp_path)
    assert (loaded.title, loaded.sensor.resolution, loaded.tiling.size) == ("GVLM-CD", 0.59, 256)
    assert (loaded.split.by, loaded.sensor.dtype) == ("site", "uint8")
    done = ingest.run(benchmark, loaded, 1)
    assert (done.sites, done.tiles, done.left_out) == (3, 12, ())
    sites = pd.read_parquet(benchmark.table("sites"))
    assert set(sites.site_id) == {"a-luoi-vietnam", "kodagu-india", "kaikoura-new-zealand"}
    assert set(sites.country) == {"Vietnam", "India", "New Zealand"}
    cube = zarr.open_group(benchmark.cube("kodagu-india"), mode="r")
    assert np.array_equal(
        np.moveaxis(cube["image"][1], 0, -1), np.asarray(Image.open(files / "Kodagu_India/im2.png"))
    )
    assert np.array_equal(cube["change"][0] * 255, np.asarray(Image.open(files / "Kodagu_India/ref.png")))
    assert cube["clear"][:].all()  # black is a colour
    assert "the split was drawn here" in (benchmark.stac / "README.md").read_text()


@pytest.mark.parametrize(("png", "archives"), [(True, True), (False, True), (True, False), (False, False)])
def test_oscd_in_its_archives(tmp_path: Path, png: bool, archives: bool) -> None:
    files = oscd(tmp_path / "OSCD", png, archives)
    for root in (files, files / IMAGES) if not archives else (files,):
        reader = folders(root, "2015..2018,2015..2018")
        assert {site.name: site.split for site in reader.sites()} == {
            "paris": "train", "rennes": "train", "rio": "test",
        }  # fmt: skip
        facts = reader.facts()
        assert facts.sensor == {"bands": BANDS, "rgb": ["B04", "B03", "B02"], "dtype": "uint16"}
        assert (facts.left_out, facts.notes, reader.threshold_of_masks()) == ((), (), 0)
        (rio,) = (site for site in reader.sites() if site.name == "rio")
        assert rio.shape == (122, 105)
        assert [str(image.day) for image in rio.images.values()] == ["2016-01-20", "2018-03-28"]
        pixels = reader.image(rio, "after")
        assert [int(layer.min() // 100) for layer in pixels] == list(range(13))
        ((mask,),) = (reader.changes(rio).values(),)
        expected = next((files).rglob("rio-cm.tif"))
        with rasterio.open(expected) as file:
            assert np.array_equal(mask, file.read(1) == 2)


def test_oscd_to_the_catalog(tmp_path: Path) -> None:
    benchmark, loaded = ingest.prepare("oscd", "oscd", oscd(tmp_path / "OSCD"), tmp_path)
    done = ingest.run(benchmark, loaded, 1)
    assert (loaded.tiling.size, loaded.sensor.resolution, done.sites) == (96, 10, 3)
    scenes = pd.read_parquet(benchmark.table("scenes"))
    assert set(scenes.day) == {"2016-01-20", "2018-03-28"}
    assert set(scenes.dated_by) == {"dates.txt"}
    pairs = data.open(benchmark.data, split="test")
    assert (len(pairs), pairs[0]["a"].shape) == (4, (13, 96, 96))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda root: (root / IMAGES / "rio/imgs_2_rect/B8A.tif").unlink(), "rio: imgs_1_rect and imgs_2_r"),
        (
            lambda root: [path.rename(path.with_name("x")) for path in root.rglob("imgs_1_rect")],
            "no imgs_1_rect: download",
        ),
        (lambda root: [path.rename(path.with_name("x")) for path in root.rglob("cm")], "none of its labels"),
        (
            lambda root: tif(next(root.rglob("rio/imgs_1_rect/B02.tif")), np.ones((1, 9, 9), np.uint16)),
            "B02.tif is uint16 of",
        ),
    ],
)
def test_oscd_that_is_not_whole_is_named(tmp_path: Path, harm, says: str) -> None:
    root = oscd(tmp_path / "OSCD")
    harm(root)
    with pytest.raises(InputError, match=says):
        read_all(root)


def read_all(root: Path) -> None:
    reader = folders(root)
    for site in reader.sites():
        reader.image(site, "before")


def test_a_mask_of_other_numbers_and_scenes_that_lack_one(tmp_path: Path) -> None:
    root = oscd(tmp_path / "OSCD", png=False)
    mask = next(root.rglob("rio-cm.tif"))
    tif(mask, np.zeros((1, 122, 105), np.uint8))
    with pytest.raises(InputError, match=r"other numbers than 1 \(no change\) and 2 \(change\)"):
        folders(root).threshold_of_masks()
    mask.unlink()
    assert folders(root).facts().left_out == ("1 scene without a mask: rio",)
    files = gvlm(tmp_path / "GVLM")
    (files / "Kodagu_India/ref.png").unlink()
    assert folders(files).facts().left_out == ("1 scene without im2.png or ref.png: Kodagu_India",)


def test_smallminesds_is_footprints_of_two_years(tmp_path: Path) -> None:
    files = smallmines(tmp_path / "SmallMinesDS")
    benchmark, loaded = ingest.prepare("galamsey", "smallminesds", files, tmp_path)
    assert (loaded.labels.kind, loaded.labels.meaning) == (
        "footprint",
        "Artisanal and small-scale gold mines.",
    )
    done = ingest.run(benchmark, loaded, 1)
    assert done.left_out == (
        "1 tile without all files: 0003",
        "Sentinel-1 and the DEM of each image: its last three bands",
    )
    assert done.notes == (
        "the authors drew each year's split apart: of 5 tiles 2 are in two, and are in test where either "
        "year is",
    )
    card = (benchmark.stac / "README.md").read_text()
    assert all(f"- {said}" in card for said in ("left out: Sentinel-1", "left out: 1 tile", *done.notes))
    named = pd.read_parquet(benchmark.table("imported"))
    assert dict(zip(named.file, named.site_id, strict=True)) == {
        "0000": "train-0000", "0001": "test-0000", "0002": "test-0000", "0004": "test-0000",
    }  # fmt: skip
    cube = zarr.open_group(benchmark.cube("train-0000"), mode="r")
    root = files / "SmallMinesDS/2022"
    with rasterio.open(root / "IMAGE/IMG_GH_0000_2022.tif") as file:
        own = file.read()[:10]
    assert np.array_equal(cube["reflectance"][1][:, 2:], np.rint(own[:, 2:]).astype(np.uint16))
    assert not cube["clear"][1][:2].any()
    with rasterio.open(root / "MASK/MASK_GH_0000_2022.tif") as file:
        mask = file.read(1)
    assert np.array_equal(cube["mine"][1][2:], mask[2:])
    scenes = pd.read_parquet(benchmark.table("scenes"))
    assert set(scenes.period) == {"2016-01", "2022-01"}
    assert set(scenes.day) == {""}


def test_smallminesds_that_is_otherwise_is_said(tmp_path: Path) -> None:
    files = smallmines(tmp_path / "SmallMinesDS")
    with pytest.raises(InputError, match="--dates: the names of SmallMinesDS's files say the years"):
        folders(files, "2012,2016")
    path = files / "SmallMinesDS/2016/IMAGE/IMG_GH_0000_2016.tif"
    tif(path, np.full((13, 32, 32), 0.4, np.float32))
    reader = folders(files)
    (train,) = (site for site in reader.sites() if site.split == "train")
    with pytest.raises(InputError, match=r"numbers up to 0\.4, and not reflectance x 10000"):
        reader.image(train, "2016-01")
    for path in (files / "data_splits").iterdir():
        path.unlink()
    assert folders(files).facts().notes[0].startswith("there is no train_test_splits_2016.csv")
