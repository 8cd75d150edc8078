"""Near a UTM zone's border: which zone's images a site is read from."""

import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.geo import geodesy, zones

LEFT, BOTTOM = 700_000, 5_700_000
OWN = GeoBox((1000, 1000), Affine(10, 0, LEFT, 0, -10, BOTTOM + 10_000), "EPSG:32632")
OTHER = OWN.to_crs("EPSG:32633")
AREA = geodesy.to_lonlat(shapely.box(LEFT + 2000, BOTTOM + 2000, LEFT + 6000, BOTTOM + 6000), 32632)


@pytest.mark.parametrize(
    ("grids", "read"),
    [
        ([OWN, OTHER], [True, False]),
        ([OTHER, OWN[:, :300], OWN[:, 300:]], [False, True, True]),
        ([OWN[:, :300], OTHER], [True, True]),
        ([OTHER], [True]),
        ([], []),
    ],
    ids=["covered", "covered by two", "covered in part", "not there", "none"],
)
def test_the_sites_own_zone_goes_first(grids: list[GeoBox], read: list[bool]) -> None:
    assert geodesy.utm_epsg(*geodesy.centre(AREA)) == 32632
    assert zones.of_own_zone(grids, AREA) == read
