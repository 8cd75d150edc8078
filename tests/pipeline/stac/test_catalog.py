import hashlib
import json
import subprocess
from pathlib import Path

import geopandas as gpd
import jsonschema
import numpy as np
import odc.stac
import pandas as pd
import pystac
import pytest
import rasterio
import xarray as xr
import zarr
from PIL import Image
from pystac.validation import validate_dict
from pystac_client import Client
from rasterio.enums import ColorInterp
from referencing import Registry
from referencing.jsonschema import DRAFT7

from pipeline.geo import cog
from pipeline.geo.grid import geobox
from tests.conftest import run
from tests.pipeline.sources.test_stac_api import api
from tests.pipeline.stac.published_items import items_of, objects

# The datacube extension names PROJ's schema of CRS objects, which lies on the network; ours are EPSG codes.
PROJ = Registry().with_resource(
    "https://proj.org/schemas/v0.7/projjson.schema.json", DRAFT7.create_resource({"type": "object"})
)


def test_valid_against_the_core_schemas(built: Path) -> None:
    found = objects(built / "catalogs/tiny/stac") + objects(built / "data/tiny/archive")
    assert {content["type"] for _, content in found} == {"Catalog", "Collection", "Feature"}
    for _, content in found:
        validate_dict({**content, "stac_extensions": []})


def test_valid_against_the_extensions_schemas(built: Path, shared: Path) -> None:
    root = "https://stac-extensions.github.io/"
    checked = set()
    for path, content in objects(built / "catalogs/tiny/stac") + objects(built / "data/tiny/archive"):
        for address in content.get("stac_extensions", []):
            schema = json.loads((shared / "stac-schemas" / address.removeprefix(root)).read_text())
            try:
                kind = jsonschema.validators.validator_for(schema)
                kind(schema, registry=PROJ).validate(content)
            except jsonschema.ValidationError as error:
                raise AssertionError(f"{path}: {address}: {error.message}") from None
            checked.add(address.removeprefix(root).split("/")[0])
    wanted = {
        "projection",
        "datacube",
        "eo",
        "raster",
        "classification",
        "label",
        "processing",
        "scientific",
        "file",
        "version",
    }
    assert wanted <= checked


def test_links_are_relative_and_lead_somewhere(built: Path) -> None:
    for path, content in objects(built / "catalogs/tiny/stac"):
        assert content["links"], path
        hrefs = [link["href"] for link in content["links"]]
        hrefs += [asset["href"] for asset in content.get("assets", {}).values()]
        for href in hrefs:
            assert "://" not in href
            assert not href.startswith("/")
            assert (path.parent / href).exists(), f"{path}: {href}"


def test_opens_with_pystac_odc_and_xarray(built: Path) -> None:
    catalog = pystac.Catalog.from_file(str(built / "catalogs/tiny/stac/catalog.json"))
    sites = list(catalog.get_children())
    assert [site.title for site in sites] == ["Alpha, DEU", "Beta, GRC", "Gamma, CHL"]
    items = list(sites[0].get_items())
    assert set(items[0].assets) == set(sites[0].extra_fields["item_assets"])
    assert set(items[0].assets) == {
        "reflectance", "reflectance-cog", "mine", "visual", "mine-cog", "footprint", "thumbnail", "preview",
        "clear-cog",
    }  # fmt: skip
    assert {"cube", "pairs", "tiles"} <= set(sites[0].assets)
    cube = xr.open_zarr(items[0].assets["reflectance"].get_absolute_href(), mask_and_scale=False)
    loaded = odc.stac.load(items, bands=["mine-cog", "reflectance-cog.3"])
    assert (loaded["reflectance-cog.3"].to_numpy() == cube.reflectance.sel(band="B04").to_numpy()).all()
    named = odc.stac.load(items, bands=["B04", "mine-cog"])
    assert (named["B04"].to_numpy() == cube.reflectance.sel(band="B04").to_numpy()).all()
    assert cube.reflectance.attrs["bands"] == cube.band.to_numpy().tolist()
    assert loaded.sizes["time"] == len(items) == cube.sizes["time"]
    assert (loaded["mine-cog"].to_numpy() == cube.mine.to_numpy()).all()
    assert np.allclose(loaded.x, cube.x)
    assert np.allclose(loaded.y, cube.y)


def test_all_bands_are_one_geotiff(built: Path) -> None:
    for path, content in items_of(built):
        asset = content["assets"]["reflectance-cog"]
        cube = xr.open_zarr(built / f"data/tiny/cubes/{content['collection']}.zarr", mask_and_scale=False)
        date = list(cube.attrs["periods"]).index(content["properties"]["minebench:period"])
        with rasterio.open(path.parent / asset["href"]) as file:
            assert file.dtypes == ("uint16",) * 5
            assert (
                file.descriptions == tuple(band["name"] for band in asset["bands"]) == tuple(cube.band.data)
            )
            assert (file.nodata, file.scales) == (0, (0.0001,) * 5)
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert (file.read() == cube.reflectance[date].to_numpy()).all()


def test_overviews_are_means_of_what_is_not_nodata(tmp_path: Path) -> None:
    pixels = np.full((2, 600, 700), 100, np.uint16)
    pixels[:, ::2] = 300
    pixels[:, :300] = 0
    box = geobox(32633, 5e5, 5.7e6, 600, 700, 10)
    cog.write(tmp_path / "a.tif", pixels, box, 0, ("B02", "B03"), scale=1e-4, overviews="average")
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.overviews(1)[0] == 2
        small = file.read(1, out_shape=(300, 350))
    assert (small[:150] == 0).all()
    assert (small[150:] == 200).all()


