"""One period of a site as a STAC Item."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pystac
from numpy.typing import NDArray

from minebench import __version__
from minebench.periods import Period
from pipeline.recipe import Recipe
from pipeline.sites.site import Site
from pipeline.stac import assets, objects, times

# Not eo/v2.0.0, which forbids the `eo:bands` by which readers of STAC 1.0 find bands.
EXTENSIONS = [
    objects.extension(name)
    for name in (
        "classification/v1.1.0", "eo/v1.1.0", "file/v2.1.0", "label/v1.0.1", "processing/v1.2.0",
        "projection/v2.0.0", "raster/v2.0.0",
    )
]  # fmt: skip


def item_id(site: Site, label: str) -> str:
    return f"{site.site_id}_{label}"


def describe(
    recipe: Recipe, site: Site, period: Period, mask: NDArray[np.uint8], clear: NDArray[np.uint8],
    scenes: pd.DataFrame, files: Mapping[str, pystac.Asset],
) -> pystac.Item:  # fmt: skip
    """The item; `scenes` are the rows that went into the image."""
    when = times.of_image(site, period, recipe, scenes)
    first, last = times.interval(site, period, recipe)
    labelled = recipe.labels.kind == "change" or bool((mask != assets.UNKNOWN).any())
    return pystac.Item(
        id=item_id(site, period.label),
        **objects.place_of(site.geometry),
        datetime=when.at,
        start_datetime=None if when.at else when.first,
        end_datetime=None if when.at else when.last,
        stac_extensions=EXTENSIONS if labelled else [name for name in EXTENSIONS if "/label/" not in name],
        collection=site.site_id,
        assets=dict(files),
        properties={
            "title": f"{site.label}, {period.label}",
            **({"gsd": recipe.sensor.resolution} if recipe.source.knows_pixel else {}),
            # Nobody looked for clouds in published files.
            **({} if recipe.source.is_published else {"eo:cloud_cover": _cloud_cover(clear)}),
            "proj:code": f"EPSG:{site.epsg}" if site.epsg else None,
            "proj:shape": list(site.shape),
            "proj:transform": list(site.grid.transform)[:6],
            **(_label(recipe) if labelled else {}),
            "processing:software": {"minebench": __version__},
            "processing:lineage": _lineage(recipe, scenes),
            **_level(scenes),
            "minebench:period": period.label,
            "minebench:period_start": objects.stamp(first),
            "minebench:period_end": objects.stamp(last),
            "minebench:known_fraction": round(float((mask != assets.UNKNOWN).mean()), 6),
            "minebench:scenes": scenes.scene_id.tolist(),
            "minebench:acquired": sorted(set(scenes.day) - {""}),
            "minebench:dated_by": sorted(set(scenes.dated_by)),
        },
    )


def _cloud_cover(clear: NDArray[np.uint8]) -> float:
    """Per cent of pixels without a clear observation."""
    return round(float((clear == 0).mean() * 100), 3)


def _label(recipe: Recipe) -> dict[str, Any]:
    """The label extension's fields, of what was labelled."""
    return {
        "label:type": "raster",
        "label:description": _meaning(recipe),
        "label:properties": None,
        "label:classes": [{"name": None, "classes": ["background", "mine"]}],
        "label:tasks": ["segmentation"],
    }


def _meaning(recipe: Recipe) -> str:
    if recipe.labels.kind == "footprint":
        return "Mine footprint: 0 background, 1 mine, 255 unknown"
    return "Change was labelled, of pairs of periods (array change of the cube); footprints are unknown"


def cube_assets(recipe: Recipe, href: str, tree: assets.Tree) -> dict[str, pystac.Asset]:
    """The site's cube seen as this item's image and mask: one Zarr group over all dates."""
    kind = recipe.sensor.encoding
    image = {"bands": assets.bands_of(recipe), "data_type": kind.dtype, **assets.nodata_of(kind)}
    mask = {"data_type": "uint8", "nodata": assets.UNKNOWN, "classification:classes": assets.CLASSES}
    return {
        kind.kind: pystac.Asset(
            href, f"{kind.title} of all bands and periods", None, objects.ZARR, kind.roles,
            {**tree.fields(), **image},
        ),
        "mine": pystac.Asset(
            href, "Mine footprint of all periods", None, objects.ZARR, ["labels"], {**tree.fields(), **mask}
        ),
    }  # fmt: skip


def _level(scenes: pd.DataFrame) -> dict[str, str]:
    """The scenes' processing level; one image never mixes two."""
    levels = sorted(set(scenes.level) - {""})
    return {"processing:level": levels[0]} if len(levels) == 1 else {}


def _lineage(recipe: Recipe, scenes: pd.DataFrame) -> str:
    if recipe.source.is_published:
        return "pixels as published"
    rule = recipe.selection
    how = f"{rule.composite} composite" if rule.policy == "composite" else "least cloudy day"
    offsets = sorted(set(scenes.offset))
    removed = f"; offset removed from the numbers: {', '.join(map(str, offsets))}" if any(offsets) else ""
    moved = f"; {int(scenes.corrected.sum())} scene(s) co-registered" if scenes.corrected.any() else ""
    sources = ", ".join(sorted(set(scenes.source)))
    return f"{how} of {scenes.day.nunique()} day(s) from source {sources}{removed}{moved}"
