"""How active a site is over time, from its change maps (OMS2CD, Dibble 2023).

NDTCI = (δ - δ_stable) / (δ + δ_stable + ε), with δ the change map of a pair and δ_stable a low
quantile of the mean of the site's maps: what its quiet ground looks like to the model.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Activity:
    """NDTCI of a site: `index` (P, H, W) float32 in -1..1, one map a pair."""

    index: NDArray[np.float32]
    change: NDArray[np.float32]
    pixel_m2: float

    @property
    def mean_ndtci(self) -> NDArray[np.float32]:
        """μNDTCI (H, W): the mean over the pairs."""
        return np.asarray(self.index.mean(axis=0))

    @property
    def changed_area_m2(self) -> NDArray[np.float64]:
        """Area of the pixels whose change is at least one half, for each pair (P,)."""
        return np.asarray((self.change >= 0.5).sum(axis=(1, 2)) * self.pixel_m2)

    @property
    def timeline(self) -> NDArray[np.float64]:
        """Mean of NDTCI over the site for each pair (P,)."""
        return np.asarray(self.index.mean(axis=(1, 2), dtype=np.float64))


def ndtci(
    change: NDArray[np.floating], stable_quantile: float = 0.25, eps: float = 1e-6, pixel_m2: float = 100.0
) -> Activity:
    """NDTCI of a site's change maps (P, H, W), probabilities or 0/1, in order of time.

    `pixel_m2` is a pixel's area, 100 m² for Sentinel-2. ValueError where there is no map.
    """
    if change.ndim != 3 or not len(change):
        raise ValueError(f"change must be (P, H, W) with at least one map, not {change.shape}")
    maps = change.astype(np.float32)
    stable = np.quantile(maps.mean(axis=0), stable_quantile).astype(np.float32)
    index = (maps - stable) / (maps + stable + np.float32(eps))
    return Activity(index, maps, pixel_m2)
