"""How far a date lies off the site's reference, to a fraction of a pixel.

Notes on masking. Only pixels that are clear on both dates count; others are 0 after the local mean
is taken out, so they pull nowhere. A window counts where most of it is clear.

The measure is phase correlation with an upsampled peak (Guizar-Sicairos et al. 2008, doi
10.1364/OL.33.000156) in many small windows. The bands are summed first, each weighed by its own
contrast in the reference, and the local mean and contrast are taken out of the sum. A mine changes
in some windows; the median over them does not follow it.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import fftfreq, rfft2
from scipy.ndimage import gaussian_filter, uniform_filter

VERSION = 2
"""Of the measure: raise it when the same images give other shifts. A frozen choice keeps the shifts that
it was made with; `fetch --refresh` measures anew."""
WINDOW = 64
"""Side of a window, pixels; half of it is the step, or more where there would be more than `MOST`."""
MOST = 200
"""Windows of an image. The error of their mean falls with their square root: 200 are good for a
hundredth of a pixel."""
FINE, COARSE = 0.45, 2.3
"""Standard deviations, pixels, of the smoothing and of the local mean."""
CONTRAST = 31
"""Side of the square, pixels, over which local contrast is taken."""
STEPS = 20
"""Parts of a pixel in which a window's peak is looked for; the mean of many windows is finer."""
STRONGEST = 2.0
"""Local contrasts are cut off here: a new roof must not outweigh a field's edge."""
AGREE = 0.3
"""Windows this close to the median, pixels, agree with it."""
CLEAR_SHARE = 0.6
"""Of a window, to be measured at all: at the edge of what is hidden everything seems to stand still."""
FAINTEST = 1.0
"""Digital numbers of contrast below which there is nothing to see."""
PLAINEST = 0.05
"""Standard deviation of a window's texture below which there is nothing to match."""
FEWEST = 6
"""Windows that must agree, where an image has as many."""
TRUSTED = 0.4
"""Confidence from which a shift is believed."""
SMALLEST = 0.1
"""Shifts below this, pixels, are within the measure's own error and stay; the less windows agree, the
larger a shift must be."""
LARGEST = 4
"""Shifts beyond this, whole pixels, are not looked for: they are no misregistration."""
BoolImage = NDArray[np.bool_]
FloatImage = NDArray[np.float32]


@dataclass(frozen=True)
class Offset:
    """Content displaced by so many pixels down and right of the reference's; `confidence` is the
    share of windows that agree, 0 where too few could be measured."""

    down: float
    right: float
    confidence: float

    @property
    def size(self) -> float:
        """Length in pixels."""
        return float(np.hypot(self.down, self.right))

    @property
    def is_sure(self) -> bool:
        return self.confidence >= TRUSTED

    @property
    def is_worth_correcting(self) -> bool:
        return self.is_sure and self.size * self.confidence >= SMALLEST


@dataclass(frozen=True)
class Reference:
    """The date that the others are measured against, all that can be made of it once: the weight of each
    band in the sum, and of each window of its texture the spectrum and the standard deviation."""

    weights: FloatImage = field(repr=False)
    spectra: NDArray[np.complex64] = field(repr=False)
    contrast: FloatImage = field(repr=False)

    @classmethod
    def of(cls, image: NDArray[Any], clear: BoolImage) -> "Reference":
        """From an image (band, y, x) and its clear pixels (y, x)."""
        weights = _weights(image, clear)
        windows = _windows(texture(_summed(image, weights), clear))
        return cls(weights, np.conj(_spectra(windows)), windows.std((1, 2)))

    def measure(self, moving: NDArray[Any], clear: BoolImage) -> Offset:
        """Offset of another image (band, y, x) on the same grid; `clear` (y, x) says which pixels are
        clear in both. Images smaller than a window are one window."""
        windows = _windows(texture(_summed(moving, self.weights), clear))
        usable = _windows(clear).mean((1, 2)) >= CLEAR_SHARE
        usable &= np.minimum(self.contrast, windows.std((1, 2))) > PLAINEST
        if not usable.any():
            return Offset(0.0, 0.0, 0.0)
        shifts = _peaks(self.spectra[usable] * _spectra(windows[usable]), windows.shape[-1])
        middle = np.median(shifts, axis=0)
        agreeing = np.abs(shifts - middle).max(axis=1) < AGREE
        if agreeing.sum() < min(FEWEST, len(usable)):
            return Offset(0.0, 0.0, 0.0)
        down, right = shifts[agreeing].mean(axis=0)
        return Offset(float(down), float(right), float(agreeing.mean()))


