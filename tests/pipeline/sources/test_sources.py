from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling

from minebench import tables
from minebench.errors import InputError, WorkError
from minebench.layout import BenchmarkPaths
from pipeline import recipe, sources
from pipeline.geo import grid, raster
from pipeline.scenes import reader, selection
from pipeline.sources.local import LocalSource
from pipeline.sources.local import Options as Local
from pipeline.sources.protocol import Scene


def write(path: Path, pixels: np.ndarray, transform: Affine, crs: str, nodata: float | None) -> Path:
    bands = pixels.reshape(-1, *pixels.shape[-2:])
    with rasterio.open(
        path, "w", driver="GTiff", height=bands.shape[1], width=bands.shape[2], count=len(bands),
        dtype=bands.dtype, crs=crs, transform=transform, nodata=nodata,
    ) as file:  # fmt: skip
        file.write(bands)
    return path


UTM = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def test_aligned_pixels_are_copied_and_the_outside_is_nodata(tmp_path: Path) -> None:
    pixels = np.arange(1, 31, dtype=np.uint16).reshape(5, 6)
    path = write(tmp_path / "a.tif", pixels, UTM, "EPSG:32633", 0)
    box = grid.geobox(32633, 499_990, 5_000_010, 4, 4, 10)
    found = raster.read(str(path), 1, box, Resampling.bilinear, None)
    assert (found[0] == 0).all()
    assert (found[:, 0] == 0).all()
    assert (found[1:, 1:] == pixels[:3, :3]).all()
    away = grid.geobox(32633, 600_000, 5_000_010, 4, 4, 10)
    assert not raster.read(str(path), 1, away, Resampling.bilinear, None).any()


def test_warping_leaves_nodata_out_of_the_weights(tmp_path: Path) -> None:
    pixels = np.full((20, 20), 1000, np.uint16)
    pixels[:, :10] = 0
    path = write(tmp_path / "a.tif", pixels, UTM, "EPSG:32633", 0)
    box = grid.geobox(32633, 500_005, 4_999_995, 18, 18, 10)
    found = raster.read(str(path), 1, box, Resampling.bilinear, None)
    assert set(np.unique(found)) == {0, 1000}


def test_valid_zero_becomes_one_and_other_nodata_zero(tmp_path: Path) -> None:
    pixels = np.array([[0, 5], [255, 9]], np.uint8)
    box = grid.geobox(32633, 500_000, 5_000_000, 2, 2, 10)
    no_value = write(tmp_path / "a.tif", pixels, UTM, "EPSG:32633", None)
    assert raster.read(str(no_value), 1, box, Resampling.bilinear, None).tolist() == [[1, 5], [255, 9]]
    high = write(tmp_path / "b.tif", pixels, UTM, "EPSG:32633", 255)
    assert raster.read(str(high), 1, box, Resampling.bilinear, None).tolist() == [[1, 5], [0, 9]]
    # The recipe's own value comes before the file's.
    assert raster.read(str(high), 1, box, Resampling.bilinear, 9).tolist() == [[1, 5], [255, 0]]


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0 not a tiff")
    with pytest.raises(WorkError, match=r"a\.tif cannot be read"):
        raster.read(str(path), 1, grid.geobox(32633, 0, 0, 2, 2, 10), Resampling.nearest, None)


def test_solar_day_follows_the_sun() -> None:
    late = Scene("s", datetime(2020, 5, 1, 23, 50, tzinfo=UTC), {}, "stac")
    assert late.solar_day(170) == date(2020, 5, 2)
    assert late.solar_day(-120) == date(2020, 5, 1)


def test_same_ground_with_and_without_the_offset(built: Path) -> None:
    """Scenes of both baselines must come out at one level: forest is dark in the red."""
    benchmark = BenchmarkPaths("tiny", built)
    loaded = recipe.load(benchmark.recipe)
    source = sources.open(benchmark, loaded)
    floors: dict[int, list[float]] = {0: [], 1000: []}
    for site in tables.read_geo(benchmark.table("sites"), "sites").itertuples():
        box = grid.of_site(site, 10)
        for scene in source.search(site.geometry, date(2020, 1, 1), date(2024, 1, 1)):
            classes = source.read(scene, ["SCL"], reader.mask_grid(box, loaded, source))[0]
            clear = selection.clear_pixels(classes, loaded.selection.clear).repeat(2, 0).repeat(2, 1)
            red = source.read(scene, ["B04"], box)[0]
            if clear.mean() > 0.3:
                floors[scene.offset].append(float(np.percentile(red[clear], 5)))
    assert len(floors[0]) >= 3
    assert len(floors[1000]) >= 3
    assert np.median(floors[0]) == pytest.approx(np.median(floors[1000]), abs=150)
    assert max(map(max, floors.values())) < 900


