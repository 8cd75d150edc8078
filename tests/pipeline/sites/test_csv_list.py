"""CSV lists as spreadsheets of any country save them."""

from pathlib import Path

import pytest

from pipeline.core.errors import InputError
from pipeline.sites import mines


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
