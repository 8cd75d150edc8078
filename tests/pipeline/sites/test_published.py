"""Published lists by name, from small files of the same schema on loopback; GADM units."""

import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from minebench.errors import InputError
from minebench.layout import BenchmarkPaths
from pipeline.recipe import Sites
from pipeline.sites import build, list_file, mines, published
from tests.standins.base import Running, running

SQUARE = shapely.box(14.0, 51.0, 14.02, 51.02)


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[tuple[Path, Running]]:
    folder = tmp_path / "publisher"
    folder.mkdir()
    with running("cogs", str(folder)) as server:
        yield folder, server


@pytest.fixture
def benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BenchmarkPaths:
    monkeypatch.setenv(list_file.CACHE_VARIABLE, str(tmp_path / "cache"))
    made = BenchmarkPaths("b", tmp_path / "project")
    made.mines.mkdir(parents=True)
    return made


def serve(name: str, monkeypatch: pytest.MonkeyPatch, **more: object) -> None:
    entry = dataclasses.replace(published.LISTS[name], **more)
    monkeypatch.setitem(published.LISTS, name, entry)


def maus(path: Path) -> Path:
    table = {"ISO3_CODE": ["DEU"], "COUNTRY_NAME": ["Germany"], "AREA": [3.1]}
    gpd.GeoDataFrame(table, geometry=[SQUARE], crs=4326).to_file(path)
    return path


