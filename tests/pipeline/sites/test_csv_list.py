"""CSV lists as spreadsheets of any country save them."""

from pathlib import Path

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from minebench.errors import InputError
from pipeline.sites import degrees, mines


def saved(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "name,lon,lat\nJänschwalde,14.5,51.25\n",
        "name;Latitude;Longitude\nJänschwalde;51,25;14,5\n",
        "name;lon;lat\nJänschwalde;14.5;51.25\n",
        "name\tx\ty\nJänschwalde\t14,5\t51,25\n",
        "name|lat|lng\r\nJänschwalde|51.25|14.5\r\n",
        "name,lat_wgs84,lon_wgs84\nJänschwalde,51.25,14.5\n",
        'name,Latitude (°),"Longitude (deg)"\nJänschwalde,51.25,14.5\n',
        "\nname;y_coord;x_coord;\nJänschwalde;51,25;14,5;\n",
        'name;"lon";lat;notes\nJänschwalde;14.5;51.25;"one, two\nand; three"\n',
        "name,lon,lat\nJänschwalde,14.5,51.25,\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_a_list_as_it_was_saved(tmp_path: Path, text: str, encoding: str) -> None:
    (row,) = mines.read_file(saved(tmp_path, text, encoding), None, {}).mines.itertuples()
    assert (row.name, row.geometry.x, row.geometry.y) == ("Jänschwalde", 14.5, 51.25)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Mine;Breite;Länge\nPit;51,2;14,5\n", r"no columns lon and lat: .*\(Mine, Breite, Länge\)"),
        ("name;lon,lat\nPit;14,5\n", r"no columns lon and lat"),
        ("lon,lat,a;x;y\n1;2\n", "nothing tells whether commas or semicolons separate"),
        ("name,lon,lat\nPit, the old one,14.5,51.2\n", "row 1 has 4 cells, and there are 3 columns.*quotes"),
        ("name,lon,lat\nPit,14,5,51,2\n", "row 1 has 5 cells"),
        ('name,lon,lat\nPit,"14,5","51,2"\n', "row 1: lon and lat must both be numbers, not '14,5', '51,2'"),
        ("name;lon;lat\nPit;1.234,5;51,2\n", "must both be numbers, not '1.234,5'"),
        (
            "name,lon_dd,lon_deg,lat\nPit,14,15,51\n",
            "lon_dd, lon_deg may be lon: name one in sites.columns.lon",
        ),
        ("name;lon;lat\nPit;51,2;140,1\n", "latitude 140.1 is out of range.*swapped"),
    ],
)
def test_what_is_not_clear_is_a_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        mines.read_file(saved(tmp_path, text), None, {})


def test_a_column_that_the_recipe_names_and_that_is_not_there(tmp_path: Path) -> None:
    path = saved(tmp_path, "Name;Ost;Nord\nPit;14,5;51,2\n")
    (row,) = mines.read_file(path, None, {"lon": "Ost", "lat": "Nord"}).mines.itertuples()
    assert (row.geometry.x, row.geometry.y) == (14.5, 51.2)
    with pytest.raises(InputError, match=r"no column 'East' \(sites.columns.lon\); it has Name, Ost, Nord"):
        mines.read_file(path, None, {"lon": "East", "lat": "Nord"})


def test_a_list_of_points_outlines_nothing(tmp_path: Path) -> None:
    assert mines.is_of_points(saved(tmp_path, "name,lon,lat\na,1,2\n"), None)
    line = tmp_path / "a.geojson"
    line.write_text('{"type": "Point", "coordinates": [14, 51]}')
    assert mines.is_of_points(line, None)
    line.write_text('{"type": "Polygon", "coordinates": [[[14, 51], [15, 51], [15, 52], [14, 51]]]}')
    assert not mines.is_of_points(line, None)
    line.write_text("none")
    assert not mines.is_of_points(line, None)


