import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minebench.cube import encoding

NUMBERS = np.arange(-128, 128).astype(np.int8)


def test_every_number_comes_back() -> None:
    vectors = encoding.decoded(NUMBERS)
    assert np.isnan(vectors[0])
    assert not np.isnan(vectors[1:]).any()
    # Google's formula: sign(k) (k / 127.5)^2.
    assert vectors[-1] == pytest.approx((127 / 127.5) ** 2)
    assert vectors[NUMBERS == 0] == 0
    assert vectors[NUMBERS == -64] == pytest.approx(-((64 / 127.5) ** 2))
    assert (encoding.coded(vectors) == NUMBERS).all()
    assert (encoding.coded(vectors.astype(np.float64)) == NUMBERS).all()


@given(hnp.arrays(np.float64, (64,), elements=st.floats(-1, 1)).filter(lambda v: np.linalg.norm(v) > 1e-3))
def test_a_vector_keeps_its_direction(vector: np.ndarray) -> None:
    vector = vector / np.linalg.norm(vector)
    again = encoding.decoded(encoding.coded(vector))
    assert vector @ again / np.linalg.norm(again) > 0.999


def test_signed_bytes_are_held_with_0_as_nodata() -> None:
    held = encoding.raised(NUMBERS)
    assert held.dtype == np.uint8
    assert (held == np.arange(256)).all()
    assert encoding.stored(held, "int8").dtype == np.int8
    assert (encoding.stored(held, "int8") == NUMBERS).all()
    other = np.array([0, 9], np.uint16)
    assert encoding.raised(other) is other
    assert encoding.stored(other, "uint16") is other
