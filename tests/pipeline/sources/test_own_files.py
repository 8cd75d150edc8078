"""A user's own files: one file per band, products and zips, cubes, other types than uint16, masks."""

import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from pydantic import ValidationError

from minebench import receipts
from minebench.errors import InputError, WorkError
from minebench.layout import BenchmarkPaths
from pipeline.sensors import classes, known
from pipeline.sensors.profile import Sensor
from pipeline.sources.local import LocalSource, Options, own_numbers
from pipeline.sources.local.cube_source import CubeSource
from pipeline.sources.local.own_numbers import MaskRule
from pipeline.sources.protocol import Scene, Setting, Source

UTM = Affine(10, 0, 500_000, 0, -10, 5_000_000)
BOX = GeoBox((20, 20), UTM, "EPSG:32633")
AREA = shapely.box(14.99, 45.1, 15.01, 45.2)
BY_BAND = r"site_(?P<date>\d{4}-\d{2}-\d{2})_(?P<band>\w+)\.tif"


def write(path: Path, pixels: np.ndarray, nodata: float | None = None, east: float = 0) -> None:
    bands = np.atleast_3d(pixels.T).T if pixels.ndim == 2 else pixels
    with rasterio.open(
        path, "w", driver="GTiff", height=bands.shape[1], width=bands.shape[2], count=len(bands),
        dtype=bands.dtype, crs=32633, transform=Affine.translation(east, 0) @ UTM, nodata=nodata,
    ) as file:  # fmt: skip
        file.write(bands)


def full(number: float, dtype: str = "uint16", bands: int = 1) -> np.ndarray:
    return np.full((bands, 20, 20), number, dtype)


def opened(
    folder: Path, dtype: str = "uint16", bands: tuple[str, ...] | dict[str, int] = ("R",), **more: object
) -> Any:
    names = tuple(bands)
    words = bands if isinstance(bands, dict) else {band: band for band in bands}
    given = {"name": "local", "path": folder, "pattern": BY_BAND, "bands": words, **more}
    options = Options.model_validate(given)
    shown = (names * 3)[:3]
    sensor = Sensor(bands=names, resolution=10, dtype=dtype, rgb=shown)
    profile, clear = options.profile(sensor), classes.ClearRule((), 0)
    options.check(sensor, profile, clear)
    source = options.open(Setting(Path(), folder, sensor, profile, clear))
    assert isinstance(source, LocalSource | CubeSource)
    return source


def scenes(source: Source) -> list[Scene]:
    return source.search(AREA, date(2019, 1, 1), date(2022, 1, 1))


def test_files_of_a_date_are_one_scene_and_masks_no_image(tmp_path: Path) -> None:
    for day, more in (("2019-07-04", 0), ("2020-07-04", 1000)):
        for number, word in enumerate(("B02", "B03", "cloudmask"), 1):
            write(tmp_path / f"site_{day}_{word}.tif", full(100 * number + more))
    source = opened(tmp_path, bands=("B03", "B02"))
    found = scenes(source)
    assert [scene.id for scene in found] == ["2019-07-04", "2020-07-04"]
    assert source.read(found[1], ["B03", "B02"], BOX)[:, 0, 0].tolist() == [1200, 1100]
    assert source.find(found[0].href).id == "2019-07-04"


def test_what_else_the_pattern_captures_tells_scenes_apart(tmp_path: Path) -> None:
    for tile, east in (("33UVT", 0), ("33UWT", 200)):
        for word in ("B02", "B03"):
            write(tmp_path / f"{tile}_20190704_{word}.tif", full(5), east=east)
    pattern = r"(?P<tile>\w+)_(?P<date>\d{8})_(?P<band>\w+)\.tif"
    found = scenes(opened(tmp_path, bands=("B02",), pattern=pattern))
    assert [scene.id for scene in found] == ["33UVT_20190704", "33UWT_20190704"]
    with pytest.raises(InputError, match=r"several files of one date are B02.*tell their places apart"):
        opened(tmp_path, bands=("B02",), pattern=r"\w+?_(?P<date>\d{8})_(?P<band>\w+)\.tif")


def test_a_date_without_one_of_the_bands_is_flawed(tmp_path: Path) -> None:
    write(tmp_path / "site_2019-07-04_B02.tif", full(5))
    (scene,) = scenes(opened(tmp_path, bands=("B02", "B08")))
    assert scene.flaw == "its date has no file with B08"


