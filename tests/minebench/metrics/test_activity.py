import numpy as np
import pytest

from minebench.metrics.activity import first_and_last, ndtci


def test_the_formula() -> None:
    change = np.random.default_rng(0).random((4, 10, 12))
    found = ndtci(change)
    stable = np.quantile(change.mean(axis=0), 0.25)
    assert np.allclose(found.index, (change - stable) / (change + stable + 1e-6), atol=1e-5)
    assert np.allclose(found.mean_ndtci, found.index.mean(axis=0))
    assert np.allclose(found.timeline, found.index.mean(axis=(1, 2)))


def test_a_busy_year_stands_out() -> None:
    change = np.full((3, 8, 8), 0.05)
    change[1, :4] = 0.9
    assert ndtci(change).timeline.argmax() == 1


def test_no_maps_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one map"):
        ndtci(np.zeros((0, 4, 4)))


def test_unknown_pixels_are_left_out() -> None:
    change = np.random.default_rng(1).random((5, 6, 7)).astype(np.float32)
    known = np.ones(change.shape, bool)
    known[:, :2] = False
    found, alone = ndtci(change, known=known), ndtci(change[:, 2:])
    assert np.isnan(found.index[:, :2]).all()
    assert np.allclose(found.index[:, 2:], alone.index, atol=1e-6)
    assert np.allclose(found.timeline, alone.timeline)
    assert np.isnan(found.mean_ndtci[:2]).all()
    assert np.allclose(found.mean_ndtci[2:], alone.mean_ndtci, atol=1e-6)


def test_a_pixel_known_once_has_the_mean_of_once() -> None:
    change = np.random.default_rng(2).random((3, 4, 4))
    known = np.ones(change.shape, bool)
    known[1:, 0, 0] = False
    found = ndtci(change, known=known)
    assert found.mean_ndtci[0, 0] == pytest.approx(found.index[0, 0, 0])


def test_weights_weigh() -> None:
    found = ndtci(np.random.default_rng(3).random((2, 4, 4)))
    assert np.allclose(found.weighted_mean(np.array([1.0, 0.0])), found.index[0], atol=1e-6)
    assert np.allclose(found.weighted_mean(np.array([2.0, 2.0])), found.mean_ndtci, atol=1e-6)


def test_first_and_last_change() -> None:
    changed = np.zeros((3, 1, 3), bool)
    changed[1, 0, 1] = changed[0, 0, 2] = changed[2, 0, 2] = True
    first, last = first_and_last(changed)
    assert first.tolist() == [[0, 2, 1]]
    assert last.tolist() == [[0, 2, 3]]
