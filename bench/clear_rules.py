"""What tells clear ground, against a true mask of clouds and shadows.

    python bench/clear_rules.py FOLDER

FOLDER has sentinel2.npz, landsat5.npz and landsat7.npz of ukis-csmask's tests (dlr-eoc/ukis-csmask,
tests/testfiles): 512 x 512 pixels of reflectance at the top of the atmosphere in six bands, and a mask of
shadow, water, snow, land and cloud.

Omission is the share of cloud, or of shadow, that is taken for clear ground; a false alarm the share of land,
water or snow that is not.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minebench.errors import InputError
from pipeline.scenes.selection import clear_pixels
from pipeline.sensors import classes, sentinel2
from pipeline.sensors.classes import ClearRule
from pipeline.sources.local import cloud_model

IMAGES = ("sentinel2", "landsat5", "landsat7")
BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
TRUTH = {"cloud": 4, "shadow": 0, "land": 3, "water": 1, "snow": 2}
HIDDEN = ("cloud", "shadow")
TRUE_CLASSES = np.array([classes.SHADOW, classes.WATER, classes.SNOW, classes.CLEAR, classes.CLOUD], np.uint8)
"""Our classes by the numbers of `TRUTH`. Water is clear by the default `clear_classes`."""


def main() -> None:
    """Print a table per image, and one of all three."""
    folder = Path(sys.argv[1])
    pixels: dict[str, list[tuple[NDArray[np.bool_], NDArray[np.uint8]]]] = {}
    for name in IMAGES:
        with np.load(folder / f"{name}.npz") as file:
            image, truth = file["img"], file["msk"][..., 0]
        shares = ", ".join(f"{word} {(truth == number).mean():.1%}" for word, number in TRUTH.items())
        print(f"\n{name}: {shares}")
        header()
        for rule, seen in rules(image, truth):
            pixels.setdefault(rule, []).append((seen, truth))
            row(rule, seen, truth)
    print("\nall three")
    header()
    for rule, pairs in pixels.items():
        row(rule, np.stack([seen for seen, _ in pairs]), np.stack([truth for _, truth in pairs]))


def rules(image: NDArray[np.float32], truth: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield each rule, and where it takes ground (y, x) for clear."""
    true = TRUE_CLASSES[truth]
    no_shadow = np.where(true == classes.SHADOW, np.uint8(classes.CLEAR), true)
    yield "no mask", clear(np.full_like(true, classes.CLEAR), 0)
    for margin in (0, 2, 10):
        yield f"true clouds, margin {margin}", clear(no_shadow, margin)
    for margin in (2, 10):
        yield f"true clouds and shadows, margin {margin}", clear(true, margin)
    stored = np.clip(np.rint(np.moveaxis(image, -1, 0) * 10_000), 1, 65_535).astype(np.uint16)
    for bands in (6, 4):
        try:
            words = cloud_model.bands_for("ukis-csmask-l1c", BANDS[:bands])
        except InputError as error:
            print(error, file=sys.stderr)
            return
        found = cloud_model.classified(stored[:bands], words.values(), "ukis-csmask-l1c")
        for margin in (0, 2):
            yield f"ukis-csmask, {bands} bands, margin {margin}", clear(found, margin)


def clear(seen: NDArray[np.uint8], margin: int) -> NDArray[np.bool_]:
    return clear_pixels(seen, ClearRule(sentinel2.USUALLY_CLEAR, margin))


def header() -> None:
    print(f"{'':38}{'omission':^18}{'false alarm':^27}")
    print(f"{'':38}" + "".join(f"{word:>9}" for word in TRUTH))


def row(rule: str, seen: NDArray[np.bool_], truth: NDArray[np.uint8]) -> None:
    """Print the share of each class that is wrong."""
    cells = []
    for word, number in TRUTH.items():
        where = truth == number
        wrong = seen[where] if word in HIDDEN else ~seen[where]
        cells.append(f"{wrong.mean():9.1%}" if where.any() else f"{'none':>9}")
    print(f"{rule:38}" + "".join(cells))


if __name__ == "__main__":
    main()