def test_a_band_in_another_case_is_hinted_at(tmp_path: Path) -> None:
    options = Options(name="local", path=tmp_path, pattern=BY_BAND, bands={"b02": "B02"})
    sensor = Sensor(bands=("B02",), resolution=10, rgb=("B02",) * 3)
    setting = Setting(Path(), tmp_path, sensor, options.profile(sensor), classes.ClearRule((), 0))
    with pytest.raises(InputError, match=r"is B02 \(b02 is there: upper and lower case differ\)"):
        options.open(setting)


def test_words_need_a_group(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="pattern has no group band"):
        opened(tmp_path, bands=("B02",), pattern=r".*(?P<date>\d{8})\.tif")


def test_bands_of_one_date_without_a_group_are_refused_and_neighbours_are_not(tmp_path: Path) -> None:
    pattern = r"\w*_?(?P<date>\d{8})_?\w*\.tif"
    write(tmp_path / "west_20190704.tif", full(5))
    write(tmp_path / "east_20190704.tif", full(6), east=190)
    write(tmp_path / "west_20190704_mask.tif", full(0))
    options = Options(name="local", path=tmp_path, pattern=pattern, bands={"R": 1})
    source = LocalSource(options, Path())
    assert [scene.id for scene in scenes(source)] == ["east_20190704", "west_20190704"]
    write(tmp_path / "west_20190704_B03.tif", full(7))
    source = LocalSource(options.model_copy(update={"nodata": 0}), Path())
    with pytest.raises(InputError, match=r"of one date cover the same ground: west.*group.*band"):
        scenes(source)
    (tmp_path / "west_20190704.tif").unlink()
    source = LocalSource(options.model_copy(update={"nodata": 1}), Path())
    assert [scene.id for scene in scenes(source)] == ["east_20190704", "west_20190704_B03"]


def test_numbers_become_reflectance(tmp_path: Path) -> None:
    stored = full(0.25, "float32")
    stored[0, 0, :5] = -9999, np.nan, 0, -0.1, 9
    write(tmp_path / "site_2019-07-04_R.tif", stored, -9999)
    write(tmp_path / "site_2020-07-04_R.tif", full(2500, "int16"), -9999)
    source = opened(tmp_path, scale=1)
    first = source.read(scenes(source)[0], ["R"], BOX)
    assert first.dtype == np.uint16
    assert first[0, 0, :6].tolist() == [0, 0, 1, 1, 65_535, 2500]
    source = opened(tmp_path, scale=0.0001, offset=-0.1)
    aside = GeoBox((5, 5), Affine.translation(-25, 0) @ UTM, "EPSG:32633")
    second = source.read(scenes(source)[1], ["R"], aside)
    assert second[0, 2].tolist() == [0, 0, 1500, 1500, 1500]


@pytest.mark.parametrize(
    ("stored", "held", "says"),
    [
        ("float32", "uint16", "is float32; images may be uint8 or uint16.*gdal_translate.*source.scale"),
        ("int16", "uint16", "is int16.*gdal_translate.*-scale 0 10000"),
        ("uint16", "uint8", "is uint16 and sensor.dtype uint8"),
    ],
)
def test_types_that_do_not_fit_are_refused(tmp_path: Path, stored: str, held: str, says: str) -> None:
    write(tmp_path / "site_2019-07-04_R.tif", full(1, stored))
    with pytest.raises(InputError, match=says):
        scenes(opened(tmp_path, held))


def test_a_mask_by_its_clear_numbers(tmp_path: Path) -> None:
    """0 is clear in it: beyond the file, and where the image has no data, nothing is."""
    image, mask = full(300), full(0, "uint8")
    image[0, 0, 0], mask[0, 1, 0] = 0, 1
    write(tmp_path / "site_2019-07-04_R.tif", image, 0)
    write(tmp_path / "site_2019-07-04_cloudmask.tif", mask, 0)
    source = opened(tmp_path, mask={"band": "cloudmask", "clear": [0]})
    (scene,) = scenes(source)
    assert source.mask_band == "MASK"
    wider = GeoBox((21, 20), UTM, "EPSG:32633")
    seen = source.read(scene, ["MASK"], wider)[0]
    assert seen[:3, 0].tolist() == [classes.NODATA, classes.CLOUD, classes.CLEAR]
    assert (seen[20] == classes.NODATA).all()


