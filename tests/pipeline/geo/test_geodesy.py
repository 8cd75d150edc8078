import math

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipeline.geo import geodesy

places = st.tuples(st.floats(-180, 180, exclude_max=True), st.floats(-79, 83))


def square(lon: float, lat: float, side_m: float = 1000) -> shapely.Polygon:
    dy = side_m / 2 / 111_000
    dx = dy / math.cos(math.radians(lat))
    return shapely.box(lon - dx, lat - dy, lon + dx, lat + dy)


@given(places)
def test_centre_of_a_small_square_is_its_place(place: tuple[float, float]) -> None:
    lon, lat = geodesy.centre(square(*place))
    assert abs((lon - place[0] + 180) % 360 - 180) < 1e-6
    assert lat == pytest.approx(place[1], abs=1e-3)


def test_centre_across_the_antimeridian() -> None:
    both = shapely.union_all([shapely.box(179.9, 10, 180, 10.1), shapely.box(-180, 10, -179.9, 10.1)])
    assert abs(geodesy.centre(both)[0]) == pytest.approx(180, abs=1e-6)


@pytest.mark.parametrize(
    ("lon", "lat", "epsg"),
    [
        (14.2, 51.6, 32633), (-69.2, -24.3, 32719), (179.99, 10, 32660), (-179.99, 10, 32601),
        (-180, 10, 32601), (180, 10, 32601), (5, 60, 32632), (8, 75, 32631), (20, 78, 32633), (0, 0, 32631),
    ],
)  # fmt: skip
def test_utm_zone(lon: float, lat: float, epsg: int) -> None:
    assert geodesy.utm_epsg(lon, lat) == epsg


@given(places, st.floats(0, 360), st.floats(1200, 9000))
def test_near_pairs_by_distance_anywhere_on_the_globe(
    place: tuple[float, float], bearing: float, away_m: float
) -> None:
    lon, lat, _ = geodesy.WGS84.fwd(*place, bearing, away_m)
    shapes = [square(*place, 100), square(lon, lat, 100)]
    gap = geodesy.distance_m(*shapes)
    assert gap == pytest.approx(away_m, abs=160)
    assert list(geodesy.near_pairs(shapes, gap + 10)) == [(0, 1)]
    assert list(geodesy.near_pairs(shapes, gap - 10)) == []
    nowhere = shapely.Polygon()
    assert list(geodesy.near_pairs([nowhere, shapes[0], nowhere, shapes[1]], gap + 10)) == [(1, 3)]
    assert list(geodesy.near_pairs([nowhere, nowhere], gap)) == []


def test_groups_are_connected_components() -> None:
    assert geodesy.groups(6, iter([(0, 3), (3, 5), (1, 2)])) == [[0, 3, 5], [1, 2], [4]]
