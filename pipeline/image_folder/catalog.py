"""Command `stac`: a static STAC catalog of a folder of images, which the source `stac` reads.

catalog.json                           beside the images or above them
stac/<collection>/<item>/<item>.json   one for each scene; addresses of images are relative
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path

import pystac
import shapely
from pystac.extensions.eo import Band, EOExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import DataType, NoDataStrings, RasterBand, RasterExtension
from rasterio.warp import transform_bounds
from shapely.geometry.base import BaseGeometry

from minebench.errors import InputError
from pipeline.geo import raster
from pipeline.image_folder import products as known_products
from pipeline.image_folder import scan
from pipeline.image_folder.contents import Accept, Images
from pipeline.image_folder.products import Product
from pipeline.sensors import airborne, sentinel2
from pipeline.sources.local import dated_files, image_cubes, product_baselines, tree
from pipeline.sources.local.dated_files import Listed
from pipeline.sources.stac import item_bands

MADE_BY = "Made by `minebench stac`"
PLAIN_IMAGES = "images"
"""The collection of images of no sensor that the source `stac` knows."""
WAVELENGTHS = {
    "blue": 0.49, "green": 0.56, "red": 0.665, "nir": 0.842, "nir08": 0.865, "swir16": 1.61, "swir22": 2.19,
}  # fmt: skip
"""Micrometres of common names, of Sentinel-2; others are left out."""


@dataclass(frozen=True)
class Written:
    """A catalog's path, how many scenes it has, and the lines of a recipe that read each collection."""

    path: Path
    count: int
    recipes: dict[str, str]


def write(folder: Path, out: Path | None, accept: Accept = lambda seen: None) -> Written:
    """Write the catalog of a folder into `out`, the folder itself without one. InputError, and nothing
    written, where the source `stac` could not read it."""
    root = folder if out is None else out
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. A cube is read by the source local (--images).")
    if not folder.resolve().is_relative_to(root.resolve()):
        raise InputError(
            f"--out: {folder} does not lie in {root}, and the source stac reads no files outside of its "
            f"catalog's folder: leave --out away, or name a folder above {folder}."
        )
    target = root / "catalog.json"
    if target.exists() and MADE_BY not in target.read_text("utf-8", "replace"):
        raise InputError(f"{target} is there already, and not by `minebench stac`: move it, or name --out.")
    catalog = pystac.Catalog(folder.resolve().name, f"{MADE_BY} of the images in {folder.resolve().name}.")
    collections: dict[str, pystac.Collection] = {}
    recipes: dict[str, str] = {}
    count = 0
    for product, names, seen in _groups(folder):
        accept(seen)
        # Two of Landsat's sensors are of one collection, and each knows its own bands.
        collection = _collection(product, seen)
        collection = collections.setdefault(collection.id, collection)
        recipes[collection.id] = _recipe(collection.id, target, seen)
        items = list(_items(folder, names, seen, product))
        collection.add_items(items)
        count += len(items)
    for collection in collections.values():
        collection.update_extent_from_items()
        catalog.add_child(collection)
    catalog.normalize_hrefs(str(root.resolve()), strategy=_Below())
    catalog.make_all_asset_hrefs_relative()
    catalog.save(pystac.CatalogType.SELF_CONTAINED)
    return Written(target, count, recipes)


class _Below(pystac.layout.TemplateLayoutStrategy):
    """Collections and items in folder `stac`, apart from the images."""

    def __init__(self) -> None:
        super().__init__(collection_template="stac/${id}", item_template="${id}")


def _groups(folder: Path) -> Iterator[tuple[Product | None, list[str], Images]]:
    """The folder's images by product, whose bands may go by other names."""
    names: dict[str, list[str]] = defaultdict(list)
    products: dict[str, Product | None] = {}
    for name in tree.images(folder):
        product = known_products.of_name(name)
        key = product.name if product else ""
        names[key].append(name)
        products[key] = product
    cubes = image_cubes.below(folder)
    if not names and cubes:
        raise InputError(
            f"{folder} holds {cubes[0].name}, a cube. Items of STAC name files, and no time step of one that "
            "the source stac or odc-stac could read: use `minebench new --source local --images`."
        )
    if not names:
        raise InputError(f"{folder} holds no images (GeoTIFF, JPEG 2000).")
    if zipped := next((name for own in names.values() for name in own if ".zip/" in name.lower()), None):
        raise InputError(
            f"{folder / zipped} is in a zip. Addresses into zips (/vsizip/) cannot be relative and only GDAL "
            "reads them: unzip it, or use `minebench new --source local --images`, which reads zips."
        )
    for key, own in names.items():
        yield products[key], own, scan.look_at(folder, own)


def _recipe(collection: str, target: Path, seen: Images) -> str:
    """The lines of a recipe that read a collection."""
    source = f"source: {{name: stac, href: {target}, collections: [{collection}]}}"
    if collection != PLAIN_IMAGES:
        return source
    unused = f"; its mask {seen.mask.name} is not used (the source local uses it)" if seen.mask else ""
    return f"{source}, sensor: {{profile: {airborne.PLAIN.name}}}{unused}"


