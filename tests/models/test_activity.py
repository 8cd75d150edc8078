import numpy as np
import pytest

from models.activity import ndtci


def test_the_formula() -> None:
    change = np.random.default_rng(0).random((4, 10, 12))
    found = ndtci(change)
    stable = np.quantile(change.mean(axis=0), 0.25)
    assert np.allclose(found.index, (change - stable) / (change + stable + 1e-6), atol=1e-5)
    assert np.allclose(found.mean_ndtci, found.index.mean(axis=0))
    assert np.allclose(found.timeline, found.index.mean(axis=(1, 2)))
    assert found.changed_area_m2.tolist() == [(m >= 0.5).sum() * 100 for m in change]


def test_a_busy_year_stands_out() -> None:
    change = np.full((3, 8, 8), 0.05)
    change[1, :4] = 0.9
    assert ndtci(change).timeline.argmax() == 1


def test_no_maps_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one map"):
        ndtci(np.zeros((0, 4, 4)))
