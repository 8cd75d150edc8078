"""IR-MAD, iteratively reweighted multivariate alteration detection (Nielsen 2007, doi
10.1109/TIP.2006.888195): differences of canonical variates of the two dates, the correlations found
again with each pixel weighted by its chance of no change.

The statistic is the sum of the squared variates over their variances, chi-square distributed with as
many degrees of freedom as bands where nothing changed. Here it is divided by the number of bands, so
that one threshold suits any number of them, and given as log(1 + its square root).

Correlations are taken within each tile. The paper takes them within a scene, where most pixels have not
changed; a tile that is mostly changed is harder.
"""

import logging

import torch
from torch import Tensor

from models.base import Classical
from models.recipes import NOTHING

RECIPE = NOTHING
LOG = logging.getLogger(__name__)
ROUNDS = 300
SETTLED = 1e-3
"""Rounds end when no canonical correlation moves by more, as the paper does; after ROUNDS they are given
up."""
RIDGE = 1e-6
"""Added to the variances, so that bands that do not vary within a tile can be inverted."""


class IRMAD(Classical):
    """Symmetric in the dates. Pixels without data (0 in all bands) on either date have no weight."""

    version = 2
    smallest = 8
    highest = 6.0

    def statistic(self, *images: Tensor) -> Tensor:
        a, b = images
        # One pair at a time: rounds end for each by itself, and its pixels stay in the cache.
        found = [distance(first.flatten(1), second.flatten(1)) for first, second in zip(a, b, strict=True)]
        if unsettled := sum(not settled for _, settled in found):
            LOG.warning("ir-mad: %d of %d pairs had not settled after %d rounds", unsettled, len(a), ROUNDS)
        return torch.stack([each for each, _ in found]).view(len(a), 1, *a.shape[-2:]).to(a.dtype)


def distance(x: Tensor, y: Tensor) -> tuple[Tensor, bool]:
    """The statistic (P,) of the pixels (C, P) of two dates, 0 where either has no data; and whether the
    correlations settled."""
    bands = len(x)
    known = ((x != 0).any(dim=0) & (y != 0).any(dim=0)).double()
    both = torch.cat([x, y]).double()
    weight, before = known, torch.zeros(bands, dtype=both.dtype, device=both.device)
    for _ in range(ROUNDS):
        chi2, correlation = chi_square(both, weight)
        if settled := bool((correlation - before).abs().max() < SETTLED):
            break
        before = correlation
        # Chance of a statistic as large as this where nothing changed.
        weight = known * torch.special.gammaincc(torch.full_like(chi2, bands / 2), chi2 / 2)
    return torch.log1p((chi2 / bands).sqrt()) * known, settled


def chi_square(both: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of squared MAD variates over their variances (P,), and the canonical correlations (C,), for
    the bands of both dates (2C, P) and the pixels' weights (P,). Equations 1 to 7 of the paper."""
    bands, total = len(both) // 2, weight.sum().clamp(min=1e-9)
    both = both - (both @ weight / total)[:, None]
    covariance = (both * weight) @ both.mT / total
    xx, xy, yy = covariance[:bands, :bands], covariance[:bands, bands:], covariance[bands:, bands:]
    half_x, half_y = inverse_root(xx), inverse_root(yy)
    u, correlation, v = torch.linalg.svd(half_x @ xy @ half_y)
    mad = torch.cat([u.mT @ half_x, -v @ half_y], dim=1) @ both
    variance = (2 * (1 - correlation)).clamp(min=RIDGE)
    return (mad.square() / variance[:, None]).sum(dim=0), correlation


def inverse_root(covariance: Tensor) -> Tensor:
    """The inverse square root of a covariance (C, C)."""
    eye = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    values, vectors = torch.linalg.eigh(covariance + RIDGE * eye)
    return vectors @ torch.diag(values.clamp(min=RIDGE).rsqrt()) @ vectors.mT