def _weights(image: NDArray[Any], clear: BoolImage) -> FloatImage:
    """One over each band's mean step between clear neighbours, scaled to a sum of 1."""
    both = clear[:, 1:] & clear[:, :-1]
    steps = [np.abs(np.diff(band.astype(np.float32)))[both] for band in image]
    found = np.array([1 / max(float(step.mean()), FAINTEST) if step.size else 1.0 for step in steps])
    return (found / found.sum()).astype(np.float32)


def _summed(image: NDArray[Any], weights: FloatImage) -> FloatImage:
    total = np.zeros(image.shape[1:], np.float32)
    for band, weight in zip(image, weights, strict=True):
        total += band * weight
    return total


def texture(image: FloatImage, clear: BoolImage) -> FloatImage:
    """An image (y, x) without local mean and contrast, slightly smoothed; 0 where not clear."""
    if clear.all():
        detail = image - _near(image)
        contrast = np.sqrt(np.maximum(_wide(detail * detail), 0)) + FAINTEST
        return _smooth(detail / contrast)
    seen = clear.astype(np.float32)
    near, wide = (np.maximum(blur(seen), 1e-3) for blur in (_near, _wide))
    detail = (image - _near(image * seen) / near) * seen
    contrast = np.sqrt(np.maximum(_wide(detail * detail) / wide, 0)) + FAINTEST
    return _smooth(detail / contrast) * near * seen


def _smooth(detail: NDArray[Any]) -> FloatImage:
    clipped = np.clip(detail, -STRONGEST, STRONGEST, out=detail)
    return np.asarray(gaussian_filter(clipped, FINE, truncate=3.0))


def _near(image: NDArray[Any]) -> FloatImage:
    return np.asarray(gaussian_filter(image, COARSE, truncate=3.0))


def _wide(image: NDArray[Any]) -> FloatImage:
    return np.asarray(uniform_filter(image, CONTRAST, mode="nearest"))


def _windows(image: NDArray[Any]) -> NDArray[Any]:
    """Windows (window, y, x) of an image, half overlapping, or farther apart where it is large."""
    side = min(WINDOW, *image.shape)
    step = side // 2 or 1
    while np.prod([(length - side) // step + 1 for length in image.shape]) > MOST:
        step += 1
    return sliding_window_view(image, (side, side))[::step, ::step].reshape(-1, side, side)


def _spectra(windows: FloatImage) -> NDArray[np.complex64]:
    """Half the spectrum of each window (window, y, x), tapered to its edges."""
    taper = np.hanning(windows.shape[-1] + 2)[1:-1].astype(np.float32)
    return np.asarray(rfft2(windows * (taper[:, None] * taper[None, :])))


def _peaks(spectra: NDArray[np.complex64], side: int) -> NDArray[np.float64]:
    """Displacements (window, [down, right]) at the peaks of cross-correlations, at most LARGEST either
    way: to the pixel first, then in steps of a fraction of it around there. `spectra` (window, y, x) are
    those that `rfft2` makes of windows of `side` pixels."""
    down, right = fftfreq(side), np.arange(spectra.shape[-1]) / side
    # Of a real image's spectrum half is there; what has a mirror image counts twice.
    twice = np.where((right == 0) | (right == 0.5), 1, 2)
    steps, fine = np.arange(-LARGEST, LARGEST + 1), np.arange(-STEPS, STEPS + 1) / STEPS
    whole = steps[_highest(spectra, steps, down, right, twice)]
    turns = [np.exp(2j * np.pi * whole[:, [axis]] * by) for axis, by in enumerate((down, right))]
    moved = spectra * turns[0].astype(np.complex64)[:, :, None] * turns[1].astype(np.complex64)[:, None, :]
    return whole + fine[_highest(moved, fine, down, right, twice)]


def _highest(
    spectra: NDArray[np.complex64], steps: NDArray[Any], down: NDArray[Any], right: NDArray[Any],
    twice: NDArray[Any],
) -> NDArray[np.int64]:  # fmt: skip
    """Places (window, [down, right]) among `steps` where each cross-correlation is highest."""
    rows = np.exp(2j * np.pi * np.outer(steps, down)).astype(np.complex64)
    columns = (np.exp(2j * np.pi * np.outer(right, steps)) * twice[:, None]).astype(np.complex64)
    height = (rows @ spectra @ columns).real.reshape(len(spectra), -1)
    return np.column_stack(np.unravel_index(height.argmax(axis=1), (len(steps), len(steps))))
