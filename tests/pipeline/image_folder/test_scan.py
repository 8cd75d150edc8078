"""What `new --source local` makes of a folder of images."""

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp

from minebench.errors import InputError
from pipeline.image_folder import file_names, scan

UTM = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def write(
    path: Path, number: float = 1000, dtype: str = "uint16", bands: int = 1, east: float = 0, **more: object
) -> None:
    described, colours = more.pop("described", None), more.pop("colours", None)
    with rasterio.open(
        path, "w", driver="GTiff", height=8, width=8, count=bands, dtype=dtype, crs=32633,
        transform=Affine.translation(east, 0) @ UTM, nodata=more.pop("nodata", None),
    ) as file:  # fmt: skip
        file.write(np.full((bands, 8, 8), number, dtype))
        if described:
            file.descriptions = described
        if colours:
            file.colorinterp = colours
        if more:
            file.scales, file.offsets = [more["scale"]] * bands, [more["offset"]] * bands


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("lausitz_{day}_{word}.tif", ["B02", "B03", "B8A", "cloudmask"]),
        ("T33UVT_{compact}T103021_{word}_20m.tif", ["B02", "B03", "B8A", "SCL"]),
        ("SENTINEL-2_MSI_34TFR_{word}_{day}.tif", ["B02", "B03", "B8A", "SCL"]),
        ("LC08_190024_{compact}_20240101_02_T1_{word}.TIF", ["SR_B2", "SR_B3", "SR_B4", "QA_PIXEL"]),
        ("{day}-{word}.tiff", ["blue", "green", "red", "mask"]),
    ],
)
def test_one_file_per_band_is_recognised(tmp_path: Path, form: str, words: list[str]) -> None:
    for day in ("2019-07-04", "2020-07-04"):
        for word in words:
            write(tmp_path / form.format(day=day, compact=day.replace("-", ""), word=word))
    found = scan.look(tmp_path)
    assert found.is_by_band
    assert found.bands == {word: word for word in words[:3]}
    assert found.years.labels == ["2019", "2020"]
    assert file_names.read([path.name for path in tmp_path.iterdir()], "").masks == words[3:]
    for path in tmp_path.iterdir():
        match = re.fullmatch(found.pattern, path.name)
        assert match is not None
        assert match["band"] in words
        assert match["date"].replace("-", "") in {"20190704", "20200704"}


def test_what_changes_with_the_band_alone_tells_no_scenes_apart() -> None:
    names = [f"{tile}_2019-07-0{day}_{word}.tif" for tile in ("33UVT", "33UWT") for day in (1, 2)
             for word in ("B02_10m", "B11_20m")]  # fmt: skip
    named = file_names.read(names, "images")
    captured = {re.fullmatch(named.pattern, name).groupdict()["part1"] for name in names}  # type: ignore[union-attr]
    assert captured == {"33UVT_", "33UWT_"}
    assert "part3" not in named.pattern


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["a_2019-07-04_one.tif", "a_2019-07-04_two.tif"], "several files of one date cover the same ground"),
        (["a_2019-07-04_B02.tif", "a_2019-07-04_B03.tif", "a_2019-07-04_x.tif"], "whose name has no band"),
        (["a_2019-07-04_mask.tif"], "holds masks alone"),
        (["a.tif"], "not all files"),
        (["a.txt"], "holds no images"),
    ],
)
def test_what_cannot_be_decided_is_refused(tmp_path: Path, names: list[str], says: str) -> None:
    for name in names:
        write(tmp_path / name)
    with pytest.raises(InputError, match=says):
        scan.look(tmp_path)


def test_files_of_a_date_with_other_bands_are_refused_and_neighbours_are_not(tmp_path: Path) -> None:
    write(tmp_path / "west_2019-07-04.tif", bands=3)
    write(tmp_path / "east_2019-07-04.tif", bands=3, east=70)
    assert scan.look(tmp_path).bands == {"R": 1, "G": 2, "B": 3}
    write(tmp_path / "boa_2019-07-04.tif", bands=5)
    with pytest.raises(InputError, match="have other bands"):
        scan.look(tmp_path)


GRAY = ColorInterp.gray


