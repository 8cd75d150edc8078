"""One period of a site as a STAC Item."""

import json
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline import __version__
from pipeline.catalog import assets as files
from pipeline.core.periods import Period
from pipeline.recipe import Recipe
from pipeline.sensors.sentinel2 import COMMON_NAMES

EXTENSIONS = [
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in (
        "classification/v1.1.0", "eo/v2.0.0", "file/v2.1.0", "label/v1.0.1", "processing/v1.2.0",
        "projection/v2.0.0", "raster/v2.0.0",
    )
]  # fmt: skip


def outline(site: Any) -> dict[str, Any]:
    """An item's geometry and bbox; null, and none, for tiles without a place."""
    if site.geometry is None or site.geometry.is_empty:
        return {"geometry": None}
    return {"geometry": json.loads(shapely.to_geojson(site.geometry)), "bbox": list(site.geometry.bounds)}


def item_id(site: Any, label: str) -> str:
    return f"{site.site_id}_{label}"


def describe(
    recipe: Recipe, site: Any, period: Period, box: GeoBox, mask: NDArray[np.uint8],
    clear: NDArray[np.uint8], scenes: pd.DataFrame, assets: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The item as JSON; `scenes` are the rows that went into the image."""
    last = f"{period.end - timedelta(days=1)}T23:59:59Z"
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": EXTENSIONS,
        "id": item_id(site, period.label),
        "collection": site.site_id,
        **outline(site),
        "properties": {
            "title": f"{site.name or site.site_id}, {period.label}",
            "datetime": f"{period.start}T00:00:00Z",
            "start_datetime": f"{period.start}T00:00:00Z",
            "end_datetime": last,
            "gsd": recipe.sensor.resolution,
            "eo:cloud_cover": round(float((clear == 0).mean() * 100), 3),
            "proj:code": f"EPSG:{site.epsg}" if site.epsg else None,
            "proj:shape": list(box.shape),
            "proj:transform": list(box.transform)[:6],
            "label:type": "raster",
            "label:description": _meaning(recipe),
            "label:properties": None,
            "label:classes": [{"name": None, "classes": ["background", "mine"]}],
            "label:tasks": ["segmentation"],
            "processing:software": {"minebench": __version__},
            "processing:lineage": _lineage(recipe, scenes),
            **_level(scenes),
            "minebench:known_fraction": round(float((mask != 255).mean()), 6),
            "minebench:scenes": scenes.scene_id.tolist(),
            "minebench:acquired": sorted(set(scenes.day) - {""}),
            "minebench:dated_by": sorted(set(scenes.dated_by)),
        },
        "links": [
            {"rel": "root", "href": "../../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../collection.json", "type": "application/json"},
            {"rel": "collection", "href": "../collection.json", "type": "application/json"},
        ],
        "assets": assets,
    }


def _meaning(recipe: Recipe) -> str:
    if recipe.labels.kind == "footprint":
        return "Mine footprint: 0 background, 1 mine, 255 unknown"
    return "Change was labelled, of pairs of periods (array change of the cube); footprints are unknown"


def cube_assets(recipe: Recipe, href: str, tree: files.Tree) -> dict[str, Any]:
    """The site's cube seen as this item's image and mask: one Zarr group over all dates."""
    scale = {"raster:scale": 0.0001} if recipe.sensor.dtype == "uint16" else {}
    bands = [
        {
            "name": band,
            **({"eo:common_name": COMMON_NAMES[band]} if band in COMMON_NAMES else {}),
            **scale,
        }
        for band in recipe.sensor.bands
    ]
    common = {"href": href, "type": files.ZARR, **tree.fields()}
    return {
        "reflectance": {
            **common,
            "title": f"{'Reflectance' if scale else 'Image'} of all bands and periods",
            "roles": ["data", *(["reflectance"] if scale else [])],
            "bands": bands,
            "data_type": recipe.sensor.dtype,
            "nodata": 0,
        },
        "mine": {
            **common,
            "title": "Mine footprint of all periods",
            "roles": ["labels"],
            "data_type": "uint8",
            "nodata": 255,
            "classification:classes": files.CLASSES,
        },
    }


def _level(scenes: pd.DataFrame) -> dict[str, str]:
    """The scenes' processing level; one image never mixes two."""
    levels = sorted(set(scenes.level) - {""})
    return {"processing:level": levels[0]} if len(levels) == 1 else {}


def _lineage(recipe: Recipe, scenes: pd.DataFrame) -> str:
    if recipe.source.name == "import":
        return "pixels as published"
    rule = recipe.selection
    how = f"{rule.composite} composite" if rule.policy == "composite" else "least cloudy day"
    offsets = sorted(set(scenes.offset))
    removed = f"; offset removed from the numbers: {', '.join(map(str, offsets))}" if any(offsets) else ""
    moved = f"; {int(scenes.corrected.sum())} scene(s) co-registered" if scenes.corrected.any() else ""
    return f"{how} of {scenes.day.nunique()} day(s) from source {recipe.source.name}{removed}{moved}"