def test_a_mask_of_scl_numbers_is_taken_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "site_2019-07-04_R.tif", full(300))
    write(tmp_path / "site_2019-07-04_SCL.tif", full(4, "uint8"))
    source = opened(tmp_path, mask={"band": "SCL"})
    assert (source.read(scenes(source)[0], ["MASK"], BOX) == 4).all()
    write(tmp_path / "site_2019-07-04_SCL.tif", full(99, "uint8"))
    with pytest.raises(InputError, match="has 99, which is no scene class"):
        source.read(scenes(source)[0], ["MASK"], BOX)


def test_a_mask_in_the_images_own_file_or_beside_it(tmp_path: Path) -> None:
    stored = np.concatenate([full(300), full(5)])
    write(tmp_path / "a_20190704.tif", stored)
    within = opened(
        tmp_path, pattern=r"a_(?P<date>\d{8})\.tif", bands={"R": 1}, mask={"band": 2, "clear": [5]}
    )
    (scene,) = scenes(within)
    assert (within.read(scene, ["MASK"], BOX) == classes.CLEAR).all()
    assert (within.read(scene, ["R"], BOX) == 300).all()
    write(tmp_path / "a_20190704_SCL.tif", full(9, "uint8"))
    pattern = r"a_(?P<date>\d{8})(?:_(?P<band>SCL))?\.tif"
    beside = opened(tmp_path, pattern=pattern, bands={"R": 1}, mask={"band": "SCL"})
    (scene,) = scenes(beside)
    assert (beside.read(scene, ["MASK"], BOX) == classes.CLOUD).all()
    assert (beside.read(scene, ["R"], BOX) == 300).all()


def test_a_sensors_own_mask_is_kept_as_stored(tmp_path: Path) -> None:
    write(tmp_path / "site_2019-07-04_R.tif", full(10_000))
    write(tmp_path / "site_2019-07-04_QA_PIXEL.tif", full(21_824))
    given = {"name": "local", "path": tmp_path, "pattern": BY_BAND, "bands": {"red": "R"}, "scale": 2.75e-5,
             "offset": -0.2, "mask": {"band": "QA_PIXEL"}}  # fmt: skip
    options, landsat = Options.model_validate(given), known.named("landsat-c2-l2")
    sensor = Sensor(bands=("red",), resolution=10, rgb=("red", "red", "red"))
    options.check(sensor, landsat, classes.ClearRule((), 0))
    source = options.open(Setting(Path(), tmp_path, sensor, landsat, classes.ClearRule((), 0)))
    (scene,) = scenes(source)  # type: ignore[arg-type]
    assert landsat.mask is not None
    stored = source.read(scene, [landsat.mask.name], BOX)
    assert stored.dtype == np.uint16
    assert (landsat.mask.decode(stored[0]) == classes.CLEAR).all()
    assert (source.read(scene, ["red"], BOX) == 750).all()
    clear = options.model_copy(update={"mask": MaskRule(band="QA_PIXEL", clear=(21_824,))})
    with pytest.raises(ValueError, match="knows its own mask"):
        clear.check(sensor, landsat, classes.ClearRule((), 0))


def test_old_recipes_ask_what_they_asked(tmp_path: Path) -> None:
    """Their scenes stay: what is asked of the source has no new fields."""
    options = Options(name="local", path=Path("images"), pattern=r"(?P<date>\d{8})\.tif", bands={"R": 1})
    setting = Setting(tmp_path, BenchmarkPaths("x", tmp_path).data, None, None, None)  # type: ignore[arg-type]
    before = {"name": "local", "path": "images", "pattern": r"(?P<date>\d{8})\.tif", "dates": None,
              "bands": {"R": 1}, "nodata": None}  # fmt: skip
    assert receipts.fingerprint(options.asked("s", setting)) == receipts.fingerprint([before])
    in_text = Options(name="local", path=Path("images"), pattern=r"(?P<date>\d{8})\.tif", bands={"R": "1"})
    assert in_text == options
    masked = options.model_copy(update={"mask": MaskRule(band=2, clear=(5,))})
    before["mask"] = {"band": 2, "clear": [5]}
    assert receipts.fingerprint(masked.asked("s", setting)) == receipts.fingerprint([before])