@pytest.mark.parametrize(
    ("about", "bands", "rgb", "is_guess"),
    [
        ({"described": ("blue", "green", "red", "nir")}, {"blue": 1, "green": 2, "red": 3, "nir": 4},
         ("red", "green", "blue"), False),
        ({"described": ("B2", "B3", "B4", "B8")}, {"B2": 1, "B3": 2, "B4": 3, "B8": 4},
         ("B4", "B3", "B2"), False),
        ({"described": ("Band 1", "Band 2", "Band 3", "Band 4")}, {"R": 1, "G": 2, "B": 3, "NIR": 4},
         ("R", "G", "B"), True),
        ({"colours": (ColorInterp.blue, ColorInterp.green, ColorInterp.red, GRAY)},
         {"B": 1, "G": 2, "R": 3, "NIR": 4}, ("R", "G", "B"), True),
        ({}, {"R": 1, "G": 2, "B": 3, "NIR": 4}, ("R", "G", "B"), True),
        # GDAL's default of 8 bits: the fourth band is no transparency.
        ({"dtype": "uint8", "number": 100}, {"R": 1, "G": 2, "B": 3, "NIR": 4}, ("R", "G", "B"), True),
        ({"dtype": "uint8", "number": 255}, {"R": 1, "G": 2, "B": 3}, ("R", "G", "B"), True),
    ],
)  # fmt: skip
def test_the_files_own_band_names_come_first(
    tmp_path: Path, about: dict[str, object], bands: dict[str, int], rgb: tuple[str, ...], is_guess: bool
) -> None:
    write(tmp_path / "a_2019.tif", **{"bands": 4, **about})  # type: ignore[arg-type]
    found = scan.look(tmp_path)
    assert (found.bands, found.rgb, found.is_guess) == (bands, rgb, is_guess)


@pytest.mark.parametrize(
    ("number", "dtype", "more", "scale"),
    [
        (0.3, "float32", {}, (1, 0, "a guess")),
        (3000, "int16", {"nodata": -9999}, (0.0001, 0, "a guess")),
        (3000, "float32", {}, (0.0001, 0, "a guess")),
        (7000, "int32", {"scale": 2.75e-5, "offset": -0.2}, (2.75e-5, -0.2, "the files' own")),
    ],
)
def test_the_scale_of_other_types(
    tmp_path: Path, number: float, dtype: str, more: dict[str, object], scale: tuple[float, float, str]
) -> None:
    write(tmp_path / "a_2019.tif", number, dtype, **more)  # type: ignore[arg-type]
    found = scan.look(tmp_path)
    assert found.scale is not None
    assert (found.scale.scale, found.scale.offset) == scale[:2]
    assert found.scale.about.startswith(scale[2])
    assert found.dtype == "uint16"


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (-12.5, r"numbers from -12.5 to -12.5.*gdal_translate -ot UInt16"),
        (-9999, "rio edit-info --nodata=-9999"),
    ],
)
def test_numbers_that_are_no_reflectance_are_refused(tmp_path: Path, number: float, says: str) -> None:
    write(tmp_path / "a_2019.tif", number, "float32")
    with pytest.raises(InputError, match=says):
        scan.look(tmp_path)


def test_a_mask_beside_each_image_is_named(tmp_path: Path) -> None:
    for day in ("20190704", "20200704"):
        write(tmp_path / f"a_{day}.tif", bands=3)
        write(tmp_path / f"a_{day}_SCL.tif", 4, "uint8")
    found = scan.look(tmp_path)
    assert found.mask is not None
    assert (found.mask.word, found.bands, found.left_out) == ("SCL", {"R": 1, "G": 2, "B": 3}, [])
    words = [re.fullmatch(found.pattern, path.name)["band"] for path in sorted(tmp_path.iterdir())]  # type: ignore[index]
    assert words == [None, "SCL", None, "SCL"]


def test_masks_in_folders_of_their_own_go_with_the_images() -> None:
    names = [
        f"{kind}/S2A2A_2019070{day}_022_a_{kind}_10.tif" for day in (1, 2) for kind in ("BOA", "SCL", "NDVI")
    ]
    named = file_names.read(names, "out")
    assert (named.masks, len(named.images), len(named.mask_files)) == (["SCL"], 2, 2)
    pattern = re.compile(named.pattern)
    assert [name for name in names if not pattern.fullmatch(name)] == [n for n in names if "NDVI" in n]


