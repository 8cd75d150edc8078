"""Counting pixels of masks packed to bits, compiled: what the consistency of many dates is made of."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLOCK = 1024
"""Words of a date counted at a time: ten dates of prediction and truth stay in the nearest cache."""


@njit(nogil=True, cache=True)
def stable_counts(pred: Any, true: Any, shared: NDArray[np.int64], union: NDArray[np.int64]) -> None:
    """Add to `shared` and `union` (T, T), for dates i < j, the pixels of `pred` (T, W words of 64 bits) that
    are set on both dates, and on either, where `true` is the same on both."""
    dates, words = pred.shape
    for start in range(0, words, BLOCK):
        end = min(words, start + BLOCK)
        for i in range(dates - 1):
            for j in range(i + 1, dates):
                both, either = np.uint64(0), np.uint64(0)
                for k in range(start, end):
                    stable = ~(true[i, k] ^ true[j, k])
                    both += _bits_set(pred[i, k] & pred[j, k] & stable)
                    either += _bits_set((pred[i, k] | pred[j, k]) & stable)
                shared[i, j] += np.int64(both)
                union[i, j] += np.int64(either)


@njit(inline="always")
def _bits_set(word):  # type: ignore[no-untyped-def]
    """Sums within pairs, fours and eights of bits; the compiler knows this form and uses the processor's
    own instruction."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)
