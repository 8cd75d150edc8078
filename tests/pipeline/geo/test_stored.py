"""Windows of GeoTIFFs as they are stored, of north-up and bottom-up ones, from the disk and over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin

from minebench.errors import Unusable
from pipeline.geo import grid, stored
from tests.standins import aef
from tests.standins.base import Running, running

WHOLE = grid.geobox(32632, 500_000, 5_600_000, 300, 260, 10)
PIXELS = np.random.default_rng(0).integers(-128, 128, (5, 300, 260)).astype(np.int8)
PARTS = [WHOLE[20:90, 30:120], WHOLE[100:300, 127:260], WHOLE[:, :], WHOLE[299:, :1]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    for year, bottom_up in ((2020, False), (2021, True)):
        aef.put(folder, "a", year, PIXELS, WHOLE, bottom_up)
    with rasterio.open(
        folder / "together.tiff", "w", driver="GTiff", height=300, width=260, count=5, dtype="int8",
        crs="EPSG:32632", transform=from_origin(500_000, 5_600_000, 10, 10), interleave="pixel", tiled=True,
        blockxsize=128, blockysize=128, compress="zstd",
    ) as file:  # fmt: skip
        file.write(PIXELS)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    with running("cogs", str(folder)) as standin:
        yield standin


NAMES = ["2020/32N/a.tiff", "2021/32N/a.tiff", "together.tiff"]


def test_the_fixtures_are_what_they_are_called(folder: Path) -> None:
    heights = []
    for name in NAMES:
        with rasterio.open(folder / name) as file:
            heights.append(file.transform.e)
            assert file.dtypes[0] == "int8"
    assert heights == [-10, 10, -10]


@pytest.mark.parametrize("remote", [False, True], ids=["disk", "http"])
@pytest.mark.parametrize("name", NAMES, ids=["north up", "bottom up", "bands together"])
def test_pixels_are_those_of_the_file(name: str, remote: bool, folder: Path, server: Running) -> None:
    href = f"{server.url}/open/{name}" if remote else str(folder / name)
    assert stored.grid_of(href) == WHOLE
    for part in PARTS:
        rows, columns = grid.overlap(WHOLE, part)
        found = stored.read(href, [4, 1, 2], part)
        assert found.dtype == np.int8
        assert (found == PIXELS[[3, 0, 1], rows, columns]).all()


@pytest.mark.parametrize(
    "area",
    [
        WHOLE.pad(1),
        grid.geobox(32632, 500_005, 5_600_000, 8, 8, 10),
        grid.geobox(32633, 500_000, 5_600_000, 8, 8, 10),
        grid.geobox(32632, 600_000, 5_600_000, 8, 8, 10),
    ],
    ids=["larger", "half a pixel", "zone", "elsewhere"],
)
def test_an_area_that_is_no_part_of_the_file_is_refused(area: GeoBox, folder: Path) -> None:
    with pytest.raises(Unusable, match="does not have the pixels that it is listed with"):
        stored.read(str(folder / NAMES[1]), [1], area)


def test_few_requests_and_one_bands_blocks_at_a_time(
    folder: Path, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "HEAD_BYTES", 4096)
    for name, most in (("2021/32N/a.tiff", 1 + 5), ("together.tiff", 1 + 1)):
        server.set()
        stored.read(f"{server.url}/open/{name}", [1, 2, 3, 4, 5], WHOLE[0:200, 0:100])
        assert len(server.asked()) == most