def test_bands_are_left_out_where_the_recipe_says_so(project: Path) -> None:
    path = project / "catalogs/tiny/recipe.yaml"
    path.write_text(path.read_text() + "publish: {bands: false}\n")
    assert run("catalog", cwd=project).returncode == 0
    assert not list((project / "catalogs/tiny/stac").rglob("reflectance.tif"))
    assert run("check", cwd=project).returncode == 0


def test_items_say_when_they_were_acquired(built: Path) -> None:
    """Spans of the scenes used; in the south a season over New Year lies in the year that ends with it."""
    scenes = pd.read_parquet(built / "data/tiny/index/scenes.parquet")
    used = scenes[scenes.selected].groupby(["site_id", "period"]).datetime
    collections = [content for _, content in objects(built / "catalogs/tiny/stac")
                   if content["type"] == "Collection" and content["id"] != "tiny-models"]  # fmt: skip
    assert len(collections) == 3
    for content in collections:
        own = used.get_group
        times = [own((content["id"], label)) for label in content["summaries"]["minebench:period"]]
        (start, end) = content["extent"]["temporal"]["interval"][0]
        assert pd.Timestamp(start) == min(t.min() for t in times).floor("s")
        assert pd.Timestamp(end) == max(t.max() for t in times).floor("s")
    for _, content in items_of(built):
        properties = content["properties"]
        times = used.get_group((content["collection"], properties["minebench:period"]))
        first, last = span(properties)
        of_one_day = len(set(times.dt.date)) == 1
        assert (properties["datetime"] is not None) == of_one_day
        assert pd.Timestamp(first) == times.min().floor("s")
        assert pd.Timestamp(last) == (times.min() if of_one_day else times.max()).floor("s")
        assert properties["minebench:period_start"] <= first <= last <= properties["minebench:period_end"]
        south = content["collection"].startswith("gamma")
        assert properties["minebench:period_start"][5:10] == ("03-01" if south else "01-01")


def test_search_by_time_finds_what_was_acquired_then(built: Path, tmp_path: Path) -> None:
    """Through pystac-client and a real API server."""
    items = [content for _, content in items_of(built)]
    spans = (("2020-12-01", "2021-02-28"), ("2022-06-01", "2022-08-31"), ("2019-01-01", "2019-12-31"))
    with api(tmp_path, [{**item, "links": []} for item in items]) as address:
        client = Client.open(address)
        for first, last in spans:
            found = {item.id for item in client.search(datetime=f"{first}/{last}").items()}
            assert found == {item["id"] for item in items if taken(item, first, last)}
            assert bool(found) == (first != "2019-01-01")


def taken(item: dict, first: str, last: str) -> bool:
    """Whether the span of an item's scenes and that of two days have a day in common."""
    start, end = span(item["properties"])
    return start[:10] <= last and first <= end[:10]


def span(properties: dict) -> tuple[str, str]:
    """The first and the last time of an item; they are one where its scenes are of one day."""
    if properties["datetime"]:
        return properties["datetime"], properties["datetime"]
    return properties["start_datetime"], properties["end_datetime"]


def test_pictures_and_colour_tables(built: Path) -> None:
    for path, content in items_of(built):
        with rasterio.open(path.parent / "mine.tif") as mask:
            assert mask.colormap(1)[1] == (228, 87, 46, 255)
            assert mask.crs.to_epsg() == int(content["properties"]["proj:code"][5:])
            area = (mask.read(1) == 1).sum() / 1e4
        with rasterio.open(path.parent / "visual.tif") as visual:
            assert visual.dtypes == ("uint8",) * 3
            assert visual.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert visual.descriptions == ("red", "green", "blue")
            assert visual.colorinterp == (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
            assert 30 < visual.read()[visual.read() > 0].mean() < 200
        with Image.open(path.parent / "thumbnail.png") as thumbnail:
            assert max(thumbnail.size) <= 256
        footprint = gpd.read_file(path.parent / "footprint.geojson")
        assert footprint.area_km2.iloc[0] == pytest.approx(area)
        assert footprint.to_crs(content["properties"]["proj:code"]).area.sum() / 1e6 == pytest.approx(
            area, rel=1e-3
        )


def test_items_parquet_is_the_catalog(built: Path) -> None:
    table = gpd.read_parquet(built / "catalogs/tiny/stac/items.parquet")
    items = [c for _, c in objects(built / "catalogs/tiny/stac") if c["type"] == "Feature"]
    assert set(table.id) == {item["id"] for item in items}
    for assets in table.assets:
        assert (built / "catalogs/tiny/stac" / assets["thumbnail"]["href"]).is_file()
        assert (built / "catalogs/tiny/stac" / assets["reflectance"]["href"]).is_dir()


def test_a_cubes_checksum_is_what_the_shell_prints(built: Path) -> None:
    path, content = next(
        (p, c) for p, c in objects(built / "catalogs/tiny/stac") if c["type"] == "Collection"
    )
    asset = content["assets"]["cube"]
    command = "find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum"
    done = subprocess.run(
        command, shell=True, cwd=path.parent / asset["href"], capture_output=True, text=True
    )
    assert asset["file:checksum"] == "1220" + done.stdout.split()[0]
    tiles = content["assets"]["tiles"]
    digest = hashlib.sha256((path.parent / tiles["href"]).read_bytes()).hexdigest()
    assert tiles["file:checksum"] == "1220" + digest


def test_a_new_label_rewrites_only_the_sites_it_touches(project: Path) -> None:
    cube = sorted((project / "data/tiny/cubes").glob("*.zarr"))[0]
    zarr.open_group(cube, mode="r+")["mine"][0, :5, :5] = 1
    done = run("catalog", cwd=project)
    assert done.stdout.startswith("catalog: wrote 1 site\nnext: ")
