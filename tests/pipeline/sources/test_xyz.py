"""Web tiles from a server on loopback."""

import math
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass

from minebench.errors import InputError, WorkError
from pipeline import recipe
from pipeline.geo import geodesy, grid
from pipeline.recipe import Recipe
from pipeline.sources.xyz import Options as Xyz
from pipeline.sources.xyz import XyzSource, ground_m, world, zoom_for
from tests.conftest import RECIPE
from tests.standins.base import Running, running

PLACES = {0: (21.003, 0.004), 45: (15.02, 45.01), 65: (24.03, 65.02)}


@pytest.fixture(scope="module")
def tiles(built: Path) -> Iterator[Running]:
    places = [f"{lon},{lat}" for lon, lat in PLACES.values()]
    with running("tiles", str(built / "data" / "tiny" / "archive"), *places) as server:
        yield server


def xyz(server: Running, path: str = "pattern/{release}/{z}/{x}/{y}", **more: object) -> Xyz:
    return Xyz(
        name="xyz", template=f"{server.url}/{path}", releases={"2020-03-01": "r1", "2022-03-01": "r2"},
        zoom=18, attribution="Nobody's tiles", terms="https://example.org/terms", per_second=500, **more,
    )  # fmt: skip


def rgb_recipe(tmp_path: Path, resolution: float = 1.2) -> Recipe:
    text = RECIPE.replace("bands: [B02, B03, B04, B08, B11]", "bands: [R, G, B]\n  dtype: uint8")
    text = text.replace("rgb: [B04, B03, B02]", "rgb: [R, G, B]")
    text = text.replace("resolution: 10", f"resolution: {resolution}").replace(
        "snap: 20", f"snap: {resolution}"
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return recipe.load(path)


@pytest.mark.parametrize("latitude", PLACES)
@pytest.mark.parametrize("resolution", [1.0, 1.2])
def test_discs_are_where_they_are_on_the_ground(
    latitude: int, resolution: float, tmp_path: Path, tiles: Running
) -> None:
    """To a tenth of a pixel, in place and in size, at three latitudes."""
    tiles.set()
    lon, lat = PLACES[latitude]
    epsg = geodesy.utm_epsg(lon, lat)
    place = geodesy.project(shapely.Point(lon, lat), 4326, epsg)
    left = math.floor((place.x - 60) / resolution) * resolution
    top = math.ceil((place.y + 60) / resolution) * resolution
    box = grid.geobox(epsg, left, top, 110, 110, resolution)
    source = XyzSource(xyz(tiles), rgb_recipe(tmp_path, resolution).sensor, tmp_path / "cache")
    scene = source.search(shapely.Point(lon, lat).buffer(0.001), date(2020, 1, 1), date(2021, 1, 1))[0]
    assert scene.dated_by == "release"
    image = source.read(scene, ["R"], box)[0].astype(float)
    share = (image - 41) / 180  # numbers of pictures are one higher
    row, column = center_of_mass(np.clip(share, 0, 1))
    x, y = box.transform @ (column + 0.5, row + 0.5)
    assert abs(x - place.x) < 0.1 * resolution
    assert abs(y - place.y) < 0.1 * resolution
    # UTM's scale and the sphere that web mercator pretends leave a few tenths of a per cent.
    assert share.sum() * resolution**2 == pytest.approx(math.pi * 12**2, rel=0.03)
    assert source.requests(["R"], box) >= len([e for e in tiles.asked() if "pattern" in e[1]])


def test_going_coarser_is_antialiased(tmp_path: Path, tiles: Running) -> None:
    """Zoom 18 read at 8 m: a disc of 12 m is its mean, not a pixel of it here and there."""
    lon, lat = PLACES[45]
    epsg = geodesy.utm_epsg(lon, lat)
    place = geodesy.project(shapely.Point(lon, lat), 4326, epsg)
    source = XyzSource(xyz(tiles), rgb_recipe(tmp_path, 1.0).sensor, tmp_path / "cache")
    scene = source.find("2020-03-01/18")
    sums = []
    for shift in (0.0, 3.0, 5.0):
        box = grid.geobox(epsg, round(place.x) - 60 + shift, round(place.y) + 60, 15, 15, 8.0)
        sums.append((source.read(scene, ["R"], box)[0].astype(float) - 41).sum() / 180 * 64)
    assert max(sums) / min(sums) < 1.05
    assert np.mean(sums) == pytest.approx(math.pi * 144, rel=0.06)


@given(st.floats(-84, 84), st.sampled_from([0.5, 1.0, 1.2, 5.0]))
def test_zoom_is_the_coarsest_that_is_fine_enough(latitude: float, resolution: float) -> None:
    zoom = zoom_for(latitude, resolution, 23)
    assert ground_m(latitude, zoom) <= resolution
    assert zoom == 0 or ground_m(latitude, zoom - 1) > resolution


def test_known_ground_resolution() -> None:
    assert ground_m(0, 17) == pytest.approx(1.194, abs=5e-4)
    assert ground_m(60, 17) == pytest.approx(0.597, abs=5e-4)
    assert world(3).shape == (2048, 2048)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "html"}, "is not an image"),
        ({"kind": "bomb"}, "is not an image"),
        ({"kind": "short"}, "is not an image"),
        ({"kind": "huge"}, "10737418240 bytes|refused"),
        ({"kind": "status", "status": 403}, "refused"),
        ({"kind": "redirect", "to": "http://localhost:1/"}, "refused|another host"),
    ],
)
def test_what_is_no_tile_is_refused(fault: dict, says: str, tmp_path: Path, tiles: Running) -> None:
    lon, lat = PLACES[45]
    source = XyzSource(xyz(tiles), rgb_recipe(tmp_path).sensor, tmp_path / "cache")
    epsg = geodesy.utm_epsg(lon, lat)
    place = geodesy.project(shapely.Point(lon, lat), 4326, epsg)
    box = grid.geobox(epsg, place.x, place.y, 20, 20, 1.2)
    tiles.set({**fault, "times": 99, "match": "pattern"})
    with pytest.raises(WorkError, match=says):
        source.read(source.find("2020-03-01/17"), ["R"], box)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    tiles.set()
    assert source.read(source.find("2020-03-01/17"), ["R"], box).any()


def test_a_tile_that_is_not_there_is_nodata(tmp_path: Path, tiles: Running) -> None:
    tiles.set()
    source = XyzSource(
        xyz(tiles, "missing/{release}/{z}/{x}/{y}"), rgb_recipe(tmp_path).sensor, tmp_path / "c"
    )
    box = grid.geobox(32633, 500_000, 5_000_000, 20, 20, 1.2)
    assert not source.read(source.find("2020-03-01/17"), ["R", "G", "B"], box).any()


def test_bad_words(tmp_path: Path, tiles: Running) -> None:
    with pytest.raises(ValueError, match="lacks"):
        xyz(tiles, "pattern/{z}/{x}")
    with pytest.raises(ValueError, match="key_from"):
        xyz(tiles, "{key}/{z}/{x}/{y}")
    four = rgb_recipe(tmp_path).model_copy(
        update={"sensor": rgb_recipe(tmp_path).sensor.model_copy(update={"bands": ("R", "G", "B", "N")})}
    )
    with pytest.raises(InputError, match="no N"):
        XyzSource(xyz(tiles), four.sensor, tmp_path)
