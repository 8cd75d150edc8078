"""Which predictions are kept for people to look at: of the site that a model does best, of the one in the
middle, and of the one it does worst."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

RANKS = ("best", "median", "worst")


@dataclass(frozen=True)
class Example:
    """One prediction of a site: `name` is its tile, with two dates where it is of change; `weight` is how
    much there is to see; `bits` is the map, packed along x."""

    name: str
    weight: int
    bits: NDArray[np.uint8]


def better(one: Example | None, other: Example) -> Example:
    """The one with more to see; of two alike the first by name, in whichever order they come."""
    if one is None or (-other.weight, other.name) < (-one.weight, one.name):
        return other
    return one


def joined(parts: Iterable[Mapping[str, Example]]) -> dict[str, Example]:
    """What several processes kept, by site."""
    found: dict[str, Example] = {}
    for part in parts:
        for site_id, example in part.items():
            found[site_id] = better(found.get(site_id), example)
    return found


def told(by_site: pd.DataFrame) -> dict[str, str]:
    """Rank to site, by F1; sites without change and without false alarms, whose F1 is undefined, have none.
    Of one site there is only the best, of two best and worst."""
    known = by_site[by_site.f1.notna()].sort_values(["f1", "site_id"], ascending=[False, True])
    sites = known.site_id.astype(str).tolist()
    if not sites:
        return {}
    places = {"best": 0, "median": (len(sites) - 1) // 2, "worst": len(sites) - 1}
    found: dict[str, str] = {}
    for rank in sorted(RANKS, key=("best", "worst", "median").index):
        if sites[places[rank]] not in found.values():
            found[rank] = sites[places[rank]]
    return {rank: found[rank] for rank in RANKS if rank in found}


def kept(by_site: pd.DataFrame, examples: Mapping[str, Example]) -> dict[str, NDArray[np.uint8]]:
    """The maps of those sites by name."""
    sites = [site for site in told(by_site).values() if site in examples]
    return {examples[site].name: examples[site].bits for site in sites}


def packed(masks: "Tensor") -> NDArray[Any]:
    """Boolean maps as bits along x."""
    return np.packbits(masks.cpu().numpy(), axis=-1)
