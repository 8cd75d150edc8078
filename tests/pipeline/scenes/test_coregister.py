from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, shift

from pipeline.geo import grid
from pipeline.scenes.coregister import Reference
from pipeline.scenes.store import SceneStore, name_of


def land(seed: int, side: int = 192) -> np.ndarray:
    """Fields with edges and texture, three bands."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 1, (3, side // 12 + 2, side // 12 + 2))
    fields = coarse.repeat(12, axis=1).repeat(12, axis=2)[:, :side, :side]
    return gaussian_filter(1000 + 2000 * fields + rng.normal(0, 60, fields.shape), (0, 1, 1))


@settings(max_examples=15)
@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.integers(0, 50))
def test_known_shifts_are_found(down: float, right: float, seed: int) -> None:
    image = land(seed)
    moved = shift(image, (0, down, right), order=3, mode="nearest") * 1.2 + 100
    clear = np.ones(image.shape[1:], bool)
    clear[:4] = clear[-4:] = clear[:, :4] = clear[:, -4:] = False
    found = Reference.of(image, clear).measure(moved, clear)
    assert found.down == pytest.approx(down, abs=0.08)
    assert found.right == pytest.approx(right, abs=0.08)
    assert found.is_sure


def test_clouds_and_a_growing_mine_pull_nowhere() -> None:
    image = land(1)
    moved = shift(image, (0, 0.4, -0.3), order=3, mode="nearest")
    moved[:, 60:110, 70:120] = 4000  # a new pit
    moved[:, 120:170, :60] = 9000  # a cloud, known as such
    clear = np.ones(image.shape[1:], bool)
    clear[115:175, :65] = False
    found = Reference.of(image, clear).measure(moved, clear)
    assert (found.down, found.right) == (pytest.approx(0.4, abs=0.1), pytest.approx(-0.3, abs=0.1))


def test_nothing_is_claimed_of_unlike_or_hidden_images() -> None:
    image, clear = land(1), np.ones((192, 192), bool)
    assert not Reference.of(image, clear).measure(land(2), clear).is_sure
    assert Reference.of(image, clear).measure(image, np.zeros_like(clear)).confidence == 0
    flat = np.full_like(image, 500.0)
    assert Reference.of(flat, clear).measure(flat, clear).size == pytest.approx(0, abs=1e-6)


def noise(seed: int, side: int, width: float) -> np.ndarray:
    """Return three bands of noise, each value of a normal distribution smoothed over `width` pixels."""
    image = gaussian_filter(np.random.default_rng(seed).normal(0, 1, (3, side, side)), (0, width, width))
    return 1000 + 300 * image / image.std()


@settings(max_examples=60)
@given(st.integers(32, 256), st.floats(0, 2), st.integers(0, 10**6))
def test_noise_is_no_shift(side: int, width: float, seed: int) -> None:
    clear = np.ones((side, side), bool)
    offset = Reference.of(noise(seed, side, width), clear).measure(noise(seed + 1, side, width), clear)
    assert not offset.is_sure


@settings(max_examples=15)
@given(st.integers(48, 300), st.floats(-1, 1), st.floats(-1, 1), st.integers(0, 50))
def test_a_shift_of_a_small_site_that_is_sure_is_right(
    side: int, down: float, right: float, seed: int
) -> None:
    image = land(seed, side + 8)
    moved = shift(image, (0, down, right), order=5, mode="mirror")
    first, second = (each[:, 4:-4, 4:-4] for each in (image, moved))
    clear = np.ones((side, side), bool)
    offset = Reference.of(first, clear).measure(second, clear)
    if offset.is_sure:
        assert (offset.down, offset.right) == (pytest.approx(down, abs=0.15), pytest.approx(right, abs=0.15))


def test_known_shifts_of_sites_of_75_pixels_are_mostly_sure() -> None:
    rng, clear = np.random.default_rng(3), np.ones((75, 75), bool)
    sure = 0
    for seed in range(20):
        image = land(seed, 91)
        moved = shift(image, (0, *rng.uniform(-1, 1, 2)), order=5, mode="mirror")
        moved += rng.normal(0, 100, moved.shape)
        first, second = (each[:, 8:-8, 8:-8] for each in (image, moved))
        sure += Reference.of(first, clear).measure(second, clear).is_sure
    assert sure >= 10


@pytest.mark.parametrize("by", [5, 6, 8])
@pytest.mark.parametrize("side", [64, 128, 300])
def test_what_lies_beyond_the_search_is_not_sure(side: int, by: int) -> None:
    image, clear = land(4, side + 16), np.ones((side, side), bool)
    offset = Reference.of(image[:, 8:-8, 8:-8], clear).measure(image[:, 8 - by : -8 - by, 8:-8], clear)
    assert not offset.is_sure


def test_one_clear_corner_of_a_large_site_is_not_enough() -> None:
    image = land(5, 300)
    clear = np.zeros((300, 300), bool)
    clear[:50, :50] = True
    assert Reference.of(image, clear).measure(shift(image, (0, 0.5, 0.5)), clear).confidence == 0


def test_halves_that_moved_apart_are_not_sure() -> None:
    """As the two banks of a river that has moved, or a mosaic of two passes."""
    image, clear = land(6, 96), np.ones((96, 96), bool)
    moved = image.copy()
    moved[:, :, 48:] = shift(image, (0, 2, 0), order=3, mode="mirror")[:, :, 48:]
    assert not Reference.of(image, clear).measure(moved, clear).is_sure


def test_a_pattern_that_repeats_is_not_sure() -> None:
    """Rows of a plantation three pixels apart lie on each other at every third pixel."""
    rows = np.tile(np.sin(np.arange(96) * 2 * np.pi / 3) * 300 + 1000, (96, 1))
    image = np.stack([rows + rows.T] * 3)
    clear = np.ones((96, 96), bool)
    assert not Reference.of(image, clear).measure(np.roll(image, 1, axis=2), clear).is_sure


def test_a_shifted_file_of_a_killed_run_does_not_count_twice(tmp_path: Path) -> None:
    store = SceneStore(tmp_path)
    pixels = np.ones((1, 4, 4), np.uint16)
    box = grid.geobox(32633, 0, 40, 4, 4, 10)
    for metres in ((0.0, 0.0), (1.5, -2.0)):
        store.write(name_of("s", "10m", metres), pixels, box, ["B02"])
    resumed = SceneStore(tmp_path)
    assert resumed.has(name_of("s", "10m"))
    assert resumed.bands("s") == [name_of("s", "10m")]
