"""Masked median and medoid over dates, compiled.

Notes on masking. 0 is nodata everywhere. An observation counts where its clear mask is set and it
is not 0; one that does not count becomes 65,535 and sorts behind all that do, so the median is
read at the pixel's own count. A pixel without any observation stays 0.

Arrays come at two pixel sizes: `fine`, on the target grid, and `coarse`, on twice its pixel with
a halo of one pixel on each side. A coarse band is interpolated bilinearly (weights 9, 3, 3, 1 of
16) inside the kernel, row by row, before the median is taken; nodata has no weight, and a fine
pixel inside a nodata coarse pixel is nodata.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Stack = NDArray[np.uint16]
Mask = NDArray[np.uint8]
Image = NDArray[np.uint16]
Count = NDArray[np.uint8]
INVALID = 65535
MOST_DATES = 255


def median(stack: Stack, clear: Mask, shape: tuple[int, int]) -> tuple[Image, Count]:
    """Median of the clear observations of one band, and how many there were.

    `stack` is (date, y, x) at the target's `shape`, or coarse with its halo; `clear` is
    (date, y, x) at `shape`, or at half of it. The median of an even count is the two middle
    values' mean, rounded down. Returns (y, x) uint16 and uint8. ValueError on other shapes.
    """
    _check(stack, clear, shape)
    image, count = np.empty(shape, np.uint16), np.empty(shape, np.uint8)
    first, second = comparators(len(stack))
    _median(stack, clear, first, second, image, count)
    return image, count


def medoid(
    fine: NDArray[np.uint16], coarse: NDArray[np.uint16], clear: Mask, shape: tuple[int, int]
) -> tuple[NDArray[np.uint16], Count]:
    """The clear observation with the least sum of Euclidean distances to the others, all bands
    together (Flood 2013, doi 10.3390/rs5126481); the earliest of equals.

    `fine` (date, band, y, x) and `coarse` (date, band, y, x) hold the bands in their two sizes;
    either may have no bands. An observation counts only where all its bands have data. Returns
    (band, y, x) uint16, the fine bands first, and the counts (y, x) uint8.
    """
    bands = fine.shape[1] + coarse.shape[1]
    image, count = np.empty((bands, *shape), np.uint16), np.empty(shape, np.uint8)
    _medoid(fine, coarse, clear, image, count)
    return image, count


def upsampled(coarse: NDArray[np.uint16], shape: tuple[int, int]) -> Image:
    """One coarse image (y, x, with halo) on the target grid, by the kernel's own interpolation."""
    image = np.empty(shape, np.uint16)
    for row in range(shape[0]):
        _interpolate_row(coarse, row, image[row])
    return image