SAFE = "S2A_MSIL2A_20190704T1_{baseline}_R136_T33UVT_2.SAFE/IMG_DATA"
OF_SAFE = r".*/IMG_DATA/(?P<date>\d{8})_(?P<band>\w+)\.tif"


@pytest.mark.parametrize(
    ("product", "metadata", "offset", "says"),
    [
        (SAFE.format(baseline="N0500"), "", 1000, "the product's name, baseline 05.00"),
        (SAFE.format(baseline="N0213"), "", 0, "the product's name, baseline 02.13"),
        (
            "renamed/IMG_DATA",
            "<PROCESSING_BASELINE>05.11</PROCESSING_BASELINE>",
            1000,
            "metadata, baseline 05.11",
        ),
        ("renamed/IMG_DATA", "", 0, "nothing says"),
    ],
)
@pytest.mark.parametrize("is_zipped", [False, True])
def test_the_offset_of_a_product_is_taken_out(
    tmp_path: Path, product: str, metadata: str, offset: int, says: str, is_zipped: bool
) -> None:
    folder = tmp_path / product
    folder.mkdir(parents=True)
    stored = full(3000)
    stored[0, 0, :2] = 0, 400
    write(folder / "20190704_B02.tif", stored, 0)
    if metadata:
        (folder.parent / "MTD_MSIL2A.xml").write_text(metadata)
    if is_zipped:
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for path in files:
                archive.write(path, path.relative_to(tmp_path))
                path.unlink()
    source = opened(tmp_path, bands=("B02",), pattern=OF_SAFE, boa_offset="ask")
    (scene,) = scenes(source)
    assert (scene.offset, scene.is_doubtful) == (offset, "nothing" in says)
    assert says in scene.offset_from
    found = source.read(scene, ["B02"], BOX)[0, 0, :3].tolist()
    assert found == [0, max(1, 400 - offset), 3000 - offset]
    assert source.read(scene.as_stored, ["B02"], BOX)[0, 0, 2] == 3000


def test_recipes_without_the_question_are_told_of_the_offset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / SAFE.format(baseline="N0500")
    folder.mkdir(parents=True)
    write(folder / "20190704_B02.tif", full(3000), 0)
    source = opened(tmp_path, bands=("B02",), pattern=OF_SAFE)
    (scene,) = scenes(source)
    assert (source.read(scene, ["B02"], BOX) == 3000).all()
    source.options.announce(Setting(Path(), tmp_path, None, None, None))  # type: ignore[arg-type]
    assert "1000 too high, by their processing baseline" in capsys.readouterr().out
    asking = source.options.model_copy(update={"boa_offset": "ask"})
    asking.announce(Setting(Path(), tmp_path, None, None, None))  # type: ignore[arg-type]
    assert not capsys.readouterr().out
    with pytest.raises(ValueError, match="asked of Sentinel-2's reflectance"):
        opened(tmp_path, "uint8", bands=("B02",), pattern=OF_SAFE, boa_offset="ask")


def test_a_mask_of_probabilities(tmp_path: Path) -> None:
    write(tmp_path / "site_2019-07-04_R.tif", full(300))
    probability = full(10, "uint8")
    probability[0, 0, :2] = 40, 0
    write(tmp_path / "site_2019-07-04_CLDPRB.tif", probability, 0)
    source = opened(tmp_path, mask={"band": "CLDPRB", "below": 40})
    seen = source.read(scenes(source)[0], ["MASK"], BOX)[0]
    assert seen[0, :3].tolist() == [classes.CLOUD, classes.CLEAR, classes.CLEAR]
    with pytest.raises(ValidationError, match="either clear or below"):
        opened(tmp_path, mask={"band": "CLDPRB", "below": 40, "clear": [0]})


def test_days_of_the_year(tmp_path: Path) -> None:
    write(tmp_path / "a_2020123.tif", full(300))
    source = opened(tmp_path, pattern=r"a_(?P<date>\d{7})\.tif", bands={"R": 1})
    assert scenes(source)[0].time.date() == date(2020, 5, 2)


