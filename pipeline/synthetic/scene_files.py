"""The scenes of the synthetic archive as COGs, and the STAC objects that list them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from minebench import __version__
from minebench.cube.encoding import REFLECTANCE
from minebench.layout import BenchmarkPaths
from pipeline.geo import cog, geodesy
from pipeline.geo.grid import epsg_of
from pipeline.recipe import Recipe
from pipeline.sensors.sentinel2 import ASSETS, COMMON
from pipeline.sites.site import Site
from pipeline.stac import objects
from pipeline.stac.paging import shelved
from pipeline.synthetic import ground, growth, overpass, spectra
from pipeline.synthetic.growth import Mine

COLLECTION = "sentinel-2-l2a"
EXTENSIONS = [
    objects.extension(name) for name in ("eo/v2.0.0", "projection/v2.0.0", "raster/v2.0.0", "file/v2.1.0")
]
Moment = tuple[float, int | str]


def times(plan: Sequence[overpass.Granule]) -> list[Moment]:
    """Times of the mines' states, with how an annotation of each is dated: a year, or a month."""
    if not plan[0].monthly:
        years = [granule.time.year for granule in plan]
        return [(float(year), year) for year in range(min(years), max(years) + 1)]
    return sorted({(granule.when, f"{granule.time:%Y-%m}") for granule in plan})


def write(folder: Path, plan: Sequence[overpass.Granule], mines: list[Mine], seed: int) -> list[pystac.Item]:
    """Render and write every granule; the land is made once for each granule's grid."""
    items = []
    by_grid: dict[GeoBox, list[overpass.Granule]] = {}
    for granule in plan:
        by_grid.setdefault(granule.grid, []).append(granule)
    for area, granules in by_grid.items():
        wide = area.pad(overpass.HALO)
        place = ground.land(wide, seed)
        grown = [(m, growth.states(m, wide, [when for when, _ in times(plan)])) for m in mines]
        cache: dict[Any, Any] = {}
        for granule in granules:
            image = overpass.picture(granule, place, grown, cache)
            items.append(_write_scene(folder, granule, image))
    return sorted(items, key=lambda item: item.id)


def _write_scene(folder: Path, granule: overpass.Granule, image: overpass.Picture) -> pystac.Item:
    scene = folder / granule.id
    scene.mkdir()
    coarse = granule.grid.zoom_out(2)
    assets = {}
    for band, numbers in image.bands.items():
        area = granule.grid if band in spectra.FINE_BANDS else coarse
        described = _band(band, granule)
        assets[ASSETS[band]] = _asset(scene / f"{band}.tif", numbers, area, 0, described)
    assets["scl"] = _asset(scene / "SCL.tif", image.scl, coarse, 0, {"name": "SCL"})
    truth = _asset(scene / "true_mask.tif", image.truth, coarse, 255, {"name": "truth"}, ["metadata"])
    truth.title = "True mask: " + str(overpass.TRUTH)
    item = _item(granule, image.cloud_cover, {**assets, "true_mask": truth})
    objects.write(item, objects.to_root(2, collection=True), scene / f"{granule.id}.json")
    return item


def _band(band: str, granule: overpass.Granule) -> dict[str, Any]:
    return {
        "name": band,
        "eo:common_name": COMMON[band],
        "raster:scale": REFLECTANCE.scale,
        "raster:offset": -0.1 if granule.offset else 0,
    }


def _asset(
    path: Path, pixels: NDArray[Any], area: GeoBox, nodata: int, band: dict[str, Any],
    roles: Sequence[str] = ("data",),
) -> pystac.Asset:  # fmt: skip
    """Write a COG and describe it."""
    cog.write_fast(path, pixels[np.newaxis], area, nodata)
    fields: dict[str, Any] = {
        "bands": [band], "data_type": str(pixels.dtype), "nodata": nodata, "gsd": area.resolution.x,
        "proj:shape": list(area.shape), "proj:transform": list(area.transform)[:6],
    }  # fmt: skip
    return objects.asset(path, path.parent, None, objects.COG, list(roles), **fields)


def _item(granule: overpass.Granule, cloud_cover: float, assets: dict[str, pystac.Asset]) -> pystac.Item:
    outline = shapely.box(*granule.grid.boundingbox.bbox)
    light, epsg = granule.sun, epsg_of(granule.grid)
    return pystac.Item(
        id=granule.id,
        **objects.place_of(geodesy.to_lonlat(outline, epsg)),
        datetime=granule.time,
        stac_extensions=EXTENSIONS,
        collection=COLLECTION,
        assets=assets,
        properties={
            "title": "Synthetic scene: not an observation",
            "platform": granule.platform,
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "eo:cloud_cover": cloud_cover,
            "proj:code": f"EPSG:{epsg}",
            "sat:relative_orbit": granule.orbit,
            "view:sun_elevation": round(90 - light.zenith, 3),
            "view:sun_azimuth": round(light.azimuth, 3),
            "s2:processing_baseline": granule.baseline,
            "earthsearch:boa_offset_applied": granule.offset_removed,
            "synthetic:shift_m": list(granule.shift_m),
        },
    )


def write_collection(folder: Path, site: Site, items: list[pystac.Item], told: dict[str, str]) -> None:
    """The collection of a site's scenes; `told` is what it says of how it was made."""
    boxes = np.array([item.bbox for item in items])
    times = sorted(item.datetime for item in items if item.datetime)
    collection = pystac.Collection(
        id=COLLECTION,
        title=f"Synthetic Sentinel-2 L2A around {site.site_id}",
        description="Synthetic scenes in the form of Sentinel-2 L2A. They are not observations.",
        license="CC0-1.0",
        extent=pystac.Extent(
            pystac.SpatialExtent([[*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist()]]),
            pystac.TemporalExtent([[times[0], times[-1]]]),
        ),
    )
    hrefs = (f"./{item.id}/{item.id}.json" for item in items)
    links = [*objects.to_root(1), *(objects.link("item", href, objects.ITEM) for href in hrefs)]
    objects.write(collection, links, folder / "collection.json", **told, **{"minebench:version": __version__})


def write_root(benchmark: BenchmarkPaths, recipe: Recipe, site_ids: list[str]) -> None:
    """The archive's root."""
    root = pystac.Catalog(
        id=f"{benchmark.name}-synthetic-archive",
        title="Synthetic Sentinel-2 archive",
        description=f"Made by minebench {__version__} for '{recipe.title}'. Not observations.",
    )
    children = (objects.link("child", f"./{site_id}/collection.json") for site_id in site_ids)
    path = benchmark.archive / "catalog.json"
    links = [objects.link("root", "./catalog.json"), *shelved(path, root.id, path, children)]
    objects.write(root, links, path)
