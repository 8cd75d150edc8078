"""A QGIS project of a published folder: all sites by date, with styles.

    qgis/<benchmark>.qgs                        opens in QGIS 3.22 or later
    qgis/sites.gpkg                             AOIs, and the footprints of every date (EPSG:4326)
    qgis/<period>_<epsg>_<visual|mine>.vrt      the sites' COGs of a date and a projection as one layer

A layer per site would be thousands; a VRT is a list of files, and draws those that are looked at.
"""

import json
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import geopandas as gpd
import jinja2
import pandas as pd
import pyogrio
import pyproj
import shapely

from minebench import tables
from minebench.files import replacing
from minebench.layout import BenchmarkPaths
from minebench.masks import UNKNOWN
from minebench.progress import progress
from pipeline.core import templates
from pipeline.recipe import Recipe
from pipeline.sites import site as sites
from pipeline.sites.site import Site
from pipeline.stac import assets, dataset_card

FOLDER = "qgis"
VECTORS = "sites.gpkg"
COLUMNS = ["site_id", "name", "country", "commodity", "production", "area_km2"]


@dataclass(frozen=True)
class Mosaic:
    """Which file of an item, how many bands it has, the number that is no data, None where the file's mask
    says that, and how it is drawn."""

    file: str
    colours: tuple[str, ...]
    nodata: int | None
    title: str
    style: str


MASK = Mosaic("mine.tif", ("Gray",), UNKNOWN, "Footprint mask", "mask")


def image_of(file: str, recipe: Recipe) -> Mosaic:
    """The images that are shown as they are."""
    nodata = None if recipe.sensor.encoding.is_picture else 0  # as the assets `visual` have it
    return Mosaic(file, ("Red", "Green", "Blue"), nodata, assets.colours_of(recipe), "image")


def write(published: BenchmarkPaths, recipe: Recipe, out: Path) -> list[str]:
    """Write the project; returns its files' paths, relative to `out`. None where no site has a place."""
    listed = [site for site in sites.listed(sites.read(published), recipe) if site.epsg]
    folder = out / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    dates = [period.label for period in recipe.periods.periods()]
    if not listed:
        return []
    _write_vectors(published, listed, dates, folder / VECTORS)
    groups = []
    for date in dates:
        outlines = f"./{VECTORS}|layername=footprints|subset=\"period\" = '{date}'"
        layers = [{"name": "Footprints", "style": "outline", "provider": "ogr", "source": outlines}]
        for mosaic in (MASK, image_of("visual.tif", recipe)):
            there = [(site, published.stac / site.site_id / date / mosaic.file) for site in listed]
            layers += mosaics([own for own in there if own[1].is_file()], date, mosaic, folder)
        if len(layers) > 1:
            # QGIS gives a layer another id where its own has fewer than eleven letters.
            named = [{**own, "id": f"minebench_{date}_{i}"} for i, own in enumerate(layers)]
            groups.append({"name": date, "layers": named})
    parts = {"title": recipe.title, "dates": groups, **map_of(listed)}
    with replacing(folder / f"{published.name}.qgs") as temporary:
        text = template("pipeline.publish", "qgis_project.qgs").render(parts)
        temporary.write_text(text, encoding="utf-8")
    return sorted(path.relative_to(out).as_posix() for path in folder.iterdir())


def map_of(listed: list[Site]) -> dict[str, Any]:
    """The projection of the map, the sites' own where they share one, and what it shows first: all sites."""
    codes = {int(site.epsg) for site in listed}
    epsg = codes.pop() if len(codes) == 1 else 3857
    return {"epsg": epsg, "extent": _extent(listed, epsg)}


def template(package: str, name: str) -> jinja2.Template:
    """A project to be filled in; `wkt` in it writes out a projection."""
    project = templates.load(package, name)
    project.globals["wkt"] = lambda epsg: pyproj.CRS.from_epsg(epsg).to_wkt()
    return project


def _extent(listed: list[Site], epsg: int) -> list[float]:
    west, south, east, north = shapely.total_bounds([site.geometry for site in listed])
    if epsg == 3857:  # which has no poles
        south, north = max(south, -85.0), min(north, 85.0)
    moved = pyproj.Transformer.from_crs(4326, epsg, always_xy=True)
    return [float(value) for value in moved.transform_bounds(west, south, east, north)]


