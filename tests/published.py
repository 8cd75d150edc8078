"""Small files in exactly the layouts that others publish."""

import csv
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from affine import Affine
from PIL import Image

SIDE = 64


def scene(seed: int, shape: tuple[int, int], bands: int = 3, grown: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An image (band, y, x) uint8 with a bright mine, and its mask in {0, 1}."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    mask = np.hypot(y - shape[0] / 2, x - shape[1] / 2) < min(shape) / 5 + grown
    image = rng.integers(40, 90, (bands, *shape)) + 110 * mask
    return image.astype(np.uint8), mask.astype(np.uint8)


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array if array.ndim == 2 else np.moveaxis(array, 0, -1)).save(buffer, "PNG")
    return buffer.getvalue()


def pair(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, B and the change label in {0, 255} of a tile."""
    a, before = scene(seed, (SIDE, SIDE))
    b, after = scene(seed + 1000, (SIDE, SIDE), grown=4 + seed % 5)
    return a, b, ((before != after) * 255).astype(np.uint8)


COUNTS = {"train": 70, "val": 4, "test": 5}


def minenetcd_folders(folder: Path) -> Path:
    """train|val|test / A, B, label / <name>.png"""
    for split, count in COUNTS.items():
        for number in range(count):
            for part, pixels in zip(("A", "B", "label"), pair(number), strict=True):
                path = folder / split / part / f"{number:04d}_site{number % 3}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png(pixels))
    return folder


def minenetcd_parquet(folder: Path) -> Path:
    """The Hugging Face form: data/<split>-00000-of-00001.parquet."""
    (folder / "data").mkdir(parents=True)
    for split, count in COUNTS.items():
        columns: dict[str, list[object]] = {"imageA": [], "imageB": [], "label": []}
        for number in range(count):
            for name, pixels in zip(columns, pair(number), strict=True):
                columns[name].append({"bytes": png(pixels), "path": f"{number:04d}.png"})
        pq.write_table(
            pa.table(columns), folder / "data" / f"{split}-00000-of-00001.parquet", row_group_size=16
        )
    return folder


def tif(
    path: Path, pixels: np.ndarray, place: tuple[float, float], crs: str = "EPSG:32633", res: float = 10
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    count, height, width = pixels.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": pixels.dtype,
               "crs": crs, "transform": Affine(res, 0, place[0], 0, -res, place[1])}  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels)


def oms2cd(folder: Path) -> Path:
    """Three facilities of 300 x 380 pixels, four months each, three pairs each."""
    rows = []
    splits = {
        "train": "s2_Boddington_-32.74_116.36",
        "val": "s2_Fort_Knox_64.99_-147.36",
        "test": "s2_X_0.1_20.5",
    }
    for number, (split, facility) in enumerate(splits.items()):
        place = (4e5 + 20_000 * number, 5e6)
        days = [f"2018-0{month}-1{month}" for month in (1, 3, 5, 8)]
        masks = []
        for step, day in enumerate(days):
            image, mask = scene(10 * number + step, (300, 380), grown=6 * step)
            tif(folder / f"{facility}_{day}.tif", image, place)
            masks.append(mask)
        area = np.zeros((300, 380), np.uint8)
        area[20:-20, 20:-20] = 255
        tif(folder / "area_mask" / f"{facility}.tif", area, place)
        for first, second in ((0, 1), (1, 2), (0, 3)):
            name = f"{first}{second}"
            changed = ((masks[first] != masks[second]) * 255).astype(np.uint8)
            tif(folder / "mask" / f"{facility}_{name}.tif", changed, place)
            names = [f"{facility}_{days[k]}.tif" for k in (first, second)]
            rows.append({"id": name, "imageA": names[0], "imageB": names[1], "mask": f"{facility}.tif"})
        (folder / f"{split}.csv").write_text(f"facility\n{facility}\n")
    with (folder / "mapping.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "imageA", "imageB", "mask"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def euromine(folder: Path, sites: int = 5) -> Path:
    """<Country_N>/image/Year<year>.tif and label/Year<year>.tif; one label a pixel short, as published."""
    for number in range(sites):
        place = (3e5 + 12_000 * number, 5.5e6)
        for year in (2015, 2016, 2018):
            image, mask = scene(number, (109, 286), bands=10, grown=2 * (year - 2015))
            site = folder / f"Germany_{number + 1}"
            tif(site / "image" / f"Year{year}.tif", image.astype(np.uint16) * 20, place)
            label = (mask * 255).astype(np.uint8)
            tif(
                site / "label" / f"Year{year}.tif",
                label[:-1] if (number, year) == (1, 2016) else label,
                place,
            )
    (folder / "train_val_test_splits.py").write_text(
        "train_val_test_splits={'train': ['Germany_1', 'Germany_2', 'Germany_2'],\n"
        "  'val': ['Germany_3'], 'test': ['Germany_4']}\n"
    )
    return folder


def euromine_tiles(folder: Path) -> Path:
    """What the authors' script cuts: <site>/<year>/image/Year<year>_Patch<k>.npy."""
    for site, split_seed in (("Spain_1", 0), ("Spain_2", 1), ("Spain_3", 2)):
        for year in (2015, 2016):
            for patch in range(11):
                image, mask = scene(patch + split_seed, (SIDE, SIDE), bands=10, grown=year - 2015)
                for kind, array in (
                    ("image", image.astype(np.uint16) * 20),
                    ("label", mask.astype(np.float32)),
                ):
                    path = folder / site / str(year) / kind / f"Year{year}_Patch{patch}.npy"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    np.save(path, array)
    (folder / "splits.csv").write_text("name,split\nSpain_1,train\nSpain_2,val\nSpain_3,test\n")
    return folder
