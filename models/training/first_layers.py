"""Layers that take a model's bands: which they are, and how weights for other bands go into them.

A band takes the weights of the one nearest to it in wavelength, shared among all bands that take them, so
that an image that is alike in all of them gives what it gave. Only these layers are ever made to fit.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from minebench import bands
from models import registry
from models.base import Model

RGB = ("red", "green", "blue")
"""Bands of what was trained on pictures."""
ALIKE_NM = 40
"""Nanometres up to which two bands show the same colour: a checkpoint's red is not fed near infrared."""


def names_of(network: Model) -> list[str]:
    """Names of the tensors whose shape depends on the number of bands."""
    name, options = network.made_of
    with torch.device("meta"):
        other = registry.create(name, in_channels=network.in_channels + 1, **options).state_dict()
    return [key for key, value in network.state_dict().items() if other[key].shape != value.shape]


@dataclass(frozen=True)
class Matched:
    """How a network's bands take those of a file: for each of ours the place of theirs, and how much of its
    weights it takes.

    `unknown` are our bands without a known meaning, and `guess` says what was guessed of the others.
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    places: list[int]
    shares: list[float]
    unknown: tuple[str, ...] = ()
    guess: str = ""

    def __str__(self) -> str:
        """One line: which band takes the weights of which, and which takes none."""
        bands = list(zip(self.ours, self.places, self.shares, strict=True))
        idle = [band for band, _, share in bands if not share and band not in self.unknown]
        used = {place for _, place, share in bands if share}
        unseen = [band for place, band in enumerate(self.theirs) if place not in used]
        taken = [f"{band} takes {_part(share)}{self.theirs[place]}" for band, place, share in bands if share]
        how = "these take theirs in turn" if len(self.unknown) == len(self.ours) else "no weights"
        notes = {
            "without weights": idle, f"of unknown meaning, {how}": self.unknown, "not shown by any": unseen,
        }  # fmt: skip
        said = [f"{', '.join(names)} {note}" for note, names in notes.items() if names]
        return "; ".join(["bands: " + ", ".join(taken), *said, *([self.guess] if self.guess else [])])


def _part(share: float) -> str:
    return "" if share == 1 else f"{share:.2g} of "


def places(ours: Sequence[str], theirs: Sequence[str], sensor: str = "") -> list[int]:
    """Return for each of our bands the place of the nearest of theirs; see `matched`."""
    return matched(ours, theirs, sensor=sensor).places


def matched(ours: Sequence[str], theirs: Sequence[str], alone: bool = False, sensor: str = "") -> Matched:
    """Match our bands to those of a file.

    Each of ours takes an equal part of the weights of the one nearest in wavelength. With `alone` only the
    nearest takes them, whole, and only where it shows the same colour; the other bands count nothing. A band
    of unknown meaning takes nothing, but where none of ours is known: then they take theirs in turn. `sensor`
    is the profile of our images, by which numbered bands are read (`minebench.bands`).
    """
    if list(ours) == list(theirs):
        return Matched(tuple(ours), tuple(theirs), list(range(len(ours))), [1.0] * len(ours))
    mine, others = bands.meaning(ours, sensor), bands.meaning(theirs, sensor)
    apart = [
        _apart(band, colour, theirs, others.colours) for band, colour in zip(ours, mine.colours, strict=True)
    ]
    unknown = tuple(band for band, row in zip(ours, apart, strict=True) if min(row) == math.inf)
    if len(unknown) == len(ours):
        places = [place % len(theirs) for place in range(len(ours))]
        counts = Counter(places)
        return Matched(tuple(ours), tuple(theirs), places, [1 / counts[place] for place in places], unknown)
    places = [row.index(min(row)) for row in apart]
    distances = [min(row) for row in apart]
    shares = _alone(places, distances) if alone else _shared(places, distances)
    return Matched(tuple(ours), tuple(theirs), places, shares, unknown, mine.guess)


def _apart(
    band: str, colour: str | None, theirs: Sequence[str], colours: Sequence[str | None]
) -> list[float]:
    """Nanometres from a band to each of theirs: 0 for the same name, infinite where either is unknown."""
    return [
        0.0 if band == other
        else math.inf if colour is None or theirs_colour is None
        else abs(bands.nanometres(colour) - bands.nanometres(theirs_colour))
        for other, theirs_colour in zip(theirs, colours, strict=True)
    ]  # fmt: skip


def _shared(places: Sequence[int], distances: Sequence[float]) -> list[float]:
    """Equal parts of a band's weights for all that are nearest to it."""
    known = [distance < math.inf for distance in distances]
    counts = Counter(place for place, is_known in zip(places, known, strict=True) if is_known)
    return [1 / counts[place] if is_known else 0.0 for place, is_known in zip(places, known, strict=True)]


def _alone(places: Sequence[int], distances: Sequence[float]) -> list[float]:
    """All of a band's weights for the nearest one of its colour, the first of equals."""
    chosen: dict[int, int] = {}
    for band, (place, distance) in enumerate(zip(places, distances, strict=True)):
        if distance <= ALIKE_NM and (place not in chosen or distance < distances[chosen[place]]):
            chosen[place] = band
    return [float(chosen.get(place) == band) for band, place in enumerate(places)]


def fitted(value: Tensor, own: Tensor, match: Matched) -> Tensor | None:
    """Return `value`, of a layer for their bands, in the shape of `own`, for ours; None where they differ in
    more than that. A layer of both dates has the bands of one after those of the other."""
    if value.ndim != own.ndim:
        return None
    count, nearest = len(match.theirs), match.places
    share = torch.tensor(match.shares, dtype=value.dtype)
    for axis, (there, here) in enumerate(zip(value.shape, own.shape, strict=True)):
        dates, odd = divmod(here, len(nearest))
        if there == here and there != dates * count:
            continue
        if odd or there != dates * count:
            return None
        index = torch.tensor([date * count + place for date in range(dates) for place in nearest])
        value = value.index_select(axis, index)
        if axis == 1:
            value = value * share.repeat(dates).view(1, -1, *[1] * (value.ndim - 2))
    return value
