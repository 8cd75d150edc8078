"""`label --qgis`: a QGIS project to draw labels in, of the images of all sites and one editable layer.

data/<b>/label/label.qgs                    opens in QGIS 3.22 or later
data/<b>/label/images/<site>_<period>.tif   what is looked at, from the cubes
data/<b>/label/<period>_<epsg>_image.vrt    the sites' images of a date and a projection as one layer
catalogs/<b>/annotations/drawn.gpkg         the layer, read by `annotate` as it is; never overwritten
"""

import os
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import zarr

from minebench import receipts
from minebench.cube import store
from minebench.errors import NotMadeYet
from minebench.files import replacing, write_json
from minebench.layout import BenchmarkPaths
from minebench.progress import progress
from pipeline.cubes import annotate, cube
from pipeline.geo import cog
from pipeline.label.annotation_file import LAYER
from pipeline.publish import qgis_project
from pipeline.recipe import Recipe
from pipeline.sites import site as sites
from pipeline.sites.site import Site
from pipeline.stac import assets

DRAWN = "drawn.gpkg"
KINDS = ("footprint", annotate.NO_MINE)


def write(benchmark: BenchmarkPaths, recipe: Recipe) -> Path:
    """Write the project, what images are missing, and the layer where there is none; the project."""
    listed = [site for site in sites.load(benchmark, recipe) if site.epsg]
    listed = [site for site in listed if store.periods_of(benchmark.cube(site.site_id))]
    if not listed:
        raise NotMadeYet("No site has an image to label: run `minebench compose` first.")
    folder = benchmark.data / "label"
    folder.mkdir(parents=True, exist_ok=True)
    with progress("label", len(listed), "sites") as advance:
        for site in listed:
            _write_images(benchmark, recipe, site, folder / "images")
            advance()
    labels = benchmark.annotations / DRAWN
    if not labels.is_file():
        _write_layer(labels, recipe)
    image = qgis_project.image_of("image.tif", recipe)
    dates = [_date(folder, listed, period.label, image) for period in recipe.periods.periods()]
    parts = {
        "title": f"{recipe.title}: labels",
        "labels": os.path.relpath(labels, folder),
        "dates": [date for date in dates if date["layers"]],
        "periods": [period.label for period in recipe.periods.periods()],
        "whens": _whens(recipe),
        "kinds": KINDS if recipe.labels.kind == "footprint" else KINDS[:1],
        **qgis_project.map_of(listed),
    }
    with replacing(folder / "label.qgs") as temporary:
        text = qgis_project.template("pipeline.label", "label_project.qgs").render(parts)
        temporary.write_text(text, encoding="utf-8")
    return folder / "label.qgs"


def _whens(recipe: Recipe) -> list[str]:
    return ["t1", "t2"] if recipe.labels.kind == "change" else [recipe.labels.column]


def _write_images(benchmark: BenchmarkPaths, recipe: Recipe, site: Site, folder: Path) -> None:
    """A site's dates as they are shown, unless they are there already."""
    path = benchmark.cube(site.site_id)
    note, key = folder / f"{site.site_id}.json", receipts.key_in(store.receipt(path))
    if receipts.key_in(note) == key:
        return
    folder.mkdir(exist_ok=True)
    every = cube.images(path, recipe)
    look = assets.stretch(every, recipe)
    clear = cube.array_of(zarr.open_group(path, mode="r"), "clear")
    for place, (label, pixels) in enumerate(zip(store.periods_of(path), every, strict=True)):
        seen = cube.has_data(pixels, np.asarray(clear[place])) if recipe.sensor.encoding.is_picture else None
        nodata = 0 if seen is None else None
        with replacing(folder / f"{site.site_id}_{label}.tif") as temporary:
            rgb = assets.shown(pixels, recipe, look)
            cog.write(temporary, rgb, site.grid, nodata, is_rgb=True, has_data=seen)
    write_json({receipts.KEY: key}, note)


def _write_layer(path: Path, recipe: Recipe) -> None:
    """An empty layer with the columns of the form."""
    whole = recipe.labels.kind == "footprint" and recipe.labels.column == "year"
    kinds = {**dict.fromkeys(_whens(recipe), "int64" if whole else "str"), "kind": "str", "note": "str"}
    table = gpd.GeoDataFrame(pd.DataFrame(columns=list(kinds)).astype(kinds), geometry=[], crs=4326)
    with replacing(path) as temporary:
        table.to_file(temporary, layer=LAYER, driver="GPKG", geometry_type="MultiPolygon", VERSION="1.2")


def _date(folder: Path, listed: list[Site], label: str, image: qgis_project.Mosaic) -> dict[str, Any]:
    """A date's group of layers, one a projection."""
    named = [(site, folder / "images" / f"{site.site_id}_{label}.tif") for site in listed]
    there = [(site, path) for site, path in named if path.is_file()]
    layers = qgis_project.mosaics(there, label, image, folder)
    return {
        "name": label,
        "layers": [{**own, "id": f"minebench_{label}_{i}"} for i, own in enumerate(layers)],
    }