def _write_vectors(published: BenchmarkPaths, listed: list[Site], dates: list[str], path: Path) -> None:
    table = tables.read_geo(published.table("sites"), "sites")
    own = table[table.site_id.isin([site.site_id for site in listed])]
    areas = gpd.GeoDataFrame(own[[*COLUMNS, "geometry"]], crs=4326)
    outlines = _footprints(published, listed, dates)
    # The same content has the same bytes: its date is that of its last image.
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": f"{dataset_card.latest(published)}T00:00:00Z"})
    try:
        with replacing(path) as temporary:
            areas.to_file(temporary, layer="sites", driver="GPKG", VERSION="1.2")
            outlines.to_file(temporary, layer="footprints", driver="GPKG", mode="a")
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def _footprints(published: BenchmarkPaths, listed: list[Site], dates: list[str]) -> gpd.GeoDataFrame:
    """The outlines that the items have."""
    rows: list[dict[str, Any]] = []
    with progress("qgis", len(listed), "sites") as advance:
        for site in listed:
            for date in dates:
                file = published.stac / site.site_id / date / "footprint.geojson"
                found = json.loads(file.read_text())["features"] if file.is_file() else []
                rows += [
                    {**f["properties"], "geometry": shapely.geometry.shape(f["geometry"])}
                    for f in found
                    if f["geometry"]
                ]
            advance()
    columns = ["site_id", "period", "area_km2", "geometry"]
    table = pd.DataFrame(rows, columns=columns).astype(
        {"site_id": "str", "period": "str", "area_km2": "float64"}
    )
    return gpd.GeoDataFrame(table, geometry="geometry", crs=4326)


def mosaics(named: list[tuple[Site, Path]], date: str, mosaic: Mosaic, folder: Path) -> list[dict[str, Any]]:
    """A VRT in `folder` for each projection of the sites' files of a date, described as layers."""
    by_epsg: dict[int, list[tuple[Site, Path]]] = defaultdict(list)
    for site, file in named:
        by_epsg[int(site.epsg or 0)].append((site, file))
    layers = []
    for epsg, own in sorted(by_epsg.items()):
        name = f"{date}_{epsg}_{Path(mosaic.file).stem}.vrt"
        with replacing(folder / name) as temporary:
            temporary.write_bytes(ElementTree.tostring(_vrt(own, mosaic, epsg, folder)))
        zone = f", EPSG:{epsg}" if len(by_epsg) > 1 else ""
        alpha = len(mosaic.colours) + 1 if mosaic.nodata is None else -1
        layers.append({"name": mosaic.title + zone, "style": mosaic.style, "provider": "gdal", "epsg": epsg,
                       "source": f"./{name}", "alpha": alpha})  # fmt: skip
    return layers


def _vrt(own: list[tuple[Site, Path]], mosaic: Mosaic, epsg: int, folder: Path) -> ElementTree.Element:
    """GDAL's virtual raster of the sites' files, each in its place."""
    boxes = [site.grid.boundingbox for site, _ in own]
    pixel = abs(own[0][0].grid.resolution.x)
    left, top = min(box.left for box in boxes), max(box.top for box in boxes)
    width = round((max(box.right for box in boxes) - left) / pixel)
    height = round((top - min(box.bottom for box in boxes)) / pixel)
    root = ElementTree.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    _add(root, "SRS", f"EPSG:{epsg}")
    _add(root, "GeoTransform", f"{left!r}, {pixel!r}, 0, {top!r}, 0, {-pixel!r}")
    sources = [(colour, str(number)) for number, colour in enumerate(mosaic.colours, 1)]
    if mosaic.nodata is None:
        sources.append(("Alpha", "mask,1"))
    for number, (colour, of_file) in enumerate(sources, 1):
        band = ElementTree.SubElement(root, "VRTRasterBand", dataType="Byte", band=str(number))
        if mosaic.nodata is not None:
            _add(band, "NoDataValue", str(mosaic.nodata))
        _add(band, "ColorInterp", colour)
        for (site, file), box in zip(own, boxes, strict=True):
            kind = "SimpleSource" if mosaic.nodata is None else "ComplexSource"
            source = ElementTree.SubElement(band, kind)
            href = Path("..", file.relative_to(folder.parent)).as_posix()
            _add(source, "SourceFilename", href, relativeToVRT="1")
            _add(source, "SourceBand", of_file)
            high, wide = site.shape
            size = {"xSize": str(wide), "ySize": str(high)}
            ElementTree.SubElement(source, "SrcRect", {"xOff": "0", "yOff": "0", **size})
            x, y = (box.left - left) / pixel, (top - box.top) / pixel
            ElementTree.SubElement(source, "DstRect", {"xOff": f"{x:.9g}", "yOff": f"{y:.9g}", **size})
            if mosaic.nodata is not None:
                _add(source, "NODATA", str(mosaic.nodata))
    return root


def _add(parent: ElementTree.Element, name: str, text: str, **attributes: str) -> None:
    ElementTree.SubElement(parent, name, attributes).text = text
