"""Pairs of whole scenes, each of its own size: GVLM and OSCD, in the folders that their authors publish.

    <site>/im1.png, im2.png, ref.png                                      GVLM; <site> as Kodagu_India
    ...Images/<city>/imgs_1_rect/B01.tif, ..., imgs_2_rect/..., dates.txt     OSCD: a file for each band
    ...Train Labels/<city>/cm/cm.png, or cm/<city>-cm.tif; ...Test Labels/...  or cm/ in the city's own folder
    train.txt, test.txt                                                   OSCD: cities, with commas between

OSCD's `imgs_1` and `imgs_2` are as downloaded, each band with its own pixel, and are not read. GVLM has no
split; OSCD's is the folder of its labels, else the lists. Scenes have no place.
"""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from minebench.errors import InputError
from minebench.text import counted, few
from pipeline.published.formats import raster_files, tile_stacks
from pipeline.published.formats.folders import UNKNOWN_DATE, dated, facts_of, spans_of, threshold_of
from pipeline.published.formats.layout import Dated, Facts, Found, Pair

DEPTH = ("", "*/", "*/*/")
"""Folders above a scene's."""
GVLM_FILES = ("im1.png", "im2.png", "ref.png")
GVLM_TILE = 256
"""As the tiles that are used of it; the last of a row ends at the edge."""
OSCD_TILE = 96
"""As its authors cut patches for training."""
BAND = re.compile(r"(?:^|_)(B\d[\dA])$", re.IGNORECASE)
DAY = re.compile(r"date_([12]):?\s*(\d{4})-?(\d{2})-?(\d{2})")
NO_CHANGE, CHANGE = 1, 2
"""Numbers of OSCD's masks as TIFF."""


@dataclass(frozen=True)
class Scene:
    """A site's files: the earlier and the later image (one file for all bands, or one for each), the mask;
    `days` of the two images where they are known."""

    name: str
    images: tuple[tuple[Path, ...], tuple[Path, ...]]
    mask: Path
    split: str = ""
    country: str | None = None
    days: tuple[date, ...] = ()


class ScenePairs:
    """See `pipeline.published.formats.pairs_layout.PairsLayout`."""

    version = 1

    def __init__(
        self, folder: Path, scenes: list[Scene], left_out: tuple[str, ...], tile: int,
        dates: str = UNKNOWN_DATE, threshold: int = 0,
    ) -> None:  # fmt: skip
        self.folder, self.tile, self.left_out, self.threshold = folder, tile, left_out, threshold
        self.spans = spans_of(dates)
        self.scenes = {_slug(scene.name): scene for scene in scenes}
        if len(self.scenes) < len(scenes):
            raise InputError(f"{folder}: two scenes have names that differ in nothing but their signs.")
        self.found = [self._site(name, scene) for name, scene in sorted(self.scenes.items())]

    def facts(self) -> Facts:
        first = self.scenes[self.found[0].name].images[0]
        names = [_band(path) for path in first] if len(first) > 1 else ["R", "G", "B"]
        dtype: Literal["uint8", "uint16"] = "uint16" if len(first) > 1 else "uint8"
        tiling = {"size": self.tile, "edge": "shift", "pad": True}
        return facts_of(names, dtype, self.spans, tiling, self.threshold, self.left_out)

    def sites(self) -> list[Found]:
        return self.found

    def image(self, site: Found, label: str) -> NDArray[Any]:
        return _read(self._files(site, label))

    def seen(self, site: Found, label: str) -> NDArray[np.bool_] | None:
        files = self._files(site, label)
        return tile_stacks.opaque(files[0], str(files[0])) if len(files) == 1 else None

    def mask(self, site: Found, label: str) -> NDArray[np.uint8] | None:
        return None

    def changes(self, site: Found) -> dict[Pair, NDArray[np.uint8]]:
        path = self.scenes[site.name].mask
        mask = _mask(path)
        if mask.shape != site.shape:
            raise InputError(f"{path} is {mask.shape}, its images {site.shape}.")
        return {("before", "after"): (mask > self.threshold).astype(np.uint8)}

    def aoi(self, site: Found) -> NDArray[np.bool_] | None:
        return None

    def files(self, site: Found) -> list[Path]:
        scene = self.scenes[site.name]
        return [*scene.images[0], *scene.images[1], scene.mask]

    def resolution(self) -> float | None:
        return None

    def threshold_of_masks(self) -> int:
        return threshold_of(_mask(scene.mask) for scene in self.scenes.values())

    def _files(self, site: Found, label: str) -> tuple[Path, ...]:
        return self.scenes[site.name].images[label == "after"]

    def _site(self, name: str, scene: Scene) -> Found:
        images: dict[str, Dated] = {}
        for number, (label, span) in enumerate(self.spans.items()):
            path = scene.images[number][0]
            file = (path if len(scene.images[number]) == 1 else path.parent).relative_to(self.folder)
            days = (scene.days[number],) * 2 if scene.days else span
            images[label] = dated(file.as_posix(), *days, exactly="dates.txt")
        return Found(name, _shape(scene.images), images, scene.split, country=scene.country)


def gvlm(folder: Path) -> tuple[list[Scene], tuple[str, ...]] | None:
    """GVLM's scenes, and what is left out; None where a folder holds none."""
    scenes, lacking = [], []
    for place in sorted({path.parent for form in DEPTH for path in folder.glob(f"{form}*/{GVLM_FILES[0]}")}):
        before, after, mask = (place / name for name in GVLM_FILES)
        if not (after.is_file() and mask.is_file()):
            lacking.append(place.name)
            continue
        country = place.name.rpartition("_")[2] if "_" in place.name else None
        scenes.append(Scene(place.name, ((before,), (after,)), mask, country=country))
    return (scenes, _without(lacking, "im2.png or ref.png")) if scenes else None


