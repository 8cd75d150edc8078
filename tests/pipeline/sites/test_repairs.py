"""Of shapes with polygons the polygons count; what repairing changes is said, or asked where it is much."""

import re
from pathlib import Path

import geopandas as gpd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from minebench.errors import InputError
from minebench.layout import BenchmarkPaths
from pipeline import recipe
from pipeline.geo import geodesy
from pipeline.sites import build, repairs, site_ids, summary
from tests.conftest import RECIPE

SQUARE = shapely.box(12.0, 50.0, 12.01, 50.01)
LINE = shapely.LineString([(12.005, 50.01), (12.005, 50.05)])
POINT = shapely.Point(12.3, 50.3)
SPIKE = shapely.Polygon([
    (12, 50), (12.01, 50), (12.01, 50.01), (12.005, 50.01), (12.005, 50.05), (12.005, 50.01), (12, 50.01),
])  # fmt: skip
BOW_TIE = shapely.Polygon([(13, 48), (13.02, 48.02), (13.02, 48), (13, 48.02)])
COLLECTIONS = {
    "line": shapely.GeometryCollection([SQUARE, LINE]),
    "point": shapely.GeometryCollection([POINT, SQUARE]),
    "nested": shapely.GeometryCollection([shapely.GeometryCollection([LINE, SQUARE]), POINT]),
    "multi": shapely.GeometryCollection([shapely.MultiLineString([LINE]), shapely.MultiPolygon([SQUARE])]),
    "spike": SPIKE,
}


def laid_out(
    folder: Path, *shapes: shapely.Geometry, names: list[str] | None = None, more: str = ""
) -> gpd.GeoDataFrame:
    """The sites of a list of shapes; `more` goes into the recipe's sites."""
    benchmark = BenchmarkPaths("b", folder)
    benchmark.mines.mkdir(parents=True, exist_ok=True)
    table = gpd.GeoDataFrame(
        {"name": names or [f"m{i}" for i in range(len(shapes))]}, geometry=[*shapes], crs=4326
    )
    table.to_parquet(benchmark.mines / "mines.parquet")
    old = RECIPE[RECIPE.index("sites:") :].splitlines()[0]
    new = f"sites: {{mines: mines.parquet, group_m: 1000, buffer_m: 90{more}}}"
    benchmark.recipe.write_text(RECIPE.replace(old, new))
    return build.lay_out(benchmark, recipe.load(benchmark.recipe))


@pytest.mark.parametrize("kind", list(COLLECTIONS))
def test_only_polygons_count(tmp_path: Path, kind: str) -> None:
    sites = laid_out(tmp_path, COLLECTIONS[kind])
    (row,) = sites.itertuples()
    assert row.area_km2 == pytest.approx(geodesy.area_km2(SQUARE), rel=1e-3)
    assert row.footprint.symmetric_difference(SQUARE).area < 1e-9
    areas = {"before_km2": pytest.approx(0.797, abs=2e-3), "after_km2": pytest.approx(0.797, abs=2e-3)}
    assert sites.attrs["repairs"] == {"mines": 1, "spiky": 0, **areas}
    loaded = recipe.load(BenchmarkPaths("b", tmp_path).recipe)
    assert any("0.80 km² as drawn, 0.80 km² now" in sentence for sentence in summary.of(sites, loaded))


@pytest.mark.parametrize(
    "shape", [LINE, shapely.MultiLineString([LINE]), shapely.GeometryCollection([LINE, POINT])]
)
def test_a_line_alone_is_refused(tmp_path: Path, shape: shapely.Geometry) -> None:
    with pytest.raises(InputError, match=r"row 2 is a line, which outlines no mine"):
        laid_out(tmp_path, SQUARE, shape)


def test_a_crumb_beside_polygons_is_no_mine(tmp_path: Path) -> None:
    crumb = shapely.box(12.02, 50, 12.020001, 50.000001)
    plain = laid_out(tmp_path, SQUARE)
    assert (
        laid_out(tmp_path, shapely.MultiPolygon([crumb, SQUARE])).site_id.tolist() == plain.site_id.tolist()
    )
    with pytest.raises(InputError, match="row 2 is a polygon without area"):
        laid_out(tmp_path, SQUARE, shapely.MultiPolygon([crumb]))


def test_points_stay_points(tmp_path: Path) -> None:
    shapes = [
        POINT,
        shapely.GeometryCollection([POINT]),
        shapely.MultiPoint([POINT, shapely.Point(12.301, 50.3)]),
    ]
    for shape in shapes:
        sites = laid_out(tmp_path, shape)
        assert sites.attrs["points"] == 1
        assert "repairs" not in sites.attrs


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        (BOW_TIE, r"row 2 \(m1\) changes from 0\.00 to 1\.66 km²"),
        (shapely.MultiPolygon([SQUARE, SQUARE]), r"row 2 \(m1\) changes from 1\.59 to 0\.80 km²"),
    ],
)
def test_a_large_repair_has_to_be_accepted(tmp_path: Path, shape: shapely.Geometry, says: str) -> None:
    with pytest.raises(repairs.MuchRepaired, match=says + ".*accept_repairs: true"):
        laid_out(tmp_path, shapely.affinity.translate(SQUARE, 3), shape)
    assert (
        len(laid_out(tmp_path, shapely.affinity.translate(SQUARE, 3), shape, more=", accept_repairs: true"))
        == 2
    )
    # A mine that is filtered out asks nothing.
    small = ", filters: {max_area_km2: 0.01}"
    with pytest.raises(InputError, match="leave none"):
        laid_out(tmp_path, shape, more=small)


