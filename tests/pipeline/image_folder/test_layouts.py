"""Images as they lie on disks: what `new --images` and `stac` make of published products' folders."""

import re
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import xarray as xr
from affine import Affine
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.rio.main import main_group

from minebench.errors import InputError
from pipeline.cli import asking
from pipeline.image_folder import (  # fmt: skip
    file_names,
    mask_guess,
    number_guess,
    products,
    scan,
    seasons,
)
from pipeline.sources.local import dated_files
from tests.pipeline.image_folder.test_scan import UTM, write

S2 = "S2A_MSIL2A_{day}T093006_N0500_R136_T34TFR_{day}T200000.SAFE/GRANULE/L2A_T34TFR_A1_{day}T093009"
BANDS_10M, BANDS_20M = ("B02", "B03", "B04", "B08"), ("B02", "B03", "B04", "B8A", "SCL")


def write_safe(folder: Path, day: str, product: str = S2) -> Path:
    """A product with copies of bands in two sizes, and what is no image."""
    inner = folder / product.format(day=day)
    files = [f"IMG_DATA/R10m/T34TFR_{day}T093006_{word}_10m.tif" for word in (*BANDS_10M, "TCI", "AOT")]
    files += [f"IMG_DATA/R20m/T34TFR_{day}T093006_{word}_20m.tif" for word in BANDS_20M]
    files += ["QI_DATA/MSK_CLDPRB_20m.tif", f"QI_DATA/T34TFR_{day}T093006_PVI.tif"]
    for name in files:
        (inner / name).parent.mkdir(parents=True, exist_ok=True)
        write(inner / name, *((4, "uint8") if "SCL" in name else (2000, "uint16")))
    return folder / product.format(day=day).split("/")[0]


def scenes(folder: Path, pattern: str) -> list[dated_files.Listed]:
    return dated_files.by_pattern(folder, pattern, None)


@pytest.mark.parametrize("is_zipped", [False, True])
def test_safe_products(tmp_path: Path, is_zipped: bool) -> None:
    for day in ("20190704", "20200704"):
        product = write_safe(tmp_path, day)
        if is_zipped:
            with zipfile.ZipFile(tmp_path / f"{product.stem}.zip", "w") as archive:
                for path in sorted(product.rglob("*.tif")):
                    archive.write(path, path.relative_to(tmp_path))
                    path.unlink()
    found = scan.look(tmp_path)
    assert list(found.bands) == ["B02", "B03", "B04", "B08", "B8A"]
    assert (found.mask.word if found.mask else "", found.nodata, found.unsure) == ("SCL", 0, [])
    assert "baseline" in found.offset
    first, second = scenes(tmp_path, found.pattern)
    assert [str(one.day) for one in (first, second)] == ["2019-07-04", "2020-07-04"]
    assert set(first.files) == {*found.bands.values(), "SCL"}
    assert "R10m" in str(first.files["B02"])
    assert ("/vsizip/" in str(first.files["B02"])) == is_zipped
    with rasterio.open(first.files["B8A"]) as file:
        assert file.shape == (8, 8)


def test_a_scene_in_products_of_two_baselines_is_two_scenes(tmp_path: Path) -> None:
    write_safe(tmp_path, "20190704")
    write_safe(tmp_path, "20190704", S2.replace("N0500", "N0213"))
    found = scenes(tmp_path, scan.look(tmp_path).pattern)
    assert ["N0213" in found[0].names[0], "N0500" in found[1].names[0]] == [True, True]
    assert [len(one.files) for one in found] == [6, 6]


def test_level_1c_beside_level_2a_is_left_out(tmp_path: Path) -> None:
    write_safe(tmp_path, "20190704")
    write_safe(tmp_path, "20190704", S2.replace("MSIL2A", "MSIL1C").replace("L2A_", "L1C_"))
    found = scan.look(tmp_path)
    assert "Level-1C, beside Level-2A" in found.why_left_out()
    assert all("MSIL2A" in name for one in scenes(tmp_path, found.pattern) for name in one.names)


