"""What of an image shows where it lies: its bands without local mean and contrast.

Only clear pixels count; others are 0 after the local mean is taken out, so they pull nowhere.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

FINE, COARSE = 0.45, 2.3
"""Standard deviations, pixels, of the smoothing and of the local mean."""
CONTRAST = 31
"""Side of the square, pixels, over which local contrast is taken."""
STRONGEST = 2.0
"""Local contrasts are cut off here: a new roof must not outweigh a field's edge."""
FAINTEST = 1.0
"""Digital numbers of contrast below which there is nothing to see."""
BoolImage = NDArray[np.bool_]
FloatImage = NDArray[np.float32]


def band_weights(image: NDArray[Any], clear: BoolImage) -> FloatImage:
    """Return one over each band's mean step between clear neighbours, scaled to a sum of 1."""
    both = clear[:, 1:] & clear[:, :-1]
    steps = [np.abs(np.diff(band.astype(np.float32)))[both] for band in image]
    weights = np.array([1 / max(float(step.mean()), FAINTEST) if step.size else 1.0 for step in steps])
    return (weights / weights.sum()).astype(np.float32)


def summed(image: NDArray[Any], weights: FloatImage) -> FloatImage:
    """Return the weighted sum (y, x) of the bands of an image (band, y, x)."""
    total = np.zeros(image.shape[1:], np.float32)
    for band, weight in zip(image, weights, strict=True):
        total += band * weight
    return total


def texture(image: FloatImage, clear: BoolImage) -> FloatImage:
    """Return an image (y, x) without local mean and contrast, slightly smoothed; 0 where not clear."""
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
