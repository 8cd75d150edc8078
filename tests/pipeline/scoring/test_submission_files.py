"""What a submission may hold: no other format, no link, no more than its shape."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import zarr
from affine import Affine
from odc.geo.geobox import GeoBox

from minebench.errors import InputError
from minebench.files import check_links
from minebench.layout import BenchmarkPaths
from pipeline.leaderboard.compare import plain
from pipeline.scoring import maps, score, submission

GRID = GeoBox((20, 30), Affine(10, 0, 500_000, 0, -10, 5_000_000), "EPSG:32633")


def tiff(path: Path, shape: tuple[int, int] = (20, 30), **more: object) -> Path:
    """A mask of ones; a large one is sparse."""
    profile = {"count": 1, "dtype": "uint8", "crs": "EPSG:32633", "transform": GRID.transform, **more}
    with rasterio.open(path, "w", driver="GTiff", height=shape[0], width=shape[1], **profile) as file:
        if shape == GRID.shape:
            file.write(np.ones(shape, np.uint8), 1)
    return path


def refused(path: Path, array: str = "") -> str:
    with pytest.raises(InputError) as caught:
        maps.checked(maps.Map(path, array), GRID)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_vrt_under_another_name_is_not_opened(suffix: str, tmp_path: Path) -> None:
    truth = tiff(tmp_path / "truth.tif")
    path = tmp_path / f"site_2021{suffix}"
    path.write_text(
        '<VRTDataset rasterXSize="30" rasterYSize="20"><VRTRasterBand dataType="Byte" band="1">'
        f'<SimpleSource><SourceFilename relativeToVRT="0">{truth}</SourceFilename></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )
    with rasterio.open(path) as file:
        assert file.driver == "VRT"
    assert "cannot be read" in refused(path)
    assert maps.checked(maps.Map(truth), GRID).read().min() == 1


def test_shapes_are_compared_before_pixels_are_read(tmp_path: Path) -> None:
    sparse = tiff(tmp_path / "a.tif", (200_000, 200_000), sparse_ok=True, tiled=True, bigtiff="YES")
    assert refused(sparse) == "has 200000 x 200000 pixels, not 20 x 30"
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("mine", shape=(1, 300_000, 300_000), chunks=(1, 1000, 1000), dtype="uint8")
    assert refused(tmp_path / "a.zarr", "mine") == "has 300000 x 300000 pixels, not 20 x 30"
    (tmp_path / "a.npy").write_bytes(
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|u1', 'fortran_order': False, 'shape': (9, 9), }".ljust(118)
    )
    assert "cannot be read" in refused(tmp_path / "a.npy")


def test_pieces_that_are_much_larger_than_a_map_are_refused(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("mine", shape=(1, 20, 30), chunks=(1, 100_000, 100_000), dtype="uint8")
    assert "is stored in pieces of 1 x 100000 x 100000, 10.0 GB each" in refused(tmp_path / "a.zarr", "mine")


@pytest.mark.parametrize("name", ["site_2021.tif", "site.zarr/mine", "deep/folder"])
def test_links_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    given, truth = tmp_path / "given", tmp_path / "judge"
    truth.mkdir()
    link = given / name
    link.parent.mkdir(parents=True)
    link.symlink_to(truth)
    with pytest.raises(InputError, match="is a link that leads out of"):
        check_links(given)
    with pytest.raises(InputError, match="is a link that leads out of"):
        list(submission._listed(given))
    link.unlink()
    (given / "same").mkdir()
    link.symlink_to(given / "same")
    check_links(given)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("url: javascript:alert(1)\n", "url is no address of the web"),
        ("who: [a, b]\n", "who is no line of text"),
        ("what: {a: b}\n", "what is no line of text"),
        ("who: " + "x" * 20_000, "longer than 10,000 bytes"),
    ],
)
def test_what_a_submission_says_is_lines_of_text(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / submission.ABOUT).write_text(text)
    with pytest.raises(InputError, match=says):
        submission._about(tmp_path)


def test_words_of_a_submission_are_shown_as_they_stand() -> None:
    said = "A.\n# Heading ![x](https://a.example/x.png) <img onerror=1> `code` | cell"
    assert plain(said) == (
        r"A. \# Heading \!\[x\]\(https://a.example/x.png\) &lt;img onerror=1&gt; \`code\` \| cell"
    )
    assert json.dumps(plain("CC-BY-4.0, B. & C.")) == '"CC-BY-4.0, B. &amp; C."'


@pytest.mark.parametrize(
    ("files", "is_ours"),
    [
        (["examples.npz", "sites.csv", ".1-1.counts.parquet"], False),
        (["model.pt", "sites.csv"], True),
        (["metrics.json"], True),
    ],
)
def test_a_scoring_that_was_killed_is_taken_up(files: list[str], is_ours: bool, tmp_path: Path) -> None:
    """What it leaves is no run of ours."""
    run = BenchmarkPaths("tiny", tmp_path).run("theirs")
    run.mkdir(parents=True)
    for name in files:
        (run / name).write_text('{"unlabelled": true}')
    if not is_ours:
        assert score._run(BenchmarkPaths("tiny", tmp_path), "theirs") == run
        return
    with pytest.raises(InputError, match="is no submission"):
        score._run(BenchmarkPaths("tiny", tmp_path), "theirs")
