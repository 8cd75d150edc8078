"""Activity of a site over time from its change maps (OMS2CD, Dibble 2023).

NDTCI = (δ - δ_stable) / (δ + δ_stable + ε), with δ the change map of a pair and δ_stable a low quantile of
the mean of the site's maps, the model's output for stable ground.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Activity:
    """NDTCI of a site.

    Attributes
    ----------
    index
        NDTCI (P, H, W) float32 in -1..1, one map per pair; NaN where unknown.
    change
        Change maps (P, H, W) float32.
    pixel_m2
        Area of a pixel, m².
    """

    index: NDArray[np.float32]
    change: NDArray[np.float32]
    pixel_m2: float

    @property
    def mean_ndtci(self) -> NDArray[np.float32]:
        """Mean over the pairs (H, W), μNDTCI."""
        return self.weighted_mean(None)

    def weighted_mean(self, weights: NDArray[Any] | None) -> NDArray[np.float32]:
        """Return the mean over the pairs (H, W) float32; NaN where no pair is known.

        Parameters
        ----------
        weights
            Weight of each pair (P,); None for equal weights.
        """
        if weights is None and not np.isnan(self.index).any():
            return np.asarray(self.index.mean(axis=0))
        share = np.ones(len(self.index)) if weights is None else np.asarray(weights, np.float64)
        known = ~np.isnan(self.index)
        total = np.einsum("p,phw->hw", share, np.where(known, self.index, 0))
        return _divided(total, np.einsum("p,phw->hw", share, known)).astype(np.float32)

    @property
    def timeline(self) -> NDArray[np.float64]:
        """Mean over the site for each pair (P,); NaN where no pixel is known."""
        if not np.isnan(self.index).any():
            return np.asarray(self.index.mean(axis=(1, 2), dtype=np.float64))
        known = ~np.isnan(self.index)
        total = np.where(known, self.index, 0).sum(axis=(1, 2), dtype=np.float64)
        return _divided(total, known.sum(axis=(1, 2)))


def ndtci(
    change: NDArray[np.floating], stable_quantile: float = 0.25, eps: float = 1e-6, pixel_m2: float = 100.0,
    known: NDArray[np.bool_] | None = None,
) -> Activity:  # fmt: skip
    """Return the NDTCI of a site.

    Parameters
    ----------
    change
        Change maps (P, H, W) in order of time, probabilities or 0/1.
    stable_quantile
        Quantile of the mean map that stands for stable ground.
    eps
        ε of the formula.
    pixel_m2
        Area of a pixel, m²; the default is that of Sentinel-2.
    known
        Where maps are known (P, H, W); elsewhere the index is NaN, and means and quantiles skip the pixel.

    Raises
    ------
    ValueError
        If there is no map.
    """
    if change.ndim != 3 or not len(change):
        raise ValueError(f"change must be (P, H, W) with at least one map, not {change.shape}")
    maps = change.astype(np.float32)
    if known is None or known.all():
        stable = np.quantile(maps.mean(axis=0), stable_quantile).astype(np.float32)
    else:
        maps[~known] = np.nan
        mean = _divided(np.where(known, maps, 0).sum(axis=0, dtype=np.float64), known.sum(axis=0))
        values = mean[~np.isnan(mean)]
        stable = np.float32(np.quantile(values, stable_quantile) if values.size else np.nan)
    index = (maps - stable) / (maps + stable + np.float32(eps))
    return Activity(index, maps, pixel_m2)


def first_and_last(changed: NDArray[np.bool_]) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return when each pixel first and last changed.

    Parameters
    ----------
    changed
        Change maps (P, H, W) in order of time.

    Returns
    -------
    first, last : numpy.ndarray
        Number of the interval (H, W) uint16, from 1; 0 where there is no change.
    """
    ever = changed.any(axis=0)
    first = np.where(ever, changed.argmax(axis=0) + 1, 0)
    last = np.where(ever, len(changed) - changed[::-1].argmax(axis=0), 0)
    return first.astype(np.uint16), last.astype(np.uint16)


def _divided(total: NDArray[Any], count: NDArray[Any]) -> NDArray[np.float64]:
    """Return total / count; NaN where count is 0."""
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