def comparators(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Batcher's odd-even merge sort as pairs of positions to put in order.

    Made for the next power of two; pairs that reach beyond `count` drop out, since what they
    would compare with sorts last anyway.
    """
    size = 1 << max(0, count - 1).bit_length()
    halvings = [(p, p >> shift) for p in _powers(size) for shift in range(p.bit_length())]
    pairs = [
        (a, a + k)
        for p, k in halvings
        for start in range(k % p, size - k, 2 * k)
        for a in range(start, start + min(k, size - start - k))
        if a // (2 * p) == (a + k) // (2 * p) and a + k < count
    ]
    table = np.array(pairs, np.int64).reshape(-1, 2)
    return np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])


def _powers(size: int) -> list[int]:
    """Powers of two below `size`."""
    return [1 << exponent for exponent in range(size.bit_length() - 1)]


def _check(stack: Stack, clear: Mask, shape: tuple[int, int]) -> None:
    if len(stack) > MOST_DATES:
        raise ValueError(f"{len(stack)} dates are more than a count of one byte can hold, {MOST_DATES}")
    half = (shape[0] // 2, shape[1] // 2)
    if stack.shape[1:] not in {shape, (half[0] + 2, half[1] + 2)}:
        raise ValueError(f"stack is {stack.shape[1:]}, neither {shape} nor half of it with a halo")
    if clear.shape[1:] not in {shape, half} or len(clear) != len(stack):
        raise ValueError(f"clear is {clear.shape}, for a stack of {stack.shape} and shape {shape}")


@njit(nogil=True, cache=True)
def _interpolate_row(coarse, y, row):  # type: ignore[no-untyped-def]
    """Row `y` of the fine grid from a coarse image with a halo of one pixel."""
    near = y // 2 + 1
    far = near - 1 if y % 2 == 0 else near + 1
    a, b = coarse[near], coarse[far]
    complete = True
    for x in range(a.size):
        complete &= (a[x] != 0) & (b[x] != 0)
    half = row.size // 2
    if complete:
        for i in range(half):
            middle = 3 * np.uint32(a[i + 1]) + np.uint32(b[i + 1])
            left = 3 * np.uint32(a[i]) + np.uint32(b[i])
            right = 3 * np.uint32(a[i + 2]) + np.uint32(b[i + 2])
            row[2 * i] = (3 * middle + left + np.uint32(8)) >> np.uint32(4)
            row[2 * i + 1] = (3 * middle + right + np.uint32(8)) >> np.uint32(4)
        return
    for x in range(row.size):
        i = x // 2 + 1
        j = i - 1 if x % 2 == 0 else i + 1
        total, weight = np.int64(0), np.int64(0)
        for value, share in ((a[i], 9), (a[j], 3), (b[i], 3), (b[j], 1)):
            if value != 0:
                total += share * np.int64(value)
                weight += share
        row[x] = 0 if a[i] == 0 else (total + weight // 2) // weight


@njit(nogil=True, cache=True)
def _fill_row(image, y, row):  # type: ignore[no-untyped-def]
    """Row `y` of an image that is fine or coarse."""
    if image.shape[1] == row.size:
        row[:] = image[y]
    else:
        _interpolate_row(image, y, row)


@njit(nogil=True, cache=True)
def _blank_row(clear, y, row):  # type: ignore[no-untyped-def]
    """Row `y` of a mask as 65,535 where it is not clear and 0 where it is."""
    if clear.shape[1] == row.size:
        for x in range(row.size):
            row[x] = 0 if clear[y, x] else INVALID
    else:
        for i in range(row.size // 2):
            blank = 0 if clear[y // 2, i] else INVALID
            row[2 * i] = blank
            row[2 * i + 1] = blank


@njit(nogil=True, cache=True)
def _median(stack, clear, first, second, image, count):  # type: ignore[no-untyped-def]
    dates, (height, width) = stack.shape[0], image.shape
    rows = np.empty((dates, width), np.uint16)
    blank = np.empty(width, np.uint16)
    for y in range(height):
        valid = count[y]
        valid[:] = 0
        for t in range(dates):
            row = rows[t]
            _fill_row(stack[t], y, row)
            _blank_row(clear[t], y, blank)
            for x in range(width):
                value = row[x] | blank[x]
                value = np.uint16(INVALID) if value == 0 else value
                row[x] = value
                valid[x] += np.uint8(value != INVALID)
        for k in range(first.size):
            low, high = rows[first[k]], rows[second[k]]
            for x in range(width):
                a, b = low[x], high[x]
                low[x] = min(a, b)
                high[x] = max(a, b)
        for x in range(width):
            n = np.int64(valid[x])
            if n == 0:
                image[y, x] = 0
            else:
                image[y, x] = (np.uint32(rows[(n - 1) // 2, x]) + np.uint32(rows[n // 2, x])) // 2


@njit(nogil=True, cache=True)
def _medoid(fine, coarse, clear, image, count):  # type: ignore[no-untyped-def]
    dates, fines, coarses = fine.shape[0], fine.shape[1], coarse.shape[1]
    bands, (height, width) = fines + coarses, count.shape
    rows = np.empty((dates, bands, width), np.uint16)
    blank = np.empty((dates, width), np.uint16)
    for y in range(height):
        for t in range(dates):
            _blank_row(clear[t], y, blank[t])
            for band in range(fines):
                _fill_row(fine[t, band], y, rows[t, band])
            for band in range(coarses):
                _fill_row(coarse[t, band], y, rows[t, fines + band])
        for x in range(width):
            best, least, valid = -1, np.inf, 0
            for t in range(dates):
                if not _counts(rows, blank, t, x):
                    continue
                valid += 1
                cost = 0.0
                for other in range(dates):
                    if other != t and _counts(rows, blank, other, x):
                        square = 0.0
                        for band in range(bands):
                            step = np.float64(rows[t, band, x]) - np.float64(rows[other, band, x])
                            square += step * step
                        cost += np.sqrt(square)
                if cost < least:
                    best, least = t, cost
            count[y, x] = valid
            for band in range(bands):
                image[band, y, x] = rows[best, band, x] if best >= 0 else 0


@njit(nogil=True, cache=True)
def _counts(rows, blank, t, x):  # type: ignore[no-untyped-def]
    """Whether date `t` is an observation at `x`: clear, and all bands with data."""
    if blank[t, x]:
        return False
    for band in range(rows.shape[1]):  # noqa: SIM110
        if rows[t, band, x] == 0:
            return False
    return True