SQUARE = "POLYGON ((14 51, 14.02 51, 14.02 51.02, 14 51.02, 14 51))"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (f'name,wkt\nPit,"{SQUARE}"\n', {}),
        (f'WKT,name\n"{SQUARE}",Pit\n', {}),
        (f"name;the_geom\nPit;{SQUARE}\n", {}),
        (f"name;lon;lat;geometry\nPit;1;2;SRID=4326;{SQUARE}\n".replace("SRID=4326;", ""), {}),
        (f'name;Umriss\nPit;"SRID=4326;{SQUARE}"\n', {"wkt": "Umriss"}),
        (f'wkt\n"{SQUARE}"\n', {}),
        (f"sep=;\r\nname;wkt\r\nPit;{SQUARE}\r\n", {}),
    ],
)
def test_outlines_as_wkt(tmp_path: Path, text: str, columns: dict[str, str]) -> None:
    path = saved(tmp_path, text)
    (row,) = mines.read_file(path, None, columns).mines.itertuples()
    assert row.geometry.equals(shapely.from_wkt(SQUARE))
    assert mines.is_of_points(path, None) == bool(columns)  # a name that only the recipe knows


def test_wkt_in_another_crs_and_in_none(tmp_path: Path) -> None:
    path = saved(tmp_path, 'name,wkt\nPit,"SRID=32633;POINT (440000 5720000)"\n')
    (row,) = mines.read_file(path, None, {}).mines.itertuples()
    assert (round(row.geometry.x, 3), round(row.geometry.y, 3)) == (14.133, 51.628)
    two = saved(tmp_path, 'wkt\n"SRID=32633;POINT (440000 5720000)"\nPOINT (14 51)\n')
    with pytest.raises(InputError, match="wkt names several SRIDs"):
        mines.read_file(two, None, {})
    with pytest.raises(
        InputError, match="row 2: wkt is neither WKT nor WKB in hexadecimal digits: 'POLYGON round the pit'"
    ):
        mines.read_file(saved(tmp_path, "wkt\nPOINT (14 51)\nPOLYGON round the pit\n"), None, {})
    with pytest.raises(InputError, match="wkt has SRID 999999, which is no EPSG code"):
        mines.read_file(saved(tmp_path, 'wkt\n"SRID=999999;POINT (14 51)"\n'), None, {})
    shape = saved(tmp_path, "name,lon,lat,shape\nPit,14.5,51.25,round\n")
    assert mines.read_file(shape, None, {}).mines.geometry.iloc[0].equals(shapely.Point(14.5, 51.25))


@pytest.mark.parametrize("name", ["geom", "wkb_geometry", "the_geom", "WKB", "shape"])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("form", ["{}", "\\x{}", " {} "])
def test_outlines_as_hexadecimal_wkb(tmp_path: Path, name: str, big_endian: bool, form: str) -> None:
    """As PostGIS writes a geometry, with its SRID, and a bytea."""
    square = shapely.set_srid(shapely.from_wkt(SQUARE), 4326)
    order = 0 if big_endian else 1
    for digits in (
        shapely.to_wkb(square, hex=True, include_srid=True, byte_order=order),
        shapely.to_wkb(square, hex=True, byte_order=order, output_dimension=2).lower(),
    ):
        path = saved(tmp_path, f"gid,{name},name\n1,{form.format(digits)},Pit\n")
        shapes = mines.read_file(path, None, {}).mines.geometry
        assert shapes.iloc[0].equals(shapely.from_wkt(SQUARE))
    assert not mines.is_of_points(path, None)


def test_wkb_in_another_crs_without_letters_and_broken(tmp_path: Path) -> None:
    utm = shapely.set_srid(shapely.Point(440000, 5720000), 32633)
    digits = shapely.to_wkb(utm, hex=True, include_srid=True)
    (row,) = mines.read_file(saved(tmp_path, f"geom\n{digits}\n"), None, {}).mines.itertuples()
    assert (round(row.geometry.x, 3), round(row.geometry.y, 3)) == (14.133, 51.628)
    digits = shapely.to_wkb(shapely.set_srid(shapely.Point(2, 2), 4326), hex=True, include_srid=True)
    assert float(digits) > 0
    (row,) = mines.read_file(saved(tmp_path, f"geom\n{digits}\n"), None, {}).mines.itertuples()
    assert (row.geometry.x, row.geometry.y) == (2, 2)
    with pytest.raises(InputError, match="row 2: geom is neither WKT nor WKB in hexadecimal digits: '0101"):
        mines.read_file(saved(tmp_path, f"geom\n{digits}\n{digits[:-4]}\n"), None, {})