def _collection(product: Product | None, seen: Images) -> pystac.Collection:
    """The collection of a product: its id tells the source `stac` which sensor it is."""
    # Sentinel-2's own numbers need no scale.
    is_sentinel2 = not seen.scale and known_products.are_sentinel2(product, list(seen.bands), _masks(seen))
    name = "sentinel-2-l2a" if is_sentinel2 else PLAIN_IMAGES
    if product is known_products.L1C:
        name = "sentinel-2-l1c"
    if product is not None and product.profile:
        name = product.profile
    days = [datetime.combine(day, time(), UTC) for day in (min(seen.dates), max(seen.dates))]
    box = list(shapely.union_all(seen.outlines).bounds)
    extent = pystac.Extent(pystac.SpatialExtent([box]), pystac.TemporalExtent([[days[0], days[1]]]))
    return pystac.Collection(name, f"{MADE_BY}: {seen.layout}.", extent, license="other")


def _masks(seen: Images) -> list[str]:
    return [seen.mask.name] if seen.mask else []


def _items(folder: Path, names: list[str], seen: Images, product: Product | None) -> Iterator[pystac.Item]:
    for scene in dated_files.of_names(folder, names, seen.pattern, seen.nodata):
        yield _item(folder, scene, seen, product)


def _item(folder: Path, scene: Listed, seen: Images, product: Product | None) -> pystac.Item:
    """A scene with its assets. InputError where they have no common date and place."""
    noon = datetime.combine(scene.day, time(12), UTC)
    item = pystac.Item(scene.scene_id.replace("/", "_"), None, None, noon, {})
    if product is known_products.L2A or product is known_products.L1C:
        said = product_baselines.words(folder, scene.names)
        if said.baseline:
            item.properties["s2:processing_baseline"] = said.baseline
    outlines: list[BaseGeometry] = []
    for word, path in scene.files.items():
        bands = {band: value for band, value in seen.bands.items() if _is_in(value, word)}
        is_mask = bool(seen.mask and seen.mask.word == word)
        if not bands and not is_mask:
            continue
        key = _mask_key(seen) if is_mask else next(iter(bands)) if word else "image"
        outlines.append(_add(item, key, path, bands, is_mask, seen))
    ground = shapely.union_all(outlines)
    item.geometry, item.bbox = shapely.geometry.mapping(ground), list(ground.bounds)
    return item


def _is_in(value: int | str, word: str) -> bool:
    return value == word if isinstance(value, str) else word == ""


def _mask_key(seen: Images) -> str:
    """The key of the mask, as the sensor's profile expects it."""
    return str(seen.mask.name).lower() if seen.mask else ""


def _add(
    item: pystac.Item, key: str, path: Path, bands: dict[str, int | str], is_mask: bool, seen: Images
) -> BaseGeometry:
    """Add a file as an asset; return its outline (EPSG:4326)."""
    kind = pystac.MediaType.JPEG2000 if path.suffix.lower() == ".jp2" else pystac.MediaType.GEOTIFF
    roles = ["data-mask"] if is_mask else ["data", item_bands.REFLECTANCE] if seen.scale else ["data"]
    asset = pystac.Asset(str(path.resolve()), media_type=kind, roles=roles)
    item.add_asset(key, asset)
    with raster.opened(str(path)) as file:
        projected = ProjectionExtension.ext(asset, add_if_missing=True)
        code = file.crs.to_epsg()
        projected.apply(
            epsg=code, wkt2=None if code else file.crs.to_wkt(), shape=list(file.shape),
            transform=list(file.transform)[:6],
        )  # fmt: skip
        nodata = file.nodata if seen.nodata is None or is_mask else seen.nodata
        scale, offset = (seen.scale.scale, seen.scale.offset) if seen.scale and not is_mask else (None, None)
        listed = [
            RasterBand.create(
                nodata=_in_json(nodata), data_type=DataType(str(dtype)), scale=scale, offset=offset
            )
            for dtype in file.dtypes
        ]
        RasterExtension.ext(asset, add_if_missing=True).apply(bands=listed)
        if bands:
            names = {int(value) if isinstance(value, int) else 1: band for band, value in bands.items()}
            named = [_band(names.get(number, f"band{number}")) for number in range(1, file.count + 1)]
            EOExtension.ext(asset, add_if_missing=True).apply(bands=named)
        return shapely.box(*transform_bounds(file.crs, 4326, *file.bounds))


def _in_json(nodata: float | None) -> float | NoDataStrings | None:
    """The number of no data as the raster extension has it: JSON knows no NaN and no infinity."""
    if nodata is None or math.isfinite(nodata):
        return nodata
    if math.isnan(nodata):
        return NoDataStrings.NAN
    return NoDataStrings.INF if nodata > 0 else NoDataStrings.NINF


def _band(name: str) -> Band:
    """A band with its common name and wavelength, where these are known."""
    common = sentinel2.COMMON.get(name, name.lower())
    return Band.create(
        name, common if common in WAVELENGTHS else None, center_wavelength=WAVELENGTHS.get(common)
    )
