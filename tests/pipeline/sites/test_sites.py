from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minebench.errors import InputError
from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.geo import geodesy, grid
from pipeline.recipe import Filters, Recipe
from pipeline.sites import build, site
from pipeline.sites.mines import COLUMNS
from tests.conftest import RECIPE
from tests.pipeline.geo.test_geodesy import square


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(RECIPE.replace("geometry: extent, ", "group_m: 300, ").replace("buffer_m: 90, ", ""))
    return recipe.load(path)


def listed(shapes: list[shapely.Geometry], **columns: list[object]) -> gpd.GeoDataFrame:
    table = gpd.GeoDataFrame(geometry=shapes, crs=4326).reindex(columns=["geometry", *COLUMNS])
    table["name"] = [f"m{i}" for i in range(len(shapes))]
    for name, values in columns.items():
        table[name] = values
    return build.polygons_from(table.assign(repaired=False), 400)


lots = st.lists(
    st.tuples(st.floats(-179, 179), st.floats(-70, 70)), min_size=2, max_size=6,
    unique_by=lambda p: (round(p[0]), round(p[1])),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(lots, st.randoms())
def test_site_ids_do_not_depend_on_order_or_on_other_sites(tiny: Recipe, places, random) -> None:
    shapes = [square(*place) for place in places]
    table = listed(shapes, name=[f"mine {i}" for i in range(len(shapes))])
    ids = set(build.group(table, tiny, "x").site_id)
    shuffled = table.sample(frac=1, random_state=random.randint(0, 99)).reset_index(drop=True)
    assert set(build.group(shuffled, tiny, "x").site_id) == ids
    assert set(build.group(table.iloc[:-1], tiny, "x").site_id) < ids


def test_a_small_neighbour_joins_and_the_id_stays(tiny: Recipe) -> None:
    big = square(14.2, 51.6, 1000)
    small = square(14.212, 51.6, 200)
    alone = build.group(listed([big]), tiny, "x")
    together = build.group(listed([small, big], name=["s", "m0"]), tiny, "x")
    assert len(together) == 1
    assert together.mines.iloc[0] == 2
    assert together.site_id.iloc[0] == alone.site_id.iloc[0]


@pytest.mark.parametrize(
    "place", [(180.0, 65.0), (-179.999, -16.5), (14.0, 83.0), (12.0, 51.0), (6.0, 0.0), (-70.0, -55.0)]
)
def test_grid_holds_the_footprint_anywhere(tiny: Recipe, place: tuple[float, float]) -> None:
    outline = square(*place, 800)
    row = next(build.group(listed([outline]), tiny, "x").itertuples())
    box = grid.of_site(row, 10)
    left, bottom, right, top = geodesy.project(outline, 4326, int(row.epsg)).bounds
    around = box.boundingbox
    assert around.left <= left - 480
    assert around.right >= right + 480
    assert around.bottom <= bottom - 480
    assert around.top >= top + 480
    assert max(box.shape) * 10 < 3000
    assert row.left % 20 == row.top % 20 == 0
    # The AOI in lon/lat has the AOI's area, so it was split at the antimeridian where need be.
    assert geodesy.area_km2(row.geometry) == pytest.approx(box.height * box.width / 1e4, rel=0.01)


def test_one_site_across_the_antimeridian(tiny: Recipe) -> None:
    row = next(build.group(listed([square(179.995, 51), square(-179.99, 51)]), tiny, "x").itertuples())
    assert row.mines == 2
    assert row.width * 10 < 5000


def test_size_does_not_depend_on_where_the_place_falls_on_the_grid(tiny: Recipe) -> None:
    shapes = [square(14 + i * 0.1003, 51, 500) for i in range(8)]
    shapes_of = build.group(listed(shapes), tiny.model_copy(update={"sites": tiny.sites.model_copy(
        update={"buffer_m": 100.0, "min_size_m": 1280.0})}), "x")  # fmt: skip
    assert set(shapes_of.height) == set(shapes_of.width) == {128}


def test_filters() -> None:
    table = listed(
        [square(i, 10) for i in range(4)],
        country=["DEU", "POL", "POL", None], commodity=["Coal", "coal", "Iron", "Iron"],
        status=["active"] * 4, equipment=["Open pit, Underground", "Underground", "open pit", None],
        production_start=[2000, 2019, 2020, None],
    )  # fmt: skip

    def kept(**filters: object) -> list[str]:
        return build.apply_filters(table, Filters(**filters))["name"].tolist()

    assert kept() == ["m0", "m1", "m2", "m3"]
    assert kept(country=["pol"]) == ["m1", "m2"]
    assert kept(commodity=["COAL"], country=["DEU"]) == ["m0"]
    assert kept(equipment="Open pit") == ["m0", "m2"]
    assert kept(production_start=[2019, None]) == ["m1", "m2"]
    assert kept(min_area_km2=2) == []
    west, south, east, north = table.geometry[1].bounds
    assert kept(bounds=[west, south, east, north]) == ["m1"]
    assert kept(bounds=[west, north, east, north + 1]) == []


def test_a_site_has_the_earliest_start_of_its_mines(tiny: Recipe) -> None:
    """Half years, and years that are none, are no start; without any there is no such column."""
    big, small, far, other = (
        square(14.2, 51.6, 1000),
        square(14.212, 51.6, 200),
        square(20, 50),
        square(21, 50),
    )
    starts = [2019, 2005, None, 0]
    sites = build.group(listed([big, small, far, other], production_start=starts), tiny, "x")
    found = {s.name: s.production_start for s in site.listed(sites, tiny)}
    assert found == {"m0": 2005, "m2": None, "m3": None}
    assert "production_start" not in build.group(listed([big, far]), tiny, "x")
    assert "production_start" not in build.group(listed([big], production_start=[2019.5]), tiny, "x")


def test_a_table_from_before_gets_the_start_that_its_list_says(tiny: Recipe, tmp_path: Path) -> None:
    """And the key of any other table stays."""
    rule = tiny.sites
    silent, says = tmp_path / "silent.csv", tmp_path / "says.csv"
    silent.write_text("name,lon,lat\nA,14,51\n")
    says.write_text("name,lon,lat,Production_Start\nA,14,51,2019\n")
    (tmp_path / "empty.csv").touch()
    assert not build._may_say_start(rule, [silent, tmp_path / "empty.csv"])
    assert build._may_say_start(rule, [silent, says])
    assert build._may_say_start(rule.model_copy(update={"mines": "jasansky-2023"}), [])
    assert not build._may_say_start(rule.model_copy(update={"mines": "maus-v2"}), [])
    assert build._may_say_start(rule.model_copy(update={"columns": {"production_start": "begun"}}), [])


@pytest.mark.parametrize("bounds", [[10, 0, 5, 1], [0, 5, 1, 2], [-200, 0, 1, 1], [0, 0, 1, 91]])
def test_bounds_are_west_south_east_north(bounds: list[float]) -> None:
    with pytest.raises(ValueError, match="west, south, east, north"):
        Filters(bounds=bounds)


def test_points_become_boxes_and_have_no_footprint(tiny: Recipe) -> None:
    row = next(build.group(listed([shapely.Point(10, 50)]), tiny, "x").itertuples())
    assert row.footprint is None
    assert row.area_km2 == pytest.approx(0.64, rel=0.01)


def test_polygon_without_area_is_refused() -> None:
    flat = shapely.Polygon([(1, 1), (2, 2), (1, 1)])
    with pytest.raises(InputError, match="row 1 is a polygon without area"):
        listed([flat])


def test_filters_that_leave_nothing_are_refused(empty_project: Path) -> None:
    benchmark = BenchmarkPaths("tiny", empty_project)
    text = RECIPE.replace("min_size_m: 960", "min_size_m: 960, filters: {country: [FRA]}")
    benchmark.recipe.write_text(text)
    with pytest.raises(InputError, match="leave none of the 3 mines"):
        build.lay_out(benchmark, recipe.load(benchmark.recipe))


def test_aoi_and_grid_agree(built: Path) -> None:
    table = gpd.read_parquet(built / "data/tiny/index/sites.parquet")
    assert len(table) == 3
    for row in table.itertuples():
        corners = np.array(geodesy.project(row.geometry, 4326, int(row.epsg)).bounds)
        assert np.allclose(corners, grid.of_site(row, 10).boundingbox.bbox, atol=1e-3)


def test_sites_that_are_there_stay(empty_project: Path) -> None:
    benchmark = BenchmarkPaths("tiny", empty_project)
    table, mines = benchmark.table("sites"), benchmark.mines / "mines.csv"
    first = build.build(benchmark, recipe.load(benchmark.recipe))
    written = table.stat().st_mtime_ns
    again = build.build(benchmark, recipe.load(benchmark.recipe))
    assert table.stat().st_mtime_ns == written
    assert again.attrs["mines"] == first.attrs["mines"]
    assert_geodataframe_equal(again, first)
    mines.write_text("\n".join(mines.read_text().splitlines()[:-1]) + "\n")
    assert len(build.build(benchmark, recipe.load(benchmark.recipe))) == len(first) - 1
    table.write_bytes(table.read_bytes()[:-100])
    assert len(build.build(benchmark, recipe.load(benchmark.recipe))) == len(first) - 1