def test_landsat_by_common_names_with_its_own_scale_and_mask(tmp_path: Path) -> None:
    for sensor, day in (("LC08", "20190704"), ("LC09", "20220704")):
        name = f"{sensor}_L2SP_184028_{day}_20230101_02_T1"
        (tmp_path / name).mkdir()
        for word in ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "ST_B10", "QA_PIXEL", "QA_RADSAT", "SR_QA_AEROSOL"):
            write(tmp_path / name / f"{name}_{word}.TIF", 21_824, nodata=0)
    found = scan.look(tmp_path)
    assert found.bands == {"blue": "SR_B2", "green": "SR_B3", "red": "SR_B4", "nir08": "SR_B5"}
    assert found.scale is not None
    assert (found.scale.scale, found.scale.offset, found.profile) == (2.75e-5, -0.2, "landsat-c2-l2")
    assert found.mask is not None
    assert (found.mask.word, found.mask.is_own, found.offset) == ("QA_PIXEL", True, "")
    name = "LT05_L2SP_184028_20090704_20230101_02_T1"
    (tmp_path / name).mkdir()
    write(tmp_path / name / f"{name}_SR_B4.TIF", 9000, nodata=0)
    with pytest.raises(InputError, match=r"Landsat 8 and 9.*Landsat 4 to 7.*minebench stac"):
        scan.look(tmp_path)


def test_hls_has_days_of_the_year_and_its_fmask(tmp_path: Path) -> None:
    for day in ("2021123", "2020366"):
        for word in ("B02", "B04"):
            write(tmp_path / f"HLS.S30.T34TFR.{day}T093009.v2.0.{word}.tif", 900, "int16", nodata=-9999)
        write(tmp_path / f"HLS.S30.T34TFR.{day}T093009.v2.0.Fmask.tif", 64, "uint8")
    found = scan.look(tmp_path)
    assert found.dates == [date(2020, 12, 31), date(2021, 5, 3)]
    assert found.mask is not None
    assert found.mask.clear == (0, 32, 64, 96, 128, 160, 192, 224)
    assert (found.scale.scale if found.scale else None, found.unsure) == (0.0001, [])
    assert len(scenes(tmp_path, found.pattern)) == 2


def test_a_folder_per_date_and_masks_named_in_place_of_the_image(tmp_path: Path) -> None:
    for day in ("2019-07-04", "2020-07-04"):
        (tmp_path / "dates" / day).mkdir(parents=True)
        for word in ("B02", "B03", "SCL"):
            write(tmp_path / "dates" / day / f"{word}.tif", 4 if word == "SCL" else 900)
        for word in ("BOA", "SCL", "RGB432B"):
            path = tmp_path / f"S2A2A_{day.replace('-', '')}_093_Ro_{word}_10.tif"
            write(path, 4 if word == "SCL" else 900, bands=4 if word == "BOA" else 1)
    found = scan.look(tmp_path / "dates")
    assert (found.bands, found.mask is not None) == ({"B02": "B02", "B03": "B03"}, True)
    assert [len(one.files) for one in scenes(tmp_path / "dates", found.pattern)] == [3, 3]
    sen2r = scan.look(tmp_path)
    assert sen2r.mask is not None
    assert sen2r.mask.word == "SCL"
    assert [sorted(one.files) for one in scenes(tmp_path, sen2r.pattern)] == [["", "SCL"]] * 2
    assert "nothing names the bands" in sen2r.unsure[0]


def test_items_as_downloaded_and_whole_images_in_folders_per_date(tmp_path: Path) -> None:
    for day in ("20190704", "20230704"):
        items, whole = tmp_path / "items" / f"S2A_34TFR_{day}_0_L2A", tmp_path / "whole" / day
        for folder, names in (
            (items, ("blue", "nir08", "rededge1", "scl", "visual", "wvp")),
            (whole, ("image", "SCL")),
        ):
            folder.mkdir(parents=True)
            for name in names:
                bands = 4 if name == "image" else 1
                write(folder / f"{name}.tif", 4 if name in ("scl", "SCL") else 900, bands=bands)
    found = scan.look(tmp_path / "items")
    assert (set(found.bands), found.mask.word if found.mask else "") == ({"B02", "B8A", "B05"}, "scl")
    assert "made from bands" in found.why_left_out()
    assert "pixels are asked" in found.offset
    assert [set(one.files) >= {"blue", "scl"} for one in scenes(tmp_path / "items", found.pattern)] == [
        True,
        True,
    ]
    found = scan.look(tmp_path / "whole")
    assert [set(one.files) for one in scenes(tmp_path / "whole", found.pattern)] == [{"", "SCL"}] * 2


