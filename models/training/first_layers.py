"""Layers that take a model's bands: which they are, and how weights for other bands go into them.

A band takes the weights of the one nearest to it in wavelength, shared among all bands that take them, so
that an image that is alike in all of them gives what it gave. Only these layers are ever made to fit.
"""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from models import registry
from models.base import Model

RGB = ("red", "green", "blue")
"""Bands of what was trained on pictures."""
NANOMETRES = {
    "B01": 443, "B02": 492, "B03": 560, "B04": 665, "B05": 704, "B06": 740, "B07": 783, "B08": 833,
    "B8A": 865, "B09": 945, "B10": 1374, "B11": 1610, "B12": 2190, "coastal": 443, "blue": 490,
    "green": 560, "red": 660, "rededge": 740, "nir": 835, "nir08": 865, "swir16": 1610, "swir22": 2200,
    "R": 660, "G": 560, "B": 490, "N": 835,
}  # fmt: skip
"""Centres of bands by the names that sensors and recipes give them."""


def names_of(network: Model) -> list[str]:
    """Names of the tensors whose shape depends on the number of bands."""
    name, options = network.made_of
    with torch.device("meta"):
        other = registry.create(name, in_channels=network.in_channels + 1, **options).state_dict()
    return [key for key, value in network.state_dict().items() if other[key].shape != value.shape]


def places(ours: Sequence[str], theirs: Sequence[str]) -> list[int]:
    """For each of our bands the place of the one of theirs that is nearest in wavelength; bands without a
    known wavelength, on either side, take theirs in turn."""
    if list(ours) == list(theirs):
        return list(range(len(ours)))
    if not all(band in NANOMETRES for band in (*ours, *theirs)):
        return [place % len(theirs) for place in range(len(ours))]
    return [
        min(range(len(theirs)), key=lambda place: abs(NANOMETRES[theirs[place]] - NANOMETRES[band]))
        for band in ours
    ]


def shares(ours: Sequence[str], theirs: Sequence[str], alone: bool) -> list[float]:
    """How much of their band's weights each of ours takes: an equal part, or, `alone`, the nearest all of
    them and others nothing."""
    nearest = places(ours, theirs)
    if not alone:
        counts = Counter(nearest)
        return [1 / counts[place] for place in nearest]
    chosen: dict[int, int] = {}
    for band, place in enumerate(nearest):
        had = chosen.setdefault(place, band)
        if _apart(ours[band], theirs[place]) < _apart(ours[had], theirs[place]):
            chosen[place] = band
    return [float(chosen[place] == band) for band, place in enumerate(nearest)]


def _apart(one: str, other: str) -> float:
    known = one in NANOMETRES and other in NANOMETRES
    return abs(NANOMETRES[one] - NANOMETRES[other]) if known else 0.0


def fitted(
    value: Tensor, own: Tensor, nearest: Sequence[int], share_of: Sequence[float], bands: int
) -> Tensor | None:
    """`value`, of a layer for `bands` bands, in the shape of `own`, for as many as `nearest` has; None where
    they differ in more than that. A layer of both dates has the bands of one after those of the other."""
    if value.ndim != own.ndim:
        return None
    share = torch.tensor(share_of, dtype=value.dtype)
    for axis, (there, here) in enumerate(zip(value.shape, own.shape, strict=True)):
        dates, odd = divmod(here, len(nearest))
        if there == here and there != dates * bands:
            continue
        if odd or there != dates * bands:
            return None
        index = torch.tensor([date * bands + place for date in range(dates) for place in nearest])
        value = value.index_select(axis, index)
        if axis == 1:
            value = value * share.repeat(dates).view(1, -1, *[1] * (value.ndim - 2))
    return value
