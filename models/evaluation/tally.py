"""Pixel counts of predictions by site and date or pair, summed on the device.

Cells are (key, inside the AOI, predicted, true); what is unknown in the truth is in none. Nothing leaves
the device before the end.
"""

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from minebench.masks import UNKNOWN

Key = tuple[str, str, str]
"""Site and two periods; of a single date both are it."""
TOLERANCE = 2
"""Pixels that a predicted outline may be off, in the boundary F1."""


class Tally:
    """Counts of boolean maps against labels, by key."""

    def __init__(self, keys: Sequence[Key], device: torch.device) -> None:
        self.place = {key: i for i, key in enumerate(keys)}
        self.held = torch.zeros(len(keys) * 8, dtype=torch.int64, device=device)
        self.edges = torch.zeros(4, dtype=torch.int64, device=device)

    def add(self, keys: Sequence[Key], predicted: Tensor, true: Tensor, aoi: Tensor) -> None:
        """`predicted` (K, H, W) boolean, `true` (K, H, W) in {0, 1, 255}, `aoi` (H, W) boolean."""
        places = torch.tensor([self.place[key] for key in keys], device=self.held.device)
        cell = predicted.long() * 2 + (true == 1).long() + 4 * aoi.long() + 8 * places[:, None, None]
        self.held += torch.bincount(cell[true != UNKNOWN], minlength=len(self.held))

    def add_edges(self, predicted: Tensor, true: Tensor) -> None:
        """Count outlines, of maps as in `add`."""
        known = true != UNKNOWN
        own, drawn = (outline(mask & known, ~mask & known) for mask in (predicted, true == 1))
        near_own, near_drawn = (grown(edge, TOLERANCE) for edge in (own, drawn))
        counts = [own.sum(), (own & near_drawn).sum(), drawn.sum(), (drawn & near_own).sum()]
        self.edges += torch.stack(counts)

    def table(self) -> pd.DataFrame:
        """site_id, t1, t2, aoi (inside it or not), tp, fp, fn, tn: one row a key and side of the AOI."""
        counts = self.held.cpu().numpy().reshape(-1, 2, 4)
        rows = [
            (*key, bool(inside), *(int(n) for n in counts[i, inside][[3, 2, 1, 0]]))
            for key, i in self.place.items()
            for inside in (0, 1)
        ]
        return pd.DataFrame(rows, columns=["site_id", "t1", "t2", "aoi", "tp", "fp", "fn", "tn"])

    def boundary_f1(self) -> float:
        """Harmonic mean of the shares of either outline that lie within TOLERANCE of the other; NaN
        without an outline in the truth or in what is predicted."""
        own, own_near, drawn, drawn_near = (int(n) for n in self.edges.cpu())
        if not own or not drawn:
            return float("nan")
        precision, recall = own_near / own, drawn_near / drawn
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def outline(inside: Tensor, outside: Tensor) -> Tensor:
    """Pixels of `inside` (K, H, W) beside a pixel of `outside`: an edge to the unknown is none."""
    return inside & grown(outside, 1)


def grown(mask: Tensor, by: int) -> Tensor:
    """A mask (K, H, W) and all within `by` pixels of it, diagonals included."""
    return F.max_pool2d(mask[:, None].float(), 2 * by + 1, stride=1, padding=by)[:, 0] > 0


def flicker(masks: Tensor, known: Tensor) -> Tensor:
    """Of masks (T, H, W): how many pixels differ on a date from the one before and the one after, which
    agree, and how many could: counts (2,) over pixels known on all three dates."""
    before, here, after = masks[:-2], masks[1:-1], masks[2:]
    counted = known[:-2] & known[1:-1] & known[2:]
    return torch.stack([((before == after) & (here != before) & counted).sum(), counted.sum()])
