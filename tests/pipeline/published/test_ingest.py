"""What is refused of published files, written here in exactly the layouts their authors use."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minebench.errors import InputError
from pipeline.published import ingest
from tests import published
from tests.pipeline.published.ingesting import ingested


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MineNetCD256 in folders."""
    return published.minenetcd_folders(tmp_path_factory.mktemp("ingest") / "files")


def no_label(path: Path) -> None:
    next((path / "val/label").iterdir()).unlink()


def not_a_picture(path: Path) -> None:
    next((path / "val/B").iterdir()).write_text("no picture")


def another_size(path: Path) -> None:
    next((path / "test/A").iterdir()).write_bytes(published.png(np.zeros((3, 20, 20), np.uint8)))


@pytest.mark.parametrize(
    ("harm", "message"),
    [(no_label, "has no counterpart"), (not_a_picture, "not a picture"), (another_size, "20 x 20 pixels")],
)
def test_bad_files_are_named(files: Path, tmp_path: Path, harm, message: str) -> None:
    harmed = Path(shutil.copytree(files, tmp_path / "files"))
    harm(harmed)
    with pytest.raises(InputError, match=message):
        ingested(tmp_path, "mines", "minenetcd256", harmed)
    assert not (tmp_path / "data/mines/index/tiles.parquet").exists()


@pytest.mark.parametrize("kind", ingest.READERS)
def test_an_empty_folder_leaves_nothing_behind(tmp_path: Path, kind: str) -> None:
    (tmp_path / "files").mkdir()
    with pytest.raises(InputError, match=str(tmp_path / "files")):
        ingested(tmp_path, "mines", kind, tmp_path / "files")
    assert [path.name for path in tmp_path.iterdir() if path.name != "catalogs"] == ["files"]
    assert not list((tmp_path / "catalogs").glob("*")) if (tmp_path / "catalogs").exists() else True


def test_the_pixel_of_files_without_a_place_may_be_told(files: Path, tmp_path: Path) -> None:
    for name, given, found in (("fine", None, 1.2), ("coarse", 10, 10)):
        _, loaded = ingest.prepare(name, "minenetcd256", files, tmp_path, resolution=given)
        assert loaded.sensor.resolution == found
    with pytest.raises(InputError, match="--resolution: the files of oms2cd say it themselves"):
        ingest.prepare("other", "oms2cd", published.oms2cd(tmp_path / "oms2cd"), tmp_path, resolution=10)


def _halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _without_pages(path: Path) -> None:
    """The footer of a Parquet file stays."""
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    path.write_bytes(content)


def _misspelt(path: Path) -> None:
    """A column's name is no text."""
    path.write_bytes(path.read_bytes().replace(b"imageA", b"image\xa8"))


def read_whole(layout: str, folder: Path, root: Path) -> None:
    """Read the images of the first site, as `ingest` does."""
    _, loaded = ingest.prepare("own", layout, folder, root)
    reader = loaded.source.published(root)
    site = reader.sites()[0]
    for label in site.images:
        reader.image(site, label)


@pytest.mark.parametrize(
    ("layout", "write", "files", "harm"),
    [
        ("oms2cd", published.oms2cd, "**/*.tif", _halved),
        ("oms2cd", published.oms2cd, "train.csv", lambda path: path.write_bytes(b"id\n\xff")),
        ("euromine", published.euromine, "*/*/*.tif", _halved),
        ("minenetcd256", published.minenetcd_parquet, "data/*.parquet", _without_pages),
        ("minenetcd256", published.minenetcd_parquet, "data/*.parquet", _misspelt),
    ],
)
def test_damaged_files_are_named(
    layout: str, write: Callable[[Path], Path], files: str, harm: Callable[[Path], object], tmp_path: Path
) -> None:
    """Also those of which just the pixels are damaged."""
    folder = write(tmp_path / "files")
    for path in folder.glob(files):
        harm(path)
    with pytest.raises(InputError, match=r"cannot be read.*\.$"):
        read_whole(layout, folder, tmp_path)
