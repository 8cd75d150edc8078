"""How far a date lies off the site's reference, to a fraction of a pixel.

Notes on masking. Only pixels that are clear on both dates count; others are 0 after the local mean
is taken out, so they pull nowhere. A window counts where most of it is clear.

The measure is the cross-correlation of many small windows with an upsampled peak (Guizar-Sicairos et
al. 2008, doi 10.1364/OL.33.000156), of bands without local mean and contrast. Each window's correlation
is divided by the energy of both images in it. The mean over all windows gives the shift to the pixel; the
fraction is the mean over the windows whose own peak lies near that of all. A mine changes in some
windows, and those do not agree.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import rfft2

from pipeline.scenes import peaks
from pipeline.scenes.texture import BoolImage, FloatImage, band_weights, summed, texture

VERSION = 3
"""Of the measure: raise it when the same images give other shifts. A frozen choice keeps the shifts that
it was made with; `fetch --refresh` measures anew."""
SMALLEST_WINDOW, WINDOW = 24, 64
"""Side of a window, pixels: a sixth of the site's, in eights, within these. Half of it is the step, or more
where there would be more than `MOST` windows."""
LARGE_SITE = 256
"""Side, pixels, from which the sum of the bands is matched. On smaller sites each band is matched on its own,
which takes longer and tells more."""
MOST = 200
"""Windows of an image. The error of their mean falls with their square root: 200 are good for a
hundredth of a pixel."""
CLEAR_SHARE = 0.6
"""Of a window, to be measured at all: at the edge of what is hidden everything seems to stand still."""
PLAINEST = 0.05
"""Standard deviation of a window's texture below which there is nothing to match."""
FEWEST = 4
"""Windows that must be measured: fewer agree by chance."""
TRUSTED = 0.4
"""Confidence from which a shift is believed."""
SMALLEST = 0.1
"""Shifts below this, pixels, are within the measure's own error and stay; the less windows agree, the
larger a shift must be."""


@dataclass(frozen=True)
class Offset:
    """Content displaced by so many pixels down and right of the reference's; `confidence` is the share of
    windows that agree, 0 where the shift is unknown: too few windows could be measured, or chance or change
    may have made the peak (see `pipeline.scenes.peaks`)."""

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


UNKNOWN = Offset(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Reference:
    """The date that the others are measured against, all that can be made of it once: the weight of each
    band in the sum, and of each window the spectra (window, channel, y, x) and the standard deviation of its
    texture (window)."""

    weights: FloatImage = field(repr=False)
    spectra: NDArray[np.complex64] = field(repr=False)
    contrast: FloatImage = field(repr=False)

    @classmethod
    def of(cls, image: NDArray[Any], clear: BoolImage) -> "Reference":
        """From an image (band, y, x) and its clear pixels (y, x)."""
        weights = band_weights(image, clear)
        windows = _windows(_textures(image, clear, weights))
        return cls(weights, np.conj(_spectra(windows)), windows.std((1, 2, 3)))

    def measure(self, moving: NDArray[Any], clear: BoolImage) -> Offset:
        """Return the offset of another image (band, y, x) on the same grid; `clear` (y, x) says which pixels
        are clear in both."""
        textures = _textures(moving, clear, self.weights)
        usable = _windows(clear[np.newaxis]).mean((1, 2, 3)) >= CLEAR_SHARE
        usable &= np.minimum(self.contrast, _windows(textures).std((1, 2, 3))) > PLAINEST
        if usable.sum() < FEWEST:
            return UNKNOWN
        place = peaks.highest_place(self._correlations(textures, usable, peaks.WHOLE))
        if place is None:
            return UNKNOWN
        # Windows of the same ground tell the fraction better than windows at the same place.
        found = peaks.fraction(
            self._correlations(_moved_back(textures, place), usable, peaks.PARTS),
            _places(clear.shape)[usable],
        )
        if found is None:
            return UNKNOWN
        return Offset(place[0] + found.down, place[1] + found.right, found.agreement)

    def _correlations(self, textures: FloatImage, usable: BoolImage, steps: NDArray[Any]) -> peaks.Surfaces:
        """Return the correlation (window, down, right) of each usable window at displacements `steps`."""
        ours, theirs = self.spectra[usable], _spectra(_windows(textures)[usable])
        side = ours.shape[-2]
        energy = np.sqrt(_energy(ours) * _energy(theirs))
        matched = (ours * theirs).sum(axis=1) / np.maximum(energy, np.float32(1e-6))[:, None, None]
        return peaks.surfaces(matched, side, steps)


def _textures(image: NDArray[Any], clear: BoolImage, weights: FloatImage) -> FloatImage:
    """Return what is matched (channel, y, x): each band of a small site, the sum of those of a large one."""
    if min(clear.shape) < LARGE_SITE:
        return np.stack([texture(band.astype(np.float32), clear) for band in image])
    return texture(summed(image, weights), clear)[np.newaxis]


def _moved_back(textures: FloatImage, place: tuple[int, int]) -> FloatImage:
    """Return textures (channel, y, x) moved up and left by so many whole pixels, 0 where none are known."""
    if place == (0, 0):
        return textures
    moved = np.zeros_like(textures)
    parts = [_overlap(by, length) for by, length in zip(place, textures.shape[1:], strict=True)]
    (top, left), (new_top, new_left) = zip(*parts, strict=True)
    moved[:, new_top, new_left] = textures[:, top, left]
    return moved


def _overlap(by: int, length: int) -> tuple[slice, slice]:
    """Return which part of a line of pixels stays when it is moved back by `by`, and where it then lies."""
    return slice(max(by, 0), length + min(by, 0)), slice(max(-by, 0), length - max(by, 0))


def _starts(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the side of an image's windows, and the step between them, pixels."""
    side = min(int(np.clip(min(shape) // 6 // 8 * 8, SMALLEST_WINDOW, WINDOW)), *shape)
    step = side // 2 or 1
    while np.prod([(length - side) // step + 1 for length in shape]) > MOST:
        step += 1
    return side, step


def _windows(textures: NDArray[Any]) -> NDArray[Any]:
    """Return windows (window, channel, y, x), half overlapping, or farther apart where the image is large."""
    side, step = _starts(textures.shape[1:])
    views = sliding_window_view(textures, (side, side), axis=(1, 2))[:, ::step, ::step]
    return views.reshape(len(textures), -1, side, side).swapaxes(0, 1)


def _places(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return row and column of each window (window, [down, right]), counted in windows."""
    side, step = _starts(shape)
    rows, columns = ((length - side) // step + 1 for length in shape)
    return np.indices((rows, columns)).reshape(2, -1).T


def _spectra(windows: FloatImage) -> NDArray[np.complex64]:
    """Return half the spectrum of each window (window, channel, y, x), tapered to its edges."""
    taper = np.hanning(windows.shape[-1] + 2)[1:-1].astype(np.float32)
    return np.asarray(rfft2(windows * (taper[:, None] * taper[None, :])))


def _energy(spectra: NDArray[np.complex64]) -> FloatImage:
    """Return the sum of squares (window) behind half-spectra (window, channel, y, x), by Parseval's theorem,
    up to a factor that all windows share."""
    power = spectra.real**2 + spectra.imag**2
    side = spectra.shape[-2]
    power[..., 1 : (side + 1) // 2] *= 2
    return np.asarray(power.sum((1, 2, 3)))
