"""How far a date lies off the site's reference, to a fraction of a pixel.

Notes on masking. Only pixels that are clear on both dates count; others are 0 after the local mean
is taken out, so they pull nowhere. A window counts where most of it is clear.

The measure is phase correlation with an upsampled peak (Guizar-Sicairos et al. 2008, doi
10.1364/OL.33.000156), of images with the local mean and contrast taken out, all bands together,
in many small windows. A mine changes in some windows; the median over them does not follow it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, fftfreq, ifft2
from scipy.ndimage import gaussian_filter, uniform_filter

VERSION = 1
"""Of the measure: raise it when the same images give other shifts. A frozen choice keeps the shifts that
it was made with; `fetch --refresh` measures anew."""
WINDOW = 64
"""Side of a window, pixels; half of it is the step."""
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


def measure(reference: NDArray[Any], moving: NDArray[Any], clear: BoolImage, window: int = WINDOW) -> Offset:
    """Offset of `moving` against `reference`, both (band, y, x) on one grid; `clear` (y, x) says
    which pixels are clear in both. Images smaller than a window are one window."""
    window = min(window, *clear.shape)
    first, second = texture(reference, clear), texture(moving, clear)
    taper = np.hanning(window + 2)[1:-1]
    weight = taper[:, None] * taper[None, :]
    found = [
        _peak(first[:, rows, columns] * weight, second[:, rows, columns] * weight)
        for rows, columns in _windows(clear, window)
        if min(first[:, rows, columns].std(), second[:, rows, columns].std()) > 0.05
    ]
    if not found:
        return Offset(0.0, 0.0, 0.0)
    shifts = np.array(found)
    middle = np.median(shifts, axis=0)
    agreeing = np.abs(shifts - middle).max(axis=1) < AGREE
    if agreeing.sum() < min(FEWEST, _count(clear.shape, window)):
        return Offset(0.0, 0.0, 0.0)
    down, right = shifts[agreeing].mean(axis=0)
    return Offset(float(down), float(right), float(agreeing.mean()))


def texture(image: NDArray[Any], clear: BoolImage) -> NDArray[np.float32]:
    """(band, y, x) without local mean and contrast, slightly smoothed; 0 where not clear."""
    seen = clear.astype(np.float32)
    near, wide = (np.maximum(blur(seen), 1e-3) for blur in (_near, _wide))
    soft = gaussian_filter(seen, 1.0)
    result = np.empty(image.shape, np.float32)
    for band, target in zip(image, result, strict=True):
        pixels = np.where(clear, band, 0).astype(np.float32)
        detail = (pixels - _near(pixels) / near) * seen
        contrast = np.sqrt(np.maximum(_wide(detail * detail) / wide, 0)) + FAINTEST
        target[:] = gaussian_filter(np.clip(detail / contrast, -STRONGEST, STRONGEST), FINE) * soft
    return result


def _near(image: NDArray[Any]) -> NDArray[np.float32]:
    return gaussian_filter(image, COARSE)


def _wide(image: NDArray[Any]) -> NDArray[np.float32]:
    return uniform_filter(image, CONTRAST, mode="nearest")


def _windows(clear: BoolImage, window: int) -> Iterator[tuple[slice, slice]]:
    height, width = clear.shape
    for top in range(0, height - window + 1, window // 2):
        for left in range(0, width - window + 1, window // 2):
            part = slice(top, top + window), slice(left, left + window)
            if clear[part].mean() >= CLEAR_SHARE:
                yield part


def _count(shape: tuple[int, ...], window: int) -> int:
    return int(np.prod([(side - window) // (window // 2) + 1 for side in shape]))


def _peak(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """Displacement (down, right) at the peak of the bands' summed cross-correlation, at most
    LARGEST either way: to the pixel first, then in steps of a fraction of it around there."""
    side = first.shape[-1]
    spectrum = (np.conj(fft2(first)) * fft2(second)).sum(axis=0)
    steps = np.arange(-LARGEST, LARGEST + 1)
    near = ifft2(spectrum).real[np.ix_(steps, steps)]
    whole = steps[list(np.unravel_index(near.argmax(), near.shape))]
    fine = np.arange(-STEPS, STEPS + 1) / STEPS
    angle = 2j * np.pi * fftfreq(side)
    down, right = (np.exp(np.outer(at + fine, angle)) for at in whole)
    around = (down @ spectrum @ right.T).real
    return whole + fine[list(np.unravel_index(around.argmax(), around.shape))]
