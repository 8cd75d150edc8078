"""Where the cross-correlations of many windows are highest, and how sure that is.

A place or a fraction that chance or change may have made is None: its peak lies beyond the largest
shift, a second peak is nearly as high, opposite halves of the site say otherwise, or the peak moves when
single windows are left out (the jackknife's standard error; Efron 1979, doi 10.1214/aos/1176344552).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fftfreq

LARGEST = 4
"""Shifts beyond this, whole pixels, are not believed: they are no misregistration."""
WHOLE = np.arange(-LARGEST - 1, LARGEST + 2)
"""Displacements, pixels, at which the highest place is looked for: one more, to see what lies beyond."""
PARTS = np.arange(-10, 11) / 10
"""Displacements, pixels, around that place; a parabola through three of them gives the peak."""
AGREE = 0.4
"""Windows whose own peak is this close to that of all, pixels, agree with it."""
BESIDE = 2
"""Whole pixels around a peak that are its slope, and hold no second peak."""
SECOND = 0.7
"""Share of the highest peak that a second one may reach."""
LARGEST_ERROR, ENOUGH = 0.05, 25
"""Standard error of a peak, pixels, where so many windows tell it. An error that fewer tell is less certain
itself, and must be smaller with the root of their number."""
HALVES = 0.5
"""Difference between the peaks of opposite halves, pixels."""
Surfaces = NDArray[np.float64]
"""Correlations (window, down, right) by displacement."""


class Fraction(NamedTuple):
    """A displacement in parts of a pixel, and the share of windows that agree with it."""

    down: float
    right: float
    agreement: float


def surfaces(spectra: NDArray[np.complex64], side: int, steps: NDArray[np.float64 | np.int64]) -> Surfaces:
    """Return cross-correlations (window, down, right) at displacements `steps`, pixels, either way, from
    those halves of cross-spectra (window, y, x) that `rfft2` makes of windows of `side` pixels."""
    down, right = fftfreq(side), np.arange(spectra.shape[-1]) / side
    # What has a mirror image counts twice.
    twice = np.where((right == 0) | (right == 0.5), 1, 2)
    rows = np.exp(2j * np.pi * np.outer(steps, down)).astype(np.complex64)
    columns = (np.exp(2j * np.pi * np.outer(right, steps)) * twice[:, None]).astype(np.complex64)
    return np.asarray((rows @ spectra @ columns).real, np.float64)


def highest_place(windows: Surfaces) -> tuple[int, int] | None:
    """Return the displacement (down, right), whole pixels, where windows taken at `WHOLE` correlate best."""
    mean = windows.mean(axis=0)
    row, column = (int(i) for i in np.unravel_index(mean.argmax(), mean.shape))
    down, right = int(WHOLE[row]), int(WHOLE[column])
    others = np.ones(mean.shape, bool)
    others[max(row - BESIDE, 0) : row + BESIDE + 1, max(column - BESIDE, 0) : column + BESIDE + 1] = False
    if max(abs(down), abs(right)) > LARGEST or mean[others].max() > SECOND * mean[row, column]:
        return None
    return down, right


def fraction(windows: Surfaces, places: NDArray[np.int64]) -> Fraction | None:
    """Return what is left between windows, taken at `PARTS`, that show the same ground; `places`
    (window, [down, right]) say where on the site each lies."""
    total = windows.sum(axis=0)
    (peak,) = _peaks(total[np.newaxis])
    left_out = _peaks(total - windows)
    error = np.sqrt((len(windows) - 1) * left_out.var(axis=0)).max()
    most = LARGEST_ERROR * min(1, np.sqrt(len(windows) / ENOUGH))
    if error > most or np.abs(peak).max() > PARTS[-2] or _halves_differ(windows, places):
        return None
    own = _peaks(windows)
    agree = np.abs(own - peak).max(axis=1) < AGREE
    if not agree.any():
        return None
    down, right = own[agree].mean(axis=0)
    return Fraction(float(down), float(right), float(agree.mean()))


def _halves_differ(windows: Surfaces, places: NDArray[np.int64]) -> bool:
    """Return whether opposite halves of the site, upper and lower or left and right, have other peaks."""
    for along in places.T:
        middle = (along.min() + along.max()) / 2
        halves = [windows[part].sum(axis=0) for part in (along <= middle, along >= middle) if part.any()]
        peaks = _peaks(np.stack(halves))
        if np.abs(peaks[0] - peaks[-1]).max() > HALVES:
            return True
    return False


def _peaks(windows: Surfaces) -> NDArray[np.float64]:
    """Return the peak (window, [down, right]) of each, by a parabola through the highest of `PARTS` and its
    neighbours."""
    step, last = PARTS[1] - PARTS[0], len(PARTS) - 1
    row, column = np.unravel_index(windows.reshape(len(windows), -1).argmax(axis=1), windows.shape[1:])
    each = np.arange(len(windows))
    peaks = []
    for at, before, after in (
        (
            row,
            windows[each, np.maximum(row - 1, 0), column],
            windows[each, np.minimum(row + 1, last), column],
        ),
        (
            column,
            windows[each, row, np.maximum(column - 1, 0)],
            windows[each, row, np.minimum(column + 1, last)],
        ),
    ):
        bend = before - 2 * windows[each, row, column] + after
        is_inside = (at > 0) & (at < last) & (bend < 0)
        beyond = np.where(is_inside, 0.5 * (before - after) / np.where(is_inside, bend, 1), 0)
        peaks.append(PARTS[at] + beyond * step)
    return np.column_stack(peaks)