def test_static_search_is_by_place_and_time(built: Path) -> None:
    benchmark = BenchmarkPaths("tiny", built)
    source = sources.open(benchmark, recipe.load(benchmark.recipe))
    sites = tables.read_geo(benchmark.table("sites"), "sites")
    area = sites.geometry.iloc[0]
    found = source.search(area, date(2022, 1, 1), date(2023, 1, 1))
    assert found
    assert all(scene.time.year == 2022 for scene in found)
    assert source.search(shapely.box(100, 0, 101, 1), date(2022, 1, 1), date(2023, 1, 1)) == []
    everywhere = pystac.Catalog.from_file(str(benchmark.archive / "catalog.json"))
    inside = [
        item for item in everywhere.get_items(recursive=True)
        if shapely.geometry.shape(item.geometry).intersects(area) and item.datetime.year == 2022
    ]  # fmt: skip
    assert sorted(scene.id for scene in found) == sorted(item.id for item in inside)


def local(folder: Path, pattern: str, **more: object) -> Local:
    return Local(name="local", path=folder, pattern=pattern, bands={"R": 1}, **more)


def test_local_folder(tmp_path: Path) -> None:
    for name in ("x_20190304.tif", "x_20200101.tif", "notes.txt"):
        write(tmp_path / name, np.full((30, 30), 7, np.uint8), UTM, "EPSG:32633", 0)
    source = LocalSource(local(tmp_path, r"x_(?P<date>\d{8})\.tif"), Path())
    area = shapely.box(14.9, 45.1, 15.1, 45.2)
    assert [s.id for s in source.search(area, date(2019, 1, 1), date(2021, 1, 1))] == [
        "x_20190304",
        "x_20200101",
    ]
    found = source.search(area, date(2019, 1, 1), date(2020, 1, 1))
    assert [scene.time.date() for scene in found] == [date(2019, 3, 4)]
    box = GeoBox((30, 30), UTM, "EPSG:32633")
    assert (source.read(found[0], ["R"], box) == 7).all()
    with pytest.raises(InputError, match="does not say which band of the files is N"):
        source.read(found[0], ["N"], box)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("x_(", "not a regular expression"),
        (r"x_\d+\.tif", "needs a group named date"),
        (r"y_(?P<date>\d+)\.tif", "fits no file"),
        (r"x_(?P<date>\d{6})\d\d\.tif", "is not a date"),
    ],
)
def test_bad_patterns(tmp_path: Path, pattern: str, says: str) -> None:
    write(tmp_path / "x_20190304.tif", np.ones((3, 3), np.uint8), UTM, "EPSG:32633", 0)
    with pytest.raises(InputError, match=says):
        LocalSource(local(tmp_path, pattern), Path())
    with pytest.raises(InputError, match="there is no folder"):
        LocalSource(local(tmp_path / "nowhere", pattern), Path())


def test_dates_and_nodata_from_a_list(tmp_path: Path) -> None:
    for name, nodata in (("a b.tif", None), ("c.tif", None)):
        write(tmp_path / name, np.array([[9, 7], [5, 9]], np.uint8), UTM, "EPSG:32633", nodata)
    table = tmp_path / "dates.csv"
    table.write_text("file,date,nodata\na b.tif,2019-03-04,9\nc.tif,2020,\n")
    options = Local(name="local", path=tmp_path, dates=table, bands={"R": 1})
    source = LocalSource(options, Path())
    found = source.search(shapely.box(14.9, 45.1, 15.1, 45.2), date(2019, 1, 1), date(2021, 1, 1))
    assert [(scene.id, scene.dated_by) for scene in found] == [("a b", "list"), ("c", "list, year only")]
    box = GeoBox((2, 2), UTM, "EPSG:32633")
    assert source.read(found[0], ["R"], box)[0].tolist() == [[0, 7], [5, 0]]
    assert source.read(found[1], ["R"], box)[0].tolist() == [[9, 7], [5, 9]]
    assert source.find(found[1].href).id == "c"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("name,date\na.tif,2019\n", "needs a column file"),
        ("file,date\nb.tif,2019\n", r"line 2: .* has no file 'b\.tif'"),
        ("file,date\n../dates.csv,2019\n", "has no file"),
        ("file,date\na.tif,March\n", "line 2: 'March' is not a date"),
        ("file,date,nodata\na.tif,2019,none of it\n", "line 2: nodata 'none of it' is not a number"),
        ("file,date\n", "lists no files"),
    ],
)
def test_bad_lists_of_dates(tmp_path: Path, content: str, says: str) -> None:
    write(tmp_path / "a.tif", np.ones((3, 3), np.uint8), UTM, "EPSG:32633", 0)
    table = tmp_path.parent / "dates.csv"
    table.write_text(content)
    with pytest.raises(InputError, match=says):
        LocalSource(Local(name="local", path=tmp_path, dates=table, bands={"R": 1}), Path())


def test_either_a_pattern_or_a_list() -> None:
    with pytest.raises(ValueError, match="either pattern or dates"):
        Local(name="local", path=Path(), bands={"R": 1})