def test_what_lies_beside_images_is_not_matched_by_the_pattern(tmp_path: Path) -> None:
    for day in ("20190704", "20200704"):
        for word in ("", "_NDVI", "_clouds", "_QA_RADSAT"):
            write(
                tmp_path / f"a_{day}{word}.tif",
                7,
                bands=1 if word else 4,
                described=None if word else ("B2", "B3", "B4", "B8"),
            )
    found = scan.look(tmp_path)
    assert [one.files[""].name for one in scenes(tmp_path, found.pattern)] == [
        "a_20190704.tif",
        "a_20200704.tif",
    ]
    assert "NDVI" not in str([one.files for one in scenes(tmp_path, found.pattern)])
    assert "seems to be a mask and is not used" in found.unsure[0]


def test_a_mask_as_a_band_of_the_image(tmp_path: Path) -> None:
    write(tmp_path / "a_20230704.tif", 4, bands=3, described=("B2", "B3", "SCL"), nodata=0)
    found = scan.look(tmp_path)
    assert found.mask is not None
    assert (found.bands, found.mask.word, found.mask.name) == ({"B02": 1, "B03": 2}, 3, "SCL")
    assert "pixels are asked" in found.offset


@pytest.mark.parametrize(
    ("name", "numbers", "expected"),
    [
        ("CLDPRB", [0, 30, 100], {"below": 40}),
        ("s2cloudless", [0, 0.25, 1], {"below": 0.4}),
        ("CLP", [0, 254], {"below": 102}),
        ("cloudmask", [0, 1], {"clear": (0,)}),
        ("valid_mask", [0, 1], None),
        ("SCL", [0, 4, 11], {"clear": None}),
        ("SCL", [0, 64], None),
        ("CLOUD", [0, 4, 9], {"clear": None}),
    ],
)
def test_masks_by_their_numbers(name: str, numbers: list[float], expected: dict[str, object] | None) -> None:
    found = mask_guess.of_numbers(name, name, np.array(numbers, float))
    assert (found is None) == (expected is None)
    for key, value in (expected or {}).items():
        assert getattr(found[1], key) == value  # type: ignore[index]


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        ((0.3, "float32"), (3000, "float32"), "not of one scale"),
        ((3000, "uint16"), (0.3, "float32"), "not of one scale"),
        ((200, "uint8"), (3000, "uint16"), "not of one scale"),
    ],
)
def test_dates_of_several_scales_are_refused(
    tmp_path: Path, one: tuple[float, str], other: tuple[float, str], says: str
) -> None:
    """On whichever date the other scale lies."""
    for year in (2018, 2019, 2021):
        write(tmp_path / f"a_{year}0704.tif", *one, nodata=0)
    write(tmp_path / "a_20200704.tif", *other, nodata=0)
    with pytest.raises(InputError, match=says):
        scan.look(tmp_path)


def test_a_date_that_is_much_darker_is_asked_about(tmp_path: Path) -> None:
    write(tmp_path / "a_20190704.tif", 90, described=("B04",))
    write(tmp_path / "a_20200704.tif", 5000, described=("B04",))
    assert "seem to be of several scales" in scan.look(tmp_path).unsure[0]


def test_two_dates_in_a_path(tmp_path: Path) -> None:
    (tmp_path / "fetched_20230101").mkdir()
    for day in ("20190704", "20200704"):
        write(tmp_path / "fetched_20230101" / f"a_{day}.tif")
    with pytest.raises(InputError, match="has two dates, 20230101 in its folder's name"):
        scan.look(tmp_path)
    names = ["made20230101_20190704.tif", "made20230101_20200704.tif"]
    assert "the first is 20230101 in all of them" in file_names.read(names, "x").unsure[0]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["{tile}_{day}_{word}", "{word}_{tile}_{day}", "{day}/{tile}_{word}",
                     "{tile}/{day}/{word}",
                     "x/{tile}_{day}T101010_{word}_10m", "p_{tile}.zip/IMG/{day}_{tile}_{word}"]),
    st.lists(st.sampled_from(["B02", "B03", "B8A", "red", "nir"]), min_size=2, max_size=4, unique=True),
    st.lists(st.dates(date(1985, 1, 1), date(2024, 12, 31)), min_size=1, max_size=3, unique=True),
    st.sampled_from([["33UVT"], ["33UVT", "33UWT"]]),
    st.sampled_from(["%Y%m%d", "%Y-%m-%d"]),
)  # fmt: skip
def test_every_way_of_naming_gives_one_scene_per_date_and_tile(
    form: str, words: list[str], days: list[date], tiles: list[str], how: str
) -> None:
    names = [
        form.format(tile=tile, day=day.strftime(how), word=word) + ".tif"
        for tile in tiles for day in days for word in words
    ]  # fmt: skip
    named = file_names.read(sorted(names), "images")
    found: dict[tuple[str, ...], set[str]] = {}
    for name in names:
        match = re.fullmatch(named.pattern, name)
        assert match is not None
        key = tuple(text for group, text in match.groupdict().items() if group != "band")
        found.setdefault(key, set()).add(match["band"])
    assert set(map(frozenset, found.values())) == {frozenset(words)}
    assert len(found) == len(days) * len(tiles)


