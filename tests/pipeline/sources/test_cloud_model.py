"""Clouds in images without a mask. A stand-in takes the network's place: bright is cloud, dark is shadow."""

import sys
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import xarray as xr

from minebench.errors import InputError
from pipeline.sensors import classes
from pipeline.sources.local import Options, cloud_model, image_cubes
from tests.pipeline.sources.test_own_files import AREA, BOX, UTM, opened, write

BANDS = ("B2", "B3", "B4", "B8")
MODEL = "ukis-csmask-l2a"
YEAR = (date(2019, 1, 1), date(2020, 1, 1))


class CSmask:
    """The package's class, as far as it is used."""

    asked: list[tuple[tuple[int, ...], list[str], str]]

    def __init__(self, img: np.ndarray, band_order: list[str], product_level: str, **_: Any) -> None:
        assert img.dtype == np.float32
        self.asked.append((img.shape, band_order, product_level))
        self.csm = np.select([img[..., :1] > 0.4, img[..., :1] < 0.02], [1, 2], 0).astype(np.uint8)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> type[CSmask]:
    CSmask.asked = []
    package, module = ModuleType("ukis_csmask"), ModuleType("ukis_csmask.mask")
    module.CSmask = CSmask  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ukis_csmask", package)
    monkeypatch.setitem(sys.modules, "ukis_csmask.mask", module)
    return CSmask


def image() -> np.ndarray:
    """Ground with a cloud, its shadow, and a corner without data (band, y, x)."""
    pixels = np.full((4, 20, 20), 800, np.uint16)
    pixels[:, 2:6, 2:6], pixels[:, 8:10, 8:10], pixels[:, 15:, 15:] = 6_000, 100, 0
    return pixels


def expected() -> np.ndarray:
    found = np.full((20, 20), classes.CLEAR, np.uint8)
    found[2:6, 2:6], found[8:10, 8:10], found[15:, 15:] = classes.CLOUD, classes.SHADOW, classes.NODATA
    return found


def test_files_without_a_mask(network: type[CSmask], tmp_path: Path) -> None:
    write(tmp_path / "a_20190704.tif", image(), 0)
    bands = {band: number for number, band in enumerate(BANDS, 1)}
    source = opened(tmp_path, bands=bands, pattern=r"a_(?P<date>\d{8})\.tif", clouds=MODEL)
    (scene,) = source.search(AREA, *YEAR)
    (found,) = source.read(scene, [source.mask_band], BOX)
    np.testing.assert_array_equal(found, expected())
    assert network.asked == [((256, 256, 4), ["blue", "green", "red", "nir"], "l2a")]
    assert source.native(scene, source.mask_band) == source.native(scene, "B2")
    np.testing.assert_array_equal(source.read(scene, BANDS, BOX), image())


def test_cubes_without_a_mask(network: type[CSmask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    y, x = (UTM.f - 10 * (np.arange(20) + 0.5), UTM.c + 10 * (np.arange(20) + 0.5))
    layers = {
        band: (("time", "y", "x"), one[np.newaxis], {"_FillValue": 0})
        for band, one in zip(BANDS, image(), strict=True)
    }
    days = np.array(["2019-07-04"], "datetime64[ns]")
    cube = xr.Dataset(layers, {"time": days, "y": y, "x": x}, {"crs": "EPSG:32633"})
    cube.to_zarr(tmp_path / "cube.zarr", zarr_format=3, consolidated=False)
    source = opened(tmp_path / "cube.zarr", bands=BANDS, pattern=None, clouds=MODEL)
    (scene,) = source.search(AREA, *YEAR)
    opened_paths: list[Path] = []
    monkeypatch.setattr(
        image_cubes, "_opened", lambda path, real=image_cubes._opened: opened_paths.append(path) or real(path)
    )
    (found,) = source.read(scene, [source.mask_band], BOX)
    np.testing.assert_array_equal(found, expected())
    assert len(opened_paths) == 1


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (BANDS, {"B2": "blue", "B3": "green", "B4": "red", "B8": "nir"}),
        (("NIR", "R", "G", "B"), {"B": "blue", "G": "green", "R": "red", "NIR": "nir"}),
        (
            ("blue", "green", "red", "nir08", "swir16", "swir22"),
            {"blue": "blue", "green": "green", "red": "red", "nir08": "nir", "swir16": "swir16",
             "swir22": "swir22"},
        ),
        (
            ("B02", "B03", "B04", "B08", "B8A", "B11"),
            {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir"},
        ),
    ],
)  # fmt: skip
def test_bands_are_known_by_their_names(names: tuple[str, ...], words: dict[str, str]) -> None:
    assert cloud_model.words_of(names) == words


@pytest.mark.parametrize("names", [("R", "G", "B"), ("red", "green", "blue", "x"), ("B11", "B12")])
def test_bands_that_the_network_lacks(names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"none of the bands .* is known as"):
        cloud_model.words_of(names)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ukis_csmask", None)
    with pytest.raises(InputError, match=r"pip install 'ukis-csmask\[cpu\]'"):
        cloud_model.bands_for(MODEL, BANDS)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"mask": {"band": "SCL"}}, "either mask or clouds"),
        ({"dtype": "uint8"}, "takes reflectance"),
    ],
)
def test_what_does_not_go_with_it(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, bands=BANDS, clouds=MODEL, **more)


def test_scenes_fetched_without_it_stay(tmp_path: Path) -> None:
    given = {"name": "local", "path": tmp_path, "pattern": r"(?P<date>\d{8})", "bands": {"R": 1}}
    setting: Any = None
    assert "clouds" not in Options.model_validate(given).asked("site", setting)[0]
    with_it = Options.model_validate({**given, "clouds": MODEL})
    assert with_it.asked("site", setting)[0]["clouds"] == MODEL


def test_grids_large_enough_stay_as_they_are() -> None:
    large = BOX.zoom_to((300, 40))
    area, window = cloud_model.around(large)
    assert area.shape == (300, 256)
    assert window == (slice(0, 300), slice(108, 148))