@pytest.mark.parametrize("is_upside_down", [False, True])
def test_times_of_a_cube_are_scenes(tmp_path: Path, is_upside_down: bool) -> None:
    pixels = np.arange(2 * 20 * 20, dtype=np.float32).reshape(2, 20, 20) / 1000
    pixels[:, 0, 0] = np.nan
    dimensions = ("time", "y", "x")
    cube = xr.Dataset(
        {"B04": (dimensions, pixels), "cloudmask": (dimensions, (pixels > 0.5).astype(np.uint8))},
        {"time": np.array(["2019-07-04T10:00", "2020-07-04"], "datetime64[ns]"),
         "y": 4_999_995 - 10.0 * np.arange(20), "x": 500_005 + 10.0 * np.arange(20)},
    ).rio.write_crs(32633)  # fmt: skip
    (cube.isel(y=slice(None, None, -1)) if is_upside_down else cube).to_zarr(
        tmp_path / "a.zarr", consolidated=False
    )
    given = {"path": tmp_path / "a.zarr", "pattern": None, "bands": {"R": "B04"}, "scale": 1,
             "mask": {"band": "cloudmask", "clear": [0]}}  # fmt: skip
    source = opened(tmp_path, **given)  # type: ignore[arg-type]
    found = scenes(source)
    assert [(one.id, one.time.hour) for one in found] == [("a_2019-07-04", 10), ("a_2020-07-04", 12)]
    assert source.find(found[1].href).id == "a_2020-07-04"
    expected = np.clip(np.rint(np.nan_to_num(pixels[1]) * 10_000), 1, 65_535)
    expected[0, 0] = 0
    assert (source.read(found[1], ["R"], BOX)[0] == expected).all()
    seen = source.read(found[0], ["MASK"], BOX)[0]
    assert (seen[0, 0], seen[0, 1]) == (classes.NODATA, classes.CLEAR)
    # Aside, and of another grid.
    wider = GeoBox((4, 4), Affine.translation(-20, 0) @ UTM, "EPSG:32633")
    assert (source.read(found[1], ["R"], wider)[0, 1] == [0, 0, *expected[1, :2]]).all()
    coarse = GeoBox((10, 10), UTM @ Affine.scale(2), "EPSG:32633")
    assert abs(int(source.read(found[1], ["R"], coarse)[0, 5, 5]) - expected[10:12, 10:12].mean()) < 5
    with pytest.raises(InputError, match="has no layer B08; it has B04, cloudmask"):
        opened(tmp_path, **{**given, "bands": {"R": "B08"}})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is float32"):
        opened(tmp_path, **{**given, "scale": None})  # type: ignore[arg-type]
    with pytest.raises(WorkError, match="is not there any more"):
        source.find("a.zarr#2018-07-04T12:00:00+00:00")


def test_cubes_without_a_place_or_a_time_are_refused(tmp_path: Path) -> None:
    steps = 500_005 + 10.0 * np.arange(6)
    good = xr.Dataset({"B04": (("time", "y", "x"), np.ones((1, 6, 6), np.float32))},
                      {"time": np.array(["2019-07-04"], "datetime64[ns]"),
                       "y": steps[::-1], "x": steps})  # fmt: skip
    irregular = good.assign_coords(x=steps + np.array([0, 0, 0, 2, 0, 0])).rio.write_crs(32633)
    for number, (cube, says) in enumerate([
        (good, "has no CRS"),
        (irregular, "the steps of its coordinate x differ"),
        (good.rio.write_crs(32633).drop_vars("time"), "has no coordinate of time"),
        (good.rename(x="u"), "none are y and x"),
    ]):  # fmt: skip
        path = tmp_path / f"{number}.zarr"
        cube.to_zarr(path, consolidated=False)
        with pytest.raises(InputError, match=says):
            opened(tmp_path, path=path, pattern=None, scale=1)


def test_a_scene_that_is_gone_is_named(tmp_path: Path) -> None:
    write(tmp_path / "site_2019-07-04_R.tif", full(1))
    with pytest.raises(WorkError, match="2018-07-04 is not there any more"):
        opened(tmp_path).find("2018-07-04")


def test_numbers_that_stand_for_no_data_do_not_become_reflectance() -> None:
    numbers = np.array([[[-9999, 0.2]]], "float32")
    for scale in (1.0, 0.0001):
        with pytest.raises(InputError, match="-9999, which are no reflectance"):
            own_numbers.reflectance(numbers, "a.tif", scale, 0)
    assert own_numbers.reflectance(np.array([[[-0.01]]], "float32"), "a.tif", 1, 0).item() == 1