def test_seasons() -> None:
    def of(texts: list[str], north: bool = True) -> seasons.Years:

        days = [date.fromisoformat(text) for text in texts]
        return seasons.of(days, texts, [shapely.Point(10, 45 if north else -45)])

    summers = [f"{year}-{month:02}-05" for year in (2018, 2019) for month in (1, 3, 7, 10)]
    assert of(summers).season == ((6, 8), (12, 2))
    assert of(summers, north=False).labels == ["2018", "2019"]
    assert of([*summers, "2020-01-01"]).labels == ["2018", "2019", "2020"]
    assert of([*summers, "2017-07-01", "2020-01-01"]).labels == ["2017", "2018", "2019"]
    assert of(["2018-07-01", "2019-08-01"]).season is None


def cube(path: Path, is_of_bands: bool = False, **more: object) -> None:
    """Two dates of two bands and SCL, as xarray and rioxarray write them."""
    coordinates = {"time": np.array(["2019-07-04", "2020-07-04"], "datetime64[ns]"),
                   "y": 4_999_995 - 10.0 * np.arange(8), "x": 500_005 + 10.0 * np.arange(8)}  # fmt: skip
    pixels = np.full((2, 8, 8), 0.3, np.float32)
    pixels[0, 0, 0] = np.nan
    if is_of_bands:
        found = xr.Dataset({"refl": (("time", "band", "y", "x"), np.stack([pixels, pixels / 2], 1))},
                           {**coordinates, "band": ["B04", "B08"]})  # fmt: skip
    else:
        found = xr.Dataset(
            {"B04": (("time", "y", "x"), pixels), "B08": (("time", "y", "x"), pixels / 2)}, coordinates
        )
    found["SCL"] = ("time", "y", "x"), np.full((2, 8, 8), 4, np.uint8)
    found = found.rio.write_crs(32633)
    if path.suffix == ".zarr":
        found.to_zarr(path, consolidated=False)
    else:
        found.to_netcdf(path, **more)


@pytest.mark.parametrize("is_of_bands", [False, True])
@pytest.mark.parametrize(
    ("name", "engine"), [("cube.zarr", None), ("cube.nc", "scipy"), ("cube.nc", "h5netcdf")]
)
def test_cubes(tmp_path: Path, name: str, engine: str | None, is_of_bands: bool) -> None:
    cube(tmp_path / name, is_of_bands, **({"engine": engine} if engine else {}))
    found = scan.look(tmp_path / name)
    assert (found.bands, found.crs, found.pattern) == ({"B04": "B04", "B08": "B08"}, ["EPSG:32633"], "")
    assert (found.mask.word if found.mask else "", found.resolution) == ("SCL", 10.0)
    assert found.scale is not None
    assert found.scale.scale == 1
    assert scan.look(tmp_path).bands == found.bands


