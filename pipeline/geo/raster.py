"""Reading one band of a raster file onto a grid, and resampling an array onto one."""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.features import shapes
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.warp import reproject
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from minebench.errors import Unusable, WorkError
from pipeline.core import eight_bits
from pipeline.geo import gdal
from pipeline.geo import grid as grids

if TYPE_CHECKING:
    from pipeline.geo.remote import Opener, Signer

GDAL = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_CACHEMAX": 64_000_000}
"""rasterio takes the cache's size in bytes, unlike GDAL's own setting."""
COARSER = 1.9
"""How many of the file's pixels a pixel may be wide before GDAL reads an overview instead."""
NO_COLOUR = 65_535
"""What stands for no data while a picture of 8 bits is resampled."""
EXACT = 1e-3
"""Pixels: how far a place may be off its own projection. GDAL's default is 1/8, and 0 fails."""


def outline(mask: NDArray[Any], transform: Affine) -> BaseGeometry:
    """The edges of a mask's (y, x) pixels as one shape, in the units of `transform`; empty without any."""
    found = shapes(mask.astype(np.uint8), mask=mask > 0, transform=transform)
    return shapely.union_all([shapely.geometry.shape(one) for one, _ in found])


def read_bands(
    href: str,
    indexes: Sequence[int],
    grid: GeoBox,
    resampling: Resampling,
    nodata: float | None,
    signed: "Signer | None" = None,
    parallel: int = 20,
) -> NDArray[Any]:
    """Bands of a file (band, y, x) in the file's dtype, nodata 0. A valid 0 becomes 1, so that 0 says one
    thing only. The file is opened once, so that blocks which hold all bands are fetched and decoded once.

    `href` is a path or an http(s) address; `nodata` overrides the file's own value. WorkError
    where the file cannot be read, whole and as it is.
    """
    with _fetched(href, indexes, grid, signed, parallel) as file, gdal.working():
        missing = file.nodata if nodata is None else nodata
        return np.asarray(_onto(file, list(indexes), grid, resampling, missing))


def read_picture(
    href: str,
    indexes: Sequence[int],
    grid: GeoBox,
    resampling: Resampling,
    nodata: float | None,
    signed: "Signer | None" = None,
    parallel: int = 20,
) -> NDArray[np.uint16]:
    """Bands of a file of 8 bits (band, y, x) as `pipeline.core.eight_bits` has them: black is a colour, and
    there is no data where the file's nodata value, mask or alpha band says so. See `read_bands`."""
    with _fetched(href, indexes, grid, signed, parallel) as file, gdal.working():
        if (dtype := file.dtypes[indexes[0] - 1]) != "uint8":
            raise Unusable(f"{href} is {dtype}, and a picture of 8 bits was expected (sensor.dtype).")
        missing = file.nodata if nodata is None else nodata
        if grids.aligned(grid, grid_of(file)):
            numbers = _cut_out(file, list(indexes), grid, math.nan if missing is None else missing)
            has_data = np.isfinite(numbers)
        else:
            # Beyond what 8 bits hold: GDAL changes results that happen to be what stands for no data.
            numbers = _warped(file, list(indexes), grid, resampling, missing, NO_COLOUR, "uint16")
            has_data = numbers != NO_COLOUR
    return eight_bits.raised(numbers, has_data)


@contextmanager
def _fetched(
    href: str, indexes: Sequence[int], grid: GeoBox, signed: "Signer | None", parallel: int
) -> Iterator[DatasetReader]:
    """Open a file for reading some of its bands on a grid; of a remote one the blocks are fetched."""
    opener = opener_of(href, signed, parallel)
    with opened_by(href, opener) as file:
        if (most := max(indexes)) > file.count:
            raise WorkError(f"{href} has {file.count} bands, and band {most} was asked for.")
        if opener:
            with gdal.working():
                whole = grid_of(file)
                blocks = {block for i in indexes for block in _blocks(file, i, whole, grid)}
            opener.fetch_ahead(sorted(blocks))
        yield file


