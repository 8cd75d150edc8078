"""GDAL has itself alone while a file of Python's is opened or closed, and is shared by all else."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio

from minebench.errors import WorkError
from pipeline.geo import cog, gdal, raster, remote
from pipeline.geo.grid import geobox
from pipeline.geo.remote import Opener, RangeFile, Unsigned

BOX = geobox(32633, 500_000, 5_700_000, 600, 600, 10)


def test_nobody_works_while_a_file_of_python_is_opened_or_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cog.write(tmp_path / "a.tif", np.ones((1, 600, 600), np.uint16), BOX, 0)
    inside: set[int] = set()
    alone: list[int] = []
    seen: list[tuple[int, int]] = []
    real = rasterio.open

    def opened(*words: object, **options: object) -> object:
        alone.append(1)
        seen.append((len(alone), len(inside)))
        time.sleep(0.002)
        alone.pop()
        return real(*words)

    monkeypatch.setattr(gdal.rasterio, "open", opened)

    def work() -> None:
        for _ in range(10):
            with gdal.opened(tmp_path / "a.tif", opener=open) as file, gdal.working():
                inside.add(threading.get_ident())
                seen.append((len(alone), 0))
                file.read(1)
                inside.discard(threading.get_ident())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    openings = [found for found in seen if found[0]]
    assert len(openings) == 80
    assert set(openings) == {(1, 0)}


def test_files_of_the_disk_are_opened_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads meet in the middle of opening; a barrier that only one comes to breaks, and raises."""
    cog.write(tmp_path / "a.tif", np.ones((1, 600, 600), np.uint16), BOX, 0)
    both = threading.Barrier(2, timeout=10)
    real = rasterio.open

    def opened(*words: object, **options: object) -> object:
        both.wait()
        return real(*words, **options)

    monkeypatch.setattr(gdal.rasterio, "open", opened)

    def work(_: int) -> bool:
        with gdal.opened(tmp_path / "a.tif") as file, gdal.working():
            return bool(file.read(1).all())

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, range(2))) == [True, True]


def test_work_goes_on_side_by_side() -> None:
    both = threading.Barrier(2, timeout=10)

    def work() -> None:
        with gdal.working():
            both.wait()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not both.broken


class Bytes(Opener):
    """An opener of bytes in memory that counts what is asked for, and may fail."""

    def __init__(self, content: bytes, failing: bool = False) -> None:
        super().__init__("http://x/a.tif", Unsigned(), 4)
        self.content, self.failing, self.asked = content, failing, 0

    def fetch(self, url: str, start: int, size: int) -> tuple[bytes, int]:
        self.asked += 1
        if self.failing and start:
            self.fail(WorkError("gone"))
        return self.content[start : start + size], len(self.content)


def test_ranges_have_the_size_asked_for_and_failures_raise_nothing() -> None:
    """GDAL copies without looking, and knows no exceptions: either would end the process."""
    content = bytes(range(256)) * 1024
    file = RangeFile("http://x/a.tif", Bytes(content))
    found = file.get_byte_ranges([0, 100_000, len(content) - 10], [20, 50, 30])
    assert [len(part) for part in found] == [20, 50, 30]
    assert found[1] == content[100_000:100_050]
    assert found[2] == content[-10:] + bytes(20)
    failing = Bytes(content, failing=True)
    assert RangeFile("http://x/a.tif", failing).get_byte_ranges([100_000], [40]) == [bytes(40)]
    assert str(failing.error) == "gone"


@pytest.mark.parametrize("shift", [0, 3])
def test_what_is_read_was_fetched_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: int) -> None:
    """On the file's grid and off it: GDAL asks for nothing that was not fetched ahead."""
    pixels = np.random.default_rng(0).integers(1, 3000, (1, 1400, 1400)).astype(np.uint16)
    whole = geobox(32633, 500_000, 5_700_000, 1400, 1400, 10)
    cog.write(tmp_path / "a.tif", pixels, whole, 0)
    opener = Bytes((tmp_path / "a.tif").read_bytes())
    monkeypatch.setattr(raster, "opener_of", lambda *_: opener)
    ahead: list[int] = []
    real = remote.Opener.fetch_ahead

    def fetch_ahead(self: Opener, blocks: list[tuple[int, int]]) -> None:
        real(self, blocks)
        ahead.append(opener.asked)

    monkeypatch.setattr(remote.Opener, "fetch_ahead", fetch_ahead)
    box = geobox(32633, 504_000 + shift, 5_696_000 - shift, 500, 500, 10)
    found = raster.read("http://x/a.tif", 1, box, raster.Resampling.bilinear, None)
    assert found.shape == (500, 500)
    if not shift:
        assert (found == pixels[0, 400:900, 400:900]).all()
    assert opener.asked == ahead[0] <= 3


def test_what_gdal_raises_by_another_name_is_a_sentence(tmp_path: Path) -> None:
    """Such as that it knows no way from a file's CRS to another, of which it prints a page."""
    cog.write(tmp_path / "a.tif", np.ones((1, 600, 600), np.uint16), BOX, 0)
    with pytest.raises(WorkError) as caught, raster.opened(str(tmp_path / "a.tif")):
        raise gdal.FAILURE(1, 6, "no way from " + "{}" * 5000 + "\nto another")
    assert str(caught.value).startswith(f"{tmp_path / 'a.tif'} cannot be read: no way from")
    assert len(str(caught.value)) < 500
