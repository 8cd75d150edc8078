"""Shifts of real images (../shared/data), which lie on one grid or are moved by known amounts."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import rasterio
from scipy.ndimage import shift

from pipeline.scenes.coregister import Offset, Reference
from tests.conftest import ROOT

LANDSAT = ROOT.parent / "shared/data/landsat"
pytestmark = pytest.mark.skipif(
    not LANDSAT.is_dir(), reason="the real Landsat images of ../shared are absent"
)


@pytest.fixture(scope="module")
def years() -> list[np.ndarray]:
    """Return eight dates (band, y, x) of a river that moves, registered to 0.04 pixel."""
    images = []
    for path in sorted(LANDSAT.glob("*.tif")):
        with rasterio.open(path) as file:
            images.append(file.read())
    return images


def parts(years: list[np.ndarray], side: int, pad: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the same part of two dates, with `pad` pixels around it."""
    height, width = years[0].shape[1:]
    for (first, second), y, x in itertools.product(
        itertools.pairwise(years), range(pad, height - side - pad, 120), range(pad, width - side - pad, 150)
    ):
        window = np.s_[:, y - pad : y + side + pad, x - pad : x + side + pad]
        yield first[window], second[window]


def measured(first: np.ndarray, second: np.ndarray) -> Offset:
    clear = np.ones(first.shape[1:], bool)
    return Reference.of(first, clear).measure(second, clear)


@pytest.mark.parametrize("side", [48, 75, 95, 128])
def test_a_river_that_moves_is_no_shift(years: list[np.ndarray], side: int) -> None:
    offsets = [measured(*pair) for pair in parts(years, side)]
    errors = [max(abs(each.down), abs(each.right)) for each in offsets if each.is_sure]
    assert errors
    # The images themselves lie on each other to some hundredths of a pixel only, and their content changes.
    assert max(errors) < 0.2
    assert np.mean(np.array(errors) > 0.15) < 0.03


@pytest.mark.parametrize("side", [48, 75, 128])
def test_known_shifts_of_one_date_are_found(years: list[np.ndarray], side: int) -> None:
    rng, sure = np.random.default_rng(side), []
    for first, _ in itertools.islice(parts(years, side, pad=8), 12):
        by = rng.uniform(-1, 1, 2)
        moved = shift(first.astype(float), (0, *by), order=5, mode="mirror")
        offset = measured(*(each[:, 8:-8, 8:-8] for each in (first, np.clip(np.rint(moved), 1, 255))))
        sure.append(offset.is_sure)
        if offset.is_sure:
            assert (offset.down, offset.right) == (
                pytest.approx(by[0], abs=0.15), pytest.approx(by[1], abs=0.15)
            )  # fmt: skip
    assert np.mean(sure) >= 0.5


def test_other_places_are_not_taken_for_shifts(years: list[np.ndarray]) -> None:
    pairs = list(parts(years, 75))
    for (first, _), (_, second) in itertools.pairwise(pairs):
        assert not measured(first, second).is_sure
