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


@settings(max_examples=25)
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


def test_a_shifted_file_of_a_killed_run_does_not_count_twice(tmp_path: Path) -> None:
    store = SceneStore(tmp_path)
    pixels = np.ones((1, 4, 4), np.uint16)
    box = grid.geobox(32633, 0, 40, 4, 4, 10)
    for metres in ((0.0, 0.0), (1.5, -2.0)):
        store.write(name_of("s", "10m", metres), pixels, box, ["B02"])
    resumed = SceneStore(tmp_path)
    assert resumed.has(name_of("s", "10m"))
    assert resumed.bands("s") == [name_of("s", "10m")]
