"""Black is a colour in published pictures: a mask, and no number, says where there is no data."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import rioxarray
from rasterio.enums import Resampling

from pipeline import recipe
from pipeline.core.eight_bits import lowered
from pipeline.geo import raster
from pipeline.publish import qgis_project
from pipeline.published.formats import raster_files
from pipeline.recipe import Recipe
from pipeline.stac import assets, item
from tests.conftest import RECIPE
from tests.test_golden import BOX, a_site

FILES = ("visual.tif", "reflectance.tif")


@pytest.fixture
def of_pictures(tmp_path: Path) -> Recipe:
    text = RECIPE.replace("bands: [B02, B03, B04, B08, B11]", "bands: [R, G, B]\n  dtype: uint8")
    (tmp_path / "recipe.yaml").write_text(text.replace("rgb: [B04, B03, B02]", "rgb: [R, G, B]"))
    return recipe.load(tmp_path / "recipe.yaml")


def picture() -> tuple[np.ndarray, np.ndarray]:
    """Black rows, rows of 90, and at the bottom rows without data."""
    pixels = np.full((3, *BOX.shape), 90, np.uint8)
    pixels[:, :20] = 0
    clear = np.ones(BOX.shape, np.uint8)
    pixels[:, 80:], clear[80:] = 0, 0
    return pixels, clear


def test_files_have_a_mask_and_items_name_no_number(of_pictures: Recipe, tmp_path: Path) -> None:
    pixels, clear = picture()
    mask, look = np.zeros(BOX.shape, np.uint8), assets.stretch(pixels[np.newaxis], of_pictures)
    found = assets.write(tmp_path, of_pictures, a_site(), pixels, mask, clear, look, "2021")
    found |= item.cube_assets(of_pictures, "x.zarr", assets.Tree({}, 0))
    assert not [name for name in ("visual", "image-cog", "image") if "nodata" in found[name].extra_fields]
    for path in (tmp_path / name for name in FILES):
        with rasterio.open(path) as file:
            assert file.nodata is None
            assert ((file.dataset_mask() > 0) == (clear > 0)).all()
            assert (file.read() == pixels).all()
        # What others, and we, read of it.
        opened = rioxarray.open_rasterio(path, masked=True)
        assert (np.isnan(opened.to_numpy()).all(axis=0) == (clear == 0)).all()
        again = raster.read_picture(str(path), [1, 2, 3], BOX, Resampling.bilinear, None)
        assert ((again > 0).all(axis=0) == (clear > 0)).all()
        assert (lowered(again) == pixels).all()
        assert (raster_files.seen(path) == (clear > 0)).all()


def test_reflectance_keeps_its_number(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    loaded = recipe.load(tmp_path / "recipe.yaml")
    pixels = np.full((5, *BOX.shape), 900, np.uint16)
    pixels[:, 80:] = 0
    clear = (pixels[0] > 0).astype(np.uint8)
    look = assets.stretch(pixels[np.newaxis], loaded)
    found = assets.write(tmp_path, loaded, a_site(), pixels, clear * 0, clear, look, "2021")
    assert {found[name].extra_fields["nodata"] for name in ("visual", "reflectance-cog")} == {0}
    for name in FILES:
        with rasterio.open(tmp_path / name) as file:
            assert file.nodata == 0


@pytest.mark.parametrize("lacks", [True, False])
def test_qgis_takes_alpha_from_the_masks(of_pictures: Recipe, tmp_path: Path, lacks: bool) -> None:
    pixels, clear = picture()
    clear = clear if lacks else np.ones_like(clear)
    look = assets.stretch(pixels[np.newaxis], of_pictures)
    site, folder = a_site(), tmp_path / "x"
    folder.mkdir()
    assets.write(folder, of_pictures, site, pixels, clear * 0, clear, look, "2021")
    mosaic = qgis_project.image_of("visual.tif", of_pictures)
    (layer,) = qgis_project.mosaics([(site, folder / "visual.tif")], "2021", mosaic, folder)
    assert layer["alpha"] == 4
    path = folder / layer["source"]
    assert ElementTree.parse(path).find(".//NoDataValue") is None
    with rasterio.open(path) as file:
        assert (file.read(4) == clear * 255).all()
        assert (file.read([1, 2, 3]) == pixels).all()
