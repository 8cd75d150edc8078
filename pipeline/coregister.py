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
from scipy.ndimage import gaussian_filter
from skimage.registration import phase_cross_correlation

WINDOW = 64
"""Side of a window, pixels; half of it is the step."""
FINE, COARSE, CONTRAST = 0.45, 2.3, 12.0
"""Standard deviations, pixels, of the smoothing, of the local mean and of the local contrast."""
STRONGEST = 2.0
"""Local contrasts are cut off here: a new roof must not outweigh a field's edge."""
AGREE = 0.3
"""Windows this close to the median, pixels, agree with it."""
CLEAR_SHARE = 0.6
FAINTEST = 1.0
"""Digital numbers of contrast below which there is nothing to see."""
FEWEST = 3
TRUSTED = 0.4
"""Confidence from which a shift is believed."""
SMALLEST = 0.15
"""Shifts below this, pixels, are within the measure's own error and stay."""
LARGEST = 3.0
"""Shifts beyond this, pixels, are no misregistration but a failed measure."""
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
        return self.confidence >= TRUSTED and self.size <= LARGEST


def measure(reference: NDArray[Any], moving: NDArray[Any], clear: BoolImage, window: int = WINDOW) -> Offset:
    """Offset of `moving` against `reference`, both (band, y, x) on one grid; `clear` (y, x) says
    which pixels are clear in both. Images smaller than a window are one window."""
    window = min(window, *clear.shape)
    first = np.stack([texture(band, clear) for band in reference])
    second = np.stack([texture(band, clear) for band in moving])
    taper = np.hanning(window + 2)[1:-1]
    weight = taper[:, None] * taper[None, :]
    found = [
        _peak(first[:, rows, columns] * weight, second[:, rows, columns] * weight)
        for rows, columns in _windows(clear, window)
        if min(first[:, rows, columns].std(), second[:, rows, columns].std()) > 0.05
    ]
    if len(found) < min(FEWEST, _count(clear.shape, window)):
        return Offset(0.0, 0.0, 0.0)
    shifts = np.array(found)
    middle = np.median(shifts, axis=0)
    agreeing = np.abs(shifts - middle).max(axis=1) < AGREE
    if not agreeing.any():
        return Offset(0.0, 0.0, 0.0)
    down, right = shifts[agreeing].mean(axis=0)
    return Offset(float(down), float(right), float(agreeing.mean()))


def texture(image: NDArray[Any], clear: BoolImage) -> NDArray[np.float32]:
    """An image (y, x) without its local mean and contrast, slightly smoothed; 0 where not clear."""
    seen = clear.astype(np.float32)
    pixels = np.where(clear, image, 0).astype(np.float32)
    share = np.maximum(gaussian_filter(seen, COARSE), 1e-3)
    detail = (pixels - gaussian_filter(pixels, COARSE) / share) * seen
    power = gaussian_filter(detail**2, CONTRAST) / np.maximum(gaussian_filter(seen, CONTRAST), 1e-3)
    detail = np.clip(detail / (np.sqrt(power) + FAINTEST), -STRONGEST, STRONGEST)
    return gaussian_filter(detail, FINE) * gaussian_filter(seen, 1.0)


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
    """Displacement (down, right) at the peak of the bands' summed cross-correlation."""
    spectrum = (np.fft.fft2(first) * np.conj(np.fft.fft2(second))).sum(axis=0)
    shift, _, _ = phase_cross_correlation(
        spectrum, np.ones_like(spectrum), space="fourier", upsample_factor=50, normalization=None
    )
    return -np.asarray(shift)