def _onto(
    file: DatasetReader, indexes: list[int], grid: GeoBox, resampling: Resampling, nodata: float | None
) -> NDArray[Any]:
    """Bands (band, y, x) of an open file on a grid."""
    if grids.aligned(grid, grid_of(file)):
        return _copied(file, indexes, grid, nodata)
    return _warped(file, indexes, grid, resampling, nodata)


def read(
    href: str,
    index: int,
    grid: GeoBox,
    resampling: Resampling,
    nodata: float | None,
    signed: "Signer | None" = None,
    parallel: int = 20,
) -> NDArray[Any]:
    """One band (y, x), see `read_bands`."""
    return np.asarray(read_bands(href, [index], grid, resampling, nodata, signed, parallel)[0])


def read_numbers(
    href: str,
    indexes: Sequence[int],
    grid: GeoBox,
    resampling: Resampling,
    nodata: float | None,
    signed: "Signer | None" = None,
    parallel: int = 20,
) -> NDArray[np.float32]:
    """Bands (band, y, x) of a file of any type, NaN where there is no data; a valid 0 stays 0.

    `nodata` overrides the file's own value; NaN stands for none. WorkError where the file cannot be read.
    """
    with _fetched(href, indexes, grid, signed, parallel) as file, gdal.working():
        missing = file.nodata if nodata is None else nodata
        missing = math.nan if missing is None else missing
        if grids.aligned(grid, grid_of(file)):
            found = _cut_out(file, list(indexes), grid, missing)
        else:
            found = _warped(file, list(indexes), grid, resampling, missing, math.nan, "float32")
    return np.where(np.isfinite(found), found, np.float32(np.nan))


def opened(
    href: str, signed: "Signer | None" = None, parallel: int = 20
) -> AbstractContextManager[DatasetReader]:
    """A raster file, local or remote; whatever fails while it is open is one WorkError."""
    return opened_by(href, opener_of(href, signed, parallel))


def opener_of(href: str, signed: "Signer | None", parallel: int) -> "Opener | None":
    """Return what GDAL reads an address of the web through; None for a path."""
    if not is_remote(href):
        return None
    # Here and not above: local files do without the network's libraries.
    from pipeline.geo.remote import Opener, Unsigned

    return Opener(href, signed or Unsigned(), parallel)


@contextmanager
def opened_by(href: str, opener: "Opener | None") -> Iterator[DatasetReader]:
    """Open a raster file through the `opener_of` its address; whatever fails while it is open is one
    WorkError."""
    try:
        if opener is not None:
            opener.start()
        with rasterio.Env(**GDAL), gdal.opened(href, driver=gdal.driver_of(href), opener=opener) as file:
            yield file
    except (RasterioError, gdal.FAILURE, OSError) as error:
        if opener is None or opener.error is None:
            raise Unusable(f"{href} cannot be read: {gdal.said(error)}.") from None
    # GDAL may go on after a failed read; what it then gives is not to be used.
    if opener is not None and opener.error is not None:
        raise opener.error


MARGIN = 4
"""Pixels of the source around a window that interpolation may look at."""


def _blocks(file: DatasetReader, index: int, whole: GeoBox, grid: GeoBox) -> list[tuple[int, int]]:
    """Offset and size of the blocks that a grid lies in, as GeoTIFFs tell them; empty where it is not
    read at about the file's own pixel, but from an overview, and for other formats."""
    if whole.crs is None:
        return []
    box = grid.extent.to_crs(whole.crs).boundingbox
    if box.span_x / grid.width > COARSER * abs(whole.resolution.x):
        return []
    left, top = ~whole.affine @ (box.left, box.top)
    right, bottom = ~whole.affine @ (box.right, box.bottom)
    margin = 0 if grids.aligned(grid, whole) else MARGIN
    high, wide = file.block_shapes[index - 1]
    rows = _numbers(top, bottom, high, file.height, margin)
    return block_ranges(file, index, rows, _numbers(left, right, wide, file.width, margin))


def block_ranges(file: DatasetReader, index: int, rows: range, columns: range) -> list[tuple[int, int]]:
    """Offset and size, bytes, of a band's blocks in these rows and columns of blocks, in the file's order;
    empty for formats other than GeoTIFF. A block without any bytes is left out."""
    found = [
        [file.get_tag_item(f"BLOCK_{what}_{x}_{y}", "TIFF", bidx=index) for what in ("OFFSET", "SIZE")]
        for y in rows
        for x in columns
    ]
    return sorted({(int(offset), int(size)) for offset, size in found if offset and size})


