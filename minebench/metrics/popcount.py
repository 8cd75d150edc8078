"""Counting pixels of masks, compiled: what the consistency of many dates is made of."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLOCK = 512
"""Packed words of a date counted at a time: ten dates of prediction and truth stay in a near cache."""


@njit(nogil=True, cache=True)
def stable_counts(pred: Any, true: Any, shared: NDArray[np.int64], union: NDArray[np.int64]) -> None:
    """Add to `shared` and `union` (T, T), for dates i < j, the pixels of `pred` (T, W) that are set on both
    dates, and on either, where `true` is the same on both.

    Masks come as words of eight boolean pixels, W a multiple of 8, and are packed to 64 pixels a word here:
    in an order of their own, which no count depends on."""
    dates, words = pred.shape
    p, g = np.empty((dates, BLOCK), np.uint64), np.empty((dates, BLOCK), np.uint64)
    for start in range(0, words, 8 * BLOCK):
        size = min(words - start, 8 * BLOCK) // 8
        for date in range(dates):
            _pack(pred[date, start : start + 8 * size], p[date, :size])
            _pack(true[date, start : start + 8 * size], g[date, :size])
        for i in range(dates - 1):
            for j in range(i + 1, dates):
                both, either = np.uint64(0), np.uint64(0)
                for k in range(size):
                    stable = ~(g[i, k] ^ g[j, k])
                    both += _bits_set(p[i, k] & p[j, k] & stable)
                    either += _bits_set((p[i, k] | p[j, k]) & stable)
                shared[i, j] += np.int64(both)
                union[i, j] += np.int64(either)


@njit(nogil=True, cache=True)
def _pack(flags: Any, packed: Any) -> None:
    """Eight words of eight flags each, one from every eighth of `flags`, as one word."""
    size = packed.size
    for k in range(size):
        word = flags[k]
        for part in range(1, 8):
            word |= flags[part * size + k] << np.uint64(part)
        packed[k] = word


@njit(inline="always")
def _bits_set(word):  # type: ignore[no-untyped-def]
    """Sums within pairs, fours and eights of bits; the compiler knows this form and uses the processor's
    own instruction."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)
