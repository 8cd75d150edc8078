import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.core import eight_bits


@given(arrays(np.uint8, (2, 3, 4)), arrays(bool, (2, 3, 4)))
def test_black_and_no_data_stay_apart(pixels: np.ndarray, has_data: np.ndarray) -> None:
    raised = eight_bits.raised(pixels, has_data)
    assert raised.dtype == np.uint16
    assert ((raised > 0) == has_data).all()
    assert (eight_bits.lowered(raised) == np.where(has_data, pixels, 0)).all()
    assert (eight_bits.read_back(eight_bits.kept(raised)) == raised).all()


@given(arrays(np.uint8, (2, 3, 4), elements=st.integers(0, 255)))
def test_without_black_scenes_are_kept_as_ever(pixels: np.ndarray) -> None:
    """So that their checksums, and what is made of them, stay."""
    kept = eight_bits.kept(eight_bits.raised(pixels, pixels > 0))
    assert kept.dtype == np.uint8
    assert (kept == pixels).all()