def test_maus_is_fetched_once_and_watched(
    publisher: tuple[Path, Running], benchmark: BenchmarkPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, server = publisher
    maus(folder / "global_mining_polygons_v2.gpkg")
    serve("maus-v2", monkeypatch, url=f"{server.url}/open/global_mining_polygons_v2.gpkg")
    found = mines.read(benchmark, Sites(mines="maus-v2")).mines
    assert found.country.tolist() == ["DEU"]
    server.set()
    mines.read(benchmark, Sites(mines="maus-v2"))
    assert server.asked() == []
    cached = list_file.cache() / "maus-v2" / "global_mining_polygons_v2.gpkg"
    cached.write_bytes(cached.read_bytes() + b"x")
    with pytest.raises(InputError, match="is not the file it was"):
        mines.read(benchmark, Sites(mines="maus-v2"))


def test_jasansky_comes_out_of_its_archive_with_zenodos_checksum(
    publisher: tuple[Path, Running], benchmark: BenchmarkPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, server = publisher
    table = {
        "facility_name": ["Pit"], "primary_commodity": ["Coal"], "activity_status": ["active"],
        "facility_equipment": ["Open pit"], "production_start": [2019], "GID_0": ["DEU"],
    }  # fmt: skip
    inner = folder / "facilities.gpkg"
    gpd.GeoDataFrame(table, geometry=[shapely.Point(14, 51)], crs=4326).to_file(inner)
    archive = folder / "open_database_mine_production.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(inner, "open_database/data/facilities.gpkg")
    content = archive.read_bytes()
    file = {
        "key": archive.name, "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
        "links": {"self": f"{server.url}/open/{archive.name}"},
    }  # fmt: skip
    (folder / "record.json").write_text(json.dumps({"files": [file]}))
    serve("jasansky-2023", monkeypatch, record=f"{server.url}/open/record.json")
    found = mines.read(benchmark, Sites(mines="jasansky-2023")).mines
    assert found.commodity.tolist() == ["Coal"]
    assert found.production_start.tolist() == [2019]
    # A damaged download is refused.
    monkeypatch.setattr("pipeline.web.client.LONGEST_WAIT_S", 0.01)
    for path in list_file.cache().rglob("*"):
        if path.is_file():
            path.unlink()
    archive.write_bytes(content[:-10])
    with pytest.raises(InputError, match=r"jasansky-2023 cannot be fetched \(MD5 hash"):
        mines.read(benchmark, Sites(mines="jasansky-2023"))


def test_offline_says_where_to_put_the_file(
    benchmark: BenchmarkPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.web.client.LONGEST_WAIT_S", 0.01)
    serve("maus-v1", monkeypatch, url="http://127.0.0.1:9/global_mining_polygons_v1.gpkg")
    with pytest.raises(InputError) as caught:
        mines.read(benchmark, Sites(mines="maus-v1"))
    message = str(caught.value)
    assert "PANGAEA.910894" in message
    assert str(benchmark.mines) in message
    # And there it is taken from.
    maus(benchmark.mines / "global_mining_polygons_v1.gpkg")
    assert len(mines.read(benchmark, Sites(mines="maus-v1")).mines) == 1


def test_tang_is_unpacked_by_hand(benchmark: BenchmarkPaths) -> None:
    with pytest.raises(InputError, match="RAR archive"):
        mines.read(benchmark, Sites(mines="tang-2023"))
    table = gpd.GeoDataFrame({"OBJECTID": [1]}, geometry=[SQUARE], crs=4326)
    table.to_file(benchmark.mines / "74548_projected.shp")
    assert len(mines.read(benchmark, Sites(mines="tang-2023")).mines) == 1


def test_unknown_names_are_told_the_known_ones(benchmark: BenchmarkPaths) -> None:
    with pytest.raises(InputError, match="maus-v1, maus-v2, jasansky-2023, jasansky-2024, tang-2023"):
        mines.read(benchmark, Sites(mines="mause-v2"))


def test_facilities_without_a_point_become_their_gadm_unit(benchmark: BenchmarkPaths) -> None:
    rows = {
        "facility_name": ["A", "B"], "GID_0": ["DEU", "DEU"], "GID_1": ["DEU.1_1", None],
        "GID_2": ["DEU.1.3_1", None],
    }  # fmt: skip
    path = benchmark.mines / "facilities.geojson"
    gpd.GeoDataFrame(rows, geometry=[None, SQUARE], crs=4326).to_file(path)
    with pytest.raises(InputError, match="row 1 has no geometry"):
        mines.read(benchmark, Sites(mines="facilities.geojson"))
    asked = Sites(mines="facilities.geojson", gadm=True)
    with pytest.raises(InputError, match=r"gadm41_DEU\.gpkg: get it from"):
        mines.read(benchmark, asked)
    (benchmark.mines / "gadm").mkdir()
    unit = shapely.box(13, 50, 13.1, 50.1)
    gadm = benchmark.mines / "gadm" / "gadm41_DEU.gpkg"
    gpd.GeoDataFrame({"GID_2": ["DEU.1.3_1"]}, geometry=[unit], crs=4326).to_file(gadm, layer="ADM_ADM_2")
    found = mines.read(benchmark, asked).mines
    assert found.geometry.iloc[0].equals_exact(unit, 1e-9)
    assert found.geometry.iloc[1].equals_exact(SQUARE, 1e-9)
    assert len(build.polygons_from(found.assign(repaired=False), 1000)) == 2
    bad = gpd.GeoDataFrame({"facility_name": ["C"]}, geometry=[None], crs=4326)
    bad.to_file(path)
    with pytest.raises(InputError, match="neither a geometry nor a GID"):
        mines.read(benchmark, asked)


def test_jasansky_2024_by_hand(
    benchmark: BenchmarkPaths, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.web.client.LONGEST_WAIT_S", 0.01)
    serve("jasansky-2024", monkeypatch, record="http://127.0.0.1:9/record.json")
    place = benchmark.mines / "jasansky-2024"
    with pytest.raises(InputError, match=f"put it into {place}"):
        mines.read(benchmark, Sites(mines="jasansky-2024"))
    place.mkdir()
    (place / "tiles.gpkg").write_bytes((shared / "mines" / "jasansky2024_tiles.gpkg").read_bytes())
    found = mines.read(benchmark, Sites(mines="jasansky-2024", layer="polygons_annotated")).mines
    assert len(found) == 80
