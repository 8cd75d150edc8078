"""Footprints as COCO polygons: one image per tile and period.

    images/<tile_id>_<period>.png
    annotations/train.json, val.json, test.json     category 1, `mine`; one annotation a connected part

Polygons follow pixel edges. COCO's have no holes, so a part with holes is cut into pieces without. Periods
of a tile that nobody annotated are left out; a padded tile is its part inside the site.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image
from rasterio.features import shapes

from minebench import __version__
from minebench.errors import InputError
from minebench.index import tiles_of
from minebench.masks import UNKNOWN
from minebench.progress import progress
from pipeline.export.jobs import SPLITS, Job
from pipeline.stac import dataset_card

CATEGORY = {"id": 1, "name": "mine", "supercategory": "land use"}
LICENCE = 1
"""Id of the one licence, that of the whole; LICENCES.md beside has those of its parts."""


def write(job: Job) -> None:
    """Write images and annotations. InputError where change was labelled, not footprints."""
    if job.recipe.labels.kind == "change":
        raise InputError("COCO polygons are of footprints: this benchmark labels change between two images.")
    licence = {"id": LICENCE, "name": job.licence, "url": dataset_card.licence_url(job.licence)}
    (job.folder / "images").mkdir()
    (job.folder / "annotations").mkdir()
    with progress("export", len(job.tiles), "tiles") as advance:
        for split in SPLITS:
            images: list[dict[str, Any]] = []
            annotations: list[dict[str, Any]] = []
            for tile in tiles_of(job.tiles[job.tiles.split == split]):
                _tile(job, tile, split, images, annotations)
                advance()
            content = {
                "info": {"description": f"{job.recipe.title}, {split}", "version": __version__},
                "licenses": [licence], "categories": [CATEGORY], "images": images, "annotations": annotations,
            }  # fmt: skip
            (job.folder / "annotations" / f"{split}.json").write_text(json.dumps(content))


def _tile(
    job: Job, tile: Any, split: str, images: list[dict[str, Any]], annotations: list[dict[str, Any]]
) -> None:
    pixels, masks = job.cubes.read(tile)
    inside = np.s_[: tile.height, : tile.width]
    for period, image, whole in zip(job.cubes.periods(tile.site_id), pixels, masks, strict=True):
        mask = whole[inside]
        unknown = int((mask == UNKNOWN).sum())
        if unknown > job.max_unknown * mask.size:
            job.left_out += 1
            continue
        job.made_known += unknown
        name = f"{tile.tile_id}_{period}.png"
        Image.fromarray(job.rgb(image)[inside]).save(job.folder / "images" / name)
        number = len(images) + 1
        size = {"height": int(tile.height), "width": int(tile.width)}
        images.append({"id": number, "file_name": name, **size, "license": LICENCE})
        for part in parts(mask):
            annotations.append({"id": len(annotations) + 1, "image_id": number, **part})
        job.count(split)


def parts(mask: NDArray[np.uint8]) -> Iterator[dict[str, Any]]:
    """A mask's connected parts as COCO annotations, in pixels from the upper left corner."""
    for geometry, _ in shapes((mask == 1).astype(np.uint8), mask == 1):
        outline = shapely.geometry.shape(geometry)
        left, top, right, bottom = outline.bounds
        yield {
            "category_id": 1, "iscrowd": 0, "area": float(outline.area),
            "bbox": [left, top, right - left, bottom - top],
            "segmentation": [
                [value for point in list(piece.exterior.coords)[:-1] for value in point]
                for piece in without_holes(outline)
            ],
        }  # fmt: skip


def without_holes(outline: Any) -> list[Any]:
    """A polygon cut along whole columns of pixels until no piece has a hole."""
    if outline.geom_type != "Polygon":
        return [piece for part in getattr(outline, "geoms", []) if part.area for piece in without_holes(part)]
    if not outline.interiors:
        return [outline]
    west, _, east, _ = outline.interiors[0].bounds
    cut = np.floor((west + east) / 2)
    left, bottom, right, top = outline.bounds
    halves = (shapely.box(left, bottom, cut, top), shapely.box(cut, bottom, right, top))
    return [piece for half in halves for piece in without_holes(outline.intersection(half))]