def _numbers(first: float, last: float, side: int, pixels: int, margin: int) -> range:
    """Numbers of the blocks, `side` pixels each, that an edge from one pixel to another touches."""
    start = max(0, math.floor(first + grids.TOUCHING) - margin)
    stop = min(pixels, math.ceil(last - grids.TOUCHING) + margin)
    return range(start // side, (stop - 1) // side + 1) if stop > start else range(0)


def is_remote(href: str) -> bool:
    """Whether `href` is an address of the web."""
    return href.startswith(("http://", "https://"))


def grid_of(file: DatasetReader) -> GeoBox:
    """An open file's grid."""
    return GeoBox(file.shape, file.transform, file.crs.to_wkt() if file.crs else None)


def resampled(pixels: NDArray[Any], source: GeoBox, grid: GeoBox, resampling: Resampling) -> NDArray[Any]:
    """(band, y, x) pixels of `source` on `grid`, each band as `read` would have it; nodata 0."""
    result = np.zeros((len(pixels), *grid.shape), pixels.dtype)
    with gdal.working():
        for band, target in zip(pixels, result, strict=True):
            reproject(
                band,
                target,
                src_transform=source.transform,
                src_crs=str(source.crs),
                src_nodata=0,
                dst_transform=grid.transform,
                dst_crs=str(grid.crs),
                dst_nodata=0,
                resampling=resampling,
                tolerance=EXACT,
            )
    return result


def numbers_onto(
    pixels: NDArray[np.float32], source: GeoBox, grid: GeoBox, resampling: Resampling
) -> NDArray[np.float32]:
    """Pixels (y, x) of `source` on `grid`, copied where they lie on it already; NaN where there is no
    data."""
    result = np.full(grid.shape, np.nan, np.float32)
    if grids.aligned(grid, source):
        result[grids.overlap(grid, source)] = pixels[grids.overlap(source, grid)]
        return result
    with gdal.working():
        reproject(
            pixels,
            result,
            src_transform=source.transform,
            src_crs=str(source.crs),
            src_nodata=math.nan,
            dst_transform=grid.transform,
            dst_crs=str(grid.crs),
            dst_nodata=math.nan,
            resampling=resampling,
            tolerance=EXACT,
        )
    return result


def _copied(file: DatasetReader, indexes: list[int], grid: GeoBox, nodata: float | None) -> NDArray[Any]:
    """Pixels that lie on the grid already; 0 beyond the file's edge."""
    whole = grid_of(file)
    rows, columns = grids.overlap(whole, grid)
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return np.zeros((len(indexes), *grid.shape), file.dtypes[indexes[0] - 1])
    window = Window.from_slices(rows, columns)
    found = file.read(indexes, window=window)
    if nodata is None:
        found[found == 0] = 1
        found *= _seen(file, indexes, window).astype(found.dtype)
    elif nodata != 0 and not math.isnan(nodata):
        found = np.where(found == nodata, 0, np.maximum(found, 1)).astype(found.dtype)
    if found.shape[1:] == grid.shape:
        return found
    pixels = np.zeros((len(indexes), *grid.shape), found.dtype)
    pixels[:, *grids.overlap(grid, whole[rows, columns])] = found
    return pixels


def _seen(file: DatasetReader, indexes: list[int], window: Window) -> NDArray[np.bool_]:
    """Where a file without a nodata value has data (y, x): by its mask, or by an alpha band."""
    flags = [flag for index in indexes for flag in file.mask_flag_enums[index - 1]]
    if MaskFlags.per_dataset not in flags or _is_misread(file, indexes, window):
        return np.ones((window.height, window.width), bool)
    return np.asarray(file.dataset_mask(window=window) > 0)


def _is_misread(file: DatasetReader, indexes: list[int], window: Window) -> bool:
    """Whether a band is no alpha, though GDAL calls it so.

    It calls every fourth band of 8 bits alpha where nothing else is said. One that is read as a band, or
    that has
    numbers between 0 and 255, is near infrared or the like.
    """
    alphas = [i for i, colour in enumerate(file.colorinterp, 1) if colour == ColorInterp.alpha]
    if not alphas or file.dtypes[alphas[0] - 1] != "uint8":
        return False
    return alphas[0] in indexes or not np.isin(file.read(alphas[0], window=window), (0, 255)).all()


def _cut_out(file: DatasetReader, indexes: list[int], grid: GeoBox, nodata: float) -> NDArray[np.float32]:
    """Pixels that lie on the grid already, as float32; NaN beyond the file's edge and for `nodata`."""
    whole = grid_of(file)
    pixels = np.full((len(indexes), *grid.shape), np.nan, np.float32)
    rows, columns = grids.overlap(whole, grid)
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return pixels
    window = Window.from_slices(rows, columns)
    stored = file.read(indexes, window=window)
    # In the file's own type: -3.4e38 is another number as a Python float.
    is_number = math.isfinite(nodata)
    has_data = (
        stored != np.float64(nodata).astype(stored.dtype) if is_number else _seen(file, indexes, window)
    )
    inner = grids.overlap(grid, whole[rows, columns])
    pixels[:, *inner] = np.where(has_data, stored.astype(np.float32), np.float32(np.nan))
    return pixels


def _warped(
    file: DatasetReader,
    indexes: list[int],
    grid: GeoBox,
    resampling: Resampling,
    nodata: float | None,
    becomes: float = 0,
    dtype: str | None = None,
) -> NDArray[Any]:
    """Resampled once by GDAL, which leaves nodata out of the weights and widens its kernel when
    going coarser. Nodata `becomes` a number, and pixels of `dtype` where that is given."""
    if ColorInterp.alpha in file.colorinterp:
        window = _around(file, grid)
        if window is not None and _is_misread(file, indexes, window):
            return _warped_pixels(file, indexes, window, grid, resampling, nodata, becomes, dtype)
    with WarpedVRT(
        file,
        crs=str(grid.crs),
        transform=grid.transform,
        height=grid.height,
        width=grid.width,
        resampling=resampling,
        src_nodata=nodata,
        nodata=becomes,
        add_alpha=False,
        tolerance=EXACT,
        **({"dtype": dtype} if dtype else {}),
    ) as view:
        return view.read(indexes)


def _around(file: DatasetReader, grid: GeoBox) -> Window | None:
    """The window of a file that a grid lies in, with a margin; None where there is none."""
    whole = grid_of(file)
    if whole.crs is None:
        return None
    box = grid.extent.to_crs(whole.crs).boundingbox
    left, top = ~whole.affine @ (box.left, box.top)
    right, bottom = ~whole.affine @ (box.right, box.bottom)
    margin = MARGIN * max(1, math.ceil((right - left) / grid.width))
    x0, x1 = max(0, math.floor(left) - margin), min(file.width, math.ceil(right) + margin)
    y0, y1 = max(0, math.floor(top) - margin), min(file.height, math.ceil(bottom) + margin)
    return Window(x0, y0, x1 - x0, y1 - y0) if x1 > x0 and y1 > y0 else None


def _warped_pixels(
    file: DatasetReader, indexes: list[int], window: Window, grid: GeoBox, resampling: Resampling,
    nodata: float | None, becomes: float, dtype: str | None,
) -> NDArray[Any]:  # fmt: skip
    """As `_warped`, of pixels without their file: GDAL then takes no band for alpha."""
    pixels = file.read(indexes, window=window).astype(dtype or file.dtypes[indexes[0] - 1], copy=False)
    if not becomes and nodata is None:
        pixels[pixels == 0] = 1
    result = np.full((len(indexes), *grid.shape), becomes, pixels.dtype)
    for band, target in zip(pixels, result, strict=True):
        reproject(
            band, target, src_transform=file.window_transform(window), src_crs=file.crs, src_nodata=nodata,
            dst_transform=grid.transform, dst_crs=str(grid.crs), dst_nodata=becomes, resampling=resampling,
            init_dest_nodata=True, tolerance=EXACT,
        )  # fmt: skip
    return result
