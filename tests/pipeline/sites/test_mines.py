from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from minebench.errors import InputError
from minebench.layout import BenchmarkPaths
from pipeline.recipe import Join, Sites
from pipeline.sites import mines

SQUARE = shapely.box(14.0, 51.0, 14.02, 51.02)
BOW_TIE = shapely.Polygon([(14, 51), (14.02, 51.02), (14.02, 51), (14, 51.02)])


def table(**columns: object) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=[SQUARE], crs=4326)


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.shp", "a.parquet"])
def test_formats(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    listed = table(ISO3_CODE=["DEU"], COUNTRY_N=["Germany"], AREA=[3.1])
    listed.to_parquet(path) if name.endswith("parquet") else listed.to_file(path)
    found = mines.read_file(path, None, {}).mines
    assert found.crs == 4326
    assert found.country.tolist() == ["DEU"]
    assert list(found.columns) == ["geometry", *mines.COLUMNS]


def test_projected_lists_come_to_lonlat(tmp_path: Path) -> None:
    path = tmp_path / "utm.gpkg"
    table().to_crs(32633).to_file(path)
    assert mines.read_file(path, None, {}).mines.geometry.iloc[0].equals_exact(SQUARE, 1e-7)


def test_jasansky_columns_and_country_by_location(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    table(
        facility_name=["Pit"], primary_commodity=["Coal"], activity_status=["active"],
        facility_equipment=["Open pit, Underground"], production_start=["2005"], GID_0=[None],
    ).to_file(path)  # fmt: skip
    row = mines.read_file(path, None, {}).mines.iloc[0]
    assert (row["name"], row.commodity, row.status) == ("Pit", "Coal", "active")
    assert (row.equipment, row.production_start, row.country) == ("Open pit, Underground", 2005, "DEU")


@pytest.mark.parametrize(
    ("said", "year"), [("2019-06", 2019), ("2019/6/30", 2019), ("2019.0", 2019), ("soon", None)]
)
def test_of_a_date_of_start_the_year_counts(tmp_path: Path, said: str, year: int | None) -> None:
    path = tmp_path / "a.geojson"
    table(production_start=[said]).to_file(path)
    (found,) = mines.read_file(path, None, {}).mines.production_start
    assert (None if pd.isna(found) else found) == year


def test_csv_with_mapped_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Mine,E,N,Land\nPit,14.0,51.0,Germany\n")
    row = mines.read_file(path, None, {"name": "Mine", "lon": "E", "lat": "N", "country": "Land"}).mines.iloc[
        0
    ]
    assert (row["name"], row.country) == ("Pit", "DEU")
    assert row.geometry.equals(shapely.Point(14, 51))


def test_invalid_geometry_is_repaired_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    gpd.GeoDataFrame({"name": ["ok", "bow"]}, geometry=[SQUARE, BOW_TIE], crs=4326).to_file(path)
    found = mines.read_file(path, None, {})
    assert found.repaired == {2: pytest.approx(0)}
    assert found.mines.geometry.is_valid.all()


def csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,lon,lat\n", "lists no mines"),
        ("name,x1,y1\na,1,2\n", "no columns lon and lat"),
        ("name,lon,lat\na,1,2\nb,east,3\n", "row 2: lon and lat must both be numbers"),
        ("name,lon,lat\na,51.2,140.1\n", "row 1: latitude 140.1 is out of range.*swapped"),
        ("name,lon,lat\na,1,2\nb,512,14\n", "row 2: coordinates are out of range"),
        ("name,lon,lat\na,10,88\n", "row 1: UTM ends at 84"),
    ],
)
def test_bad_csv(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        mines.read_file(csv(tmp_path, text), None, {})


def test_missing_crs_columns_layers_and_garbage(tmp_path: Path) -> None:
    path = tmp_path / "a.shp"
    gpd.GeoDataFrame({"name": ["a"]}, geometry=[SQUARE]).to_file(path)
    with pytest.raises(InputError, match="does not say its CRS"):
        mines.read_file(path, None, {})
    path = tmp_path / "b.gpkg"
    table().to_file(path, layer="one")
    table().to_file(path, layer="two")
    with pytest.raises(InputError, match="several layers; name one with layer: one, two"):
        mines.read_file(path, None, {})
    with pytest.raises(InputError, match="no layer 'three'"):
        mines.read_file(path, "three", {})
    with pytest.raises(InputError, match="no column 'Nom'"):
        mines.read_file(path, "one", {"name": "Nom"})
    with pytest.raises(InputError, match="'nome' is not one of"):
        mines.read_file(path, "one", {"nome": "x"})
    garbage = tmp_path / "c.gpkg"
    garbage.write_bytes(b"not a database")
    with pytest.raises(InputError, match=r"its content is not \.gpkg"):
        mines.read_file(garbage, None, {})
    with pytest.raises(InputError, match=r"not '\.docx'"):
        mines.read_file(tmp_path / "d.docx", None, {})
    empty = tmp_path / "e.geojson"
    gpd.GeoDataFrame({"name": ["a", "b"]}, geometry=[SQUARE, None], crs=4326).to_file(empty)
    with pytest.raises(InputError, match="row 2 has no geometry"):
        mines.read_file(empty, None, {})


def test_join_fills_from_the_nearest_facility() -> None:
    polygons = gpd.GeoDataFrame(
        {"name": ["1", "2"], "commodity": [None, None]},
        geometry=[SQUARE, shapely.affinity.translate(SQUARE, 5)], crs=4326,
    ).reindex(columns=["geometry", *mines.COLUMNS])  # fmt: skip
    polygons["name"] = ["1", "2"]
    facilities = gpd.GeoDataFrame(
        {"name": ["near", "far"], "commodity": ["Coal", "Iron"]},
        geometry=gpd.points_from_xy([14.03, 14.06], [51.01, 51.01]), crs=4326,
    ).reindex(columns=["geometry", *mines.COLUMNS])  # fmt: skip
    facilities["name"], facilities["commodity"] = ["near", "far"], ["Coal", "Iron"]
    joined = mines.join_nearest(polygons, facilities, Join(file="x"))
    assert joined.commodity.tolist()[0] == "Coal"
    assert joined["name"].tolist() == ["near", "2"]
    assert pd.isna(joined.commodity.iloc[1])


def test_a_list_that_is_a_link_out_of_the_benchmark_is_refused(tmp_path: Path) -> None:
    benchmark = BenchmarkPaths("tiny", tmp_path)
    benchmark.mines.mkdir(parents=True)
    (tmp_path / "elsewhere.csv").write_text("name,lon,lat\nA,10,50\n")
    (benchmark.mines / "list.csv").symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(InputError, match="is a link that leads out of"):
        mines.read(benchmark, Sites.model_construct(mines="list.csv"))