@pytest.mark.parametrize("lon", ["14°30'00\"O", "14,5 O", "O 14° 30'", "14°30'o", "14 30 00 O", "14d30m0s O"])
def test_an_o_is_east_or_west_and_refused_so(tmp_path: Path, lon: str) -> None:
    with pytest.raises(InputError, match=r"row 1: .* O is the east in German .* write E or W\."):
        mines.read_file(saved(tmp_path, f"name;lat;lon\nPit;51°15'N;{lon}\n"), None, {})
    with pytest.raises(InputError, match=r"not .*\.$") as caught:
        mines.read_file(saved(tmp_path, "name;lat;lon\nPit;51°15'N;Ort\n"), None, {})
    assert "German" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "name,lat,lon\nPit,51°15'0\"N,14°30'0\"E\n",
        'name,lat,lon\nPit,"51°15\'00.0""N","14°30\'00.0""E"\n',
        "name;lat;lon\nPit;N 51° 15′ 0,0″;E 14° 30,0′\n",
        "name,lat,lon\nPit,51:15:00,14:30:00\n",
        "name,lat,lon\nPit,51 15 00 N,14 30 00 E\n",
        "name,lat,lon\nPit,51d15m0s,14.5° E\n",
        "name,lat,lon\nSouth,51°15'S,14.5 W\nPit,51.25,14.5\n",
    ],
)
def test_degrees_minutes_and_seconds(tmp_path: Path, text: str) -> None:
    last = mines.read_file(saved(tmp_path, text), None, {}).mines.geometry.iloc[-1]
    assert (last.x, last.y) == (14.5, 51.25)


@pytest.mark.parametrize(
    "lat",
    ["51°75'", "51.5°15'", "51°15'E", "-51°15'S", "51 15 00", '51°15"', "51°15'20''30", "N51S", "51°1215''"],
)
def test_unclear_degrees_are_refused(tmp_path: Path, lat: str) -> None:
    with pytest.raises(InputError, match="row 1: lon and lat must both be numbers"):
        mines.read_file(saved(tmp_path, f"name;lat;lon\nPit;{lat};14.5\n"), None, {})


@given(st.floats(-89, 89), st.sampled_from(["{}°{}'{}\"{}", "{3}{0} {1} {2}", "{0}:{1}:{2} {3}"]))
def test_degrees_come_back(value: float, form: str) -> None:
    minutes, seconds = divmod(abs(value) * 3600, 60)
    whole, minutes = divmod(int(minutes), 60)
    text = form.format(whole, minutes, f"{seconds:.6f}", "N" if value >= 0 else "S")
    assert seconds > 59.999999 or degrees.parse(text, "lat") == pytest.approx(value, abs=1e-8)


def test_rows_of_separators_are_no_mines(tmp_path: Path) -> None:
    for text in (
        "mine,lat,lon\nA,51,14\n,,\nB,52,15\n,,\n",
        "mine,wkt\nA,POINT (14 51)\n,\nB,POINT (15 52)\n",
    ):
        found = mines.read_file(saved(tmp_path, text), None, {}).mines
        assert found["name"].tolist() == ["A", "B"]
        assert found.geometry.x.tolist() == [14, 15]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty"),
        ("name,lat,lon,lat\nA,51,14,52\n", "several columns 'lat'"),
        ("name,lat,lon\nA,51,14\n,,\nB,,15\n", "row 3: lon and lat must both be numbers, not '15', empty"),
    ],
)
def test_what_is_missing_or_there_twice_is_a_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        mines.read_file(saved(tmp_path, text), None, {})