def oscd(folder: Path) -> tuple[list[Scene], tuple[str, ...]] | None:
    """OSCD's scenes, and what is left out; None where a folder holds none. InputError where the two images
    have other bands."""
    cities = sorted({path.parent for form in DEPTH for path in folder.glob(f"{form}*/imgs_1_rect")})
    if not cities:
        if any(next(folder.glob(f"{form}*/imgs_1"), None) for form in DEPTH):
            raise InputError(
                f"{folder} has OSCD's imgs_1, whose bands have pixels of 10, 20 and 60 m, and no "
                "imgs_1_rect: download its archive of images again."
            )
        return None
    masks, lists = _oscd_masks(folder), _oscd_lists(folder)
    scenes, lacking = [], []
    for city in cities:
        before, after = (_bands_in(city / f"imgs_{number}_rect") for number in (1, 2))
        if [_band(path) for path in before] != [_band(path) for path in after]:
            raise InputError(f"{city}: imgs_1_rect and imgs_2_rect have other bands.")
        if city.name not in masks or not before:
            lacking.append(city.name)
            continue
        mask, split = masks[city.name]
        scenes.append(
            Scene(city.name, (before, after), mask, split or lists.get(city.name, ""), days=_days(city))
        )
    if not scenes:
        raise InputError(
            f"{folder} has OSCD's images and none of its labels (cm/cm.png): give the folder that holds its "
            "three archives, unpacked."
        )
    left_out = _without(lacking, "a mask")
    if len({bool(scene.split) for scene in scenes}) > 1:
        left_out += _without([scene.name for scene in scenes if not scene.split], "a split")
        scenes = [scene for scene in scenes if scene.split]
    return scenes, left_out


def _without(names: list[str], what: str) -> tuple[str, ...]:
    return (f"{counted(len(names), 'scene')} without {what}: {few(names)}",) if names else ()


def _oscd_masks(folder: Path) -> dict[str, tuple[Path, str]]:
    """The mask of each city, PNG before TIFF, and the split that its archive is of."""
    found: dict[str, tuple[Path, str]] = {}
    for form in DEPTH:
        for place in sorted(folder.glob(f"{form}*/cm")):
            files = [place / "cm.png", *sorted(place.glob("*.tif"))]
            mask = next((path for path in files if path.is_file()), None)
            above = place.parent.parent.relative_to(folder).as_posix().lower()
            split = next((word for word in ("train", "test") if word in above), "")
            if mask is not None:
                found.setdefault(place.parent.name, (mask, split))
    return found


def _oscd_lists(folder: Path) -> dict[str, str]:
    """Split of each city by train.txt and test.txt."""
    found: dict[str, str] = {}
    for split in ("train", "test"):
        for path in sorted(path for form in DEPTH[:2] for path in folder.glob(f"{form}{split}.txt")):
            names = re.split(r"[,\s]+", path.read_text(encoding="utf-8-sig", errors="replace"))
            found |= dict.fromkeys(filter(None, names), split)
    return found


def _bands_in(folder: Path) -> tuple[Path, ...]:
    """The files of bands in a folder, in Sentinel-2's order: B8A behind B08."""
    files = [path for path in folder.glob("*.tif") if BAND.search(path.stem)]
    return tuple(sorted(files, key=lambda path: _band(path).replace("8A", "08A")))


def _band(path: Path) -> str:
    match = BAND.search(path.stem)
    return match[1].upper() if match else path.stem


def _days(city: Path) -> tuple[date, ...]:
    """Days of the two images, by dates.txt; none where it does not say them."""
    path = city / "dates.txt"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    try:
        days = {number: date(int(y), int(m), int(d)) for number, y, m, d in DAY.findall(text)}
    except ValueError:
        return ()
    return (days["1"], days["2"]) if set(days) == {"1", "2"} and days["1"] < days["2"] else ()


def _read(files: tuple[Path, ...]) -> NDArray[Any]:
    """An image (band, y, x): one picture's colours, or a file for each band. InputError where files of bands
    are not all of one size, or of other numbers than uint16."""
    if len(files) == 1:
        return tile_stacks.picture(files[0], str(files[0]), "RGB")
    layers = []
    for path in files:
        with raster_files.opened(path) as file:
            layers.append(file.read(1))
        if layers[-1].dtype != np.uint16 or layers[-1].shape != layers[0].shape:
            raise InputError(
                f"{path} is {layers[-1].dtype} of {layers[-1].shape}, not uint16 of {layers[0].shape}."
            )
    return np.stack(layers)


def _mask(path: Path) -> NDArray[np.uint8]:
    """A mask (y, x), 0 where nothing changed. OSCD's TIFFs have 1 there, and 2 for change."""
    if path.suffix == ".png":
        return tile_stacks.picture(path, str(path), "L")
    with raster_files.opened(path) as file:
        mask = file.read(1)
    if not np.isin(mask, (NO_CHANGE, CHANGE)).all():
        raise InputError(f"{path} has other numbers than {NO_CHANGE} (no change) and {CHANGE} (change).")
    return (mask == CHANGE).astype(np.uint8)


def _shape(images: tuple[tuple[Path, ...], tuple[Path, ...]]) -> tuple[int, int]:
    """Rows and columns of a scene. InputError where its two images differ."""
    shapes = []
    for files in images:
        if files[0].suffix == ".png":
            shapes.append(tile_stacks.shape(files[0]))
            continue
        with raster_files.opened(files[0]) as file:
            shapes.append((int(file.height), int(file.width)))
    if shapes[0] != shapes[1]:
        raise InputError(f"{images[1][0]} is {shapes[1]}, {images[0][0]} {shapes[0]}.")
    return shapes[0]


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-.").lower()
