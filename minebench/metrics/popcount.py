"""Count pixels of packed masks with compiled code, for the consistency of many dates."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLOCK = 512
"""Packed words per date that are counted at once: ten dates of prediction and truth fit a core's cache."""


@njit(nogil=True, cache=True)
def stable_counts(pred: Any, true: Any, shared: NDArray[np.int64], union: NDArray[np.int64]) -> None:
    """Add pixel counts of all pairs of dates i < j to `shared` and `union`.

    Masks are words of eight boolean pixels, W a multiple of 8. Here they are packed to 64 pixels per word, in
    an order that no count depends on.

    Parameters
    ----------
    pred, true
        Masks (T, W) uint64.
    shared, union
        Counts (T, T) of pixels with equal truth at both dates that are predicted at both, and at either.
    """
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
    """Pack eight words of eight flags each, one from every eighth of `flags`, into one word."""
    size = packed.size
    for k in range(size):
        word = flags[k]
        for part in range(1, 8):
            word |= flags[part * size + k] << np.uint64(part)
        packed[k] = word


@njit(inline="always")
def _bits_set(word):  # type: ignore[no-untyped-def]
    """Return the number of set bits, in a form that the compiler turns into one instruction."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)
