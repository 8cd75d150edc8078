"""Sites of published files, as the files have them."""

from typing import Any

import geopandas as gpd
import shapely

from minebench.errors import InputError
from minebench.layout import BenchmarkPaths
from pipeline.geo import countries, geodesy
from pipeline.published.formats.layout import Found, Layout
from pipeline.recipe import Recipe


def lay_out(benchmark: BenchmarkPaths, recipe: Recipe, layout: Layout) -> gpd.GeoDataFrame:
    """The table of sites. Sites without a place have an empty AOI, epsg 0 and no country."""
    rows = [_row(site, recipe) for site in layout.sites()]
    if not rows:
        raise InputError(f"{benchmark.recipe}: source.path holds no site.")
    sites = gpd.GeoDataFrame(rows, geometry="geometry", crs=4326).sort_values("site_id", ignore_index=True)
    if (twice := sites.site_id[sites.site_id.duplicated()]).size:
        raise InputError(f"Two sites of {benchmark.name} are called {twice.iloc[0]}: rename one's files.")
    placed = sites.epsg > 0
    if placed.any():
        named = countries.complete(sites.country[placed], sites.geometry[placed])
        sites["country"] = sites.country.astype(object)
        sites.loc[placed, "country"] = named
    sites["footprint"] = gpd.GeoSeries([None] * len(sites), crs=4326)
    return sites


def _row(site: Found, recipe: Recipe) -> dict[str, Any]:
    box, pixel = site.grid, recipe.sensor.resolution
    epsg = box.crs.epsg if box is not None and box.crs is not None else None
    if box is not None and not epsg:
        raise InputError(
            f"{site.name}: its files' CRS has no EPSG code; assign one, for example with gdal_edit."
        )
    outline = box.extent.to_crs(4326).geom if box is not None else shapely.Polygon()
    transform = box.transform if box is not None else None
    area = abs(geodesy.WGS84.geometry_area_perimeter(outline)[0]) / 1e6
    if box is None:
        area = site.shape[0] * site.shape[1] * pixel**2 / 1e6
    return {
        "site_id": site.name, "name": site.name, "country": site.country, "commodity": None,
        "production": None, "source": recipe.source.name, "area_km2": round(area, 6),
        "epsg": int(epsg or 0),
        "left": transform.c if transform else 0.0, "top": transform.f if transform else 0.0,
        "height": site.shape[0], "width": site.shape[1],
        "pixel_x": transform.a if transform else pixel, "pixel_y": transform.e if transform else -pixel,
        "mines": 1, "repaired": False, "geometry": outline,
    }  # fmt: skip