@pytest.mark.parametrize(
    ("name", "number", "mask"),
    [("QA60", 1024, (0,)), ("probability", 90, None), ("cs_cdf", 1, None), ("clear", 1, None)],
)
def test_bands_of_masks_are_no_bands_of_images(
    tmp_path: Path, name: str, number: int, mask: tuple[int, ...] | None
) -> None:
    write(tmp_path / "a_20190704.tif", number, bands=3, described=("B2", "B3", name))
    found = scan.look(tmp_path)
    assert list(found.bands) == ["B2", "B3"]
    assert any(name in doubt for doubt in found.unsure)
    assert (found.mask.clear if found.mask else None) == mask
    assert (name in found.left_out) == (found.mask is None)


@pytest.mark.parametrize(("lost", "says"), [("B03", "no B03"), ("SCL", "no SCL")])
def test_scenes_without_a_band_or_a_mask_are_named(tmp_path: Path, lost: str, says: str) -> None:
    for day in ("2019-07-04", "2020-07-04", "2021-07-04"):
        for word in ("B02", "B03", "SCL"):
            if (day, word) != ("2020-07-04", lost):
                write(tmp_path / f"a_{day}_{word}.tif", 4)
    found = scan.look(tmp_path)
    (doubt,) = found.unsure
    told = f"1 of 3 scenes will not be used: that of 2020-07-04 has {says}"
    assert doubt == f"{told}; 2020 will have no image ({says})"
    assert dict(found.table())["years"].endswith(f"; 2020 without an image, for want of {lost}")
    for word in ("B02", "B03", "SCL"):
        write(tmp_path / f"a_2020-08-04_{word}.tif", 4)
    found = scan.look(tmp_path)
    assert found.unsure == [told.replace("3 scenes", "4 scenes")]
    assert "without an image" not in dict(found.table())["years"]


def test_a_year_is_lost_where_its_season_is(tmp_path: Path) -> None:
    """An image of the winter is of no use to a year that searches summer."""
    for year in (2019, 2020, 2021):
        for month in (1, 4, 7, 10):
            for word in ("B02", "B03", "SCL"):
                if (year, month, word) != (2020, 7, "SCL"):
                    write(tmp_path / f"a_{year}-{month:02}-04_{word}.tif", 4)
    (doubt,) = scan.look(tmp_path).unsure
    assert "2020 will have no image (no SCL)" in doubt


@pytest.mark.parametrize("form", ["a_04.07.{}.tif", "a_4-7-{}.tif", "a_{}-07.tif"])
def test_dates_of_other_forms_are_not_taken_as_years_in_silence(form: str) -> None:
    (doubt,) = file_names.read([form.format(year) for year in (2019, 2020)], "").unsure
    assert "only the year is used" in doubt
    assert file_names.read(["a_2019.tif", "site_12_2020.tif"], "").unsure == []


def test_dates_of_years_alone_are_shown_as_years(tmp_path: Path) -> None:
    write(tmp_path / "a_2019.tif")
    assert dict(scan.look(tmp_path).table())["dates"] == "years alone: 2019"


def test_int16_and_uint16_of_one_scale_go_together(tmp_path: Path) -> None:
    write(tmp_path / "a_2019.tif", 1000, bands=4)
    write(tmp_path / "a_2020.tif", 1200, "int16", 4, nodata=-9999)
    scale = scan.look(tmp_path).scale
    assert scale is not None
    assert (scale.scale, scale.offset) == (0.0001, 0)


def test_an_empty_file_and_corners_without_data_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a_2019.tif"
    pixels = np.full((1, 400, 400), 0.2, "float32")
    pixels[:, :9, :9] = -9999
    with rasterio.open(
        path, "w", driver="GTiff", height=400, width=400, count=1, dtype="float32", crs=32633, transform=UTM
    ) as file:
        file.write(pixels)
    with pytest.raises(InputError, match="pixels of -9999"):
        scan.look(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="is an empty file"):
        scan.look(tmp_path)


def test_colours_that_are_known_are_not_asked_for(tmp_path: Path) -> None:
    colours = (ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined)
    write(tmp_path / "a_2019.tif", 9, "uint8", 4, colours=colours)
    assert scan.look(tmp_path).unsure == ["nothing names band 4; it is taken as NIR"]