def test_a_damaged_cube_is_named(tmp_path: Path) -> None:
    (tmp_path / "cube.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(512))
    with pytest.raises(InputError, match=r"cube.nc cannot be read by xarray"):
        scan.look(tmp_path / "cube.nc")


def test_what_is_not_sure_is_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a_2019.tif", bands=4)
    seen = scan.look(tmp_path)
    with pytest.raises(
        InputError, match=r"not sure of .*nothing names the bands.*--yes; nothing was written"
    ):
        asking.accept_images(seen, yes=False)
    asking.accept_images(seen, yes=True)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("rich.prompt.Confirm.ask", lambda text, default: default)
    with pytest.raises(InputError, match="Nothing was written"):
        asking.accept_images(seen, yes=False)
    assert "not sure: nothing names the bands" in capsys.readouterr().out


def test_large_repairs_are_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    much = InputError("Repairing changes much; accept it with sites.accept_repairs: true.")
    with pytest.raises(InputError, match="true, which `minebench new --yes` writes"):
        asking.accept_repairs(much)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer in (True, False):
        monkeypatch.setattr("rich.prompt.Confirm.ask", lambda text, default, answer=answer: answer)
        if answer:
            asking.accept_repairs(much)
        else:
            with pytest.raises(InputError, match="changes much"):
                asking.accept_repairs(much)


def test_products_by_name() -> None:
    assert products.canonical("b2") == "B02"
    assert products.canonical("B8A") == "B8A"
    assert products.of_name("LE07_L2SP_1_2.TIF") is None
    assert Affine(10, 0, 500_000, 0, -10, 5_000_000) == UTM


def test_of_several_sensors_in_a_folder_one_is_taken(tmp_path: Path) -> None:
    write_safe(tmp_path, "20190704")
    for sensor, day in (("LC08", "20190712"), ("LT05", "20090704")):
        for word in ("SR_B2", "SR_B4", "QA_PIXEL"):
            write(tmp_path / f"{sensor}_L2SP_184028_{day}_20230101_02_T1_{word}.TIF", 21_824, nodata=0)
    with pytest.raises(InputError, match=r"--sensor \S+ or --sensor \S+"):
        scan.look(tmp_path)
    taken = {}
    for key in ("sentinel-2-l2a", "landsat-8-9", "landsat-4-7"):
        found = scan.look(tmp_path, key)
        taken[key] = [str(day) for day in found.dates]
        read = {name for one in scenes(tmp_path, found.pattern) for name in one.names}
        assert all(products.is_of(name, key) for name in read)
        others = [
            one
            for one in ("Sentinel-2 Level-2A", "Landsat 8 and 9", "Landsat 4 to 7")
            if one not in products.of_name(sorted(read)[0]).name
        ]  # type: ignore[union-attr]
        assert all(f"of {one}" in found.why_left_out() for one in others)
    assert taken == {"sentinel-2-l2a": ["2019-07-04"], "landsat-8-9": ["2019-07-12"],
                     "landsat-4-7": ["2009-07-04"]}  # fmt: skip
    with pytest.raises(InputError, match="no file of hls-s30"):
        scan.look(tmp_path, "hls-s30")
    with pytest.raises(InputError, match="it may be sentinel-2-l2a"):
        scan.look(tmp_path, "sentinel2")


@pytest.mark.parametrize("name", ["cube.nc", "cube.zarr"])
def test_how_to_mark_a_number_as_no_data_is_said_for_cubes(tmp_path: Path, name: str) -> None:
    """And what is said works."""
    cube(tmp_path / name)
    stored = xr.open_dataset(tmp_path / name, decode_coords="all").load()
    for layer in ("B04", "B08"):
        stored[layer] = stored[layer].fillna(-9999).astype("int16" if name == "cube.nc" else "float32")
        stored[layer].encoding.clear()
    path = tmp_path / "marked" / name
    path.parent.mkdir()
    stored.to_netcdf(path) if name == "cube.nc" else stored.to_zarr(path, consolidated=False)
    stored.close()
    with pytest.raises(InputError, match=r"attrs\['_FillValue'\].*-9999") as error:
        scan.look(path)
    assert "gdal_edit" not in str(error.value)
    again = xr.open_dataset(path, mask_and_scale=False)
    for layer in ("B04", "B08"):
        again[layer].attrs["_FillValue"] = again[layer].dtype.type(-9999)
    mended = path.with_stem("mended")
    again.to_netcdf(mended) if name == "cube.nc" else again.to_zarr(mended)
    with xr.open_dataset(mended) as opened:
        assert np.isnan(opened["B04"].to_numpy()).sum() == 1


def test_how_to_mark_a_number_as_no_data_is_said_for_files(tmp_path: Path) -> None:
    path = tmp_path / "a_20190704.tif"
    write(path, -9999, "int16", described=("B04",))
    with pytest.raises(InputError, match=r"rio edit-info --nodata=-9999 FILE"):
        scan.look(tmp_path)
    assert CliRunner().invoke(main_group, ["edit-info", "--nodata=-9999", str(path)]).exit_code == 0
    with rasterio.open(path) as file:
        assert file.nodata == -9999
    assert "gdal_translate -a_nodata -9999" in number_guess._how_to_mark("x/a.zip/b.tif", -9999)
    assert "gdal_translate -a_nodata -9999" in number_guess._how_to_mark("x/b.jp2", -9999)