def test_a_wide_spike_is_cut_and_the_id_stays(tmp_path: Path) -> None:
    plain = laid_out(tmp_path, SQUARE)
    spiky = SQUARE.union(shapely.box(12.01, 50.005, 12.05, 50.00505))
    (row,) = (sites := laid_out(tmp_path, spiky)).itertuples()
    assert (row.area_km2, row.width) == (pytest.approx(plain.area_km2[0], rel=1e-3), plain.width[0])
    assert row.site_id == site_ids.site_id("m0", spiky)[: len(row.site_id)]
    assert "spikes thinner than a pixel were cut from 1 mine" in repairs.areas(sites.attrs["repairs"])


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Übertage Köln-Süd", "uebertage-koeln-sued"),
        ("Übertage", "uebertage"),
        ("Kopalnia Bełchatów", "kopalnia-belchatow"),
        ("Çöllolar", "coellolar"),
        ("Ștefan № 5", "stefan-no-5"),
        ("Straße", "strasse"),
        ("平朔煤矿", "pingshuomeikuang"),
        ("Разрез «Богатырь» № 5", "razrez-bogatyr-no-5"),
        ("ЮЖНЫЙ", "yuzhnyy"),
        ("Λιγνιτωρυχείο", "lignitorycheio"),
        ("منجم ٣", "mnjm-3"),
        ("광산", "gwangsan"),
        ("खान", "khan"),
        ("Köln Карьер", "koeln-karer"),
        ("🏔 Oʻzbek ½", "o-zbek-1-2"),
        ("…", "mine"),
        ("Black Hill, No. 5", "black-hill-no-5"),
    ],
)
def test_letters_with_marks_are_plain_in_ids(name: str, slug: str) -> None:
    assert site_ids.site_id(name, SQUARE).rpartition("-")[0] == slug


LATIN_LETTERS = st.characters(max_codepoint=0x24F, exclude_characters="µ")


@given(st.text(LATIN_LETTERS))
def test_ids_of_latin_names_are_as_they_were(name: str) -> None:
    assert site_ids.latin(name) == site_ids._unmarked(name)


@given(st.text(st.characters(categories=["Lo"], min_codepoint=0x370), min_size=1))
def test_letters_of_any_script_are_readable_in_ids(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]+-[0-9a-f]{16}", site_ids.site_id(name, SQUARE))


@given(st.text(st.characters(max_codepoint=127)))
def test_ids_of_plain_names_are_as_they_were(name: str) -> None:
    own = site_ids.site_id(name, SQUARE)
    assert site_ids.known([own], [name], {own}) == [own]
    assert site_ids.known([own], [name], set()) == [own]


def test_sites_that_are_there_keep_their_ids(tmp_path: Path) -> None:
    names = ["Köln-Süd", "Łaziska"]
    shapes = (SQUARE, shapely.affinity.translate(SQUARE, 1))
    new = laid_out(tmp_path, *shapes, names=names)
    assert [own.rpartition("-")[0] for own in new.site_id] == ["koeln-sued", "laziska"]
    ends = [own.rpartition("-")[2] for own in new.site_id]
    index = BenchmarkPaths("b", tmp_path).table("sites")
    index.parent.mkdir(parents=True)
    new.assign(site_id=[f"k-ln-s-d-{ends[0]}", f"aziska-{ends[1]}"]).to_parquet(index)
    again = laid_out(tmp_path, *shapes, shapely.affinity.translate(SQUARE, 2), names=[*names, "Öd"])
    assert sorted(again.site_id)[:2] == [f"aziska-{ends[1]}", f"k-ln-s-d-{ends[0]}"]
    assert sorted(again.site_id)[2].startswith("oed-")
    assert set(again.name) == {*names, "Öd"}


def test_ids_that_are_there_stay() -> None:
    ids, names = ["koeln-1", "bor-2", "new-3"], ["Köln", "Bor", "New"]
    assert site_ids.known(ids, names, {"k-ln-1", "mine-2"}) == ["k-ln-1", "mine-2", "new-3"]
    assert site_ids.known(ids, names, {"koeln-1", "k-ln-1"})[0] == "koeln-1"
    assert site_ids.known(["karer-5-1"], ["Карьер 5"], {"5-1"}) == ["5-1"]
    assert site_ids.known(["pingshuo-2"], ["平朔"], {"mine-2"}) == ["mine-2"]


def test_sites_that_are_labelled_keep_their_ids(tmp_path: Path) -> None:
    (new,) = laid_out(tmp_path, SQUARE, names=["平朔"]).site_id
    assert new.startswith("pingshuo-")
    old = new.replace("pingshuo", "mine")
    layer = BenchmarkPaths("b", tmp_path).annotations / "layers/ada"
    layer.mkdir(parents=True)
    (layer / f"{old}.gpkg").touch()
    assert list(laid_out(tmp_path, SQUARE, names=["平朔"]).site_id) == [old]
